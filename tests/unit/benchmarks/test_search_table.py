"""The comparison in Markdown: every figure, and tables whose rows are as long as their heads."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.search_table import HEAD, markdown, page

NOTHING = {"mean": None, "low": None, "high": None}


def estimate(mean: float, width: float = 0.01) -> dict[str, float | None]:
    return {"mean": mean, "low": mean - width, "high": mean + width}


def line(method: str, **more: Any) -> dict[str, Any]:
    return {
        "user": "attic", "method": method, "budget": 40.0, "runs": 5, "cpu_seconds": 39.84, "trainings": 31.0,
        "validation_rmse": estimate(0.25), "rmse": estimate(0.3), "mae": estimate(0.15), "above_ours": NOTHING,
        "usual": 0.4, **more,
    }  # fmt: skip


TARGET = {"rmse": 0.28, "mae": 0.13, "validation_rmse": 0.27}


def budget(seconds: float, cpu: float, *, rmse: dict[str, float | None], is_reached: bool = True) -> dict[str, Any]:
    return {
        "budget": seconds, "seeds": 5, "cpu_seconds": cpu, "is_reached": is_reached,
        "above": {"validation_rmse": estimate(-0.002), "rmse": rmse, "mae": estimate(-0.001, 0.002)},
        "speedup": 812.3 / cpu, "speedup_with_compilation": 812.3 / (cpu + 8),
    }  # fmt: skip


def seconds(mean: float) -> dict[str, float]:
    return {"mean": mean, "lowest": mean - 100, "highest": mean + 200}


MISSED = budget(5.0, 5.1, rmse={"mean": 0.001, "low": None, "high": None}, is_reached=False)
FOUND = {
    "target": TARGET, "plain_cpu_seconds": seconds(812.3), "speedup": 78.1, "speedup_with_compilation": 44.2,
    "budgets": [MISSED, budget(10.0, 10.4, rmse=estimate(-0.003, 0.001))],
}  # fmt: skip
AGAIN = {
    **FOUND, "plain_cpu_seconds": seconds(832.4), "target": {**TARGET, "mae": 0.12},
    "budgets": [budget(5.0, 5.1, rmse=estimate(-0.01))],
}  # fmt: skip
REACHED = {"given": FOUND, "retrained": AGAIN, "as_found": {**FOUND, "budgets": [MISSED]}, "speedup": 78.1}


def summary(**more: Any) -> dict[str, Any]:
    return {
        "table": [line("ours"), line("tpe", above_ours=estimate(0.002, 0.0005))],
        "overall": [],
        "speedup_vs_plain": None,
        "speedups": {},
        "compilation_cpu_seconds": 7.96,
        "longer": {},
        "workers": None,
        **more,
    }


def tables(text: str) -> list[list[list[str]]]:
    """Cells of each table."""
    found = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    return [[[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows] for rows in found]


@pytest.mark.parametrize("more", [{}, {"longer": {"attic": {"budgets": [40, 400], "seeds": 5, "gain": estimate(0)}}}])
def test_rows_are_as_long_as_their_head(more: dict[str, Any]) -> None:
    text = markdown(summary(speedup_vs_plain=78.1, speedups={"attic": REACHED}, **more))
    found = tables(text)
    assert len(found) == 3 + bool(more)
    for rows in found:
        assert {len(row) for row in rows} == {len(rows[0])}
        assert set(rows[1]) == {"---"}
    assert found[0][0] == list(HEAD)


def test_a_line_has_its_figures_with_their_intervals() -> None:
    ours, tpe = tables(markdown(summary()))[0][2:]
    assert ours[:6] == ["attic", "this search", "40", "5", "39.8", "31"]
    assert ours[6:9] == ["0.2500 [0.2400, 0.2600]", "0.3000 [0.2900, 0.3100]", "0.1500 [0.1400, 0.1600]"]
    assert ours[9:] == ["", "40 %"]
    assert tpe[1] == "Optuna TPE, median pruner"
    assert tpe[9] == "0.0020 [0.0015, 0.0025]"


def test_plain_has_no_budget_and_no_usual_recipe() -> None:
    row = tables(markdown(summary(table=[line("plain", budget=0.0, usual=None)])))[0][2]
    assert (row[1], row[2], row[10]) == ("plain DEAP + Keras fit", "", "")


def test_one_seed_has_a_mean_alone() -> None:
    single = {"mean": 0.3, "low": None, "high": None}
    assert tables(markdown(summary(table=[line("ours", rmse=single)])))[0][2][7] == "0.3000"


def test_what_plain_took_and_found_is_said_of_both_kinds() -> None:
    text = markdown(summary(speedup_vs_plain=78.1, speedups={"attic": REACHED}))
    assert tables(text)[1][2:] == [
        ["attic", "as the search left it", "812 (712–1012)", "0.2700", "0.2800", "0.1300"],
        ["attic", "trained again on the validation part too", "832 (732–1032)", "0.2700", "0.2800", "0.1200"],
    ]


def test_each_budget_says_how_far_it_is_above_plain_and_what_it_took() -> None:
    text = markdown(summary(speedup_vs_plain=78.1, speedups={"attic": REACHED}))
    left, again = "as the search left it", "trained again on the validation part too"
    validation, mae = "-0.0020 [-0.0120, 0.0080]", "-0.0010 [-0.0030, 0.0010]"
    assert tables(text)[2][2:] == [
        ["attic", again, left, "5", validation, "0.0010", mae, "no", "5.1", "159.3", "62.0"],
        ["attic", again, left, "10", validation, "-0.0030 [-0.0040, -0.0020]", mae, "yes", "10.4", "78.1", "44.1"],
        ["attic", again, again, "5", validation, "-0.0100 [-0.0200, 0.0000]", mae, "yes", "5.1", "159.3", "62.0"],
        ["attic", left, left, "5", validation, "0.0010", mae, "no", "5.1", "159.3", "62.0"],
    ]
    assert "the smallest of the sensors and of both of plain's networks: 78.1 (to reach: 25)" in text
    assert "Compiling the trainer once costs 8.0 CPU seconds." in text


def test_a_target_that_is_not_reached_is_said_so() -> None:
    text = markdown(summary(speedup_vs_plain=None, speedups={"attic": REACHED}))
    assert "networks: not reached on every sensor" in text


def test_without_plain_nothing_is_said_of_a_speed_up() -> None:
    assert "speedup" not in markdown(summary())
    assert len(tables(markdown(summary()))) == 1


def test_rivals_over_all_sensors_are_in_percent() -> None:
    text = markdown(summary(overall=[{"method": "nsga2", "seeds": 4, "above_ours": estimate(-0.0034, 0.001)}]))
    assert tables(text)[1][2:] == [["Optuna NSGA-II", "4", "-0.34 [-0.44, -0.24]"]]


def test_the_gain_of_a_longer_search_is_in_percent() -> None:
    gain = {"attic": {"budgets": [40.0, 400.0], "seeds": 5, "gain": estimate(0.0034, 0.001)}}
    assert tables(markdown(summary(longer=gain)))[1][2] == ["attic", "40 / 400", "5", "0.34 [0.24, 0.44]"]


def test_what_several_processes_gain_is_a_table() -> None:
    lines = [{"workers": 1, "lowest": 9.0, "speedup": 1.0}, {"workers": 4, "lowest": 5.0, "speedup": 1.8}]
    aside = {"searches": 2, "lowest": 9.5, "speedup": 1.9}
    text = markdown(summary(workers={"user": "attic", "workers": lines, "speedup": 1.8, "side_by_side": aside}))
    assert tables(text)[1][2:] == [["1", "9.0", "1.00"], ["4", "5.0", "1.80"]]
    assert "The same search on attic" in text
    assert "2 independent searches side by side, all that the cores give: 1.90" in text


@pytest.mark.parametrize(
    ("arguments", "command"),
    [([], "`make bench-search` wrote"), (["--seeds", "1,2"], "`make bench-search ARGS='--seeds 1,2'` wrote")],
)
def test_the_page_says_how_to_have_it_again_and_shows_the_plots(arguments: list[str], command: str) -> None:
    text = page(summary(), arguments)
    assert command in text
    assert markdown(summary()) in text
    assert text.startswith("# ")
    assert text.endswith("(test.svg)\n")
    assert "(curves.svg)" in text
