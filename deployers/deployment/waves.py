"""Which devices take a new model first: canary, then shares of all of them; and when a rollout stops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployers.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

CANARY = "canary"
DEFAULT = "canary,100%"
HERE = "expected canary and rising percentages up to 100%, as canary,25%,100%: write --waves like that"
ALL = 100


@dataclass(frozen=True, order=True)
class Device:
    """What a rollout counts: a board, or a Jetson that has none.

    Attributes:
        jetson: its Jetson's name in the inventory.
        board: its id, empty for a Jetson without boards.
    """

    jetson: str
    board: str = ""

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"{self.jetson}/{self.board}" if self.board else self.jetson


@dataclass(frozen=True)
class Wave:
    """Devices that are worked on together."""

    name: str
    devices: tuple[Device, ...]


def parse_waves(text: str) -> tuple[str, ...]:
    """The waves of an option, checked.

    Raises:
        InputError: a wave is neither canary, first, nor a percentage larger than the one before; or not all come.
    """
    names = tuple(part.strip() for part in text.split(","))
    before = 0
    for place, name in enumerate(names):
        if name == CANARY and place == 0:
            continue
        digits = name.removesuffix("%")
        share = int(digits) if name.endswith("%") and digits.isascii() and digits.isdigit() and len(digits) < 4 else 0
        if not before < share <= ALL:
            msg = f"wave {name!r} of --waves {text!r}, {HERE}"
            raise InputError(msg)
        before = share
    if before != ALL:
        msg = f"the last wave of --waves {text!r} is {names[-1]!r}, {HERE}"
        raise InputError(msg)
    return names


def waves_of(names: Sequence[str], devices: Sequence[Device], canaries: Sequence[Device]) -> list[Wave]:
    """Every device in exactly one wave, in the order of the inventory; empty waves are left out.

    Args:
        names: as `parse_waves` gives them.
        devices: all that are to take the model.
        canaries: those of group canary; if there are none, the devices of the first Jetson are.
    """
    first = _canaries(devices, canaries)
    rest = [one for one in devices if one not in first]
    order = [*first, *rest] if names[0] == CANARY else list(devices)
    found, begun = list[Wave](), 0
    for name in names:
        end = len(first) if name == CANARY else math.ceil(len(order) * int(name.removesuffix("%")) / ALL)
        if end > begun:
            found.append(Wave(name, tuple(order[begun:end])))
            begun = end
    return found


def _canaries(devices: Sequence[Device], canaries: Sequence[Device]) -> list[Device]:
    chosen = [one for one in devices if one in canaries]
    return chosen or [one for one in devices if one.jetson == devices[0].jetson]
