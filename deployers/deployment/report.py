"""What came of a deployment: one object with a stable schema, and a table of it for people.

Schema 1 of `deploy --json` (fields are only ever added):

    schema          1
    deployment      its name; the journal's file is called like it
    result          confirmed | nothing to do | failed | stopped
    exit_code       of the command
    release         {model, version, sha256}: what was wanted
    version         of the image that was signed; null where none was
    ways_back       versions signed to go back with
    converted       {where: here | a Jetson's name | kept, chosen, mae_growth}; null where nothing was signed
    devices         [{jetson, board, wave, state, version, seconds, bytes, agreed_within, error}]
                    state: confirmed | installed | already | not started | reverted | refused | unreachable | host key |
                    gate failed | busy | failed
    hubs            {jetson: rolled back | why that failed}: those that went back to what ran before
    stages          [{name, where, seconds}], in the order in which they ended
    seconds         from the command to the last device
    mlflow          told | pending (the next command repeats it) | nothing to tell
    error           the line of the error; null where there is none
    journal         path
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deployers.deployment import telling
from deployers.deployment.rollout import DONE, NOT_STARTED, gravest
from deployers.exceptions import Conflict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from deployers.deployment.rollout import DeviceReport
    from deployers.deployment.wanted import Wanted

SCHEMA = 1
CONFIRMED, NOTHING, FAILED, STOPPED = "confirmed", "nothing to do", "failed", "stopped"


@dataclass(frozen=True)
class Report:
    """How a deployment came out; the module's text says what each field is."""

    deployment: str
    wanted: Wanted
    devices: tuple[DeviceReport, ...] = ()
    version: int = 0
    ways_back: tuple[int, ...] = ()
    converted: dict[str, Any] | None = None
    hubs: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[dict[str, Any], ...] = ()
    seconds: float = 0.0
    mlflow: str = telling.NOBODY
    journal: str = ""

    @property
    def failed(self) -> tuple[DeviceReport, ...]:
        """Devices that did not take the model."""
        return tuple(device for device in self.devices if device.is_failed)

    @property
    def left(self) -> int:
        """Devices that were not begun."""
        return sum(device.state == NOT_STARTED for device in self.devices)

    @property
    def exit_code(self) -> int:
        """That of the gravest failure; of a stop where nothing failed."""
        return gravest([device.code for device in self.failed]) or (Conflict.exit_code if self.left else 0)

    @property
    def result(self) -> str:
        """One word."""
        if self.left:
            return STOPPED
        if self.failed:
            return FAILED
        return NOTHING if all(device.state == "already" for device in self.devices) else CONFIRMED

    @property
    def error(self) -> str:
        """One line; empty if nothing failed."""
        if not self.failed and self.left:
            return f"everything was stopped, {self.left} of {len(self.devices)} devices were not started"
        if not self.failed:
            return ""
        first = next(device for device in self.failed if device.code == self.exit_code)
        if len(self.devices) == 1:
            return first.error
        count = f"{len(self.failed)} of {len(self.devices)} devices failed"
        left = self.left
        return f"{count}{f', {left} were not started' if left else ''}; {first.device.name}: {first.error}"

    @property
    def done(self) -> int:
        """Devices that run what is wanted."""
        return sum(device.state in DONE for device in self.devices)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "schema": SCHEMA,
            "deployment": self.deployment,
            "result": self.result,
            "exit_code": self.exit_code,
            "release": {
                "model": self.wanted.model or None,
                "version": self.wanted.version or None,
                "sha256": self.wanted.release_sha256,
            },
            "version": self.version or None,
            "ways_back": list(self.ways_back),
            "converted": self.converted,
            "devices": [device.as_dict() for device in self.devices],
            "hubs": dict(self.hubs),
            "stages": list(self.stages),
            "seconds": round(self.seconds, 3),
            "mlflow": self.mlflow,
            "error": self.error or None,
            "journal": self.journal,
        }


def table(report: Report) -> Table:
    """A row for each device."""
    from rich.table import Table  # noqa: PLC0415 - --help must not wait

    found = Table(title=f"{report.wanted.name}: {report.result} on {report.done} of {len(report.devices)} devices")
    for column in ("device", "wave", "state", "version", "seconds", "bytes", "agreed within °C"):
        found.add_column(column, justify="right" if column in {"version", "seconds", "bytes"} else "left")
    if any(device.error for device in report.devices):
        found.add_column("error")
    for device in report.devices:
        told = device.as_dict()
        numbers = ("" if told[name] is None else str(told[name]) for name in ("version", "seconds", "bytes"))
        agreed = "" if told["agreed_within"] is None else f"{told['agreed_within']:.2g}"
        cells = (device.device.name, device.wave, device.state, *numbers, agreed, device.error)
        found.add_row(*cells[: len(found.columns)])
    return found


def stage_line(report: Report) -> str:
    """Where the time went, the longest first."""
    longest = sorted(report.stages, key=lambda stage: -stage["seconds"])
    told = ", ".join(f"{stage['name']} ({stage['where']}) {stage['seconds']:.1f} s" for stage in longest[:6])
    return f"{report.seconds:.1f} s in all: {told}" if told else f"{report.seconds:.1f} s in all"
