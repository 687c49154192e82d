"""From the figures of single searches to what the comparison says: intervals over seeds, curves, the speed-up."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.search_jobs import METHODS, OURS, PLAIN
from benchmarks.search_statistics import Estimate, difference, estimate, median_interval
from benchmarks.search_workers import LEAST_SPEEDUP as LEAST_SPEEDUP_OF_WORKERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forecaster.arrays import Doubles

Result = dict[str, Any]
POINTS = 120  # of a curve
# Figures to reach.
LEAST_SPEEDUP = 25.0
LONGER, LARGEST_GAIN = 10.0, 0.01  # ten times the CPU seconds may lower the test RMSE by at most this share
ERRORS = ("validation_rmse", "rmse", "mae")
# Networks of a winner, and where a result has their errors on the test part.
NETWORKS = {"as_found": "test_as_found", "retrained": "test"}
NETWORK_LABELS = {"as_found": "as the search left it", "retrained": "trained again on the validation part too"}
# Of ours and of plain's. What the pipeline registers is trained again; it is held against both of plain's networks.
PAIRS = {
    "given": ("retrained", "as_found"),
    "retrained": ("retrained", "retrained"),
    "as_found": ("as_found", "as_found"),
}
JUDGED = ("given", "retrained")


def table(results: Sequence[Result]) -> list[dict[str, Any]]:
    """A line for each sensor, method and budget.

    `usual` is the share of runs that picked the recipe known to work; `above_ours` is paired by seed, and its intervals
    hold for all methods of a sensor together: the best of several looks better than it is.
    """
    lines = []
    for user, method, budget in _groups(results):
        same = _chosen(results, user, method, budget)
        lines.append(
            {
                "user": user,
                "method": method,
                "budget": budget,
                "runs": len(same),
                "cpu_seconds": statistics.median(r["cpu_seconds"] for r in same),
                "trainings": statistics.median(r["trainings"] for r in same),
                "validation_rmse": estimate([_best_validation(r) for r in same]),
                "rmse": estimate([r["test"]["rmse"] for r in same]),
                "mae": estimate([r["test"]["mae"] for r in same]),
                "above_ours": _above_ours(results, same),
                "usual": None if method == PLAIN else statistics.fmean(float(r["usual"]) for r in same),
            }
        )
    return lines


def curves(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Lowest validation RMSE so far over CPU seconds: median over seeds and its interval, from the moment all have one.

    The points are evenly spaced in the logarithm of the seconds and end where the first of the seeds ended.
    """
    drawn = []
    for user, method, budget in _groups(results):
        same = [r for r in _chosen(results, user, method, budget) if _errors(r)]
        if not same:
            continue
        first = max(_errors(r)[0][0] for r in same)
        last = max(first, min(r["trace"][-1]["cpu_seconds"] for r in same))
        seconds = np.geomspace(first, last, POINTS)
        best = np.stack([_best_so_far(r, seconds) for r in same])
        bounds = [median_interval(list(column)) for column in best.T]
        drawn.append(
            {
                "user": user,
                "method": method,
                "budget": budget,
                "cpu_seconds": seconds.tolist(),
                "median": np.median(best, axis=0).tolist(),
                "low": [low for low, _ in bounds],
                "high": [high for _, high in bounds],
            }
        )
    return drawn


def speedups(results: Sequence[Result], compilation: float) -> dict[str, dict[str, Any]]:
    """For each sensor, plain DEAP's CPU seconds over those of our smallest budget that reaches its test quality.

    Ours is what the pipeline registers: the pick, trained again on the validation part too. It must reach plain's
    winner as its search left it, and also trained again as ours is, so that what the validation part adds as readings
    to learn from is no merit of our search. The network that our search itself leaves is given to nobody; it is
    compared with plain's of that kind, and not judged. Reached is what is at most plain's RMSE and MAE on the test
    part, and at most the lowest validation RMSE its search found, all means over seeds: the recipe known to work, which
    ours begins with and plain does not know, is as good on the test part before anything was searched. Nothing is
    interpolated: a budget was run or it does not count. The CPU seconds are those of the search and, where it is
    trained again, of that training.

    Args:
        results: of single searches.
        compilation: CPU seconds of compiling the trainer where nothing is cached yet.

    Returns:
        For each sensor `plain_seeds`, for each of PAIRS its `target` in °C, `plain_cpu_seconds` (mean, lowest and
        highest), our `budgets` as `_budget` says, rising, and, where one reaches the target, its `speedup` and
        `speedup_with_compilation`; `speedup` of the sensor is the smallest of JUDGED, and there only if all are
        reached.
    """
    found = {}
    for user in dict.fromkeys(r["user"] for r in results if r["method"] == PLAIN):
        plain = [r for r in results if (r["user"], r["method"]) == (user, PLAIN)]
        ours = _ours_by_budget(results, user)
        pairs = {name: _speedup(plain, ours, pair, compilation) for name, pair in PAIRS.items()}
        line = {"plain_seeds": len(plain), **pairs}
        if all("speedup" in pairs[name] for name in JUDGED):
            line["speedup"] = min(pairs[name]["speedup"] for name in JUDGED)
        found[user] = line
    return found


