from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployers.exceptions import BoardRefused, Conflict, DeployerError, NotFound, RolledBack, ServiceUnavailable
from deployers.hub import rollout
from deployers.hub.boards import UnknownBoardError
from deployers.hub.jobs import Job
from deployers.hub.rollout import ConfirmedSince, Rollout
from deployers.link import LinkLostError
from deployers.protocol.messages import SlotState
from tests.hub_parts import STATE, Parts

Call = Callable[[Rollout, Job], Coroutine[Any, Any, dict[str, Any]]]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "POLL_SECONDS", 0.001)


@pytest.fixture
def parts() -> Parts:
    return Parts(1, 2, 3, active=1, boards=["a", "b", "c"])


@pytest.fixture
def run(parts: Parts, tmp_path: Path) -> Callable[[Call], Any]:
    """Run one call; returns what came of it, and the job."""
    made = Rollout(
        parts.catalogue,
        parts.boards,
        parts.store,
        parts.live,
        ConfirmedSince(tmp_path / "boards.json", lambda: 77),
        0.05,  # type: ignore[arg-type]
    )

    def once(call: Call) -> tuple[Any, Job]:
        job = Job("20260101T000000-00000000", "test", {}, 0)

        async def both() -> Any:
            try:
                return await call(made, job)
            except DeployerError as error:
                return error

        return asyncio.run(both()), job

    once.rollout = made  # type: ignore[attr-defined]
    return once


def states(result: dict[str, Any]) -> dict[str, str]:
    return {row["board"]: row["state"] for row in result["boards"]}


def test_a_version_is_forwarded_and_waits_in_test(run, parts: Parts) -> None:
    found, job = run(lambda r, job: r.forward(job, "a", 2))
    assert found == {"board": "a", "version": 2, "state": "test", "bytes": 800, "resumed_from": 0}
    assert parts.boards.boards["a"].state.slot_state is SlotState.TEST
    assert job.lines[0] == "a: takes version 2"


def test_a_version_that_runs_already_is_not_sent_again(run, parts: Parts) -> None:
    found, _ = run(lambda r, job: r.forward(job, "a", 1))
    assert found == {"board": "a", "version": 1, "state": "confirmed", "bytes": 0, "resumed_from": 800}
    assert ("transfer", "a") not in parts.boards.calls


def test_another_version_in_test_goes_back_first(run, parts: Parts) -> None:
    parts.boards.boards["a"].state = replace(STATE, slot_state=SlotState.TEST, model_version=3)
    found, _ = run(lambda r, job: r.forward(job, "a", 2))
    assert found["state"] == "test"
    assert [call for call, _ in parts.boards.calls][:3] == ["status", "revert", "transfer"]


def test_what_was_there_of_a_cut_transfer_is_told(run, parts: Parts) -> None:
    parts.boards.boards["a"].in_place = 300
    found, _ = run(lambda r, job: r.forward(job, "a", 2))
    assert (found["bytes"], found["resumed_from"]) == (500, 300)


def test_a_version_that_is_not_here_is_not_forwarded(run) -> None:
    assert isinstance(run(lambda r, job: r.forward(job, "a", 9))[0], NotFound)


def test_a_board_that_refuses_says_so(run, parts: Parts) -> None:
    parts.boards.boards["a"].refuses = BoardRefused("status 12 (IMAGE_SIGNATURE)")
    error, _ = run(lambda r, job: r.forward(job, "a", 2))
    assert isinstance(error, BoardRefused)
    assert "IMAGE_SIGNATURE" in str(error)


def test_a_board_that_comes_back_without_the_version_has_refused_it(run, parts: Parts) -> None:
    parts.boards.boards["a"].returns = False
    error, _ = run(lambda r, job: r.forward(job, "a", 2))
    assert isinstance(error, BoardRefused)
    assert "is back with version 1" in str(error)


def test_an_absent_board_is_told_apart_from_an_unknown_one(run, parts: Parts) -> None:
    parts.boards.boards["a"].online = False
    assert isinstance(run(lambda r, job: r.forward(job, "a", 2))[0], LinkLostError)
    assert isinstance(run(lambda r, job: r.forward(job, "z", 2))[0], UnknownBoardError)


