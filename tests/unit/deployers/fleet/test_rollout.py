"""Rollouts that last, on fake Jetsons: waves, gates, the way back, and what happens where they are cut off."""

from __future__ import annotations

from typing import Any

import pytest

from deployers.deployment import halting, quarantine
from deployers.exceptions import Conflict, GateFailed, ServiceUnavailable, Unreachable
from deployers.fleet import record
from deployers.fleet.partitions import Fleet
from deployers.journal import journals
from tests.unit.deployers.deployment.conftest import MODEL
from tests.unit.deployers.fleet.conftest import FleetWorld, row

EVERYWHERE_OLD = {"a1": "1", "a2": "1", "b1": "1", "c1": "1", "d1": "1"}


def commands(yard: FleetWorld, word: str) -> int:
    return sum("ctl" in words and word in words for each in yard.world.jetsons.values() for words in each.ran)


def test_a_wave_begins_when_the_one_before_has_passed_its_gate(yard: FleetWorld) -> None:
    found = yard.turn()
    assert (found.state, found.wave and found.wave.name) == ("waits", "canary")
    assert yard.models() == {**EVERYWHERE_OLD, "a1": "2", "a2": "2"}
    assert yard.later(1).reason == "23.0 h more of 24"
    assert yard.models()["b1"] == "1"
    found = yard.later(24)
    assert (found.state, found.wave and found.wave.name) == ("waits", "50%")
    assert yard.models() == {**EVERYWHERE_OLD, "a1": "2", "a2": "2", "b1": "2"}
    yard.later(25)
    assert set(yard.models().values()) == {"2"}
    found = yard.later(25)
    assert (found.state, found.failed, found.reason[:10]) == ("confirmed", None, "skill 0.40")
    yard.world.require_sound()


def test_a_canary_that_loses_skill_goes_back_and_nobody_else_ever_gets_the_version(yard: FleetWorld) -> None:
    yard.turn()
    found = yard.later(2, model=0.19)
    assert found.state == "rolled back"
    assert found.reason == "skill 0.050, 0.420 expected, at least 0.270 wanted"
    assert yard.models() == EVERYWHERE_OLD
    assert found.back.keys() == {"attic"}
    (held,) = quarantine.listed(yard.world.home)
    assert (held.model, held.version, held.because) == (MODEL, "2", f"{found.identity}: {found.reason}")
    assert len(held.release_sha256) == 64
    with pytest.raises(GateFailed, match=f"{MODEL} 2 is in quarantine since .*skill 0.050.*, expected another version"):
        yard.turn()
    assert yard.models() == EVERYWHERE_OLD
    yard.world.require_sound()


def test_a_later_wave_that_fails_brings_the_earlier_ones_back_too(yard: FleetWorld) -> None:
    yard.turn()
    yard.later(25)
    yard.seen()
    yard.world.jetsons["barn"].monitored["b1"]["part"] = "model"
    yard.world.jetsons["barn"].monitored["b1"] |= {"state": "alarm", "reason": "board and hub differ"}
    found = yard.turn()
    assert (found.state, found.reason) == ("rolled back", "barn/b1: board and hub differ")
    assert found.back.keys() == {"attic", "barn"}
    assert yard.models() == EVERYWHERE_OLD


@pytest.mark.parametrize("does", ["refuses", "reverts", "other"])
def test_a_board_that_does_not_keep_the_version_ends_the_rollout(yard: FleetWorld, does: str) -> None:
    yard.world.jetsons["attic"].boards["a2"].does = does
    found = yard.turn()
    assert (found.state, found.failed, found.is_verdict) == ("rolled back", "canary", True)
    assert yard.models() == EVERYWHERE_OLD
    assert [held.version for held in quarantine.listed(yard.world.home)] == ["2"]


def test_a_board_that_goes_back_by_itself_while_it_is_watched_fails_the_gate(yard: FleetWorld) -> None:
    yard.turn()
    yard.seen()
    board = yard.world.jetsons["attic"].boards["a1"]
    board.confirmed = min(board.slots)
    found = yard.turn()
    assert (found.state, found.reason[:16]) == ("rolled back", "attic/a1: it run")


def test_every_turn_may_be_the_first_of_a_new_process_and_nothing_is_done_twice(yard: FleetWorld) -> None:
    before = commands(yard, "forward")
    yard.turn()
    assert commands(yard, "forward") == before + 2
    for _ in range(3):
        yard.later(1)
    assert commands(yard, "forward") == before + 2
    (path,) = [each for each in journals(yard.world.home / record.FOLDER) if not record.read(each).result]
    with path.open("ab") as file:
        file.write(b'{"time": "2026", "event": "pas')  # killed while it wrote
    assert yard.later(25).wave is not None
    assert yard.models()["b1"] == "2"


def test_what_is_waited_for_is_written_down_once(yard: FleetWorld) -> None:
    found = yard.turn()
    for _ in range(3):
        found = yard.later(0)
    assert found.reason == "24.0 h more of 24"
    assert found.path.read_text().count('"waits"') == 2  # for forecasts, then for time


