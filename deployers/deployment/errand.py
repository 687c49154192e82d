"""Steps that also pack folders before they upload, and bring something back after their commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployers.plan import File, Step

if TYPE_CHECKING:
    from pathlib import PurePosixPath


@dataclass(frozen=True)
class Fetched:
    """A file to be fetched after the commands, and where it is unpacked."""

    remote: PurePosixPath
    local: Path
    folder: Path

    def as_dict(self) -> dict[str, Any]:
        """For people and for golden files."""
        return {"path": str(self.remote), "to": str(self.local), "unpacked": str(self.folder)}


@dataclass(frozen=True)
class Made(File):
    """A file that an earlier step makes: its hash is not known before."""

    def as_dict(self) -> dict[str, Any]:
        """For people and for golden files."""
        return {"path": str(self.remote), "mode": f"{self.mode:04o}", "from": str(self.source)}

    @property
    def made(self) -> Path:
        """The file here."""
        return Path(str(self.source))


@dataclass(frozen=True)
class Packed:
    """A folder here and files beside it, to be made one archive."""

    archive: Path
    folder: Path
    beside: tuple[tuple[str, Path], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For people and for golden files."""
        return {
            "archive": str(self.archive),
            "folder": str(self.folder),
            **({"beside": {name: str(path) for name, path in self.beside}} if self.beside else {}),
        }


@dataclass(frozen=True)
class Errand(Step):
    """A step that also brings something back, or needs an archive made before.

    Args:
        fetched: after the commands.
        packed: folders here to be packed into an archive first, with files beside them.
        device: whose progress it is.
    """

    fetched: tuple[Fetched, ...] = ()
    packed: tuple[Packed, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For people and for golden files."""
        found = super().as_dict()
        if self.packed:
            found["packed"] = [each.as_dict() for each in self.packed]
        if self.fetched:
            found["fetched"] = [each.as_dict() for each in self.fetched]
        return found
