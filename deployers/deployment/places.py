"""The machines of a deployment as they are now: what a plan is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployers.deployment.waves import Device

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deployers.deployment.state import HubThere, ModelThere
    from deployers.site import Site


@dataclass(frozen=True)
class Target:
    """A Jetson as it is now.

    Attributes:
        site: where its hub is.
        boards: that are to take the model, by id.
        there: what the hub says runs there.
        tensorflow: whether it can convert.
    """

    site: Site
    boards: tuple[str, ...]
    there: HubThere
    tensorflow: bool = False

    @property
    def name(self) -> str:
        """In the inventory."""
        return self.site.name

    def is_confirmed(self, board: str, version: int) -> bool:
        """Whether a board runs a version for good."""
        found = self.there.board(board)
        return found.confirmed == version and found.test is None

    @property
    def devices(self) -> tuple[Device, ...]:
        """What a rollout counts here."""
        return tuple(Device(self.name, board) for board in self.boards) or (Device(self.name),)


@dataclass(frozen=True)
class Workshop:
    """The machine that deploys.

    Attributes:
        home: the deployer's folder.
        identity: the deployment's name.
        python: the interpreter.
        key: the signing key's file.
        kept: conversions that lie here, by key.
        ran: which of them a version's image was made of, by the image's SHA-256.
        owner: of the deployer's home, by which a lock of its own is told from others'.
        who: who deploys, for whoever finds the lock taken.
        used: the highest version that was signed here, for whichever Jetson: a board that moves knows its number only.
    """

    home: Path
    identity: str
    python: str
    key: Path
    kept: frozenset[str] = frozenset()
    ran: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    who: str = ""
    used: int = 0

    @property
    def folder(self) -> Path:
        """Where this deployment works."""
        return self.home / "work" / self.identity

    def conversion(self, key: str) -> Path:
        """Where a conversion is kept that was checked."""
        return self.home / "conversions" / key

    def unchecked(self, key: str) -> Path:
        """Where it is before that."""
        return self.folder / key


@dataclass(frozen=True)
class Previous:
    """What runs on a Jetson before: the way back leads to it.

    Attributes:
        target: the first Jetson where it runs.
        model: as it is installed there.
        version: that its image gets now.
        key: what its conversion is kept under here.
    """

    target: Target
    model: ModelThere
    version: int
    key: str
