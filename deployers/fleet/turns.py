"""Turns of several rollouts, one after the other, until none has anything to wait for."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployers.deployment.rollout import gravest_error
from deployers.exceptions import DeployerError, DeploymentRunning, RolledBack, ServiceUnavailable
from deployers.fleet import record as events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from deployers.fleet.record import Record
    from deployers.fleet.rollout import Rollout

# What may be over by the next turn without anybody mending anything.
PASSING = (ServiceUnavailable, DeploymentRunning)


@dataclass(frozen=True)
class End:
    """Where a rollout stands after its last turn.

    Attributes:
        record: as its journal has it; None if it could not begin.
        error: why its last turn came to nothing; None if it did not.
    """

    record: Record | None = None
    error: DeployerError | None = None

    @property
    def is_over(self) -> bool:
        """Whether another turn would do nothing."""
        if self.error is not None:
            return not isinstance(self.error, PASSING)
        return self.record is not None and bool(self.record.result)


def take_turns(
    rollouts: Sequence[Rollout], say: Callable[[str], None], pause: Callable[[], None] | None
) -> dict[str, End]:
    """Take turns until every rollout has ended, and tell the hubs after each round and at the end.

    They are told beside the turns: one that hangs holds up no rollout.

    Args:
        rollouts: each with turns of its own; what goes wrong with one is no reason to leave the others.
        say: told what each waits for, once.
        pause: waits between two rounds; None for one round.
    """
    ends = {each.name: End() for each in rollouts}
    said = dict[str, str]()
    telling: Future[None] | None = None
    with ThreadPoolExecutor(1, "tell") as pool:
        while True:
            for each in rollouts:
                if not ends[each.name].is_over:
                    ends[each.name] = _turn(each)
                    line = _line(each.name, ends[each.name])
                    if line != said.get(each.name):
                        say(line)
                        said[each.name] = line
            if pause is None or all(end.is_over for end in ends.values()):
                break
            telling = _beside(pool, telling, rollouts, dict(ends))
            pause()
    if telling is not None:
        telling.result()
    _tell(rollouts, ends)
    return ends


def take_back(
    rollouts: Sequence[Rollout], found: Mapping[str, Record], because: str
) -> tuple[list[Record], DeployerError | None]:
    """Bring every device of rollouts under way back; and the gravest thing that went wrong with that."""
    done: list[Record] = []
    errors: list[DeployerError] = []
    for each in rollouts:
        record = found.get(each.name)
        if record is None or record.result:
            continue
        if record.failed is None:
            record = each.fail(record, f"stopped: {because}", is_verdict=False)
        try:
            record = each.go_back(record)
        except DeployerError as error:
            errors.append(error)
        done.append(record)
        if not record.result:
            msg = f"partition {each.name!r} is not back everywhere, expected every Jetson in reach: repeat the command"
            errors.append(ServiceUnavailable(msg))
    touched = {record.partition for record in done}
    for each in rollouts:  # when all are back as far as they can be: nothing of that waits for a page
        now = each.record if each.name in touched else None
        if now is not None:
            each.tell(now)
    return done, gravest_error(errors)


def gravest_end(ends: Iterable[End]) -> DeployerError | None:
    """What a command ends with: the gravest error, a rollback counted as one; None if there is none."""
    errors = list[DeployerError]()
    for end in ends:
        if end.error is not None:
            errors.append(end.error)
        elif end.record is not None and end.record.failed is not None:
            found = end.record
            errors.append(RolledBack(f"{found.partition}: {found.name} {found.state}: {found.reason}"))
    return gravest_error(errors)


def _turn(rollout: Rollout) -> End:
    try:
        return End(rollout.turn())
    except DeployerError as error:
        return End(rollout.record, error)


def _beside(
    pool: ThreadPoolExecutor, before: Future[None] | None, rollouts: Sequence[Rollout], ends: Mapping[str, End]
) -> Future[None]:
    """Tell the hubs while turns go on; not while those of a round before are still being told."""
    if before is not None:
        if not before.done():
            return before
        before.result()
    return pool.submit(_tell, rollouts, ends)


def _tell(rollouts: Sequence[Rollout], ends: Mapping[str, End]) -> None:
    for each in rollouts:
        found = ends[each.name].record
        if found is not None:
            each.tell(found)


def _line(name: str, end: End) -> str:
    found = end.record
    if end.error is not None:
        return f"{name}: {end.error}"
    assert found is not None  # noqa: S101 - a turn gives one or raises
    wave = f", wave {found.wave.name}" if found.wave is not None and not found.result else ""
    state = found.state if found.state != events.WAITING else "waits for"
    return f"{name}: {found.name}{wave}: {state} {found.reason}".rstrip()
