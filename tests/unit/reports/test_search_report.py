"""The search page tells what won, where it came from and what was tried."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from forecaster.reports import search as report
from forecaster.reports.search import comparable_fitness, genes, lineage, search_page, text

FEATURES = ["difference:1", "hour:1:sin", "hour:1:cos"]


def record(
    index: int, fitness: float = 0.7, parents: tuple[int, ...] = (), generation: int = 0, **changes: Any
) -> dict[str, Any]:
    candidate = {"features": FEATURES, "form": "gru", "units": 16, "learning_rate": 0.01, "dropout": 0.1}
    figures = {
        "parameters": 1000 + index,
        "macs": 900 + 100 * index,
        "validation_rmse": fitness / 2,
        "cpu_seconds": 0.5,
        "updates": 300,
        "rung_fitness": [fitness],
        "inherited": None,
    }
    known = {key: changes.pop(key) for key in list(changes) if key in figures}
    made = {"index": index, "generation": generation, "parents": list(parents), "genome": [0, 1], "fitness": fitness}
    return {**made, "candidate": {**candidate, **changes}, **figures, **known}


RECORDS = [
    record(0, 0.80),
    record(1, 0.75, units=24),
    record(2, 0.90, features=["difference:1"]),
    record(3, 0.72, (1, 0), 1, units=24, dropout=0.2),
    record(4, 0.70, (3,), 2, inherited=3, units=24, dropout=0.2, features=["difference:1"]),
]
SUMMARY = {"winner": 4, "stopped": "28 evaluations", "cpu_seconds": 12.34, "peak_bytes": 345_000_000}


@pytest.fixture(scope="module")
def html() -> str:
    return search_page(RECORDS, SUMMARY)


def rows(html: str, section: str) -> list[list[str]]:
    table = html.partition(f"<h2>{section}</h2>")[2].partition("<tbody>")[2].partition("</tbody>")[0]
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[1:]]


def test_the_lead_tells_size_end_and_cost(html: str) -> None:
    assert (
        "5 candidates in 3 generation(s), ended after 28 evaluations, 12.3 CPU seconds, at most 345 MB of memory"
        in html
    )


def test_the_winner_is_told_with_its_genes(html: str) -> None:
    assert "Candidate 4: validation RMSE 0.3500 °C, fitness 0.7000 (rank 1 of 5 in the search)" in html
    assert "preferred in the finals" not in html
    assert ["units", "24"] in rows(html, "Winner")
    assert ["features", "difference:1"] in rows(html, "Winner")


def test_a_winner_that_is_not_first_is_explained() -> None:
    html = search_page(RECORDS, {**SUMMARY, "winner": 0})
    assert "(rank 4 of 5 in the search)" in html
    assert "preferred in the finals" in html


def test_the_lineage_goes_back_to_the_first_generation(html: str) -> None:
    found = rows(html, "Lineage")
    assert [row[0] for row in found] == ["4", "3", "1", "0"]
    assert found[0][2:] == ["3", "from 3", "0.7", "reads hour:1 yes → no"]
    assert found[1][2:] == ["1, 0", "drawn", "0.72", "dropout 0.1 → 0.2"]
    assert found[2][2:] == ["none", "drawn", "0.75", "first generation"]


def test_lineage_tells_each_ancestor_once() -> None:
    diamond = [record(0), record(1, parents=(0,)), record(2, parents=(0,)), record(3, parents=(1, 2))]
    assert lineage(diamond, 3) == [3, 2, 1, 0]
    assert lineage(diamond, 1) == [1, 0]


def test_a_child_like_its_parent_changed_nothing() -> None:
    html = search_page([record(0), record(1, 0.6, (0,), 1)], {**SUMMARY, "winner": 1})
    assert rows(html, "Lineage")[0][5] == "nothing"


def test_the_table_lists_the_best_first_and_how_they_differ(html: str) -> None:
    found = rows(html, "The best 5")
    assert [row[0] for row in found] == ["4", "3", "1", "0", "2"]
    assert found[0][-1] == "the winner"
    assert found[1][-1] == "reads hour:1 yes"
    assert found[3][-1] == "units 16; dropout 0.1; reads hour:1 yes"


def test_the_table_has_ten_rows_at_most() -> None:
    many = [record(index, 1 - index / 100) for index in range(14)]
    assert len(rows(search_page(many, {**SUMMARY, "winner": 13}), "The best 10")) == 10


def test_genes_that_matter_are_named() -> None:
    """Units decide; what came later than the first rung does not count."""
    many = [record(i, 0.9 - 0.1 * (i % 2), units=16 + 8 * (i % 2), dropout=0.1 * (i % 3)) for i in range(24)]
    html = search_page([*many, record(24, 0.1, units=16, rung_fitness=[0.9, 0.1])], {**SUMMARY, "winner": 0})
    assert "More than chance explains: units." in html
    assert "More than chance explains: none." in search_page(RECORDS, SUMMARY)


def test_inherited_weights_are_no_merit_of_a_gene() -> None:
    """Those that inherited are better by the updates of their parents, whatever their genes."""
    many = [record(i, 0.8 + i % 4 / 100) for i in range(4)]
    many += [record(i, 0.4 + i % 4 / 200, inherited=0) for i in range(4, 12)]
    assert np.ptp(comparable_fitness(many)) < 0.05
    assert np.median(comparable_fitness(many)) == pytest.approx(1.0)


def test_genes_that_never_varied_are_left_out() -> None:
    found = genes(RECORDS)
    assert list(found) == ["reads hour:1", "units", "dropout"]
    assert found["reads hour:1"] == [True, True, False, True, False]
    assert found["units"] == [16, 24, 16, 24, 24]


def test_one_candidate_makes_a_page_without_genes() -> None:
    html = search_page([record(0)], {**SUMMARY, "winner": 0})
    assert "<h2>Genes</h2>" not in html
    assert html.count("<figcaption>") == 2


def test_the_page_has_four_pictures_and_nothing_from_outside(html: str) -> None:
    assert html.count("data:image/png;base64,") == html.count("<figcaption>") == 4
    assert not re.search(r'(?:src|href)="(?!data:)', html)


def test_the_front_is_named(html: str) -> None:
    # 0 is the smallest, 1 and 3 and 4 are each better than all that are smaller; 2 is larger and worse.
    found = rows(html, "Size against error")
    assert [row[0] for row in found] == ["0", "1", "3", "4"]
    assert found[1][1:] == ["300", "0.375", "1,001", "1,000", "4,004", "dropout 0.1; reads hour:1 yes"]
    assert found[3][6] == "the winner"


def test_the_front_is_drawn_with_the_winner_on_its_place() -> None:
    dots, front, star = report.front_figure(RECORDS, 4).axes[0].lines
    assert dots.get_xdata().tolist() == [1100]
    assert front.get_xdata().tolist() == [900, 1000, 1200, 1300]
    assert front.get_ydata().tolist() == [0.4, 0.375, 0.36, 0.35]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (1300, 0.35)


def test_progress_is_the_best_so_far_over_evaluations_and_cpu_seconds() -> None:
    by_count, by_time = report.progress_figure(RECORDS).axes
    assert by_count.lines[1].get_ydata().tolist() == [0.80, 0.75, 0.75, 0.72, 0.70]
    assert by_count.lines[1].get_xdata().tolist() == [1, 2, 3, 4, 5]
    assert by_time.lines[1].get_xdata().tolist() == [0.5, 1.0, 1.5, 2.0, 2.5]
    assert [line.get_xdata()[0] for line in by_count.lines[2:]] == [3.5, 4.5]


def test_a_candidate_that_diverged_is_told_and_not_drawn() -> None:
    spoilt = [record(0, math.inf, validation_rmse=math.inf), *RECORDS[1:3]]
    html = search_page(spoilt, {**SUMMARY, "winner": 1})
    assert "1 candidate(s) diverged and are not drawn" in html
    best = report.progress_figure(spoilt).axes[0].lines[1].get_ydata()
    assert np.isnan(best[0])
    assert best[1:].tolist() == [0.75, 0.75]
    assert [row[0] for row in rows(html, "Size against error")] == ["1"]


def test_gene_panels_are_titled_and_put_the_winner_at_its_choice() -> None:
    figure = report.gene_figure(RECORDS, genes(RECORDS), 4)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ["reads hour:1", "units", "dropout"]
    assert [label.get_text() for label in panels[1].get_xticklabels()] == ["16", "24"]
    star = panels[1].lines[1]
    assert round(float(star.get_xdata()[0])) == 1
    assert star.get_ydata()[0] == 0.70


def test_every_axis_has_a_label() -> None:
    for figure in (report.progress_figure(RECORDS), report.front_figure(RECORDS, 4)):
        for axes in figure.axes:
            assert axes.get_xlabel()
            assert axes.get_ylabel()


@pytest.mark.parametrize(("value", "words"), [(["a", "b"], "a, b"), (0.003, "0.003"), (16, "16"), ("gru", "gru")])
def test_gene_values_are_written_for_readers(value: Any, words: str) -> None:
    assert text(value) == words


def test_words_from_outside_are_escaped() -> None:
    assert "&lt;b&gt;" in search_page([record(0, form="<b>")], {**SUMMARY, "winner": 0})
