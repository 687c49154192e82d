"""What the hubs of a fleet are told of its rollouts: once for each change, and whoever was away as soon as may be."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from deployers.deployment import halting
from deployers.exceptions import InputError, Unreachable
from deployers.fleet import showing, telling
from deployers.fleet.partitions import Fleet
from deployers.fleet.turns import take_back, take_turns
from deployers.hub.fleet import Map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deployers.fleet.record import Record
    from deployers.fleet.rollout import Rollout
    from tests.unit.deployers.fleet.conftest import FleetWorld

EVERYONE = {"attic", "barn", "cellar", "den"}


def turn(rollouts: Sequence[Rollout]) -> Record:
    """One of each in this process; the first one's."""
    found = next(iter(take_turns(rollouts, lambda _: None, None).values())).record
    assert found is not None
    return found


def told(yard: FleetWorld) -> dict[str, list[Map]]:
    return {name: jetson.maps for name, jetson in yard.world.jetsons.items()}


def counts(yard: FleetWorld) -> dict[str, int]:
    return {name: len(maps) for name, maps in told(yard).items()}


def test_every_hub_of_the_partition_is_told_the_map_and_which_jetson_it_is(yard: FleetWorld) -> None:
    found = turn(yard.rollouts())
    assert counts(yard) == dict.fromkeys(EVERYONE, 1)
    for name, (only,) in told(yard).items():
        assert only.model_dump() == {"jetson": name, **showing.as_dict(found)}
    assert told(yard)["den"][0].waves[0].devices == {"attic/a1": "runs it", "attic/a2": "runs it"}


def test_it_is_told_once_for_each_change(yard: FleetWorld) -> None:
    rollouts = yard.rollouts()
    found = turn(rollouts)
    for _ in range(3):
        rollouts[0].tell(found)
    assert counts(yard) == dict.fromkeys(EVERYONE, 1)
    yard.seen()
    assert turn(rollouts).reason != found.reason
    assert counts(yard) == dict.fromkeys(EVERYONE, 2)


