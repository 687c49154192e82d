"""A fleet of fake Jetsons whose hubs tell of live skill."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from deployers.deployment.watching import Nobody
from deployers.fleet.partitions import Fleet
from deployers.fleet.rollout import Outside, Rollout
from deployers.registry import FetchedRelease
from tests.fake_jetson import make_release
from tests.unit.deployers.deployment.conftest import MODEL, OPTIONS, World, make_world

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deployers.deployment.preparing import Around
    from deployers.deployment.selection import Selected
    from deployers.fleet.record import Record

HOUR = 3600.0
BOARDS = {"attic": ("a1", "a2"), "barn": ("b1",), "cellar": ("c1",), "den": ("d1",)}


def row(series: str, version: int, **changed: Any) -> dict[str, Any]:
    """What a hub says of a series that fares well."""
    made = {"series": series, "version": version, "state": "ok", "part": None, "reason": "", "pairs": 500}
    return {**made, "model": 0.12, "persistence": 0.2, "skill": 0.4, "skill_expected": 0.42, **changed}


@dataclass
class FleetWorld:
    """Machines, a fleet file, and which version each alias means."""

    world: World
    fleet: Fleet = field(default_factory=Fleet)
    champions: dict[str, str] = field(default_factory=lambda: {MODEL: "1"})

    def around(self, chosen: Sequence[Selected], model: str, version: str) -> Around:
        def fetch(folder: Path) -> FetchedRelease:
            return FetchedRelease(make_release(folder / "release", f"{model}-{version}"), model, version, {})

        return replace(self.world.around(), chosen=tuple(chosen), fetch=fetch)

    @property
    def outside(self) -> Outside:
        world = self.world
        champion = lambda model, _: self.champions[model]  # noqa: E731
        return Outside(world.home, world.reach, self.around, champion, world.mlflow.tell, Nobody(), world.time)

    def rollouts(self) -> list[Rollout]:
        divided = self.fleet.divided(self.world.inventory)
        return [Rollout(self.fleet, each, divided[each.name], self.outside) for each in self.fleet.partitions]

    def turn(self) -> Record:
        """One of the first partition, as a new process takes it."""
        return self.rollouts()[0].turn()

    def later(self, hours: float, **changed: Any) -> Record:
        """A turn after some hours in which every device forecast as `row` says."""
        self.seen(**changed)
        self.world.clock += hours * HOUR
        return self.turn()

    def seen(self, **changed: Any) -> None:
        """Every hub tells of its boards, each with the version that it runs."""
        for jetson in self.world.jetsons.values():
            jetson.monitored = {one.id: row(one.id, one.confirmed, **changed) for one in jetson.boards.values()}

    def through(self) -> Record:
        """Turns until the rollout of the first partition ends."""
        found = self.turn()
        while not found.result:
            found = self.later(25)
        return found

    def models(self) -> dict[str, str]:
        """The registered version that each board runs; "" for none."""
        found = {}
        for jetson in self.world.jetsons.values():
            there = {each["version"]: each["model_version"] for each in jetson.models()}
            found |= {board.id: there.get(board.confirmed, "") for board in jetson.boards.values()}
        return found


@pytest.fixture
def yard(tmp_path: Path) -> FleetWorld:
    """Four Jetsons, the first of which is the canary, with version 1 of a model everywhere."""
    world = make_world(tmp_path / "world", BOARDS, canary="attic")
    world.request = replace(world.request, options=OPTIONS)
    made = FleetWorld(world, Fleet(waves=("canary", "50%", "100%")))
    made.through()
    made.champions[MODEL] = "2"
    return made