def test_each_board_is_judged_by_its_own_forecasts(yard: FleetWorld) -> None:
    """Two boards of one Jetson with too few each, though enough together."""
    yard.turn()
    few = yard.fleet.gate.pairs - 1
    found = yard.later(25, pairs=few)
    assert found.reason == f"{few + 1} forecasts compared with readings: attic/a1 {few}, attic/a2 {few}"


def test_who_is_out_of_reach_is_waited_for(yard: FleetWorld) -> None:
    yard.world.down = {"attic": Unreachable("attic is away")}
    with pytest.raises(ServiceUnavailable, match="attic is away"):
        yard.turn()
    yard.world.down = {}
    assert yard.turn().state == "waits"
    yard.world.down = {"attic": Unreachable("attic is away")}
    assert yard.later(25).reason == "an answer of attic/a1 (attic is away), attic/a2 (attic is away)"
    yard.world.down = {}
    yard.turn()
    assert yard.models()["b1"] == "2"


def test_a_wave_in_which_no_board_answers_is_not_through(yard: FleetWorld) -> None:
    yard.fleet = Fleet(waves=("canary", "100%"), parallel=2)
    boards = yard.world.jetsons["attic"].boards.values()
    for board in boards:
        board.does = "absent"
    with pytest.raises(ServiceUnavailable, match="attic"):
        yard.turn()
    (rollout,) = yard.rollouts()
    assert rollout.record is not None
    assert (rollout.record.state, rollout.record.taken) == ("deploys", {})
    for board in boards:
        board.does = "takes"
    assert yard.turn().state == "waits"
    assert yard.models() == {**EVERYWHERE_OLD, "a1": "2", "a2": "2"}


def test_as_many_as_may_be_away_are_left_out_and_told(yard: FleetWorld) -> None:
    yard.fleet = Fleet(waves=("canary", "100%"), max_failures=1)
    yard.world.jetsons["barn"].boards["b1"].does = "absent"
    found = yard.through()
    assert found.state == "confirmed"
    assert yard.models() == {**dict.fromkeys(EVERYWHERE_OLD, "2"), "b1": "1"}
    assert list(found.taken["100%"].left_out) == ["barn/b1"]
    yard.world.jetsons["barn"].boards["b1"].does = "takes"
    assert yard.turn().state == "waits"  # a new one, for what was left out
    assert yard.through().state == "confirmed"
    assert yard.models()["b1"] == "2"


def test_a_jetson_that_is_away_goes_back_when_it_is_there_again(yard: FleetWorld) -> None:
    yard.turn()
    yard.later(25)
    yard.seen(model=0.19)
    yard.world.wrap = lambda connector: cut(connector) if connector.name == "barn" else connector
    found = yard.turn()
    assert (found.state, found.back.keys()) == ("goes back", {"attic"})
    assert yard.models() == {**EVERYWHERE_OLD, "b1": "2"}
    yard.world.wrap = lambda connector: connector
    said = found.back["attic"]
    found = yard.turn()
    assert (found.state, found.back.keys()) == ("rolled back", {"attic", "barn"})
    assert found.back["attic"] == said  # asked once
    assert yard.models() == EVERYWHERE_OLD


def cut(connector: Any) -> Any:
    """A connection that answers questions and carries nothing out."""
    run = connector.run

    def refusing(command: Any) -> Any:
        if "activate" in command.plain() or "deployment.lock" in str(command.plain()):
            msg = "the connection went"
            raise Unreachable(msg)
        return run(command)

    connector.run = refusing
    return connector


def test_a_jetson_that_went_back_by_itself_goes_no_further_back(yard: FleetWorld) -> None:
    yard.through()
    yard.champions[MODEL] = "3"
    for board in yard.world.jetsons["attic"].boards.values():
        board.does = "refuses"
    found = yard.turn()
    assert (found.state, dict(found.back)) == ("rolled back", {"attic": "did not run it"})
    assert set(yard.models().values()) == {"2"}
    yard.world.require_sound()


def test_a_newer_version_takes_the_place_of_a_rollout_under_way(yard: FleetWorld) -> None:
    first = yard.turn()
    yard.champions[MODEL] = "3"
    second = yard.turn()
    assert record.read(first.path).result == "given up"
    assert (second.version, second.state) == ("3", "waits")
    assert yard.models() == {**EVERYWHERE_OLD, "a1": "3", "a2": "3"}


def test_a_version_that_was_let_out_of_quarantine_begins_anew(yard: FleetWorld) -> None:
    yard.turn()
    yard.later(2, model=0.19)
    quarantine.lift(yard.world.home, "2", "2026-11-22T10:00:00Z")
    assert yard.turn().state == "waits"
    assert yard.through().state == "confirmed"


def test_a_version_put_into_quarantine_by_hand_goes_back_at_once(yard: FleetWorld) -> None:
    yard.turn()
    quarantine.add(yard.world.home, quarantine.Held(MODEL, "2", "", "smells", "2026-11-22T10:00:00Z"))
    found = yard.turn()
    assert (found.state, found.reason) == ("rolled back", "in quarantine: smells")
    assert yard.models() == EVERYWHERE_OLD


