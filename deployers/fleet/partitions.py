"""Which model goes to which Jetsons, in which waves, and what a wave has to show before the next one begins.

waves = ["canary", "25%", "100%"]       # fleet.toml, beside the inventory; every key has a default

[gate]
hours = 24.0                            # a wave is watched for so long after its last device confirmed

[[partition]]                           # without one, all Jetsons get the champion of one model
name = "north"
jetsons = ["north"]                     # names, patterns (`north-*`) and groups of the inventory
model = "temperature-north"
version = "champion"
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deployers.deployment.selection import Selected, select
from deployers.deployment.waves import Device, Wave, parse_waves, waves_of
from deployers.exceptions import InputError
from deployers.inventory import Word, read_toml, reason_of
from deployers.registry import MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deployers.inventory import Inventory

NAME = "fleet.toml"
Words = Annotated[tuple[str, ...], Field(strict=False)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Gate(_Entry):
    """What a wave has to show.

    Attributes:
        hours: that it is watched after its last device confirmed, at least.
        pairs: forecasts of each device that could be compared with readings, at least.
        skill_loss: its live skill may be so much below what the release reached on its test part; where that is not
            known, below zero.
        most_hours: a gate that cannot be judged for so long has failed.
    """

    hours: float = Field(24.0, ge=0, le=8760)
    pairs: int = Field(100, ge=1, le=1_000_000)
    skill_loss: float = Field(0.15, ge=0, le=2)
    most_hours: float = Field(168.0, gt=0, le=8760)


class Partition(_Entry):
    """Jetsons that run one model.

    Attributes:
        name: of the partition.
        jetsons: names, patterns and groups of the inventory; all if empty.
        model: registered model's name.
        version: its number or an alias.
    """

    name: Word = "fleet"
    jetsons: Words = ()
    model: str = Field(MODEL, min_length=1)
    version: str = Field("champion", min_length=1)


class Fleet(_Entry):
    """All partitions, and how their rollouts go.

    Attributes:
        waves: see `parse_waves`.
        max_failures: devices of a wave that may be out of reach; a verdict against the version counts at once.
        parallel: devices worked on at a time.
        seconds: to wait for a board's first forecast.
        mae_growth: largest share by which the test MAE may grow by the conversion.
        gate: between two waves, and after the last.
        partitions: in the order of the file.
    """

    waves: Words = ("canary", "25%", "100%")
    max_failures: int = Field(0, ge=0)
    parallel: int = Field(4, ge=1, le=64)
    seconds: float = Field(900.0, ge=1, le=86400)
    mae_growth: float = Field(0.01, ge=-1, le=1)
    gate: Gate = Gate()
    partitions: Annotated[tuple[Partition, ...], Field(strict=False, min_length=1)] = Field(
        default=(Partition(),), alias="partition"
    )

    @classmethod
    def load(cls, path: Path) -> Fleet:
        """Read a file of a fleet.

        Raises:
            InputError: it cannot be read, or an entry is not as it should be; the message names file, entry and key.
        """
        try:
            found = cls.model_validate(read_toml(path, "fleet file", "--config"))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            msg = f"fleet file {str(path)!r}: {where!r} {reason_of(first)}: mend it there"
            raise InputError(msg) from None
        try:
            parse_waves(",".join(found.waves))
        except InputError as error:
            msg = f"fleet file {str(path)!r}: {error}"
            raise InputError(msg) from None
        names = [each.name for each in found.partitions]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            msg = f"fleet file {str(path)!r}: partition {twice!r} is there twice, expected each once: rename one"
            raise InputError(msg)
        return found

    def divided(self, inventory: Inventory) -> dict[str, tuple[Selected, ...]]:
        """The Jetsons of each partition, by its name.

        Raises:
            InputError: a name fits nothing, a Jetson is in two partitions, or only some boards of a Jetson are in one.
        """
        found = {
            each.name: select(inventory, each.jetsons, f"partition {each.name!r}: jetsons") for each in self.partitions
        }
        for name, chosen in found.items():
            for each in chosen:
                left = sorted({board.id for board in each.jetson.boards} - set(each.boards))
                if left:
                    without = f"takes boards of {each.jetson.name!r} without {left[0]!r}, expected all of them"
                    msg = f"partition {name!r} {without}, for a hub runs one model: name the Jetson or its group"
                    raise InputError(msg)
        for (one, its), (other, others) in combinations(found.items(), 2):
            both = sorted({each.jetson.name for each in its} & {each.jetson.name for each in others})
            if both:
                msg = f"jetson {both[0]!r} is in the partitions {one!r} and {other!r}, expected one: change `jetsons`"
                raise InputError(msg)
        return found

    def waves_over(self, chosen: Sequence[Selected]) -> list[Wave]:
        """The waves of a partition."""
        devices = [device for each in chosen for device in each.devices]
        canaries = [device for each in chosen for device in each.canaries]
        return waves_of(self.waves, devices, canaries)


def of_wave(chosen: Sequence[Selected], devices: Sequence[Device]) -> tuple[Selected, ...]:
    """Of the Jetsons of a partition, those boards that are in a wave; devices that are gone are left out."""
    found = []
    for each in chosen:
        mine = tuple(board for board in each.boards if Device(each.jetson.name, board) in devices)
        if mine or Device(each.jetson.name) in devices:
            found.append(Selected(each.jetson, mine))
    return tuple(found)
