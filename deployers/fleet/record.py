"""What a rollout has done so far: its journal, read back after every start.

Events of a journal in fleet/ of the home, beside those that every journal has:

    opened       partition, model, version, waves [{name, devices [[jetson, board]]}]
    deployed     wave, release_sha256, versions {jetson: version of the image}, devices [[jetson, board]] that run it,
                 left_out {device: why}, at: seconds since 1970
    waits        wave, reason, numbers: when what is waited for is another than before
    passed       wave, reason, numbers
    failed       wave, release_sha256, reason, numbers, is_verdict: against the version
    went back    jetson, said: what runs there now, or why nothing could be done
    closed       result: confirmed | rolled back | given up
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from deployers.deployment.waves import Device, Wave
from deployers.journal import CLOSED, SUFFIX, journals, read_entries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER, KIND = "fleet", "fleet"
OPENED, DEPLOYED, WAITS, PASSED, FAILED, WENT_BACK = "opened", "deployed", "waits", "passed", "failed", "went back"
CONFIRMED, ROLLED_BACK, GIVEN_UP = "confirmed", "rolled back", "given up"
WAITING, DEPLOYING, GOING_BACK = "waits", "deploys", "goes back"


@dataclass(frozen=True)
class Taken:
    """A wave that has been deployed.

    Attributes:
        at: seconds since 1970.
        versions: of the image that runs, by Jetson.
        devices: that run it.
        left_out: those that could not be reached, with the reason.
        is_passed: whether its gate let the next one begin.
    """

    at: float
    versions: Mapping[str, int]
    devices: tuple[Device, ...]
    left_out: Mapping[str, str]
    is_passed: bool = False


@dataclass(frozen=True)
class Record:
    """A rollout as its journal has it.

    Attributes:
        path: of the journal.
        partition: of the fleet.
        model, version: registered model's name and number.
        waves: as they were when it began.
        release_sha256: of the release; "" before the first wave.
        taken: what became of each wave, by its name.
        reason: what is waited for, or why it failed.
        numbers: of the gate that was asked last.
        failed: the wave that failed; None if none did.
        is_verdict: whether that was the version's fault.
        back: what was said of each Jetson that went back.
        result: how it ended; "" if it did not yet.
        since: when it began, ISO 8601.
    """

    path: Path
    partition: str = ""
    model: str = ""
    version: str = ""
    waves: tuple[Wave, ...] = ()
    release_sha256: str = ""
    taken: Mapping[str, Taken] = field(default_factory=dict)
    reason: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    failed: str | None = None
    is_verdict: bool = False
    back: Mapping[str, str] = field(default_factory=dict)
    result: str = ""
    since: str = ""

    @property
    def identity(self) -> str:
        """What the rollout is called."""
        return self.path.name.removesuffix(SUFFIX)

    @property
    def name(self) -> str:
        """The version, as messages call it."""
        return f"{self.model} {self.version}"

    @property
    def state(self) -> str:
        """One word or two."""
        if self.result:
            return self.result
        if self.failed is not None:
            return GOING_BACK
        return DEPLOYING if self.wave is None or self.wave.name not in self.taken else WAITING

    @property
    def wave(self) -> Wave | None:
        """The first that is not through; None if all are."""
        through = {name for name, taken in self.taken.items() if taken.is_passed}
        return next((one for one in self.waves if one.name not in through), None)

    @property
    def devices(self) -> tuple[Device, ...]:
        """Those that took the version, and those of a wave that failed on the way."""
        begun = [one for one in self.waves if one.name in self.taken or one.name == self.failed]
        return tuple(device for one in begun for device in one.devices)


def newest(home: Path) -> dict[str, Record]:
    """The newest rollout of each partition, by its name."""
    records = (read(path) for path in journals(home / FOLDER))
    return {record.partition: record for record in records if record.partition}


def latest(home: Path, partition: str) -> Record | None:
    """The newest rollout of one partition, without those before it; None before the first."""
    records = (read(path) for path in reversed(journals(home / FOLDER)))
    return next((record for record in records if record.partition == partition), None)


def read(path: Path) -> Record:
    """A rollout as its journal has it.

    Raises:
        InputError: the file is none.
    """
    found = Record(path)
    for entry in read_entries(path):
        found = _after(found, entry)
    return found


def _after(found: Record, entry: Mapping[str, Any]) -> Record:
    event = entry["event"]
    if event == OPENED:
        waves = tuple(Wave(each["name"], _devices(each["devices"])) for each in entry["waves"])
        named = {name: entry[name] for name in ("partition", "model", "version")}
        return replace(found, **named, waves=waves, since=entry["time"])
    if event == DEPLOYED:
        taken = Taken(entry["at"], entry["versions"], _devices(entry["devices"]), entry["left_out"])
        return _with(replace(found, release_sha256=entry["release_sha256"], reason=""), entry["wave"], taken)
    if event in {WAITS, PASSED}:
        told = replace(found, reason=entry["reason"], numbers=entry["numbers"])
        return _with(told, entry["wave"], replace(found.taken[entry["wave"]], is_passed=event == PASSED))
    if event == FAILED:
        wrong = {name: entry[name] for name in ("reason", "is_verdict", "numbers", "release_sha256")}
        return replace(found, failed=entry["wave"], **wrong)
    if event == WENT_BACK:
        return replace(found, back={**found.back, entry["jetson"]: entry["said"]})
    return replace(found, result=entry["result"]) if event == CLOSED else found


def _with(found: Record, wave: str, taken: Taken) -> Record:
    return replace(found, taken={**found.taken, wave: taken})


def _devices(pairs: list[list[str]]) -> tuple[Device, ...]:
    return tuple(Device(*pair) for pair in pairs)
