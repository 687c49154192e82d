"""What the comparison says of its searches: intervals, curves, speed-up, what falls short."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import search_summary
from benchmarks.search_statistics import estimate
from benchmarks.search_summary import JUDGED, PAIRS, curves, longer, overall, shortfalls, speedups, table

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
    assert second["above_ours"]["high"] == pytest.approx(-0.01)
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


def test_the_intervals_of_several_rivals_hold_together() -> None:
    rivals = [result(method, seed, 0.3 + seed**2 / 100) for method in ("tpe", "random") for seed in (1, 2, 3)]
    elsewhere = [result("nsga2", 1, 0.3, user="cellar"), result("nsga2", 1, 0.3, budget=8.0), plain(1, 0.3)]
    mine = [result("ours", seed, 0.3) for seed in (1, 2, 3)]
    one = next(line for line in table([*mine, *rivals[:3], *elsewhere]) if line["method"] == "tpe")["above_ours"]
    two = next(line for line in table([*mine, *rivals, *elsewhere]) if line["method"] == "tpe")["above_ours"]
    values = [0.01, 0.04, 0.09]
    assert one["high"] == pytest.approx(estimate(values, 1)["high"])
    assert two["high"] == pytest.approx(estimate(values, 2)["high"])
    assert two["low"] < one["low"]


def everywhere(method: str, seed: int, errors: tuple[float, float], **more: Any) -> list[dict[str, Any]]:
    named = {"attic": errors[0], "cellar": errors[1]}
    return [result(method, seed, error, user=user, **more) for user, error in named.items()]


def test_over_all_sensors_a_rival_is_compared_by_shares_and_whole_seeds() -> None:
    runs = [
        *everywhere("ours", 1, (0.2, 1.0)), *everywhere("ours", 2, (0.4, 2.0)), *everywhere("ours", 3, (0.1, 0.1)),
        *everywhere("tpe", 1, (0.22, 1.0)), *everywhere("tpe", 2, (0.4, 2.4)),
        result("tpe", 3, 9.0), *everywhere("tpe", 4, (9.0, 9.0)), *everywhere("ours", 5, (0.1, 0.1), budget=8.0),
        *everywhere("tpe", 5, (9.0, 9.0)), *everywhere("plain", 1, (9.0, 9.0), budget=0.0), result("random", 1, 0.1),
    ]  # fmt: skip
    (line,) = overall(runs, 40.0)
    assert (line["method"], line["seeds"]) == ("tpe", 2)
    expected = estimate([0.05, 0.10])
    assert line["above_ours"] == {name: pytest.approx(value) for name, value in expected.items()}


def test_over_all_sensors_the_intervals_hold_together() -> None:
    mine = [each for seed in (1, 2, 3) for each in everywhere("ours", seed, (1.0, 1.0))]
    rivals = [
        each
        for method in ("tpe", "nsga2")
        for seed in (1, 2, 3)
        for each in everywhere(method, seed, (1 + seed / 10, 1 + seed / 10))
    ]
    for line in overall([*mine, *rivals], 40.0):
        assert line["above_ours"]["high"] == pytest.approx(estimate([0.1, 0.2, 0.3], 2)["high"])


def test_without_ours_nothing_is_compared_over_all_sensors() -> None:
    assert overall(everywhere("tpe", 1, (0.2, 0.2)), 40.0) == []


def test_the_speed_up_is_that_of_the_smallest_budget_that_reaches_plain() -> None:
    runs = [
        *(plain(seed, 0.30, cpu=800.0 + seed) for seed in (1, 2, 3)),
        *(ours(seed, 0.31, budget=5.0, cpu=6.0) for seed in (1, 2)),
        *(ours(seed, 0.29 + seed / 1000, budget=10.0, cpu=10.0 + seed) for seed in (1, 3)),
        *(ours(seed, 0.20, budget=40.0) for seed in (1, 2)),
    ]
    line = speedups(runs, compilation=8.0)["attic"]
    assert line["plain_seeds"] == 3
    pair = line["retrained"]
    assert pair["plain_cpu_seconds"] == {"mean": 802.0, "lowest": 801.0, "highest": 803.0}
    budgets = [(b["budget"], b["seeds"], b["cpu_seconds"], b["is_reached"]) for b in pair["budgets"]]
    assert budgets == [(5.0, 2, 6.0, False), (10.0, 2, 12.0, True), (40.0, 2, 40.0, True)]
    assert pair["speedup"] == pytest.approx(802 / 12)
    assert pair["speedup_with_compilation"] == pytest.approx(802 / 20)
    assert pair["target"] == {
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
    assert {name: reached(line, name) for name in PAIRS} == dict.fromkeys(PAIRS, 10.0)


def test_each_pair_has_its_own_target_and_errors() -> None:
    runs = [
        *(plain(seed, 0.30, found=0.20 + seed / 100) for seed in (1, 3)),
        ours(1, 0.25, found=0.23, budget=5.0, cpu=5.0),
        ours(1, 0.40, found=0.22, budget=10.0, cpu=10.0),
        ours(1, 0.21, found=0.99, budget=20.0, cpu=20.0),
    ]
    line = speedups(runs, 0.0)["attic"]
    left = {"rmse": pytest.approx(0.22), "mae": pytest.approx(0.11), "validation_rmse": pytest.approx(VALIDATION)}
    again = {"rmse": pytest.approx(0.30), "mae": pytest.approx(0.15), "validation_rmse": pytest.approx(VALIDATION)}
    assert {name: line[name]["target"] for name in PAIRS} == {"given": left, "as_found": left, "retrained": again}
    assert {name: reached(line, name) for name in PAIRS} == {"given": 20.0, "as_found": 10.0, "retrained": 5.0}


def test_the_training_after_a_search_counts_but_what_a_search_left_is_ready() -> None:
    runs = [
        plain(1, 0.30, found=0.30, cpu=800.0, final=40.0),
        ours(1, 0.29, found=0.29, budget=10.0, cpu=10.0, final=4.0),
    ]
    line = speedups(runs, compilation=0.0)["attic"]
    plains = {name: line[name]["plain_cpu_seconds"]["mean"] for name in PAIRS}
    assert plains == {"given": 800.0, "retrained": 840.0, "as_found": 800.0}
    mine = {name: line[name]["budgets"][0]["cpu_seconds"] for name in PAIRS}
    assert mine == {"given": 14.0, "retrained": 14.0, "as_found": 10.0}
    assert line["speedup"] == pytest.approx(800 / 14)


@pytest.mark.parametrize(("left", "again"), [(0.30, 0.27), (0.27, 0.30)])
def test_the_speed_up_of_a_sensor_is_that_over_the_better_of_plains_networks(left: float, again: float) -> None:
    runs = [plain(1, again, found=left)]
    runs += [ours(1, 0.31 - budget / 500, budget=budget, cpu=budget) for budget in (10.0, 20.0)]
    line = speedups(runs, compilation=20.0)["attic"]
    easier, harder = ("given", "retrained") if left > again else ("retrained", "given")
    assert (reached(line, easier), reached(line, harder)) == (10.0, 20.0)
    assert line["speedup"] == line[harder]["speedup"] == pytest.approx(800 / 20)


@pytest.mark.parametrize(("missed", "left", "again"), [("given", 0.27, 0.30), ("retrained", 0.30, 0.27)])
def test_a_sensor_where_one_of_plains_networks_is_not_reached_has_no_speed_up(
    missed: str, left: float, again: float
) -> None:
    line = speedups([plain(1, again, found=left), ours(1, 0.28, found=0.1)], 0.0)["attic"]
    other = next(name for name in JUDGED if name != missed)
    assert line[other]["speedup"] == pytest.approx(20.0)
    assert reached(line, missed) is None
    assert "speedup" not in line[missed]
    assert "speedup" not in line


def test_what_our_search_leaves_is_compared_and_not_judged() -> None:
    line = speedups([plain(1, 0.30, found=0.30), ours(1, 0.29, found=0.31)], 0.0)["attic"]
    assert reached(line, "as_found") is None
    assert line["speedup"] == pytest.approx(20.0)
    line = speedups([plain(1, 0.30, found=0.30), ours(1, 0.31, found=0.29)], 0.0)["attic"]
    assert reached(line, "as_found") == 40.0
    assert "speedup" not in line


@pytest.mark.parametrize("name", list(PAIRS))
def test_both_errors_must_be_reached(name: str) -> None:
    names = ("found", "found_mae") if PAIRS[name][0] == "as_found" else ("rmse", "mae")
    runs = [plain(1, 0.30, found=0.30)]
    for budget, rmse, mae in ((5.0, 0.25, 0.16), (10.0, 0.31, 0.1), (20.0, 0.30, 0.15)):
        runs.append(ours(1, **{"rmse": 9.0, **dict(zip(names, (rmse, mae), strict=True))}, budget=budget))
    assert reached(speedups(runs, 0.0)["attic"], name) == 20.0


@pytest.mark.parametrize("error", ["validation_rmse", "rmse", "mae"])
@pytest.mark.parametrize("name", list(PAIRS))
def test_no_error_may_be_above_plains_mean_however_much_the_seeds_differ(name: str, error: str) -> None:
    own_names, plain_names = (
        ("found", "found_mae") if network == "as_found" else ("rmse", "mae") for network in PAIRS[name]
    )

    def runs(above: float) -> list[dict[str, Any]]:
        own = dict.fromkeys(("validation_rmse", "rmse", "mae"), 0.0) | {error: above}
        made = []
        for seed in (-1, 0, 1):
            errors = {"rmse": 9.0, "mae": 9.0, "found": 9.0, "found_mae": 9.0}
            rmse, mae = 0.3 + seed / 10, 0.2 + seed / 10
            theirs = {**errors, plain_names[0]: rmse, plain_names[1]: mae}
            mine = {**errors, own_names[0]: rmse + own["rmse"], own_names[1]: mae + own["mae"]}
            made.append(plain(seed, **theirs, trace=[(4.0, 0.4 + seed / 10)]))
            made.append(ours(seed, **mine, trace=[(4.0, 0.4 + seed / 10 + own["validation_rmse"])]))
        return made

    reached, missed = (speedups(runs(above), 0.0)["attic"][name] for above in (-1e-6, 1e-6))
    assert "speedup" in reached
    assert "speedup" not in missed
    (budget,) = missed["budgets"]
    assert budget["above"][error]["mean"] == pytest.approx(1e-6)
    assert budget["above"][error]["low"] < 0 < budget["above"][error]["high"]


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
    return {"speedups": {}, "longer": {}, "table": [], "overall": [], "workers": None, **more}


@pytest.mark.parametrize(
    ("speedup", "expected"),
    [(1.7, []), (1.69, ["4 workers are 1.69 times as fast as one, must be at least 1.7"])],
)
def test_workers_that_gain_too_little_are_a_shortfall(speedup: float, expected: list[str]) -> None:
    workers = {"speedup": speedup, "workers": [{"workers": 1}, {"workers": 4}]}
    assert shortfalls(summary(workers=workers), 40.0) == expected


LEFT, AGAIN = "plain's, as the search left it", "plain's, trained again on the validation part too"


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
    speeds = {"given": found, "retrained": retrained}
    line: dict[str, Any] = {name: {} if value is None else {"speedup": value} for name, value in speeds.items()}
    if found is not None and retrained is not None:
        line["speedup"] = min(found, retrained)
    expected = [] if reached is None else [f"attic: speed-up over plain DEAP is {reached}, must be at least 25"]
    assert shortfalls(summary(speedups={"attic": line}), 40.0) == expected


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


@pytest.mark.parametrize(("high", "falls_short"), [(-0.001, True), (0.0, False), (None, False)])
def test_a_rival_that_is_better_on_all_sensors_together(high: float | None, *, falls_short: bool) -> None:
    line = {"method": "tpe", "above_ours": {"mean": -0.0123, "high": high}}
    found = shortfalls(summary(overall=[line]), 40.0)
    assert found == (["all sensors: tpe is better by 1.23 % RMSE, its interval excludes zero"] if falls_short else [])


def test_what_was_not_run_is_not_judged() -> None:
    line = {"user": "attic", "method": "tpe", "budget": 40.0, "above_ours": NOTHING}
    assert shortfalls(summary(table=[line]), 40.0) == []