def test_a_version_whose_forecasts_agree_is_confirmed(run, parts: Parts) -> None:
    run(lambda r, job: r.forward(job, "a", 2))
    found, _ = run(lambda r, job: r.confirm(job, "a", 2))
    assert (found["state"], found["agreed_within"]) == ("confirmed", pytest.approx(0.001))
    assert parts.boards.boards["a"].state.slot_state is SlotState.CONFIRMED
    assert run.rollout.confirmed.since("a", 2) == 77
    assert run.rollout.confirmed.since("a", 1) is None
    assert run.rollout.confirmed.since("b", 2) is None


def test_a_confirmed_version_is_confirmed_at_once(run, parts: Parts) -> None:
    found, _ = run(lambda r, job: r.confirm(job, "a", 1))
    assert found == {"board": "a", "version": 1, "state": "confirmed", "agreed_within": None, "waited_seconds": 0.0}
    assert ("confirm", "a") not in parts.boards.calls


def test_forecasts_that_disagree_send_the_board_back(run, parts: Parts) -> None:
    parts.boards.on_test = parts.disagree
    run(lambda r, job: r.forward(job, "a", 2))
    error, job = run(lambda r, job: r.confirm(job, "a", 2))
    assert isinstance(error, RolledBack)
    assert "8 °C from the hub's" in str(error)
    assert parts.boards.boards["a"].state == STATE
    assert job.result == {"board": "a", "version": 2, "state": "reverted", "running": 1, "error": str(error)}


def test_forecasts_within_the_bound_only_after_one_outside_it_agree(run, parts: Parts) -> None:
    run(lambda r, job: r.forward(job, "a", 2))
    parts.store.made.insert(0, replace(parts.store.made[0], time_ms=0, celsius=(90.0, 90.0)))
    parts.live.own["a", 0, 2] = (20.0, 20.0)
    found, _ = run(lambda r, job: r.confirm(job, "a", 2))
    assert found["state"] == "confirmed"


def test_no_forecast_in_time_sends_the_board_back(run, parts: Parts) -> None:
    parts.boards.on_test = lambda *_: None
    run(lambda r, job: r.forward(job, "a", 2))
    error, _ = run(lambda r, job: r.confirm(job, "a", 2, 0.02))
    assert isinstance(error, RolledBack)
    assert "within 0.02 s" in str(error)
    assert parts.boards.boards["a"].state == STATE


@pytest.mark.parametrize("field", ["version", "slot_state"])
def test_forecasts_of_another_version_or_before_the_test_do_not_count(run, parts: Parts, field: str) -> None:
    run(lambda r, job: r.forward(job, "a", 2))
    other = {"version": 1} if field == "version" else {"slot_state": SlotState.CONFIRMED}
    parts.store.made = [replace(made, **other) for made in parts.store.made]
    parts.live.own["a", 600_000, 1] = parts.live.own["a", 600_000, 2]
    assert isinstance(run(lambda r, job: r.confirm(job, "a", 2, 0.02))[0], RolledBack)


@pytest.mark.parametrize("made", [(float("nan"), 20.0), (20.0,), (20.0, 20.02)])
def test_nan_another_horizon_or_too_far_is_no_agreement(run, parts: Parts, made: tuple[float, ...]) -> None:
    run(lambda r, job: r.forward(job, "a", 2))
    parts.store.made = [replace(forecast, celsius=made) for forecast in parts.store.made]
    parts.live.own["a", 600_000, 2] = (20.0, 20.0)
    assert isinstance(run(lambda r, job: r.confirm(job, "a", 2, 0.02))[0], RolledBack)


def test_a_board_that_went_back_by_itself_is_not_confirmed(run, parts: Parts) -> None:
    error, job = run(lambda r, job: r.confirm(job, "a", 2))
    assert isinstance(error, RolledBack)
    assert "went back by itself" in str(error)
    assert job.result["running"] == 1
    assert ("confirm", "a") not in parts.boards.calls


def test_a_version_in_test_is_reverted(run, parts: Parts) -> None:
    run(lambda r, job: r.forward(job, "a", 2))
    found, _ = run(lambda r, job: r.revert(job, "a", 2))
    assert found == {"board": "a", "version": 2, "state": "reverted", "running": 1}


