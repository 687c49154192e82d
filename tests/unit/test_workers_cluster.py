"""Tasks on a cluster whose connection is a stand-in: what is done when tasks, workers or the scheduler are lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker

from forecaster.errors import ConfigError, ServiceUnavailable
from forecaster.tasks import Outcome, Task
from forecaster.trials import Trial
from forecaster.workers import cluster, report, session
from forecaster.workers.cluster import Cluster
from tests import fragile

KILLED = KilledWorker("key", SimpleNamespace(address="tcp://10.0.0.7:1"), 3)  # type: ignore[arg-type]


class Future:
    """A future that is what the test says."""

    def __init__(self, status: str, value: Any = None) -> None:
        self.status, self.value = status, value

    def result(self) -> Any:
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


def done(number: int, peak: int = 100, worker: str = "w") -> Future:
    outcome = Outcome(number, Trial(0, 1.0, 1.0, np.ones(1), 1), np.zeros(1, np.float32), 0.1)
    return Future("finished", (worker, report.Report(outcome, peak)))


class Lab:
    """Stands for the scheduler: `answers` says what becomes of each task that is sent, in turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[Future] = []
        self.opened: list[Any] = []
        self.closed = 0
        self.workers = True
        self.refusal: Exception | None = None
        self.back_at = float("inf")
        self.waits: list[Callable[[], object]] = []
        self.now = 0.0
        lab = self

        class Session:
            threads = 3

            def __init__(self, _address: str, _folds: list[Any], starts: Counter[int]) -> None:
                if lab.refusal is not None and lab.opened and lab.now < lab.back_at:
                    raise lab.refusal
                lab.opened.append(self)
                self.starts, self.sent = starts, list[int]()
                lab.starts = starts

            def send(self, task: Task) -> Future:
                self.sent.append(task.number)
                answer = lab.answers.pop(0)
                if isinstance(answer.value, ClosedClientError):
                    raise answer.value
                return answer

            def wait(self, _futures: list[Future]) -> None:
                lab.now += 1.0
                if lab.waits:
                    lab.waits.pop(0)()

            def has_workers(self) -> bool:
                return lab.workers

            def close(self) -> None:
                lab.closed += 1

        def sleep(seconds: float) -> None:
            self.now += seconds

        monkeypatch.setattr(cluster, "Session", Session)
        monkeypatch.setattr(cluster, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=sleep))

    def opening(self, *answers: Future) -> Cluster:
        self.answers = list(answers)
        workers = Cluster("tcp://lab:1", [], patience=10.0)
        for number in range(len(answers)):
            workers.submit(fragile.task(number))
        return workers


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(monkeypatch)


def test_what_is_settled_comes_first_and_memory_is_the_most_of_each_worker(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "peak_bytes", lambda: 1000)
    with lab.opening(Future("pending"), done(1, 100, "a"), done(2, 300, "b"), done(3, 50, "a")) as workers:
        assert workers.count == 3
        assert [workers.next().number for _ in range(3)] == [1, 2, 3]
        assert workers.peak_bytes == 1400
    assert lab.closed == 1


@pytest.mark.parametrize("lost", [Future("cancelled"), Future("lost"), Future("finished")])
def test_all_that_is_open_is_sent_again_when_something_is_lost(lab: Lab, lost: Future) -> None:
    lost.value = session.CancelledError()
    with lab.opening(done(0), lost, Future("pending")) as workers:
        assert workers.next().number == 0
        lab.answers = [done(1), done(2)]
        assert [workers.next().number for _ in range(2)] == [1, 2]
    assert [each.sent for each in lab.opened] == [[0, 1, 2], [1, 2]]


@pytest.mark.parametrize("error", [OSError("gone"), TimeoutError(), session.CancelledError()])
def test_a_scheduler_that_is_lost_while_waiting_is_reached_again(lab: Lab, error: Exception) -> None:
    def away() -> None:
        lab.answers = [done(0)]
        raise error

    with lab.opening(Future("pending")) as workers:
        lab.waits = [away]
        assert workers.next().number == 0
    assert len(lab.opened) == 2


