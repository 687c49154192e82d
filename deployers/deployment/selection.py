"""Which Jetsons and boards a command is about: `--limit` by name, pattern or group, and who the canaries are."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployers.deployment.waves import CANARY, Device
from deployers.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deployers.inventory import Board, Inventory, Jetson


@dataclass(frozen=True)
class Selected:
    """A Jetson and those of its boards that were chosen."""

    jetson: Jetson
    boards: tuple[str, ...]

    @property
    def devices(self) -> tuple[Device, ...]:
        """What a rollout counts here."""
        return tuple(Device(self.jetson.name, board) for board in self.boards) or (Device(self.jetson.name),)

    @property
    def canaries(self) -> tuple[Device, ...]:
        """Those of group canary, by their own group or the Jetson's."""
        if CANARY in self.jetson.groups:
            return self.devices
        return tuple(
            Device(self.jetson.name, b.id) for b in self.jetson.boards if b.group == CANARY and b.id in self.boards
        )


def select(inventory: Inventory, limit: Iterable[str] = (), said: str = "--limit") -> tuple[Selected, ...]:
    """What `--limit` chooses: names, patterns (`kitchen-*`) and groups, of Jetsons and of boards; all without one.

    Args:
        inventory: the Jetsons.
        limit: what is chosen.
        said: where it was said, for the error.

    Raises:
        InputError: one of them fits nothing.
    """
    wanted = tuple(limit)
    for name in wanted:
        if not any(_fits(jetson, name) or _boards(jetson, (name,)) for jetson in inventory.jetsons):
            expected = f"expected names or groups of {_known(inventory)}: give one of them"
            msg = f"{said} {name!r} fits nothing in {str(inventory.path)!r}, {expected}"
            raise InputError(msg)
    found = []
    for jetson in inventory.jetsons:
        if not wanted or any(_fits(jetson, name) for name in wanted):
            found.append(Selected(jetson, tuple(board.id for board in jetson.boards)))
        elif boards := _boards(jetson, wanted):
            found.append(Selected(jetson, boards))
    return tuple(found)


def _fits(jetson: Jetson, name: str) -> bool:
    return fnmatch.fnmatchcase(jetson.name, name) or name in jetson.groups


def _boards(jetson: Jetson, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(board.id for board in jetson.boards if any(_is(board, name) for name in names))


def _is(board: Board, name: str) -> bool:
    return fnmatch.fnmatchcase(board.id, name) or board.group == name


def _known(inventory: Inventory) -> str:
    names = {jetson.name for jetson in inventory.jetsons} | {g for jetson in inventory.jetsons for g in jetson.groups}
    boards = [board for jetson in inventory.jetsons for board in jetson.boards]
    return ", ".join(sorted(names | {board.id for board in boards} | {board.group for board in boards if board.group}))
