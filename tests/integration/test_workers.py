"""Real processes and a real Dask cluster on the loopback interface: the same outcomes, deaths, refusals, no orphans."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from dask import config

from forecaster.errors import ConfigError, ServiceUnavailable
from forecaster.genome import Space, SpaceConfig
from forecaster.tasks import Task, run_task
from forecaster.trials import Fold, folds
from forecaster.workers import Workers, open_workers, session
from forecaster.workers.cluster import Cluster
from forecaster.workers.report import DEATHS
from tests import fragile
from tests.certificate import certificate
from tests.dask_cluster import CHECKOUT, DaskCluster
from tests.fragile import Fragile, NotTrainedError
from tests.synthetic import dataset

OPENED = """
import sys, time
from pathlib import Path
from forecaster.workers import open_workers
from tests import fragile

if __name__ == "__main__":
    with open_workers("2", [fragile.Fragile(Path(sys.argv[1]), seconds={1: 600.0, 2: 600.0})]) as workers:
        for seed in (1, 2):
            workers.submit(fragile.task(seed))
        workers.next()
"""


@pytest.fixture(scope="module")
def judges() -> list[Fold]:
    return folds(dataset(), 2)


@pytest.fixture(scope="module")
def wanted(judges) -> list[Task]:
    """Short trainings, one of which goes on from given weights."""
    space = Space(SpaceConfig(), judges[0].names, 30, 32)
    candidate = space.decode(space.usual())
    initial = np.full(candidate.architecture(judges[0].horizon).parameters, 0.01, np.float32)
    return [*(Task(i, candidate, i % 2, 30, seed=i) for i in range(7)), Task(7, candidate, 0, 30, 7, initial)]


@pytest.fixture(scope="module")
def expected(judges, wanted: list[Task]) -> dict[int, tuple[float, bytes]]:
    found = [run_task(judges, one) for one in wanted]
    return {outcome.number: (outcome.trial.rmse, outcome.weights.tobytes()) for outcome in found}


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[DaskCluster]:
    """A scheduler without workers."""
    with DaskCluster(tmp_path) as made:
        made.scheduler()
        yield made
    gc.collect()  # what a client left open shows in the test that opened it


# Dask's client connects again by itself; closed in the middle of that, it leaves the socket to the garbage collector.
interrupted = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def all_of(workers: Workers, wanted: list[Task], then: Callable[[int], None] = lambda _count: None) -> dict:
    """What came of them, by their numbers; `then` is called after each with how many there are."""
    for one in wanted:
        workers.submit(one)
    found = {}
    for count in range(1, len(wanted) + 1):
        outcome = workers.next()
        found[outcome.number] = (outcome.trial.rmse, outcome.weights.tobytes())
        then(count)
    return found


def once(number: int, what: Callable[[], object]) -> Callable[[int], None]:
    """Does it after that many outcomes."""
    return lambda count: what() if count == number else None


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(process: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descendants(process: int) -> list[int]:
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    return [each for child in children for each in (int(child), *descendants(int(child)))]


def test_a_killed_process_loses_nothing(judges, wanted, expected, tmp_path: Path) -> None:
    def kill() -> None:
        os.kill(noting.noted("sent")[0], signal.SIGKILL)

    noting = Fragile(tmp_path)
    with open_workers("4", [*judges, noting]) as workers:
        assert all_of(workers, wanted, once(2, kill)) == expected
        assert not alive(noting.noted("sent")[0])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_however_the_search_ends_nothing_of_it_stays(tmp_path: Path, how: signal.Signals) -> None:
    noting = Fragile(tmp_path)
    (tmp_path / "opened.py").write_text(OPENED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(
        [sys.executable, "opened.py", tmp_path], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as search:  # fmt: skip
        until(lambda: noting.noted("trained 1") and noting.noted("trained 2"))
        all_its = descendants(search.pid)
        assert {*noting.noted("trained 1"), *noting.noted("trained 2")} < set(all_its)
        os.killpg(search.pid, how) if how == signal.SIGINT else search.send_signal(how)
        search.wait(10)
    until(lambda: not any(alive(each) for each in all_its), 10)


def test_the_cluster_gives_the_outcomes_that_this_process_gives(dask, judges, wanted, expected) -> None:
    dask.worker()
    dask.worker()
    with open_workers(dask.address, judges) as workers:
        before = workers.peak_bytes
        assert all_of(workers, wanted) == expected
        assert workers.peak_bytes > before
        with pytest.raises(IndexError, match="no task is under way"):
            workers.next()


def test_the_data_goes_to_each_worker_once_and_a_training_that_raises_ends_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The manager drops all copies but one of what no task waits for, and Dask then sends one of them again.
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ACTIVE_MEMORY_MANAGER__START", "false")
    fold = Fragile(tmp_path, seconds=dict.fromkeys(range(6), 0.2), errors=(9,))
    with DaskCluster(tmp_path) as dask:
        dask.scheduler()
        for _ in range(2):
            dask.worker()
        with opened(dask, 2, fold) as workers:
            all_of(workers, [fragile.task(number) for number in range(6)])
            workers.submit(fragile.task(9))
            with pytest.raises(NotTrainedError, match="seed 9"):
                workers.next()
            all_of(workers, [fragile.task(6)])
    assert len(set(fold.noted("sent"))) == 2
    assert len(fold.noted("sent")) == 2


def opened(dask: DaskCluster, count: int, fold: Fragile) -> Workers:
    """Wait for so many workers, then open."""
    from distributed import Client

    with Client(dask.address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)
    return open_workers(dask.address, [fold])


def test_a_killed_worker_loses_nothing(dask, judges, wanted, expected, tmp_path: Path) -> None:
    first = dask.worker()
    dask.worker()
    with opened(dask, 2, Fragile(tmp_path)) as workers:
        assert workers.count == 2
    with open_workers(dask.address, judges) as workers:
        assert all_of(workers, wanted, once(2, first.kill)) == expected
    assert first.wait(5) == -signal.SIGKILL


def test_the_only_worker_may_die_and_another_come(dask, judges, wanted, expected) -> None:
    first = dask.worker()

    def replace() -> None:
        first.kill()
        dask.worker()

    with open_workers(dask.address, judges) as workers:
        assert all_of(workers, wanted, once(2, replace)) == expected


@interrupted
def test_a_scheduler_may_go_and_come_back(dask, judges, wanted, expected) -> None:
    dask.worker()

    def replace() -> None:
        dask.processes[0].kill()
        dask.processes[0].wait(5)
        dask.scheduler()
        dask.worker()

    with open_workers(dask.address, judges) as workers:
        assert all_of(workers, wanted, once(2, replace)) == expected


@interrupted
def test_a_scheduler_that_stays_away_is_told(dask, judges, wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    dask.worker()
    with Cluster(dask.address, judges, patience=1.0) as workers:
        monkeypatch.setattr(session, "ANSWER", 1.0)

        def end() -> None:
            dask.processes[0].kill()

        with pytest.raises(ServiceUnavailable, match=r"does not answer .*; waited 1 s: what was trained is kept"):
            all_of(workers, wanted, once(1, end))


def test_workers_that_stay_away_are_told(dask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only = dask.worker()
    with Cluster(dask.address, [Fragile(tmp_path, seconds={1: 60.0})], patience=1.0) as workers:
        monkeypatch.setattr(session, "ANSWER", 1.0)
        workers.submit(fragile.task(1))
        threading.Timer(0.5, only.kill).start()
        with pytest.raises(ServiceUnavailable, match=r"has no workers.*waited 1 s: what was trained is kept"):
            workers.next()


def test_a_task_that_has_ended_three_workers_is_named_and_the_others_go_on(dask, tmp_path: Path) -> None:
    fold, done = Fragile(tmp_path, deaths={1: 99}, seconds={2: 3.0, 3: 3.0}), set[int]()
    for _ in range(5):
        dask.worker()
    with opened(dask, 5, fold) as workers:
        for seed in (1, 2, 3):
            workers.submit(fragile.task(seed))
        with pytest.raises(ServiceUnavailable, match=r'"units": 8.*task 1\) has ended its worker 3 times'):
            # Which of the others is ready before, nobody knows.
            done.update(outcome.number for outcome in iter(workers.next, None))
        done |= {workers.next().number for _ in range(2 - len(done))}
    assert done == {2, 3}
    assert len(fold.noted("trained 1")) == DEATHS


@interrupted
def test_what_a_task_has_ended_before_all_workers_were_lost_counts(dask, tmp_path: Path) -> None:
    fold = Fragile(tmp_path, deaths={1: 99})
    first = [dask.worker(), dask.worker()]
    with opened(dask, 2, fold) as workers:
        workers.submit(fragile.task(1))

        def replace() -> None:
            for process in first:
                process.wait()
            for _ in first:
                dask.worker()

        threading.Thread(target=replace).start()
        with pytest.raises(ServiceUnavailable, match=r"task 1\) has ended its worker 3 times"):
            workers.next()
        workers.submit(fragile.task(2))
        assert workers.next().number == 2
    assert len(fold.noted("trained 1")) == DEATHS


def other_code(folder: Path) -> Path:
    """A checkout whose code differs by a comment."""
    (folder / "tests").mkdir(parents=True)
    (folder / "tests" / "fragile.py").symlink_to(CHECKOUT / "tests" / "fragile.py")
    shutil.copytree(CHECKOUT / "forecaster", folder / "forecaster", ignore=shutil.ignore_patterns("__pycache__", "gru"))
    (folder / "forecaster" / "gru").symlink_to(CHECKOUT / "forecaster" / "gru")  # compiled already
    with (folder / "forecaster" / "trials.py").open("a") as file:
        file.write("# another revision\n")
    return folder


def test_other_code_on_a_worker_is_refused_at_open_and_when_it_comes_later(dask, tmp_path: Path) -> None:
    other = other_code(tmp_path / "other")
    first = dask.worker()
    with Cluster(dask.address, [Fragile(tmp_path)]) as workers:
        dask.worker(code=other)
        first.terminate()
        workers.submit(fragile.task(1))
        with pytest.raises(ConfigError, match=r"would give other results: edgeloop code '\w+' \(here '\w+'\): install"):
            workers.next()
    with pytest.raises(ConfigError, match=r"Dask worker 'tcp://.*' would give other results: edgeloop code"):
        open_workers(dask.address, [])


def test_a_worker_without_our_code_is_refused(dask, tmp_path: Path) -> None:
    dask.worker(code=tmp_path)
    with pytest.raises(ConfigError, match=r"cannot run the project's code .*forecaster.*: install this checkout"):
        open_workers(dask.address, [])


def test_a_scheduler_without_workers_is_refused(dask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ANSWER", 0.5)
    with pytest.raises(ServiceUnavailable, match="has no workers: start some, dask worker tcp://"):
        open_workers(dask.address, [])


def test_where_no_scheduler_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ANSWER", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        for _ in ("refused", "silent"):
            with pytest.raises(
                ServiceUnavailable, match=f"{address}' does not answer .*: start it with dask scheduler"
            ):
                open_workers(address, [])
            silent.listen()


def test_a_cluster_with_certificates_lets_in_who_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, secret = map(str, certificate(tmp_path))
    options = ("--tls-ca-file", shown, "--tls-cert", shown, "--tls-key", secret)
    with DaskCluster(tmp_path, "tls", options) as dask:
        dask.scheduler()
        dask.worker()
        names = [f"distributed.comm.tls.{name}" for name in ("ca-file", "client.cert", "client.key")]
        with config.set(dict(zip(names, options[1::2], strict=True))):
            with open_workers(dask.address, [Fragile(tmp_path)]) as workers:
                assert all_of(workers, [fragile.task(1)])[1][0] == 1.0
            monkeypatch.setattr(session, "ANSWER", 1.0)
            with pytest.raises(ServiceUnavailable, match="does not answer"):
                open_workers(dask.address.replace("tls", "tcp"), [])


def test_tls_without_certificates_is_told() -> None:
    with pytest.raises(ConfigError, match="wants certificates: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE"):
        open_workers("tls://127.0.0.1:1", [])
