"""Maps of rollouts over a fleet, as deployers told them: the newest of each partition, in one file.

The hub believes nothing of it and does nothing with it: people who look after boards see it on the page.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from deployers.exceptions import ServiceUnavailable
from deployers.hub.private import write_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log = logging.getLogger(__name__)

DEVICES_MAX = 10_000
WAVES_MAX = 101  # the canary, and 1 % to 100 %
PARTITIONS_MAX = 16  # the one that was told of longest ago goes

Name = Annotated[str, Field(min_length=1, max_length=300)]
State = Annotated[str, Field(min_length=1, max_length=40)]
Text = Annotated[str, Field(max_length=1000)]
Number = Annotated[int, Field(ge=-(2**53), le=2**53)] | Annotated[float, Field(allow_inf_nan=False)]
Figure = Number | Text | None
Figures = Annotated[list[Figure], Field(max_length=DEVICES_MAX)]
Texts = Annotated[dict[Name, Text], Field(max_length=DEVICES_MAX)]

EXAMPLE: dict[str, Any] = {
    "jetson": "attic",
    "partition": "north",
    "rollout": "20240501T120000-1a2b3c4d",
    "model": "temperature-north",
    "version": "4",
    "state": "waits",
    "reason": "21.3 h more of 24",
    "numbers": {"hours": 2.7, "devices": 1, "pairs": [112], "skill": 0.3712, "away": []},
    "waves": [
        {"name": "canary", "state": "watched", "devices": {"attic/board-1": "runs it"}},
        {"name": "100%", "state": "to come", "devices": {"barn/board-7": "to come"}},
    ],
    "left_out": {},
    "back": {},
    "since": "2024-05-01T09:18:00Z",
}


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Wave(_Told):
    """Devices that take the version together.

    Attributes:
        name: as in the fleet file.
        state: in a word or two.
        devices: the state of each, by Jetson and board.
    """

    name: Name
    state: State
    devices: Annotated[dict[Name, State], Field(max_length=DEVICES_MAX)]


class Map(_Told):
    """Where the rollout of one partition stands."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    jetson: Name = Field(description="this hub's own, as the inventory calls it")
    partition: Name
    rollout: Name
    model: Name
    version: Name
    state: State
    reason: Text = Field(description="what is waited for, or why it failed")
    numbers: Annotated[dict[Name, Figure | Figures], Field(max_length=50)] = Field(description="of the gate")
    waves: Annotated[list[Wave], Field(max_length=WAVES_MAX)]
    left_out: Texts = Field(description="devices that could not be reached, and why")
    back: Texts = Field(description="what runs on each Jetson that went back")
    since: Annotated[str, Field(max_length=40)] = Field(description="ISO 8601")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        devices = sum(len(wave.devices) for wave in self.waves)
        if devices > DEVICES_MAX:
            msg = f"{devices} devices, expected {DEVICES_MAX} at most: divide the partition"
            raise ValueError(msg)
        return self


class Kept(Map):
    """A map, and when it was told, ms since 1970-01-01 by this hub's clock."""

    told_ms: int


FILE = TypeAdapter(list[Kept])


class Maps:
    """The newest map of each partition.

    Args:
        path: the file; it is written whole.
        clock: ms since 1970-01-01.
    """

    def __init__(self, path: Path, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._path, self._clock = path, clock
        self._known: list[Kept] | None = None
        self._turn = asyncio.Lock()

    async def view(self) -> dict[str, Any]:
        """Every map, the one that was told last first.

        Raises:
            ServiceUnavailable: the file cannot be read.
        """
        async with self._turn:
            known = await self._read()
        return {"now_ms": self._clock(), "rollouts": [each.model_dump() for each in known]}

    async def keep(self, told: Map) -> Kept:
        """Keep a map in the place of the one of its partition.

        Raises:
            ServiceUnavailable: the disk does not take it; the one before stays.
        """
        kept = Kept(**dict(told), told_ms=self._clock())
        async with self._turn:
            others = [each for each in await self._read() if each.partition != told.partition]
            known = [kept, *others][:PARTITIONS_MAX]
            content = json.dumps([each.model_dump() for each in known]).encode()
            try:
                await asyncio.to_thread(write_private, self._path, content)
            except OSError as error:
                msg = f"{str(self._path)!r} cannot be written ({error.strerror}), expected room on the disk: make some"
                raise ServiceUnavailable(msg) from None
            self._known = known
        return kept

    async def _read(self) -> list[Kept]:
        if self._known is None:
            try:
                self._known = FILE.validate_json(await asyncio.to_thread(self._path.read_bytes))
            except FileNotFoundError:
                self._known = []
            except ValidationError as error:
                _log.error("%s is not what this hub writes, and begins anew: %s", self._path, error)
                self._known = []
            except OSError as error:
                msg = f"{str(self._path)!r} cannot be read ({error.strerror}), expected a file of the hub: run chown"
                raise ServiceUnavailable(msg) from None
        return self._known
