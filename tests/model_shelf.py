"""A catalogue's folders, with versions that a test uploads and spoils."""

from __future__ import annotations

from pathlib import Path

from deployers.hub.catalogue import Catalogue
from tests import hub_models
from tests.hub_models import Kind, upload


class Shelf:
    """A catalogue's folders, and catalogues on them: one after the other, as after restarts."""

    def __init__(self, root: Path) -> None:
        self.root, self.models, self.keys = root, root / "data" / "models", hub_models.keys(root / "keys")
        self.open_ones: list[Catalogue] = []
        self.now = 1000.0

    async def open(self, keep: int = 4) -> Catalogue:
        found = Catalogue(self.models, self.keys, keep=keep, clock=lambda: self.now)
        await found.open()
        self.open_ones.append(found)
        return found

    def upload(self, version: int, kind: Kind = hub_models.FLOAT, name: str = "") -> Path:
        return upload(self.root / "incoming" / (name or f"v{version}"), version, kind)

    async def with_versions(self, *versions: int, keep: int = 4) -> Catalogue:
        found = await self.open(keep)
        for version in versions:
            await found.install(self.upload(version))
        return found


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def listed(catalogue: Catalogue) -> dict[int, str]:
    return {view.version: view.state for view in catalogue.models()}
