"""How a search shows where it is, and where it keeps its population."""

from __future__ import annotations

import io
import os
import select
import sys
from pathlib import Path

import pytest

from forecaster.records import Record
from steps.training import checkpoint as places
from steps.training.progress import SearchProgress


def record(index: int, rmse: float) -> Record:
    return Record(index, 0, (), (0,), {}, rmse, (0.5,), 0.5, (0.5,), 10, 10, 1_200 + index, 900, 0.1, 0.0)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "150")


def run(errors: list[float]) -> None:
    """A search whose candidates have these errors."""
    with SearchProgress(len(errors)) as progress:
        records = [record(index, rmse) for index, rmse in enumerate(errors)]
        for made in records:
            progress.show(made, min(records[: made.index + 1], key=lambda r: r.validation_rmse))


def test_a_file_gets_the_first_and_every_fifth_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stderr__", io.StringIO())
    run([0.5, 0.4, 0.45, 0.3, 0.6, 0.7, 0.8, 0.2, 0.9, 0.25, 0.1])
    assert sys.__stderr__.getvalue().splitlines() == [
        "search: 1 evaluations, best: validation RMSE 0.5000 °C, 1,200 parameters",
        "search: 5 evaluations, best: validation RMSE 0.3000 °C, 1,203 parameters",
        "search: 10 evaluations, best: validation RMSE 0.2000 °C, 1,207 parameters",
    ]


def test_evaluations_are_counted_in_whatever_order_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stderr__", io.StringIO())
    with SearchProgress(5) as progress:
        for index in (4, 0, 3, 1, 2):
            progress.show(record(index, 0.5), record(4, 0.5))
    assert [line.split(",")[0] for line in sys.__stderr__.getvalue().splitlines()] == [
        "search: 1 evaluations",
        "search: 5 evaluations",
    ]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = os.openpty()
    with os.fdopen(slave, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "__stderr__", terminal)
        run([0.5, 0.4, 0.45])
        terminal.flush()
        drawn = b""
        while select.select([master], [], [], 0.2)[0]:
            drawn += os.read(master, 65_536)
    os.close(master)
    text = drawn.decode()
    assert "\x1b[" in text
    assert "━" in text
    assert "3/3" in text
    assert "best: validation RMSE 0.4000 °C, 1,201 parameters" in text
    assert "evaluations" not in text


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path))
    monkeypatch.setattr(places, "code_digest", lambda: "c" * 64)
    return tmp_path


def test_the_checkpoint_lies_under_the_home(home: Path) -> None:
    path = places.checkpoint("d" * 64, 1)
    assert path is not None
    assert path.parent == home / "cache" / "search"
    assert path.parent.is_dir()
    assert path == places.checkpoint("d" * 64, 1)


def test_other_data_seed_or_code_have_another_checkpoint(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {places.checkpoint("d" * 64, 1), places.checkpoint("e" * 64, 1), places.checkpoint("d" * 64, 2)}
    monkeypatch.setattr(places, "code_digest", lambda: "b" * 64)
    assert len(paths | {places.checkpoint("d" * 64, 1)}) == 4


@pytest.mark.parametrize("home", [None, ""])
def test_without_a_home_there_is_no_checkpoint(monkeypatch: pytest.MonkeyPatch, home: str | None) -> None:
    monkeypatch.delenv("EDGELOOP_HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("EDGELOOP_HOME", home)
    assert places.checkpoint("d" * 64, 1) is None
