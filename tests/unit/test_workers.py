"""Who trains: what is accepted as workers, the order of outcomes, what a worker's results depend on, deaths."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from forecaster.errors import ConfigError, ServiceUnavailable
from forecaster.genome import Space, SpaceConfig
from forecaster.tasks import Task, run_task
from forecaster.trials import Fold, folds
from forecaster.workers import MOST_PROCESSES, Workers, environment, open_workers, processes, report, require_workers
from forecaster.workers.here import Here
from forecaster.workers.processes import Processes
from tests import fragile
from tests.fragile import Fragile, NotTrainedError
from tests.synthetic import dataset


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """The workers' server begins in this module, beside two threads and a signal that are not the workers'."""
    processes.forkserver._forkserver._stop()  # noqa: SLF001 - one that was started before has its own environment
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    with pytest.MonkeyPatch.context() as patch:
        for name in processes.ONE_THREAD:
            patch.setenv(name, "2")
        yield
    signal.signal(signal.SIGINT, interrupt)


@pytest.fixture(scope="module")
def judges() -> list[Fold]:
    return folds(dataset(), 2)


def tasks(judges: list[Fold], count: int) -> list[Task]:
    """Short trainings of the usual recipe on both folds, each with its own seed; the last goes on from weights."""
    space = Space(SpaceConfig(), judges[0].names, 4, 32)
    candidate = space.decode(space.usual())
    found = [Task(i, candidate, i % 2, 4, seed=i) for i in range(count - 1)]
    initial = np.full(candidate.architecture(judges[0].horizon).parameters, 0.01, np.float32)
    return [*found, Task(count - 1, candidate, 0, 4, seed=7, initial=initial)]


def all_of(workers: Workers, wanted: list[Task]) -> dict[int, tuple[float, bytes]]:
    """What came of them, by their numbers."""
    for one in wanted:
        workers.submit(one)
    found = [workers.next() for _ in wanted]
    return {outcome.number: (outcome.trial.rmse, outcome.weights.tobytes()) for outcome in found}


@pytest.mark.parametrize(
    "where", ["1", "2", "004", str(MOST_PROCESSES), "tcp://127.0.0.1:8786", "tls://dask.lab:8786/", "tcp://[::1]:8786"]
)
def test_a_number_or_an_address_says_who_the_workers_are(where: str) -> None:
    assert require_workers(where) == where


@pytest.mark.parametrize(
    "where",
    [
        "", "0", "-1", "1.5", "two", "٣", "257", "9" * 5000, "tcp://", "tcp://host", "http://host:8786", "host:8786",
        "tcp://user:secret@host:8786", "tcp://host:8786 x", "tcp://host:8786\n", "1\n", "tcp://host:123456",
    ],
)  # fmt: skip
def test_what_is_neither_is_refused_with_what_is_expected(where: str) -> None:
    with pytest.raises(ConfigError, match=f"must be a number of processes from 1 to {MOST_PROCESSES} or a Dask"):
        open_workers(where, [])


def test_one_is_this_process_and_more_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda _: {0, 1, 2})
    with open_workers("1", []) as one, open_workers("2", []) as two:
        assert isinstance(one, Here)
        assert isinstance(two, Processes)
        assert (one.count, two.count) == (1, 2)


def test_there_are_no_more_processes_than_cores(judges, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda _: {3, 5})
    with open_workers("7", judges) as workers:
        assert workers.count == 2
        all_of(workers, tasks(judges, 6))
        assert isinstance(workers, Processes)
        assert len(workers._pools) == 2  # noqa: SLF001 - how many were started


def test_this_process_does_its_tasks_in_turn_when_asked(judges) -> None:
    wanted = tasks(judges, 3)
    with open_workers("1", judges) as workers:
        for one in reversed(wanted):
            workers.submit(one)
        assert [workers.next().number for _ in wanted] == [2, 1, 0]


def test_processes_give_the_outcomes_that_this_process_gives(judges) -> None:
    wanted = tasks(judges, 5)
    expected = {one.number: run_task(judges, one) for one in wanted}
    with open_workers("2", judges) as workers:
        found = all_of(workers, wanted)
        assert workers.peak_bytes > report.peak_bytes()
    assert found == {number: (o.trial.rmse, o.weights.tobytes()) for number, o in expected.items()}
    assert len(set(found.values())) == len(wanted)


@pytest.mark.parametrize("where", ["1", "2"])
def test_nobody_waits_for_what_nobody_does(where: str, tmp_path: Path) -> None:
    with open_workers(where, [Fragile(tmp_path)]) as workers:
        workers.submit(fragile.task(1))
        workers.next()
        with pytest.raises(IndexError, match="no task is under way: submit one"):
            workers.next()


@pytest.mark.parametrize("where", ["1", "2"])
def test_what_a_training_raises_comes_out_of_next_and_the_others_go_on(where: str, tmp_path: Path) -> None:
    with open_workers(where, [Fragile(tmp_path, errors=(1,))]) as workers:
        workers.submit(fragile.task(1))
        with pytest.raises(NotTrainedError, match="seed 1"):
            workers.next()
        workers.submit(fragile.task(2))
        assert workers.next().number == 2


def test_whichever_is_done_first_comes_first(tmp_path: Path) -> None:
    with open_workers("2", [Fragile(tmp_path, seconds={1: 0.5})]) as workers:
        workers.submit(fragile.task(1))
        workers.submit(fragile.task(2))
        assert [workers.next().number for _ in range(2)] == [2, 1]


def test_the_data_goes_to_each_process_once(tmp_path: Path) -> None:
    fold = Fragile(tmp_path, seconds=dict.fromkeys(range(6), 0.1))
    with open_workers("2", [fold]) as workers:
        all_of(workers, [fragile.task(seed) for seed in range(6)])
    trainers = {process for seed in range(6) for process in fold.noted(f"trained {seed}")}
    assert len(trainers) == 2
    assert sorted(fold.noted("sent")) == sorted(trainers)


def test_a_task_whose_process_dies_is_done_again_and_no_other_is(tmp_path: Path) -> None:
    fold = Fragile(tmp_path, deaths={1: 2}, seconds={2: 1.0})
    with open_workers("2", [fold]) as workers:
        found = all_of(workers, [fragile.task(seed) for seed in (1, 2, 3)])
    assert {number: rmse for number, (rmse, _) in found.items()} == {1: 1.0, 2: 2.0, 3: 3.0}
    assert len(set(fold.noted("trained 1"))) == 3
    assert [len(fold.noted(f"trained {seed}")) for seed in (2, 3)] == [1, 1]


def test_a_task_that_has_ended_three_processes_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    fold = Fragile(tmp_path, deaths={1: 99}, seconds={2: 3.0})
    with open_workers("2", [fold]) as workers:
        workers.submit(fragile.task(1))
        workers.submit(fragile.task(2))
        with pytest.raises(ServiceUnavailable, match=r'"units": 8.*task 1\) has ended its worker 3 times: give the wo'):
            workers.next()
        assert workers.next().number == 2
        with pytest.raises(IndexError):
            workers.next()  # nobody does the lost one any more
    assert len(fold.noted("trained 1")) == report.DEATHS


def test_closing_ends_a_training_that_is_under_way_and_starts_it_in_no_other_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = Mock(wraps=ProcessPoolExecutor)
    monkeypatch.setattr(processes, "ProcessPoolExecutor", pools)
    fold = Fragile(tmp_path, seconds={1: 600.0})
    with open_workers("2", [fold]) as workers:
        for seed in (2, 1):
            workers.submit(fragile.task(seed))
        workers.next()
        while not fold.noted("trained 1"):
            pass
    [process] = fold.noted("trained 1")
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("search-worker")]
    assert pools.call_count == 2


def test_a_worker_leaves_ctrl_c_to_the_search(tmp_path: Path) -> None:
    fold = Fragile(tmp_path, seconds={1: 0.5})
    with open_workers("2", [fold]) as workers:
        workers.submit(fragile.task(1))
        while not fold.noted("trained 1"):
            pass
        os.kill(fold.noted("trained 1")[0], signal.SIGINT)
        assert workers.next().number == 1
    assert len(fold.noted("trained 1")) == 1


class Threads:
    """Stands for a fold: its training tells what its process was told about threads."""

    def trained(self, *_: object) -> tuple[fragile.Trial, np.ndarray]:
        from threadpoolctl import threadpool_info

        counts = [pool["num_threads"] for pool in threadpool_info()]
        counts += [int(os.environ[name]) for name in processes.ONE_THREAD]
        return fragile.Trial(0, 0.0, 1.0, np.ones(1), 1), np.array(counts, np.float32)


def test_a_worker_computes_with_one_thread() -> None:
    with open_workers("2", [Threads()]) as workers:
        workers.submit(fragile.task(0))
        counts = workers.next().weights
    assert len(counts) > len(processes.ONE_THREAD)
    assert set(counts.tolist()) == {1.0}
    assert {os.environ[name] for name in processes.ONE_THREAD} == {"2"}, "set by this module, and it stays"


def test_the_environment_of_this_process_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    open_workers("2", []).close()
    assert dict(os.environ) == before


def test_memory_is_that_of_this_process() -> None:
    before = report.peak_bytes()
    ballast = np.ones(30_000_000 // 8)
    assert report.peak_bytes() >= before
    assert report.peak_bytes() > ballast.nbytes


def test_without_proc_memory_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "STATUS", Path("/none"))
    said = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert report.peak_bytes() == said * 1024
    monkeypatch.setattr(sys, "platform", "darwin")
    assert report.peak_bytes() == said


def test_equal_environments_do_not_differ() -> None:
    here = environment.environment()
    assert set(here) == {"Python", "numpy", "numba", "llvmlite", "edgeloop code", "arithmetic"}
    assert environment.differences(dict(here), here) == ""


@pytest.mark.parametrize("name", ["Python", "numpy", "numba", "llvmlite", "edgeloop code", "arithmetic"])
def test_each_part_of_the_environment_counts(name: str) -> None:
    here = environment.environment()
    found = environment.differences({**here, name: "other"}, here)
    assert f"{name} 'other' (here {here[name]!r})" in found
    assert ("NUMBA_CPU_FEATURES" in found) == (name == "arithmetic")
    assert ("install the same checkout" in found) == (name != "arithmetic")
    assert f"{name} None" in environment.differences({k: v for k, v in here.items() if k != name}, here)


def test_several_differences_are_told_together() -> None:
    here = environment.environment()
    found = environment.differences({**here, "numpy": "2.0", "arithmetic": "x"}, here)
    assert "numpy '2.0'" in found
    assert "arithmetic 'x'" in found
    assert "install the same checkout" in found


def test_the_last_bit_of_a_weight_changes_the_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    before, real = environment.arithmetic(), environment.fit

    def rounded_up(*arguments: object, **named: object) -> object:
        found = real(*arguments, **named)
        found.weights[0] = np.nextafter(found.weights[0], np.float32(9))
        return found

    environment.arithmetic.cache_clear()
    assert environment.arithmetic() == before
    monkeypatch.setattr(environment, "fit", rounded_up)
    environment.arithmetic.cache_clear()
    assert environment.arithmetic() != before
    environment.arithmetic.cache_clear()


def test_the_code_is_all_sources_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGE", tmp_path)
    (tmp_path / "part").mkdir()
    seen = set()
    for name, text in (("a.py", "1"), ("a.py", "2"), ("part/b.py", "2"), ("notes.txt", "no source")):
        (tmp_path / name).write_text(text)
        seen.add(environment._code())  # noqa: SLF001 - the constant is made on import
    assert len(seen) == 3