def test_a_confirmed_version_cannot_be_reverted(run) -> None:
    assert isinstance(run(lambda r, job: r.revert(job, "a", 1))[0], Conflict)


def test_a_deployment_reaches_hub_and_boards(run, parts: Parts) -> None:
    found, _ = run(lambda r, job: r.deploy(job, 2, None, 1))
    assert (found["active"], found["before"]) == (2, 1)
    assert states(found) == {"a": "confirmed", "b": "confirmed", "c": "confirmed"}
    assert parts.catalogue.active.version == 2


def test_a_deployment_that_no_board_takes_leaves_everything_as_it_was(run, parts: Parts) -> None:
    parts.boards.on_test = parts.disagree
    error, job = run(lambda r, job: r.deploy(job, 2, None, 1))
    assert isinstance(error, RolledBack)
    assert states(job.result) == {"a": "reverted", "b": "skipped", "c": "skipped"}
    assert job.result["active"] == 1
    assert parts.catalogue.active.version == 1
    assert [board.state for board in parts.boards.boards.values()] == [STATE] * 3


@pytest.fixture
def cut_off(run, parts: Parts) -> None:
    """Version 2 is active on the hub, and no board was there to take it."""
    asyncio.run(parts.catalogue.activate(2))


@pytest.mark.usefixtures("cut_off")
def test_a_deployment_that_was_cut_off_goes_back_to_what_ran_before_it(run, parts: Parts) -> None:
    parts.boards.on_test = parts.disagree
    error, job = run(lambda r, job: r.deploy(job, 2, None, 1))
    assert isinstance(error, RolledBack)
    assert "the hub runs 1 again" in str(error)
    assert (job.result["before"], job.result["active"], parts.catalogue.active.version) == (1, 1, 1)


@pytest.mark.usefixtures("cut_off")
def test_a_hub_stays_on_a_version_that_a_board_runs_which_was_not_asked(run, parts: Parts) -> None:
    parts.boards.boards["c"].state = replace(STATE, slot_state=SlotState.CONFIRMED, model_version=2)
    parts.boards.on_test = parts.disagree
    error, job = run(lambda r, job: r.deploy(job, 2, ["a"], 1))
    assert isinstance(error, BoardRefused)
    assert (job.result["active"], parts.catalogue.active.version) == (2, 2)


def test_a_first_model_that_no_board_takes_stays_on_the_hub(run, parts: Parts) -> None:
    parts.catalogue.active = None
    parts.boards.on_test = parts.disagree
    error, job = run(lambda r, job: r.deploy(job, 2, None, 1))
    assert isinstance(error, BoardRefused)
    assert "again" not in str(error)
    assert job.result["active"] == 2