def test_a_task_that_could_not_be_sent_is_sent_to_who_comes_back(lab: Lab) -> None:
    unsent = Future("pending", ClosedClientError("closed"))
    with lab.opening(Future("pending"), unsent) as workers:
        lab.answers = [done(0), unsent, done(0), done(1)]
        assert [workers.next().number for _ in range(2)] == [0, 1]
    assert len(lab.opened) == 3


def test_a_scheduler_that_stays_away_is_told_after_a_while(lab: Lab) -> None:
    with lab.opening(Future("cancelled", session.CancelledError())) as workers:
        lab.refusal = ServiceUnavailable("no answer")
        with pytest.raises(ServiceUnavailable, match=r"no answer; waited 10 s: what was trained is kept, run the com"):
            workers.next()
        assert 10 < lab.now < 13


def test_workers_that_would_give_other_results_are_not_waited_for(lab: Lab) -> None:
    with lab.opening(Future("cancelled", session.CancelledError())) as workers:
        lab.refusal = ConfigError("numpy '2.0'")
        with pytest.raises(ConfigError, match="numpy"):
            workers.next()
        assert lab.now == 0


def test_workers_that_stay_away_are_told_after_a_while(lab: Lab) -> None:
    with lab.opening(Future("pending")) as workers:
        lab.workers = False
        with pytest.raises(ServiceUnavailable, match=r"'tcp://lab:1' has no workers; waited 10 s"):
            workers.next()
        assert lab.now == 11


def test_workers_that_come_back_in_time_are_given_all_the_time_again(lab: Lab) -> None:
    def back() -> None:
        lab.workers = True

    def gone() -> None:
        lab.workers = False

    def ready() -> None:
        future.status, future.value = "finished", done(0).value

    future = Future("pending")
    with lab.opening(future) as workers:
        lab.waits = [gone, *[int] * 7, back, gone, *[int] * 7, ready]
        assert workers.next().number == 0


def test_the_time_a_scheduler_was_away_does_not_count_against_its_workers(lab: Lab) -> None:
    def ready() -> None:
        future.status, future.value = "finished", done(0).value

    future = Future("pending")
    with lab.opening(Future("cancelled", session.CancelledError())) as workers:
        lab.refusal, lab.back_at = ServiceUnavailable("no answer"), 8.0
        lab.answers, lab.workers = [future], False
        lab.waits = [*[int] * 5, ready]
        assert workers.next().number == 0
        assert lab.now == 14


def test_losses_without_an_outcome_between_them_end_the_search(lab: Lab) -> None:
    with lab.opening(Future("cancelled", session.CancelledError())) as workers:
        lab.answers = [Future("cancelled", session.CancelledError()) for _ in range(cluster.SETBACKS)]
        with pytest.raises(
            ServiceUnavailable, match=f"were lost {cluster.SETBACKS} times in a row: look at their logs"
        ):
            workers.next()


def test_an_outcome_between_losses_counts_them_anew(lab: Lab) -> None:
    with lab.opening(*[Future("cancelled", session.CancelledError()) for _ in range(30)]) as workers:
        for number in range(30):
            left = 29 - number
            lab.answers = [done(number), *[Future("cancelled", session.CancelledError()) for _ in range(left)]]
            assert workers.next().number == number


@pytest.mark.parametrize(
    ("starts", "told"),
    [(3, r"task 0\) has ended its worker 3 times"), (0, "end before they begin a task, .*'tcp://10.0.0.7:1'")],
)
def test_a_task_that_dask_gives_up_is_told_apart_from_workers_that_begin_nothing(
    lab: Lab, starts: int, told: str
) -> None:
    with lab.opening(Future("error", KILLED), done(1)) as workers:
        lab.starts[0] = starts
        with pytest.raises(ServiceUnavailable, match=told):
            workers.next()
        assert workers.next().number == 1


def test_what_a_training_raises_comes_out_once(lab: Lab) -> None:
    with lab.opening(Future("error", fragile.NotTrainedError("seed 0")), done(1)) as workers:
        with pytest.raises(fragile.NotTrainedError):
            workers.next()
        assert workers.next().number == 1
        with pytest.raises(IndexError):
            workers.next()
