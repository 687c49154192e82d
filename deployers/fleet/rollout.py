"""A rollout that lasts: a wave, its gate, the next wave; at the first verdict against the version, everything back.

`turn` does what can be done now and says what it waits for. What was done is in a journal, so that a rollout outlives
the process, the machine and any number of turns: a turn that is repeated does nothing twice.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from deployers.deployment import quarantine
from deployers.deployment.deployment import deploy
from deployers.deployment.going_back import EVERYTHING, Back, roll_back
from deployers.deployment.halting import require_going
from deployers.deployment.looking import look
from deployers.deployment.plan import Patience
from deployers.deployment.preparing import Request
from deployers.deployment.rollout import VERDICTS, Limits
from deployers.deployment.telling import stamp
from deployers.deployment.wanted import options_of
from deployers.exceptions import Conflict, ConversionError, GateFailed, ServiceUnavailable
from deployers.fleet import record as events
from deployers.fleet.gate import judge
from deployers.fleet.health import ask
from deployers.fleet.partitions import of_wave
from deployers.fleet.telling import Teller
from deployers.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deployers.deployment.looking import Reach, Seen
    from deployers.deployment.preparing import Around
    from deployers.deployment.report import Report
    from deployers.deployment.selection import Selected
    from deployers.deployment.watching import Watcher
    from deployers.deployment.waves import Wave
    from deployers.fleet.gate import Verdict
    from deployers.fleet.partitions import Fleet, Partition
    from deployers.fleet.record import Record

HOUR = 3600.0
OUT_OF_REACH = "out of reach"


@dataclass(frozen=True)
class Outside:
    """Everything outside a rollout; tests put others in its place.

    Attributes:
        home: the deployer's folder.
        reach: how Jetsons are reached.
        around: of a deployment, by its devices, model and version.
        resolve: the number of a model's version or alias.
        tell: tells MLflow what is pending.
        watcher: told of the progress.
        clock: seconds since 1970.
    """

    home: Path
    reach: Reach
    around: Callable[[Sequence[Selected], str, str], Around]
    resolve: Callable[[str, str], str]
    tell: Callable[[Path], int]
    watcher: Watcher
    clock: Callable[[], float] = field(default=time.time)


class Rollout:
    """The rollout of one partition.

    Args:
        fleet: how it goes.
        partition: which model goes where.
        chosen: its Jetsons.
        outside: everything outside.
    """

    def __init__(self, fleet: Fleet, partition: Partition, chosen: Sequence[Selected], outside: Outside) -> None:
        self._fleet, self._partition, self._chosen, self._outside = fleet, partition, tuple(chosen), outside
        self._teller = Teller(chosen, outside.reach)

    @property
    def name(self) -> str:
        """Of the partition."""
        return self._partition.name

    @property
    def record(self) -> Record | None:
        """The newest rollout of the partition; None before the first."""
        return events.latest(self._outside.home, self.name)

    def turn(self) -> Record:
        """Do what can be done now; a rollout of another version that has not ended is given up.

        Returns:
            Where it stands now.

        Raises:
            Conflict: there is an emergency stop; what has to go back goes back nevertheless.
            GateFailed: the version is in quarantine, and nothing of it is under way.
            DeployerError: what a person has to mend first: configuration, keys, a host key.
        """
        found = self.record
        if found is not None and found.state == events.GOING_BACK:
            return self.go_back(found)
        require_going(self._outside.home)
        version = self._outside.resolve(self._partition.model, self._partition.version)
        if found is None or not self._goes_on(found, version):
            found = self._opened(found, version)
        goes_on = not found.result
        while goes_on and found.failed is None and found.wave is not None:
            found, goes_on = self._step(found, found.wave)
        if found.failed is not None:
            return self.go_back(found)
        return self._closed(found, events.CONFIRMED) if goes_on else found

    def go_back(self, found: Record) -> Record:
        """Bring every device of a rollout that failed back to what ran before; again where one is out of reach."""
        for each in of_wave(self._chosen, found.devices):
            if each.jetson.name not in found.back:
                said = self._jetson_back(found, each)
                if said == OUT_OF_REACH:
                    continue
                found = self._write(found, events.WENT_BACK, jetson=each.jetson.name, said=said)
        left = {device.jetson for device in found.devices} & {each.jetson.name for each in self._chosen}
        return found if left - found.back.keys() else self._closed(found, events.ROLLED_BACK)

    def fail(self, found: Record, reason: str, *, is_verdict: bool, numbers: dict[str, object] | None = None) -> Record:
        """A rollout has failed; a verdict against its version puts that into quarantine first."""
        if is_verdict:
            because = f"{found.identity}: {reason}"
            held = quarantine.Held(
                found.model, found.version, found.release_sha256, because, stamp(self._outside.clock())
            )
            quarantine.add(self._outside.home, held)
        wave = found.wave.name if found.wave is not None else found.waves[-1].name
        told = {"release_sha256": found.release_sha256, "is_verdict": is_verdict, "numbers": numbers or {}}
        return self._write(found, events.FAILED, wave=wave, reason=reason, **told)

    def tell(self, found: Record) -> None:
        """Tell the hubs of the partition where it stands, for their pages; who is away is told another time."""
        self._teller.tell(found)

    def _goes_on(self, found: Record, version: str) -> bool:
        """Whether it is the rollout that is wanted: of this version, and under way or through on every device."""
        if (found.model, found.version) != (self._partition.model, version):
            return False
        wanted = {device for each in self._chosen for device in each.devices}
        taken = {device for each in found.taken.values() for device in each.devices}
        return not found.result or (found.result == events.CONFIRMED and wanted <= taken)

    def _opened(self, before: Record | None, version: str) -> Record:
        partition, home = self._partition, self._outside.home
        quarantine.require_free(home, partition.model, version)
        if before is not None and not before.result:
            self._closed(before, events.GIVEN_UP)
        journal = Journal.create(home / events.FOLDER, events.KIND, self._outside.clock)
        waves = [
            {"name": wave.name, "devices": [[each.jetson, each.board] for each in wave.devices]}
            for wave in self._fleet.waves_over(self._chosen)
        ]
        told = {"partition": partition.name, "model": partition.model, "version": version, "waves": waves}
        journal.write(events.OPENED, **told)
        journal.release()
        return events.read(journal.path)

    def _step(self, found: Record, wave: Wave) -> tuple[Record, bool]:
        """Deploy a wave, or judge it; and whether anything but waiting can be done after it."""
        held = quarantine.held(self._outside.home, found.model, found.version, found.release_sha256)
        if held is not None:
            return self.fail(found, f"in quarantine: {held.because}", is_verdict=True), True
        if wave.name not in found.taken:
            return self._deploy(found, wave), True
        verdict = self._judged(found, (self._outside.clock() - found.taken[wave.name].at) / HOUR)
        numbers = dict(verdict.numbers)
        if verdict.state == "failed":
            return self.fail(found, verdict.reason, is_verdict=True, numbers=numbers), True
        told = {"wave": wave.name, "reason": verdict.reason, "numbers": numbers}
        if verdict.state == "healthy":
            return self._write(found, events.PASSED, **told), True
        if found.reason != verdict.reason:  # written down once, and not at every turn
            return self._write(found, events.WAITS, **told), False
        return replace(found, numbers=numbers), False

    def _judged(self, found: Record, hours: float) -> Verdict:
        """By all devices that took the version so far."""
        devices = [device for taken in found.taken.values() for device in taken.devices]
        versions = {jetson: number for taken in found.taken.values() for jetson, number in taken.versions.items()}
        return judge(self._fleet.gate, ask(of_wave(self._chosen, devices), self._outside.reach, versions), hours)

    def _deploy(self, found: Record, wave: Wave) -> Record:
        from deployers.conversion.budget import ConversionConfig  # noqa: PLC0415 - --help must not wait

        fleet, chosen = self._fleet, of_wave(self._chosen, wave.devices)
        request = Request(
            options_of(ConversionConfig(mae_growth=fleet.mae_growth)),
            ("100%",),
            Limits(fleet.max_failures, fleet.parallel),
            Patience(confirm=fleet.seconds),
        )
        try:
            report = deploy(request, self._outside.around(chosen, found.model, found.version), self._outside.watcher)
        except (GateFailed, ConversionError) as error:
            return self.fail(found, str(error), is_verdict=True)
        found = replace(found, release_sha256=report.wanted.release_sha256)
        against = [each for each in report.failed if each.code in VERDICTS]
        if against:
            return self.fail(found, f"{against[0].device.name}: {against[0].error}", is_verdict=True)
        if len(report.failed) > fleet.max_failures:
            raise ServiceUnavailable(report.error)
        if report.left:
            raise Conflict(report.error)
        return self._taken(found, wave, report)

    def _taken(self, found: Record, wave: Wave, report: Report) -> Record:
        done = [each for each in report.devices if not each.is_failed]
        return self._write(
            found,
            events.DEPLOYED,
            wave=wave.name,
            release_sha256=report.wanted.release_sha256,
            versions={each.device.jetson: each.version for each in done},
            devices=[[each.device.jetson, each.device.board] for each in done],
            left_out={each.device.name: each.error for each in report.failed},
            at=self._outside.clock(),
        )

    def _jetson_back(self, found: Record, chosen: Selected) -> str:
        """What runs on a Jetson now, or why nothing could be done there; OUT_OF_REACH if it is to be tried again."""
        (seen,) = look((chosen,), self._outside.reach)
        seen.connector.close()
        if seen.target is None:
            return OUT_OF_REACH
        if not _has(seen, found):
            return "did not run it"
        outside = self._outside
        back = Back(outside.home, (chosen,), outside.reach, outside.tell, outside.clock, Limits(EVERYTHING))
        try:
            done = roll_back(back, outside.watcher)
        except Conflict as error:
            return f"stays: {error}"
        except ServiceUnavailable:
            return OUT_OF_REACH
        if done.exit_code and done.exit_code not in VERDICTS:
            return OUT_OF_REACH
        now = f"version {done.jetsons[0]['version']}, {done.jetsons[0]['model']}"
        return f"{now}; {done.error}" if done.exit_code else now  # a board may refuse what it runs under another number

    def _write(self, found: Record, event: str, **fields: object) -> Record:
        journal = Journal(found.path, self._outside.clock)
        journal.write(event, **fields)
        journal.release()
        return events.read(found.path)

    def _closed(self, found: Record, result: str) -> Record:
        journal = Journal(found.path, self._outside.clock)
        journal.close(result)
        return events.read(found.path)


def _has(seen: Seen, found: Record) -> bool:
    """Whether the version of a rollout runs on a hub or one of the boards that were chosen there."""
    assert seen.target is not None  # noqa: S101 - asked before
    there = seen.target.there
    running = [there.active, *(there.board(board).confirmed for board in seen.target.boards)]
    models = [there.model_of(version) for version in running if version]
    return any(each is not None and (each.model, each.model_version) == (found.model, found.version) for each in models)
