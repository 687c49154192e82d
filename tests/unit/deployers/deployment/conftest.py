"""Fake Jetsons, a release and a signing key: all that a deployment needs, in a folder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deployers import tags
from deployers.deployment.deployment import deploy
from deployers.deployment.going_back import Back, roll_back
from deployers.deployment.preparing import Around, Request
from deployers.deployment.selection import select
from deployers.deployment.watching import Nobody
from deployers.exceptions import ServiceUnavailable
from deployers.inventory import Board, Inventory, Jetson
from deployers.protocol.signature import generate_keys
from deployers.registry import FetchedRelease
from tests.fake_jetson import FakeJetson, FakeReach, Here, make_release

if TYPE_CHECKING:
    from deployers.deployment.going_back import WentBack
    from deployers.deployment.report import Report

MODEL = "temperature-forecaster"
OPTIONS = ("--budget", "0.01")
EPOCH = 1_795_000_000.0


class FakeMlflow:
    """Tags of versions, and whether it answers."""

    def __init__(self) -> None:
        self.tags: dict[tuple[str, str], dict[str, str]] = {}
        self.is_up = True

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        self.tags.setdefault((name, version), {})[key] = value

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        self.tags.setdefault((name, version), {}).pop(key, None)

    def tell(self, home: Path) -> int:
        if not self.is_up:
            msg = "MLflow does not answer"
            raise ServiceUnavailable(msg)
        return tags.tell(home, self)


@dataclass
class World:
    """Two machines and what is on them.

    Attributes:
        champion: which of the releases is registered now, and its number.
    """

    folder: Path
    jetsons: dict[str, FakeJetson]
    inventory: Inventory
    champion: tuple[str, str] = ("one", "1")
    mlflow: FakeMlflow = field(default_factory=FakeMlflow)
    here: Here = field(default_factory=Here)
    wrap: Any = field(default=lambda connector: connector)
    request: Request = field(default_factory=lambda: Request(OPTIONS))
    limit: tuple[str, ...] = ()
    down: dict[str, Exception] = field(default_factory=dict)
    clock: float = EPOCH

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def jetson(self) -> FakeJetson:
        return next(iter(self.jetsons.values()))

    @property
    def reach(self) -> FakeReach:
        return FakeReach(self.jetsons, self.wrap, self.down)

    def fetch(self, folder: Path) -> FetchedRelease:
        if not self.mlflow.is_up:
            msg = "MLflow does not answer"
            raise ServiceUnavailable(msg)
        name, version = self.champion
        path = make_release(folder / "release", name)
        return FetchedRelease(path, MODEL, version, {})

    def around(self) -> Around:
        return Around(
            self.home, select(self.inventory, self.limit), self.inventory.signing_key, self.reach, self.fetch,
            self.mlflow.tell, self.here, self.time, "python",
        )  # fmt: skip

    def time(self) -> float:
        self.clock += 1
        return self.clock

    def deploy(self, **changed: Any) -> Report:
        return deploy(replace(self.request, **changed), self.around(), Nobody())

    def roll_back(self) -> WentBack:
        chosen = select(self.inventory, self.limit)
        return roll_back(Back(self.home, chosen, self.reach, self.mlflow.tell, self.time), Nobody())

    def versions(self) -> dict[str, int]:
        return {board.id: board.confirmed for jetson in self.jetsons.values() for board in jetson.boards.values()}

    def require_sound(self) -> None:
        for jetson in self.jetsons.values():
            jetson.require_sound()


def make_world(
    folder: Path, boards: dict[str, tuple[str, ...]] | None = None, *, tensorflow: bool = False, canary: str = ""
) -> World:
    """A Jetson `kitchen` with two boards, or what is asked for."""
    named = {"kitchen": ("board-1", "board-2")} if boards is None else boards
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "signing.key"
    public = generate_keys(key, folder / "signing.key.pub")
    jetsons, entries = {}, []
    for name, ids in named.items():
        jetsons[name] = FakeJetson(folder / name, name, ids, public, tensorflow=tensorflow)
        behind = tuple(Board(id=each, key_file=key, group="canary" if each == canary else None) for each in ids)
        groups = ("canary",) if name == canary else ()
        entries.append(Jetson(name=name, root=str(folder / name), board=behind, user="jetson", groups=groups))  # type: ignore[arg-type]
    return World(folder, jetsons, Inventory(path=folder / "inventory.toml", signing_key=key, jetsons=tuple(entries)))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "world")