def test_nobody_is_connected_to_where_nothing_is_new(yard: FleetWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    rollouts = yard.rollouts()
    found = turn(rollouts)
    asked: list[Any] = []
    monkeypatch.setattr(telling, "look", lambda chosen, _: asked.append(chosen) or [])
    rollouts[0].tell(found)
    assert asked == []


def test_a_jetson_that_is_away_fails_nothing_and_is_told_with_the_next_turn(
    yard: FleetWorld, caplog: pytest.LogCaptureFixture
) -> None:
    yard.world.down["den"] = Unreachable("den is away")
    rollouts = yard.rollouts()
    for _ in range(2):
        assert turn(rollouts).state == "waits"
    assert counts(yard)["den"] == 0
    said = [line for line in caplog.messages if "den is away" in line]
    assert len(said) == 1, "of one reason once"
    assert "den: its page does not show where temperature-forecaster 2 stands" in said[0]
    yard.world.down.clear()
    found = turn(rollouts)
    assert [each.reason for each in told(yard)["den"]] == [found.reason]


def test_an_old_hub_fails_nothing_and_is_told_when_it_knows_how(
    yard: FleetWorld, caplog: pytest.LogCaptureFixture
) -> None:
    yard.world.jetsons["barn"].unknown = {"tell-fleet"}
    rollouts = yard.rollouts()
    assert turn(rollouts).state == "waits"
    assert counts(yard) == {**dict.fromkeys(EVERYONE, 1), "barn": 0}
    assert "No such command 'tell-fleet'" in caplog.text
    yard.world.jetsons["barn"].unknown = set()
    turn(rollouts)
    assert counts(yard)["barn"] == 1


def test_every_connection_is_closed_whether_it_is_told_or_not(yard: FleetWorld) -> None:
    opened: list[Any] = []
    yard.world.wrap = lambda connector: opened.append(connector) or connector
    yard.world.jetsons["barn"].unknown = {"tell-fleet"}
    found = yard.turn()
    yard.world.down["den"] = Unreachable("den is away")
    opened.clear()
    (rollout,) = yard.rollouts()
    rollout.tell(found)
    assert (len(opened), {each.closed for each in opened}) == (4, {1})


def test_a_rollout_that_failed_is_told_with_what_went_back(yard: FleetWorld) -> None:
    rollouts = yard.rollouts()
    turn(rollouts)
    yard.seen(model=0.19)
    yard.world.clock += 2 * 3600
    assert turn(rollouts).state == "rolled back"
    for maps in told(yard).values():
        assert (maps[-1].state, maps[-1].back.keys()) == ("rolled back", {"attic"})
        assert maps[-1].waves[0].devices == {"attic/a1": "back", "attic/a2": "back"}


def test_a_stop_that_rolls_back_is_told_when_all_are_back(yard: FleetWorld) -> None:
    rollouts = yard.rollouts()
    found = turn(rollouts)
    halting.stop(yard.world.home, "boards reboot", "Ann", 0.0)
    done, error = take_back(rollouts, {found.partition: found}, "boards reboot")
    assert (done[0].state, error) == ("rolled back", None)
    for maps in told(yard).values():
        assert (maps[-1].state, maps[-1].reason) == ("rolled back", "stopped: boards reboot")


def test_a_stop_tells_nobody_of_rollouts_that_had_ended(yard: FleetWorld) -> None:
    rollouts = yard.rollouts()
    found = yard.through()
    assert take_back(rollouts, {found.partition: found}, "boards reboot") == ([], None)
    assert counts(yard) == dict.fromkeys(EVERYONE, 0)


def test_a_turn_that_came_to_nothing_is_told_as_the_journal_has_it(yard: FleetWorld) -> None:
    rollouts = yard.rollouts()
    yard.turn()
    yard.world.home.mkdir(exist_ok=True)
    halting.stop(yard.world.home, "enough", "Ann", 0.0)
    end = take_turns(rollouts, lambda _: None, None)["fleet"]
    assert end.error is not None
    assert counts(yard) == dict.fromkeys(EVERYONE, 1)


def test_a_hub_that_hangs_holds_up_no_turn(yard: FleetWorld) -> None:
    yard.fleet = Fleet(waves=("100%",))
    rollouts, going, rounds = yard.rollouts(), threading.Event(), 0
    tell, threads = rollouts[0].tell, list[str]()

    def hanging(found: Record) -> None:
        threads.append(threading.current_thread().name)
        assert going.wait(60)
        tell(found)

    def pause() -> None:
        nonlocal rounds
        rounds += 1
        yard.seen()
        yard.world.clock += 9 * 3600
        if rounds == 3:
            assert len(threads) == 1, "one at a time"
            going.set()

    rollouts[0].tell = hanging  # type: ignore[method-assign]
    (end,) = take_turns(rollouts, lambda _: None, pause).values()
    assert end.record is not None
    assert (end.record.state, rounds >= 3) == ("confirmed", True)
    assert {maps[-1].state for maps in told(yard).values()} == {"confirmed"}


@pytest.mark.parametrize("hours", [0, 25])
def test_what_went_wrong_while_telling_beside_the_turns_is_not_lost(yard: FleetWorld, hours: int) -> None:
    yard.fleet = Fleet(waves=("100%",))
    rollouts, rounds = yard.rollouts(), 0

    def broken(_: Record) -> None:
        if threading.current_thread() is not threading.main_thread():
            msg = "a fault of ours"
            raise ZeroDivisionError(msg)

    def pause() -> None:
        nonlocal rounds
        rounds += 1
        assert rounds < 9, "it goes on as if nothing had been"
        yard.seen()
        yard.world.clock += hours * 3600

    rollouts[0].tell = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError, match="a fault of ours"):
        take_turns(rollouts, lambda _: None, pause)


def test_no_text_is_longer_than_a_hub_takes(yard: FleetWorld, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    (rollout,) = yard.rollouts()
    yard.turn()
    assert rollout.record is not None
    found = rollout.fail(rollout.record, "it is too warm " * 1000, is_verdict=False)
    rollout.tell(found)
    assert counts(yard) == dict.fromkeys(EVERYONE, 1)
    reason = told(yard)["attic"][0].reason
    assert (len(reason) <= telling.TEXT_MAX, reason[-2:]) == (True, " …")
    assert Map.model_fields["reason"].metadata[0].max_length == telling.TEXT_MAX


def test_a_host_that_nobody_may_trust_fails_nothing_either(yard: FleetWorld, caplog: pytest.LogCaptureFixture) -> None:
    found = yard.turn()
    yard.world.down["attic"] = InputError("attic: its host key is another one")
    (rollout,) = yard.rollouts()
    rollout.tell(found)
    assert counts(yard) == {**dict.fromkeys(EVERYONE, 1), "attic": 0}
    assert "its host key is another one" in caplog.text