def _speedup(
    plain: Sequence[Result], ours: Sequence[Sequence[Result]], pair: tuple[str, str], compilation: float
) -> Result:
    """The speed-up of a pair of networks: that of the first of our budgets, rising, that reaches plain's errors."""
    network = pair[1]
    seconds = [_seconds(r, network) for r in plain]
    budgets = [_budget(same, plain, pair, compilation) for same in ours]
    line = {
        "target": {error: statistics.fmean(_error(r, network, error) for r in plain) for error in ERRORS},
        "plain_cpu_seconds": {"mean": statistics.fmean(seconds), "lowest": min(seconds), "highest": max(seconds)},
        "budgets": budgets,
    }
    reached = next((budget for budget in budgets if budget["is_reached"]), None)
    return line if reached is None else line | {name: reached[name] for name in ("speedup", "speedup_with_compilation")}


def _budget(same: Sequence[Result], plain: Sequence[Result], pair: tuple[str, str], compilation: float) -> Result:
    """What one of our budgets comes to: CPU seconds, how far each error is above plain's, and how many times less."""
    both = list(zip((same, plain), pair, strict=True))
    errors = {error: [[_error(r, network, error) for r in each] for each, network in both] for error in ERRORS}
    above = {error: difference(*each) for error, each in errors.items()}
    own, target = (statistics.fmean(_seconds(r, network) for r in each) for each, network in both)
    return {
        "budget": same[0]["budget"],
        "seeds": len(same),
        "cpu_seconds": own,
        "above": above,
        "is_reached": all(each["mean"] <= 0 for each in above.values()),
        "speedup": target / own,
        "speedup_with_compilation": target / (own + compilation),
    }


def overall(results: Sequence[Result], budget: float) -> list[dict[str, Any]]:
    """A line for each rival: by which share its test RMSE is above ours, mean of the sensors, interval over seeds.

    Only seeds count of which both were run on every sensor. All sensors together show differences that are too small
    for a single one; the intervals hold for all rivals together.
    """
    users = list(dict.fromkeys(r["user"] for r in results))
    ours = _by_seed(results, OURS, budget)
    shares = {}
    for method in _rivals(results, budget):
        theirs = _by_seed(results, method, budget)
        seeds = [seed for seed in theirs if len(theirs[seed]) == len(ours.get(seed, ())) == len(users)]
        if seeds:
            shares[method] = [statistics.fmean(theirs[s][u] / ours[s][u] - 1 for u in users) for s in seeds]
    return [
        {"method": method, "seeds": len(each), "above_ours": estimate(each, len(shares))}
        for method, each in shares.items()
    ]


def longer(results: Sequence[Result], budget: float) -> dict[str, dict[str, Any]]:
    """For each sensor, by which share ten times the budget lowers our test RMSE, paired by seed."""
    found = {}
    for user in dict.fromkeys(r["user"] for r in results):
        short, long = (
            {r["seed"]: r["test"]["rmse"] for r in _chosen(results, user, OURS, seconds)}
            for seconds in (budget, LONGER * budget)
        )
        shares = [1 - long[seed] / short[seed] for seed in short if seed in long]
        if shares:
            found[user] = {"budgets": [budget, LONGER * budget], "seeds": len(shares), "gain": estimate(shares)}
    return found


