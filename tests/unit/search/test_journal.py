"""What a killed search was told: whole lines of this very search, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forecaster.genome import Candidate
from forecaster.gru.architecture import Recipe
from forecaster.search.journal import Journal
from forecaster.tasks import Outcome, Task
from forecaster.trials import Trial

KEY = {"seed": 1}
CANDIDATE = Candidate(("difference:1",), "gru", 4, Recipe())
TASK = Task(0, CANDIDATE, 0, 75, 1)
TRIAL = Trial(0, 0.5, 0.7, np.array([0.25, np.nan, 0.5]), 60)


def outcome(number: int = 0) -> Outcome:
    return Outcome(number, TRIAL, np.array([0.1, -2.5, 3e-8], np.float32), 0.125)


def require_equal(found: Outcome | None, expected: Outcome) -> None:
    assert found is not None
    assert (found.number, found.cpu_seconds) == (expected.number, expected.cpu_seconds)
    assert found.weights.dtype == np.float32
    np.testing.assert_array_equal(found.weights, expected.weights)
    np.testing.assert_array_equal(found.trial.blocks, expected.trial.blocks)
    assert replace(found.trial, blocks=TRIAL.blocks) == replace(expected.trial, blocks=TRIAL.blocks)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of three trainings."""
    made = tmp_path / "search.jsonl"
    with Journal(made, KEY) as journal:
        for number in range(3):
            journal.write(replace(TASK, number=number), outcome(number))
    return made


def test_what_was_written_is_known_bit_for_bit(path: Path) -> None:
    with Journal(path, KEY) as journal:
        assert len(journal) == 3
        for number in range(3):
            require_equal(journal.known(replace(TASK, number=number)), outcome(number))
        assert journal.known(replace(TASK, number=3)) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 2},
        {"fold": 1},
        {"updates": 150},
        {"initial": np.zeros(3, np.float32)},
        {"candidate": replace(CANDIDATE, units=8)},
        {"candidate": replace(CANDIDATE, recipe=Recipe(dropout=0.2))},
        {"candidate": replace(CANDIDATE, recipe=Recipe(clip=2.0))},
    ],
    ids=str,
)
def test_another_task_of_the_same_number_is_not_answered(path: Path, changed: dict[str, object]) -> None:
    with Journal(path, KEY) as journal:
        assert journal.known(replace(TASK, **changed)) is None  # type: ignore[arg-type]


def test_a_line_that_was_cut_is_cut_off_and_written_again(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    with Journal(path, KEY) as journal:
        assert len(journal) == 2
        journal.write(replace(TASK, number=2), outcome(2))
    assert path.read_bytes() == whole


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"\x00\xff\n", b'{"number": 1}\n', b"[]\n"])
def test_what_follows_a_damaged_line_is_not_used(path: Path, damage: bytes) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], damage or lines[2][:9] + b"\n", *lines[3:]]))
    with Journal(path, KEY) as journal:
        assert len(journal) == 1


@pytest.mark.parametrize("content", [b"", b"{}", b"\n\n", b'{"format": 1}\n'])
def test_a_file_that_is_no_journal_begins_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "search.jsonl"
    path.write_bytes(content)
    with Journal(path, KEY) as journal:
        assert len(journal) == 0
        journal.write(TASK, outcome())
    with Journal(path, KEY) as journal:
        require_equal(journal.known(TASK), outcome())


def test_a_journal_of_another_search_begins_anew(path: Path) -> None:
    with Journal(path, {"seed": 2}) as journal:
        assert len(journal) == 0
    with Journal(path, KEY) as journal:
        assert len(journal) == 0, "it is that of the other search now"


def test_without_a_file_nothing_is_kept(tmp_path: Path) -> None:
    with Journal(None, KEY) as journal:
        journal.write(TASK, outcome())
        journal.remove()
    assert list(tmp_path.iterdir()) == []


def test_at_the_end_it_is_removed(path: Path) -> None:
    with Journal(path, KEY) as journal:
        journal.remove()
    assert not path.exists()
