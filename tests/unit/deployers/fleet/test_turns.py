"""Turns of several rollouts: who gets another one, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from deployers.exceptions import BoardRefused, DeployerError, DeploymentRunning, InputError, RemoteFailed, Unreachable
from deployers.fleet.record import CONFIRMED, Record
from deployers.fleet.turns import take_turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deployers.fleet.rollout import Rollout

WAITS = Record(Path("fleet.jsonl"), "fleet", "model", "1", reason="for a reading")
DONE = Record(Path("fleet.jsonl"), "fleet", "model", "1", result=CONFIRMED)


class Scripted:
    """Turns as they are written down; another one than those fails the test."""

    record = None

    def __init__(self, name: str, *turns: Record | DeployerError) -> None:
        self.name, self.left, self.told = name, list(turns), list[Record]()

    def turn(self) -> Record:
        assert self.left, f"{self.name} got a turn too many"
        found = self.left.pop(0)
        if isinstance(found, DeployerError):
            raise found
        return found

    def tell(self, found: Record) -> None:
        self.told.append(found)


def run(*rollouts: Scripted, rounds: int = 5) -> tuple[list[str], dict[str, Any]]:
    """What was said, and the ends; so many rounds at most."""
    said, pauses = list[str](), iter(range(rounds - 1))

    def pause() -> None:
        if next(pauses, None) is None:
            pytest.fail("another round is waited for")

    ends = take_turns(cast("Sequence[Rollout]", rollouts), said.append, pause)
    return said, ends


@pytest.mark.parametrize("error", [Unreachable("attic is away"), RemoteFailed("no space"), DeploymentRunning("busy")])
def test_what_may_be_over_by_itself_gets_another_turn(error: DeployerError) -> None:
    rollout = Scripted("fleet", error, error, DONE)
    said, ends = run(rollout)
    assert rollout.left == []
    assert ends["fleet"].record is DONE
    assert said[0] == f"fleet: {error}"
    assert len(said) == 2, "the same is not said twice"


@pytest.mark.parametrize("error", [InputError("no such model"), BoardRefused("signature")])
def test_what_somebody_must_mend_ends_a_rollout_and_no_other(error: DeployerError) -> None:
    ended, other = Scripted("one", error, DONE), Scripted("two", WAITS, WAITS, DONE)
    _, ends = run(ended, other)
    assert (ended.left, other.left) == ([DONE], [])
    assert (ends["one"].error, ends["two"].record) == (error, DONE)


def test_a_rollout_that_has_ended_gets_no_turn_and_one_that_waits_gets_one() -> None:
    ended, waiting = Scripted("one", DONE), Scripted("two", WAITS, DONE)
    _, ends = run(ended, waiting)
    assert {name: end.record for name, end in ends.items()} == {"one": DONE, "two": DONE}
    assert (ended.told[-1], waiting.told[-1]) == (DONE, DONE)


def test_without_a_pause_there_is_one_round() -> None:
    rollout = Scripted("fleet", WAITS, DONE)
    ends = take_turns(cast("Sequence[Rollout]", [rollout]), lambda _: None, None)
    assert (ends["fleet"].record, rollout.left, rollout.told) == (WAITS, [DONE], [WAITS])
