"""What the comparison says of its searches: intervals, curves, speed-up, what falls short."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import search_summary
from benchmarks.search_summary import KINDS, curves, difference, estimate, interval, longer, shortfalls, speedups, table

NOTHING = {"mean": None, "low": None, "high": None}
VALIDATION = 0.4
SEARCHED = {"trace": [(1.0, 0.6), (4.0, VALIDATION)]}


def result(
    method: str, seed: int, rmse: float, *, budget: float = 40.0, user: str = "attic", cpu: float = 40.0, **more: Any
) -> dict[str, Any]:
    trace = more.pop("trace", [(1.0, rmse + 0.2), (cpu, rmse + 0.1)])
    return {
        "method": method,
        "user": user,
        "seed": seed,
        "budget": budget,
        "cpu_seconds": cpu,
        "trainings": len(trace),
        "trace": [
            {"cpu_seconds": at, "validation_rmse": error, "fitness": None, "updates": 300} for at, error in trace
        ],
        "test": {"rmse": rmse, "mae": more.pop("mae", rmse / 2)},
        **_as_found(more),
        "final_cpu_seconds": more.pop("final", 0.0),
        "usual": seed % 2 == 0,
        "pick": {},
        **more,
    }


def _as_found(more: dict[str, Any]) -> dict[str, Any]:
    """Only where asked for: rivals have none."""
    if "found" not in more:
        return {}
    rmse = more.pop("found")
    return {"test_as_found": {"rmse": rmse, "mae": more.pop("found_mae", rmse / 2)}}


def plain(seed: int, rmse: float, *, found: float = 9.0, cpu: float = 800.0, **more: Any) -> dict[str, Any]:
    return result("plain", seed, rmse, budget=0.0, cpu=cpu, found=found, **{**SEARCHED, **more})


def ours(seed: int, rmse: float, *, found: float = 8.0, **more: Any) -> dict[str, Any]:
    return result("ours", seed, rmse, found=found, **{**SEARCHED, **more})


def reached(line: dict[str, Any], kind: str) -> float | None:
    """The smallest budget that does."""
    return next((budget["budget"] for budget in line[kind]["budgets"] if budget["is_reached"]), None)


def test_an_interval_holds_the_mean_and_narrows_with_more_seeds() -> None:
    few, many = [0.1, 0.3], [0.1, 0.3] * 20
    for values in (few, many):
        low, high = interval(values)
        assert low is not None
        assert high is not None
        assert low <= 0.2 <= high
    (a, b), (c, d) = interval(few), interval(many)
    assert d - c < (b - a) / 3  # type: ignore[operator]


def test_an_interval_is_that_of_the_sampling_distribution() -> None:
    values = list(np.random.default_rng(1).normal(5.0, 1.0, 400))
    low, high = interval(values)
    half = 1.96 * np.std(values) / 20
    assert low == pytest.approx(np.mean(values) - half, abs=0.02)
    assert high == pytest.approx(np.mean(values) + half, abs=0.02)


def test_an_interval_of_medians() -> None:
    low, high = interval([1.0, 2.0, 3.0, 4.0, 100.0], np.median)
    assert low == 1.0
    assert high == 100.0
    assert interval([1.0, 2.0, 2.0, 2.0, 2.0], np.median)[1] == 2.0


def test_one_seed_has_no_interval() -> None:
    assert interval([0.3]) == (None, None)
    assert estimate([0.3]) == {"mean": 0.3, "low": None, "high": None}


def test_intervals_repeat() -> None:
    assert interval([0.1, 0.5, 0.7]) == interval([0.1, 0.5, 0.7])


def test_a_line_of_the_table() -> None:
    runs = [result("ours", 1, 0.30, cpu=38.0), result("ours", 2, 0.32, cpu=42.0), result("ours", 3, 0.34, cpu=39.0)]
    (line,) = table(runs)
    assert (line["user"], line["method"], line["budget"], line["runs"]) == ("attic", "ours", 40.0, 3)
    assert (line["cpu_seconds"], line["trainings"]) == (39.0, 2)
    assert line["rmse"]["mean"] == pytest.approx(0.32)
    assert line["mae"]["mean"] == pytest.approx(0.16)
    assert line["rmse"]["low"] < 0.32 < line["rmse"]["high"]
    assert line["validation_rmse"]["mean"] == pytest.approx(0.42)
    assert line["usual"] == pytest.approx(1 / 3)
    assert line["above_ours"] == NOTHING


def test_lines_are_in_the_order_of_sensors_methods_budgets() -> None:
    runs = [
        result("tpe", 1, 0.3, user="cellar"), result("ours", 1, 0.3, budget=400.0), result("plain", 1, 0.3, budget=0.0),
        result("ours", 1, 0.3), result("ours", 1, 0.3, user="cellar"),
    ]  # fmt: skip
    order = [(line["user"], line["method"], line["budget"]) for line in table(runs)]
    assert order == [
        ("cellar", "ours", 40.0), ("cellar", "tpe", 40.0),
        ("attic", "ours", 40.0), ("attic", "ours", 400.0), ("attic", "plain", 0.0),
    ]  # fmt: skip
    assert table(runs)[-1]["usual"] is None


def test_rivals_are_compared_with_ours_of_the_same_seed_and_budget() -> None:
    ours = [result("ours", seed, 0.3 + seed / 10) for seed in (1, 2, 3)]
    others = [result("ours", seed, 9.0, budget=400.0) for seed in (1, 2)]
    rivals = [result("tpe", seed, 0.31 + seed / 10) for seed in (1, 2, 7)]
    line = next(line for line in table([*ours, *others, *rivals]) if line["method"] == "tpe")
    assert line["above_ours"]["mean"] == pytest.approx(0.01)
    assert line["above_ours"]["low"] == pytest.approx(0.01)
    assert line["runs"] == 3


def test_scratch_is_compared_with_ours_and_drawn_like_a_rival() -> None:
    runs = [result(method, seed, 0.3 + shift) for method, shift in (("scratch", -0.01), ("ours", 0)) for seed in (1, 2)]
    first, second = table(runs)
    assert (first["method"], second["method"]) == ("ours", "scratch")
    assert second["above_ours"]["mean"] == pytest.approx(-0.01)
    assert second["usual"] == 0.5
    assert [curve["method"] for curve in curves(runs)] == ["ours", "scratch"]
    found = shortfalls(summary(table=[first, second]), 40.0)
    assert found == ["attic: scratch is better by 0.0100 °C RMSE, its interval excludes zero"]


def test_a_rival_alone_is_compared_with_nothing() -> None:
    assert table([result("tpe", 1, 0.3)])[0]["above_ours"] == NOTHING
    assert table([result("tpe", 1, 0.3), result("ours", 2, 0.3)])[1]["above_ours"] == NOTHING


def test_a_curve_is_the_median_of_the_lowest_errors_so_far() -> None:
    runs = [
        result("ours", 1, 0.3, trace=[(2.0, 0.5), (10.0, 0.9), (40.0, 0.3)]),
        result("ours", 2, 0.3, trace=[(4.0, 0.7), (20.0, 0.6), (30.0, None), (50.0, 0.1)]),
        result("ours", 3, 0.3, trace=[(1.0, 0.4), (45.0, 0.2)]),
    ]
    (curve,) = curves(runs)
    seconds = np.array(curve["cpu_seconds"])
    assert seconds[[0, -1]] == pytest.approx([4.0, 40.0])
    assert curve["median"][0] == 0.5
    assert curve["median"][-1] == 0.4
    assert set(np.array(curve["median"])[seconds < 39]) == {0.5}
    assert curve["low"][0] == 0.4
    assert curve["high"][0] == 0.7
    assert curve["high"][-2] == 0.6
    assert len(seconds) == len(curve["low"]) == len(curve["high"]) == search_summary.POINTS


def test_a_curve_never_rises() -> None:
    rng = np.random.default_rng(3)
    runs = [result("tpe", seed, 0.3, trace=list(enumerate(rng.random(30), 1))) for seed in range(5)]
    (curve,) = curves(runs)
    assert np.all(np.diff(curve["median"]) <= 0)
    assert curve["median"][-1] < curve["median"][0]


def test_a_search_without_a_finite_error_has_no_curve() -> None:
    assert curves([result("ours", 1, 0.3, trace=[(1.0, None)])]) == []
    (line,) = table([result("ours", 1, 0.3, trace=[(1.0, None)])])
    assert np.isnan(line["validation_rmse"]["mean"])


def test_the_speed_up_is_that_of_the_smallest_budget_that_reaches_plain() -> None:
    runs = [
        *(plain(seed, 0.30, cpu=800.0 + seed) for seed in (1, 2, 3)),
        *(ours(seed, 0.31, budget=5.0, cpu=6.0) for seed in (1, 2)),
        *(ours(seed, 0.29 + seed / 1000, budget=10.0, cpu=10.0 + seed) for seed in (1, 3)),
        *(ours(seed, 0.20, budget=40.0) for seed in (1, 2)),
    ]
    line = speedups(runs, compilation=8.0)["attic"]
    assert line["plain_seeds"] == 3
    kind = line["retrained"]
    assert kind["plain_cpu_seconds"] == {"mean": 802.0, "lowest": 801.0, "highest": 803.0}
    budgets = [(b["budget"], b["seeds"], b["cpu_seconds"], b["is_reached"]) for b in kind["budgets"]]
    assert budgets == [(5.0, 2, 6.0, False), (10.0, 2, 12.0, True), (40.0, 2, 40.0, True)]
    assert kind["speedup"] == pytest.approx(802 / 12)
    assert kind["speedup_with_compilation"] == pytest.approx(802 / 20)
    assert kind["target"] == {
        "rmse": pytest.approx(0.30),
        "mae": pytest.approx(0.15),
        "validation_rmse": pytest.approx(VALIDATION),
    }


def test_the_search_itself_must_reach_what_plain_found_on_the_validation_part() -> None:
    """A recipe known before can be as good on the test part without any search."""
    runs = [
        plain(1, 0.30, found=0.30),
        ours(1, 0.29, found=0.29, budget=5.0, trace=[(4.0, VALIDATION + 0.01)]),
        ours(1, 0.29, found=0.29, budget=10.0, trace=[(4.0, VALIDATION + 0.01), (9.0, VALIDATION)]),
    ]
    line = speedups(runs, 0.0)["attic"]
    assert (reached(line, "as_found"), reached(line, "retrained")) == (10.0, 10.0)


def test_each_kind_has_its_own_target_and_our_errors_of_that_kind() -> None:
    runs = [
        *(plain(seed, 0.30, found=0.20 + seed / 100) for seed in (1, 3)),
        ours(1, 0.10, found=0.23, budget=5.0, cpu=5.0),
        ours(1, 0.40, found=0.22, budget=10.0, cpu=10.0),
    ]
    line = speedups(runs, 0.0)["attic"]
    assert line["as_found"]["target"] == {
        "rmse": pytest.approx(0.22),
        "mae": pytest.approx(0.11),
        "validation_rmse": pytest.approx(VALIDATION),
    }
    assert line["retrained"]["target"] == {
        "rmse": pytest.approx(0.30),
        "mae": pytest.approx(0.15),
        "validation_rmse": pytest.approx(VALIDATION),
    }
    assert (reached(line, "as_found"), reached(line, "retrained")) == (10.0, 5.0)


def test_the_training_after_a_search_counts_but_what_a_search_left_is_ready() -> None:
    runs = [
        plain(1, 0.30, found=0.30, cpu=800.0, final=40.0),
        ours(1, 0.29, found=0.29, budget=10.0, cpu=10.0, final=4.0),
    ]
    line = speedups(runs, compilation=0.0)["attic"]
    assert [line[kind]["plain_cpu_seconds"]["mean"] for kind in ("as_found", "retrained")] == [800.0, 840.0]
    assert [line[kind]["budgets"][0]["cpu_seconds"] for kind in ("as_found", "retrained")] == [10.0, 14.0]
    assert line["speedup"] == pytest.approx(840 / 14)


@pytest.mark.parametrize(("found", "retrained"), [(10.0, 20.0), (20.0, 10.0)])
def test_the_speed_up_of_a_sensor_is_the_smaller_of_both_kinds(found: float, retrained: float) -> None:
    runs = [plain(1, 0.30, found=0.30)]
    for budget in (10.0, 20.0):
        errors = {at: 0.25 if budget >= at else 0.35 for at in (found, retrained)}
        runs.append(ours(1, errors[retrained], found=errors[found], budget=budget, cpu=budget))
    line = speedups(runs, compilation=20.0)["attic"]
    assert (reached(line, "as_found"), reached(line, "retrained")) == (found, retrained)
    assert line["as_found"]["speedup"] == pytest.approx(800 / found)
    assert line["retrained"]["speedup"] == pytest.approx(800 / retrained)
    assert line["speedup"] == pytest.approx(800 / 20)


@pytest.mark.parametrize(("missed", "errors"), [("retrained", (0.31, 0.25)), ("as_found", (0.25, 0.31))])
def test_a_sensor_of_which_one_kind_is_not_reached_has_no_speed_up(missed: str, errors: tuple[float, float]) -> None:
    again, found = errors
    line = speedups([plain(1, 0.30, found=0.30), ours(1, again, found=found)], 0.0)["attic"]
    other = next(kind for kind in KINDS if kind != missed)
    assert line[other]["speedup"] == pytest.approx(20.0)
    assert reached(line, missed) is None
    assert "speedup" not in line[missed]
    assert "speedup" not in line


def test_our_training_on_both_parts_is_not_held_against_plains_on_one() -> None:
    """And the other way round: neither kind borrows the target or the errors of the other."""
    line = speedups([plain(1, 0.30, found=0.26), ours(1, 0.28, found=0.25)], 0.0)["attic"]
    assert line["speedup"] == pytest.approx(20.0)
    line = speedups([plain(1, 0.30, found=0.26), ours(1, 0.20, found=0.27)], 0.0)["attic"]
    assert "speedup" not in line


@pytest.mark.parametrize("kind", ["retrained", "as_found"])
def test_both_errors_must_be_reached(kind: str) -> None:
    names = ("found", "found_mae") if kind == "as_found" else ("rmse", "mae")
    runs = [plain(1, 0.30, found=0.30)]
    for budget, rmse, mae in ((5.0, 0.25, 0.16), (10.0, 0.31, 0.1), (20.0, 0.30, 0.15)):
        runs.append(ours(1, **{"rmse": 9.0, **dict(zip(names, (rmse, mae), strict=True))}, budget=budget))
    assert reached(speedups(runs, 0.0)["attic"], kind) == 20.0


@pytest.mark.parametrize("error", ["validation_rmse", "rmse", "mae"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_no_error_may_be_above_plains_mean_however_much_the_seeds_differ(kind: str, error: str) -> None:
    def runs(above: float) -> list[dict[str, Any]]:
        own = dict.fromkeys(("validation_rmse", "rmse", "mae"), 0.0) | {error: above}
        names = ("found", "found_mae") if kind == "as_found" else ("rmse", "mae")
        made = []
        for seed in (-1, 0, 1):
            errors = {"rmse": 0.3, "mae": 0.2, "found": 0.3, "found_mae": 0.2}
            theirs = {**errors, names[0]: 0.3 + seed / 10, names[1]: 0.2 + seed / 10}
            mine = {**theirs, names[0]: theirs[names[0]] + own["rmse"], names[1]: theirs[names[1]] + own["mae"]}
            made.append(plain(seed, **theirs, trace=[(4.0, 0.4 + seed / 10)]))
            made.append(ours(seed, **mine, trace=[(4.0, 0.4 + seed / 10 + own["validation_rmse"])]))
        return made

    reached, missed = (speedups(runs(above), 0.0)["attic"][kind] for above in (-1e-6, 1e-6))
    assert "speedup" in reached
    assert "speedup" not in missed
    (budget,) = missed["budgets"]
    assert budget["above"][error]["mean"] == pytest.approx(1e-6)
    assert budget["above"][error]["low"] < 0 < budget["above"][error]["high"]


def test_a_difference_has_an_interval_from_two_seeds_on() -> None:
    assert difference([0.3], [0.1, 0.2]) == {"mean": pytest.approx(0.15), "low": None, "high": None}
    found = difference([0.3, 0.3], [0.1, 0.2])
    assert (found["low"], found["high"]) == (pytest.approx(0.1), pytest.approx(0.2))
    assert difference([0.3, 0.4], [0.3, 0.4])["mean"] == 0.0


def test_scratch_does_not_count_as_ours() -> None:
    line = speedups([plain(1, 0.30), result("scratch", 1, 0.1, budget=5.0), ours(1, 0.2)], 0.0)["attic"]
    assert reached(line, "retrained") == 40.0


def test_no_speed_up_without_plain() -> None:
    assert speedups([result("ours", 1, 0.3)], 0.0) == {}


def test_what_ten_times_the_budget_gains_is_paired_by_seed() -> None:
    runs = [
        result("ours", 1, 0.40), result("ours", 2, 0.20), result("ours", 3, 0.10),
        result("ours", 1, 0.38, budget=400.0), result("ours", 2, 0.19, budget=400.0),
        result("ours", 9, 0.01, budget=400.0), result("ours", 1, 0.01, budget=35.0),
    ]  # fmt: skip
    line = longer(runs, 40.0)["attic"]
    assert line["budgets"] == [40.0, 400.0]
    assert line["seeds"] == 2
    assert line["gain"]["mean"] == pytest.approx(0.05)
    assert longer(runs[:3], 40.0) == {}


def summary(**more: Any) -> dict[str, Any]:
    return {"speedup_vs_plain": {"sensors": {}}, "longer": {}, "table": [], "workers": None, **more}


@pytest.mark.parametrize(
    ("speedup", "expected"),
    [(1.7, []), (1.69, ["4 workers are 1.69 times as fast as one, must be at least 1.7"])],
)
def test_workers_that_gain_too_little_are_a_shortfall(speedup: float, expected: list[str]) -> None:
    workers = {"speedup": speedup, "workers": [{"workers": 1}, {"workers": 4}]}
    assert shortfalls(summary(workers=workers), 40.0) == expected


LEFT, AGAIN = "as the search left it", "trained again on the validation part too"


@pytest.mark.parametrize(
    ("found", "retrained", "reached"),
    [
        (25.0, 30.0, None),
        (24.9, 25.0, f"24.9 ({LEFT})"),
        (90.0, 7.0, f"7.0 ({AGAIN})"),
        (3.0, 7.0, f"3.0 ({LEFT}) and 7.0 ({AGAIN})"),
        (90.0, None, f"not reached at any budget ({AGAIN})"),
        (None, 90.0, f"not reached at any budget ({LEFT})"),
        (3.0, None, f"3.0 ({LEFT}) and not reached at any budget ({AGAIN})"),
    ],
)
def test_the_speed_up_to_reach(found: float | None, retrained: float | None, reached: str | None) -> None:
    speeds = {"as_found": found, "retrained": retrained}
    line: dict[str, Any] = {kind: {} if value is None else {"speedup": value} for kind, value in speeds.items()}
    if found is not None and retrained is not None:
        line["speedup"] = min(found, retrained)
    expected = [] if reached is None else [f"attic: speed-up over plain DEAP is {reached}, must be at least 25"]
    assert shortfalls(summary(speedup_vs_plain={"sensors": {"attic": line}}), 40.0) == expected


@pytest.mark.parametrize(("gain", "falls_short"), [(-0.05, False), (0.01, False), (0.0123, True)])
def test_the_gain_of_a_longer_search_that_is_allowed(gain: float, *, falls_short: bool) -> None:
    found = shortfalls(summary(longer={"attic": {"gain": {"mean": gain}}}), 40.0)
    assert found == (["attic: 10 times the budget lowers RMSE by 1.23 %, must be at most 1 %"] if falls_short else [])


@pytest.mark.parametrize(
    ("high", "budget", "falls_short"), [(-0.001, 40.0, True), (0.0, 40.0, False), (-0.001, 0, False)]
)
def test_a_rival_that_is_better_beyond_its_interval(high: float, budget: float, *, falls_short: bool) -> None:
    line = {"user": "attic", "method": "tpe", "budget": budget, "above_ours": {"mean": -0.004, "high": high}}
    found = shortfalls(summary(table=[line]), 40.0)
    assert found == (["attic: tpe is better by 0.0040 °C RMSE, its interval excludes zero"] if falls_short else [])


def test_what_was_not_run_is_not_judged() -> None:
    line = {"user": "attic", "method": "tpe", "budget": 40.0, "above_ours": NOTHING}
    assert shortfalls(summary(table=[line]), 40.0) == []