def test_during_a_stop_nothing_begins_and_what_has_to_go_back_does(yard: FleetWorld) -> None:
    yard.turn()
    halting.stop(yard.world.home, "boards reboot", "Ann", 0.0)
    for hours in (1, 25):  # also while a gate only waits
        with pytest.raises(Conflict, match="stopped by Ann since 1970-01-01T00:00:00Z: 'boards reboot'"):
            yard.later(hours)
    assert yard.models()["b1"] == "1"
    (rollout,) = yard.rollouts()
    assert rollout.record is not None
    found = rollout.go_back(rollout.fail(rollout.record, "stopped", is_verdict=False))
    assert (found.state, yard.models()) == ("rolled back", EVERYWHERE_OLD)
    assert quarantine.listed(yard.world.home) == []
    halting.resume(yard.world.home)
    assert yard.turn().state == "waits"


def test_a_stop_in_the_middle_of_a_wave_leaves_the_rest_of_it(yard: FleetWorld) -> None:
    yard.fleet = Fleet(waves=("100%",), parallel=1)
    jetson = yard.world.jetsons["attic"]
    confirm = jetson._confirm  # noqa: SLF001

    def stopping(words: tuple[str, ...]) -> Any:
        halting.stop(yard.world.home, "enough", "Ann", 0.0)
        return confirm(words)

    jetson._confirm = stopping  # type: ignore[method-assign]  # noqa: SLF001
    with pytest.raises(Conflict, match="everything was stopped, 4 of 5 devices were not started"):
        yard.turn()
    assert yard.models() == {**EVERYWHERE_OLD, "a1": "2"}
    (rollout,) = yard.rollouts()
    assert rollout.record is not None
    rollout.go_back(rollout.fail(rollout.record, "enough", is_verdict=False))
    assert yard.models() == EVERYWHERE_OLD


def test_a_stop_after_a_failure_that_is_tolerated_takes_nobody_for_done(yard: FleetWorld) -> None:
    yard.fleet = Fleet(waves=("100%",), parallel=1, max_failures=1)
    yard.world.jetsons["attic"].boards["a1"].does = "absent"
    forward = yard.world.jetsons["attic"]._forward  # noqa: SLF001

    def stopping(words: tuple[str, ...]) -> Any:
        halting.stop(yard.world.home, "enough", "Ann", 0.0)
        return forward(words)

    yard.world.jetsons["attic"]._forward = stopping  # type: ignore[method-assign]  # noqa: SLF001
    with pytest.raises(Conflict, match="1 of 5 devices failed, 4 were not started"):
        yard.turn()
    (rollout,) = yard.rollouts()
    assert rollout.record is not None
    assert dict(rollout.record.taken) == {}


def test_the_first_model_of_all_has_nothing_to_go_back_to_and_that_is_said(yard: FleetWorld) -> None:
    fresh = yard.world.jetsons["cellar"]
    yard.fleet = Fleet(waves=("100%",), partition=[{"name": "new", "jetsons": ["cellar"], "model": "other"}])
    yard.champions["other"] = "1"
    for path in (fresh.root / "data/models").iterdir():
        path.rename(fresh.root / f"gone-{path.name}")
    fresh.active, fresh.boards["c1"].confirmed = None, 0
    yard.turn()
    found = yard.later(1, model=0.3)
    assert found.state == "rolled back"
    assert found.back["cellar"].startswith("stays: cellar runs version")


def test_through_is_through_until_a_device_is_added(yard: FleetWorld) -> None:
    first = yard.through()
    assert yard.turn() == first
    assert yard.fleet.waves_over(yard.fleet.divided(yard.world.inventory)["fleet"])[-1].name == "100%"
    for path in journals(yard.world.home / record.FOLDER):
        path.write_text(path.read_text().replace('["den", "d1"]', '["den", "d0"]'))
    assert yard.turn().identity != first.identity


def test_partitions_have_models_of_their_own_and_one_that_fails_leaves_the_others(yard: FleetWorld) -> None:
    north = {"name": "north", "jetsons": ["attic", "barn"], "model": "north"}
    yard.fleet = Fleet(waves=("100%",), partition=[north, {"name": "south", "jetsons": ["cellar", "den"]}])
    yard.champions["north"] = "7"
    for each in yard.rollouts():
        each.turn()
    assert yard.models() == {"a1": "7", "a2": "7", "b1": "7", "c1": "2", "d1": "2"}
    yard.seen()
    for name, jetson in yard.world.jetsons.items():
        if name in {"attic", "barn"}:
            jetson.monitored = {one: row(one, each.confirmed, model=0.3) for one, each in jetson.boards.items()}
    yard.world.clock += 25 * 3600
    assert [each.turn().state for each in yard.rollouts()] == ["rolled back", "confirmed"]
    assert yard.models() == {"a1": "1", "a2": "1", "b1": "1", "c1": "2", "d1": "2"}


def test_mlflow_is_told_of_the_quarantine(yard: FleetWorld) -> None:
    yard.turn()
    found = yard.later(2, model=0.19)
    told = yard.world.mlflow.tags[MODEL, "2"]["quarantined"]
    assert found.identity in told
