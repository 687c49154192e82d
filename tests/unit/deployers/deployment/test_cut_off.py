"""The connection cut, and the process killed, at every call of a deployment: the second run ends well each time.

Nothing half-installed is ever active: after each cut, and after the run that follows it, what is active on the hub is
whole and signed, and what a board has confirmed is one of the images that are installed.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from deployers.connectors.faults import FaultyConnector
from deployers.exceptions import DeployerError
from deployers.journal import Journal, journals, read_entries
from tests.unit.deployers.deployment.conftest import MODEL, World, make_world

if TYPE_CHECKING:
    from pathlib import Path


class Killed(BaseException):
    """What no code of ours catches: nothing of it runs after a SIGKILL."""


class Killing(FaultyConnector):
    """Ends the process instead of the connection."""

    def run(self, command: Any) -> Any:
        return self._killed(super().run, command)

    def upload(self, *given: Any) -> Any:
        return self._killed(super().upload, *given)

    def download(self, *given: Any) -> Any:
        return self._killed(super().download, *given)

    def _killed(self, call: Any, *given: Any) -> Any:
        try:
            return call(*given)
        except DeployerError as error:
            if "on purpose" in str(error):
                raise Killed from None
            raise


def second_deployment(folder: Path, *, tensorflow: bool) -> World:
    """Release one runs; release two is the champion, and what ran is not kept here: every kind of step is needed."""
    world = make_world(folder, tensorflow=tensorflow)
    assert world.deploy().exit_code == 0
    for kept in (*(world.home / "conversions").iterdir(), *(world.home / "images").iterdir()):
        kept.rename(folder / kept.name)
    world.champion = ("two", "2")
    return world


def ends_well(world: World, version: int) -> None:
    """The same command again, without faults."""
    world.require_sound()
    report = world.deploy()
    world.require_sound()
    assert report.exit_code == 0, report.error
    assert report.result in {"confirmed", "nothing to do"}
    assert (world.jetson.active, set(world.versions().values())) == (version, {version})
    back = [model for model in world.jetson.models() if model["way_back_for"] == version]
    assert [model["model_version"] for model in back] == ["1"]
    assert world.mlflow.tags[MODEL, "2"]["image_version.kitchen.board-1"] == str(version)
    assert world.roll_back().exit_code == 0
    world.require_sound()
    assert set(world.versions().values()) == {back[0]["version"]}
    assert not list((world.folder / "kitchen/incoming").iterdir())


def broken_at(world: World, kind: type[FaultyConnector], at: int, when: str) -> FaultyConnector:
    """Deploy with a connection that breaks; the connector, with the number of its calls."""
    made: list[FaultyConnector] = []

    def wrap(connector: Any) -> Any:
        made.append(kind(connector, at, when))  # type: ignore[arg-type]
        return made[-1]

    world.wrap = wrap
    try:
        world.deploy()
    except (DeployerError, Killed):
        pass
    finally:
        world.wrap = lambda connector: connector
    return made[0]


@pytest.mark.parametrize(
    ("kind", "when", "tensorflow", "least"),
    [
        (FaultyConnector, "before", True, 21),
        (FaultyConnector, "after", True, 21),
        (FaultyConnector, "before", False, 18),
        (Killing, "before", True, 21),
        (Killing, "after", False, 18),
    ],
)
def test_cut_at_every_call(
    tmp_path: Path, kind: type[FaultyConnector], when: str, tensorflow: bool, least: int
) -> None:
    points = 0
    for at in count(1):
        world = second_deployment(tmp_path / f"{at}", tensorflow=tensorflow)
        if not broken_at(world, kind, at, when).is_broken():
            break
        points += 1
        ends_well(world, 2)
    assert points >= least


@pytest.mark.parametrize("kind", [FaultyConnector, Killing])
def test_cut_in_the_middle_of_every_file(tmp_path: Path, kind: type[FaultyConnector]) -> None:
    world, transfers = second_deployment(tmp_path / "whole", tensorflow=True), list[int]()

    class Counting(FaultyConnector):
        def upload(self, *given: Any) -> Any:
            transfers.append(self.calls + 1)
            return super().upload(*given)

        def download(self, *given: Any) -> Any:
            transfers.append(self.calls + 1)
            return super().download(*given)

    broken_at(world, Counting, 0, "before")
    assert len(transfers) == 5
    for at in transfers:
        world = second_deployment(tmp_path / f"{at}", tensorflow=True)
        assert broken_at(world, kind, at, "middle").is_broken()
        ends_well(world, 2)


def test_killed_at_every_line_of_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, points = Journal.write, 0
    for at in count(1):
        world, numbers = second_deployment(tmp_path / f"{at}", tensorflow=False), count(1)

        def stop(journal: Journal, event: str, at=at, numbers=numbers, **fields: Any) -> None:
            if next(numbers) == at:
                raise Killed
            write(journal, event, **fields)

        monkeypatch.setattr(Journal, "write", stop)
        try:
            world.deploy()
        except Killed:
            points += 1
        finally:
            monkeypatch.setattr(Journal, "write", write)
        if next(numbers) <= at:
            break
        ends_well(world, 2)
    assert points >= 30


def test_the_image_version_stays_over_a_kill(tmp_path: Path) -> None:
    world = second_deployment(tmp_path / "w", tensorflow=False)
    broken_at(world, Killing, 12, "after")
    world.deploy()
    entries = read_entries(journals(world.home / "journal")[-1])
    assert [entry["image_version"] for entry in entries if entry["event"] == "planned"] == [2, 2]
    assert [entry["event"] for entry in entries if entry["event"] in {"opened", "resumed"}] == ["opened", "resumed"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_rollback_cut_at_every_call(tmp_path: Path, when: str) -> None:
    points = 0
    for at in count(1):
        world = second_deployment(tmp_path / f"{at}", tensorflow=False)
        world.deploy()
        made: list[FaultyConnector] = []

        def wrap(connector: Any, at=at, made=made) -> Any:
            made.append(FaultyConnector(connector, at, when))  # type: ignore[arg-type]
            return made[-1]

        world.wrap = wrap
        try:
            world.roll_back()
        except DeployerError:
            pass
        finally:
            world.wrap = lambda connector: connector
        if not made[0].is_broken():
            break
        points += 1
        world.require_sound()
        assert world.roll_back().exit_code == 0
        world.require_sound()
        assert (world.jetson.active, set(world.versions().values())) == (3, {3})
    assert points >= 8
