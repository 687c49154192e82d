"""The comparison of numbers of workers: what it counts, and that it refuses results that differ."""

from __future__ import annotations

import dataclasses
import json
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import search_workers
from forecaster.errors import ConfigError
from forecaster.genome import SpaceConfig
from forecaster.search import search
from forecaster.search_config import SearchConfig
from tests.synthetic import dataset

if TYPE_CHECKING:
    from pathlib import Path

SPACE = SpaceConfig(units=(4, 6), steps=(32,), burn_in=(4, 8), batch=(4, 8))
QUICK = SearchConfig(population=2, generations=1, elite=1, updates=4, finalists=1, finalist_seeds=1, space=SPACE)


def test_searches_take_turns_and_the_first_count_is_the_measure() -> None:
    found = search_workers.compare(dataset(), QUICK, 1, (1, 2), rounds=2)
    assert [(line["workers"], len(line["seconds"])) for line in found["workers"]] == [(1, 2), (2, 2)]
    assert found["workers"][0]["speedup"] == 1.0
    one, two = (line["lowest"] for line in found["workers"])
    assert one == min(found["workers"][0]["seconds"])
    assert found["speedup"] == pytest.approx(one / two)
    aside = found["side_by_side"]
    assert len(aside["seconds"]) == 2
    assert aside["speedup"] == pytest.approx(aside["searches"] * one / min(aside["seconds"]))


def test_a_search_that_cannot_begin_keeps_nobody_waiting() -> None:
    """The space has no candidate that is small enough."""
    none = QUICK.model_copy(update={"space": SPACE.model_copy(update={"max_parameters": 1})})
    ready = threading.Barrier(2)
    with pytest.raises(ConfigError):
        search_workers._alone(dataset(), none, 1, ready)  # type: ignore[arg-type] # noqa: SLF001 - of this process
    assert ready.broken


def test_a_search_that_fails_beside_others_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(threading.Thread):
        exitcode = 1

        def __init__(self, *, args: tuple[Any, ...], **_: Any) -> None:
            super().__init__(target=args[-1].wait)

    context = SimpleNamespace(Barrier=threading.Barrier, Process=Failing)
    monkeypatch.setattr(search_workers.multiprocessing, "get_context", lambda _: context)
    with pytest.raises(ChildProcessError, match=r"exit codes \[1, 1\]"):
        search_workers.side_by_side(dataset(), QUICK, 1, 2)


def test_results_that_differ_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    result, winners = search(dataset(), QUICK, 1), iter([0, 0, 1])
    monkeypatch.setattr(search_workers, "side_by_side", lambda *_: 1.0)
    monkeypatch.setattr(search_workers, "search", lambda *_, **__: dataclasses.replace(result, winner=next(winners)))
    with pytest.raises(ValueError, match=r"2 different results of the same search with \[1, 4\] workers"):
        search_workers.compare(dataset(), QUICK, 1, (1, 4), rounds=1)


@pytest.mark.parametrize(("speedup", "cores", "code"), [(1.7, 2, 0), (1.69, 2, 1), (1.0, 1, 0)])
def test_the_exit_code_says_whether_it_is_fast_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, speedup: float, cores: int, code: int
) -> None:
    seen: list[Any] = []

    def compare(*given: Any) -> dict[str, Any]:
        seen.append(given)
        line = {"workers": 4, "seconds": [2.0, 3.0], "cpu_seconds": [4.0, 5.0], "lowest": 2.0, "speedup": speedup}
        aside = {"searches": 2, "seconds": [2.5], "lowest": 2.5, "speedup": 1.9}
        return {"workers": [line], "speedup": speedup, "side_by_side": aside}

    monkeypatch.setattr(search_workers, "compare", compare)
    monkeypatch.setattr(search_workers, "prepared", lambda source, user: (source, user))
    monkeypatch.setattr(search_workers.os, "cpu_count", lambda: cores)
    target = tmp_path / "bench" / "workers.json"
    assert search_workers.main(["--counts", "1,4", "--seed", "7", "--target", str(target)]) == code
    assert seen == [(None, "living_room", 7, [1, 4], 5)]
    assert json.loads(target.read_text(encoding="utf-8"))["speedup"] == speedup
