"""What a data run's page says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipelines import review

COUNTS = {
    "rows_in": 120, "rows_out": 118, "missing": 3, "held": 2, "gaps_long": 1, "longest_gap_steps": 9, "segments": 2,
    "cadence_seconds": 600,
}  # fmt: skip
RUN, DATASET = SimpleNamespace(id="run-1"), SimpleNamespace(name="bedroom", version="4")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    monkeypatch.setattr(review, "log_metadata", lambda **given: calls.append(given))
    monkeypatch.setattr(review, "add_tags", lambda **given: calls.append(given))
    return calls


def test_a_data_run_says_what_it_stored_how_whole_it_is_and_whether_it_passed(said: list[Any]) -> None:
    review.describe_data_run(RUN, DATASET, COUNTS, [{"passed": True}, {"passed": False}, {"passed": True}])  # type: ignore[arg-type]
    shown, tagged = said
    assert shown["run_id_name_or_prefix"] == "run-1"
    assert shown["metadata"].pop("conditions_passed") == "2 of 3"
    assert (shown["metadata"].pop("dataset"), shown["metadata"].pop("dataset_version")) == ("bedroom", "4")
    assert shown["metadata"] == {name: count for name, count in COUNTS.items() if name != "cadence_seconds"}
    assert tagged == {"tags": ["bedroom:4"], "run": "run-1"}