def test_a_forecast_is_waited_for_as_long_as_readings_take(run, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    parts.catalogue.views[2].cadence_seconds = 1
    waited = list[float]()

    async def compare(job: Job, board: str, version: int, seconds: float) -> tuple[float, str]:
        waited.append(seconds)
        return 0.0, ""

    monkeypatch.setattr(run.rollout, "_compare", compare)
    for seconds in (None, 0.5):
        run(lambda r, job: r.forward(job, "a", 2))
        run(lambda r, job, seconds=seconds: r.confirm(job, "a", 2, seconds))
        parts.boards.boards["a"].state = STATE
    run.rollout.seconds = 7.0
    run(lambda r, job: r.forward(job, "a", 2))
    run(lambda r, job: r.confirm(job, "a", 2))
    assert waited == [2, 0.5, 7]


def test_a_deployment_that_some_boards_take_stays_and_is_no_success(run, parts: Parts) -> None:
    parts.boards.boards["b"].refuses = BoardRefused("no")
    error, job = run(lambda r, job: r.deploy(job, 2, None, 2))
    assert isinstance(error, BoardRefused)
    assert states(job.result) == {"a": "confirmed", "b": "refused", "c": "confirmed"}
    assert parts.catalogue.active.version == 2


def test_the_bound_on_failures_stops_a_deployment(run, parts: Parts) -> None:
    parts.boards.boards["b"].refuses = BoardRefused("no")
    _, job = run(lambda r, job: r.deploy(job, 2, None, 1))
    assert states(job.result) == {"a": "confirmed", "b": "refused", "c": "skipped"}
    assert ("transfer", "c") not in parts.boards.calls


def test_boards_that_are_away_are_left_out_unless_they_are_named(run, parts: Parts) -> None:
    parts.boards.boards["b"].online = False
    found, _ = run(lambda r, job: r.deploy(job, 2, None, 1))
    assert states(found) == {"a": "confirmed", "b": "absent", "c": "confirmed"}
    error, job = run(lambda r, job: r.deploy(job, 3, ["b", "a"], 1))
    assert isinstance(error, RolledBack)
    assert "not connected" in str(error)
    assert states(job.result) == {"b": "absent", "a": "skipped"}


def test_a_store_that_fails_during_the_test_sends_the_board_back(run, parts: Parts) -> None:
    def fail(*_: Any) -> None:
        parts.store.failure = ServiceUnavailable("disk full")

    parts.boards.on_test = fail
    _, job = run(lambda r, job: r.deploy(job, 2, ["a"], 1))
    assert job.result["boards"][0]["error"] == "disk full"
    assert parts.boards.boards["a"].state == STATE


def test_a_board_that_is_not_known_stops_before_anything_is_done(run, parts: Parts) -> None:
    with pytest.raises(UnknownBoardError):
        run.rollout.wanted(["a", "z"])
    assert run.rollout.wanted(["a", "a"]) == ["a"]


def test_a_rollback_activates_the_way_back_everywhere(run, parts: Parts) -> None:
    run(lambda r, job: r.deploy(job, 2, None, 1))
    parts.catalogue.views[3].way_back_for = 2
    found, _ = run(lambda r, job: r.rollback(job, None))
    assert (found["active"], found["before"]) == (3, 2)
    assert states(found) == {"a": "confirmed", "b": "confirmed", "c": "confirmed"}


def test_a_rollback_goes_on_past_boards_that_refuse(run, parts: Parts) -> None:
    parts.catalogue.views[2].way_back_for = 1
    parts.boards.boards["a"].refuses = BoardRefused("no")
    error, job = run(lambda r, job: r.rollback(job, None))
    assert isinstance(error, BoardRefused)
    assert states(job.result) == {"a": "refused", "b": "confirmed", "c": "confirmed"}
    assert parts.catalogue.active.version == 2


def test_without_a_way_back_nothing_is_rolled_back(run, parts: Parts) -> None:
    error, _ = run(lambda r, job: r.rollback(job, None))
    assert isinstance(error, Conflict)
    assert "version 1 has no way back" in str(error)
    parts.catalogue.active = None
    assert "no model is active" in str(run(lambda r, job: r.rollback(job, None))[0])


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}', b"\xff"])
def test_a_spoilt_file_of_confirmations_begins_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "boards.json"
    path.write_bytes(content)
    found = ConfirmedSince(path, lambda: 5)
    assert found.since("a", 1) is None
    found.note("a", 1)
    assert ConfirmedSince(path).since("a", 1) == 5


def test_forecasts_of_an_earlier_test_of_the_same_version_say_nothing_about_this_one(run, parts: Parts) -> None:
    run(lambda r, job: r.forward(job, "a", 2))
    run(lambda r, job: r.revert(job, "a", 2))
    parts.boards.on_test = lambda *_: None  # and now it makes none
    run(lambda r, job: r.forward(job, "a", 2))
    error, _ = run(lambda r, job: r.confirm(job, "a", 2, 0.02))
    assert isinstance(error, RolledBack)
    assert parts.boards.boards["a"].state == STATE


def test_a_confirmed_board_stays_so_if_the_disk_does_not_take_the_note(
    run, parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rollout, "write_private", full)
    found, _ = run(lambda r, job: r.deploy(job, 2, None, 1))
    assert states(found) == {"a": "confirmed", "b": "confirmed", "c": "confirmed"}
    assert run.rollout.confirmed.since("c", 2) == 77
    assert "No space left" in caplog.text