def shortfalls(summary: dict[str, Any], budget: float) -> list[str]:
    """What is not reached, a sentence each; what was not run is not judged."""
    found = []
    for user, line in summary["speedups"].items():
        if line.get("speedup", 0.0) < LEAST_SPEEDUP:
            found.append(f"{user}: speed-up over plain DEAP is {_too_slow(line)}, must be at least {LEAST_SPEEDUP:g}")
    for user, line in summary["longer"].items():
        if line["gain"]["mean"] > LARGEST_GAIN:
            gain = f"{100 * line['gain']['mean']:.2f} %"
            found.append(f"{user}: {LONGER:g} times the budget lowers RMSE by {gain}, must be at most 1 %")
    if summary["workers"] is not None and summary["workers"]["speedup"] < LEAST_SPEEDUP_OF_WORKERS:
        reached = f"{summary['workers']['workers'][-1]['workers']} workers are {summary['workers']['speedup']:.2f}"
        found.append(f"{reached} times as fast as one, must be at least {LEAST_SPEEDUP_OF_WORKERS:g}")
    for line in summary["table"]:
        if line["budget"] == budget and _is_better(line):
            by = f"{-line['above_ours']['mean']:.4f} °C"
            found.append(f"{line['user']}: {line['method']} is better by {by} RMSE, its interval excludes zero")
    for line in filter(_is_better, summary["overall"]):
        by = f"{-100 * line['above_ours']['mean']:.2f} %"
        found.append(f"all sensors: {line['method']} is better by {by} RMSE, its interval excludes zero")
    return found


def _is_better(line: dict[str, Any]) -> bool:
    """Whether a rival is, beyond its interval."""
    high = line["above_ours"]["high"]
    return high is not None and high < 0


def _groups(results: Sequence[Result]) -> list[tuple[str, str, float]]:
    """Sensors as they come, methods in their order, budgets rising."""
    users = list(dict.fromkeys(r["user"] for r in results))
    keys = {(r["user"], r["method"], r["budget"]) for r in results}
    return sorted(keys, key=lambda key: (users.index(key[0]), METHODS.index(key[1]), key[2]))


def _chosen(results: Sequence[Result], user: str, method: str, budget: float) -> list[Result]:
    return [r for r in results if (r["user"], r["method"], r["budget"]) == (user, method, budget)]


def _above_ours(results: Sequence[Result], same: Sequence[Result]) -> Estimate | dict[str, None]:
    """Test RMSE minus that of our search with the same seed and budget; nothing where that was not run."""
    user, method, budget = (same[0][name] for name in ("user", "method", "budget"))
    ours = {r["seed"]: r["test"]["rmse"] for r in _chosen(results, user, OURS, budget)}
    paired = [r["test"]["rmse"] - ours[r["seed"]] for r in same if r["seed"] in ours and method != OURS]
    rivals = _rivals([r for r in results if r["user"] == user], budget)
    return estimate(paired, len(rivals)) if paired else {"mean": None, "low": None, "high": None}


def _rivals(results: Sequence[Result], budget: float) -> list[str]:
    """Methods that were run at a budget beside ours."""
    run = {r["method"] for r in results if r["budget"] == budget}
    return [method for method in METHODS if method in run - {OURS, PLAIN}]


def _by_seed(results: Sequence[Result], method: str, budget: float) -> dict[int, dict[str, float]]:
    """Test RMSE by seed and sensor."""
    found = dict[int, dict[str, float]]()
    for r in results:
        if (r["method"], r["budget"]) == (method, budget):
            found.setdefault(r["seed"], {})[r["user"]] = r["test"]["rmse"]
    return found


def _errors(result: Result) -> list[tuple[float, float]]:
    """CPU seconds and validation RMSE of each training that has one."""
    return [(t["cpu_seconds"], t["validation_rmse"]) for t in result["trace"] if t["validation_rmse"] is not None]


def _best_validation(result: Result) -> float:
    return min((error for _, error in _errors(result)), default=float("nan"))


def _best_so_far(result: Result, seconds: Doubles) -> Doubles:
    ends, errors = np.array(_errors(result)).T
    at = np.searchsorted(ends, seconds, side="right") - 1
    return np.asarray(np.minimum.accumulate(errors)[at.clip(0)])


def _ours_by_budget(results: Sequence[Result], user: str) -> list[list[Result]]:
    budgets = sorted({r["budget"] for r in results if (r["user"], r["method"]) == (user, OURS)})
    return [_chosen(results, user, OURS, budget) for budget in budgets]


def _error(result: Result, network: str, error: str) -> float:
    return _best_validation(result) if error == "validation_rmse" else float(result[NETWORKS[network]][error])


def _seconds(result: Result, network: str) -> float:
    """CPU seconds of a search, with the training after it if there is one."""
    return float(result["cpu_seconds"] + (result["final_cpu_seconds"] if network == "retrained" else 0.0))


def _too_slow(line: dict[str, Any]) -> str:
    """The pairs that fall short, and by what."""
    found = {NETWORK_LABELS[PAIRS[name][1]]: line[name].get("speedup") for name in JUDGED}
    return " and ".join(
        f"{'not reached at any budget' if speedup is None else f'{speedup:.1f}'} (plain's, {label})"
        for label, speedup in found.items()
        if speedup is None or speedup < LEAST_SPEEDUP
    )
