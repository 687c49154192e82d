"""What compiling the trainer costs: with an empty cache it is compiled, with a full one it is not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks import search_compile
from benchmarks.search_compile import compilation_seconds, train_each_form
from forecaster.gru.architecture import FORMS


class Runs:
    """Takes the place of `subprocess.run`, and of the meter: the first process takes longer."""

    def __init__(self, seconds: list[float]) -> None:
        self.left, self.caches, self.commands = seconds, list[str](), list[list[str]]()

    def run(self, command: list[str], *, cwd: Path, env: dict[str, str], check: bool) -> None:
        assert check
        assert (cwd / "benchmarks" / "search_compile.py").is_file()
        assert os.environ.items() <= {**env, **os.environ}.items()
        self.commands.append(command)
        self.caches.append(env["NUMBA_CACHE_DIR"])

    def meter(self) -> Any:
        return type("Meter", (), {"seconds": self.left.pop(0)})()


def stand_in(monkeypatch, seconds: list[float]) -> Runs:
    runs = Runs(seconds)
    monkeypatch.setattr(search_compile, "subprocess", runs)
    monkeypatch.setattr(search_compile, "Meter", runs.meter)
    return runs


def test_compilation_is_what_the_empty_cache_costs_more(monkeypatch) -> None:
    runs = stand_in(monkeypatch, [9.5, 1.5])
    assert compilation_seconds() == pytest.approx(8.0)
    assert len(runs.commands) == 2
    assert runs.commands[0][1:] == ["-m", "benchmarks.search_compile"]


def test_both_processes_share_one_cache_that_is_gone_afterwards(monkeypatch) -> None:
    runs = stand_in(monkeypatch, [9.5, 1.5])
    compilation_seconds()
    first, second = runs.caches
    assert first == second
    assert not Path(first).exists()


def test_compilation_never_costs_less_than_nothing(monkeypatch) -> None:
    stand_in(monkeypatch, [1.0, 1.2])
    assert compilation_seconds() == 0.0


def test_each_form_is_trained(monkeypatch) -> None:
    trained: list[tuple[str, int]] = []
    fit = search_compile.fit

    def noted(sequences: Any, columns: Any, architecture: Any, recipe: Any, seed: int) -> Any:
        found = fit(sequences, columns, architecture, recipe, seed)
        trained.append((architecture.form, len(found.weights)))
        return found

    monkeypatch.setattr(search_compile, "fit", noted)
    train_each_form()
    assert [form for form, _ in trained] == list(FORMS)
    assert all(count > 0 for _, count in trained)
