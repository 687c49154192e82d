"""What a deployment that was cut off, or that takes long, leaves to the next command."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from deployers.deployment.holding import locking
from deployers.deployment.lease import renewed
from deployers.deployment.places import Target, Workshop
from deployers.deployment.plan import Numbers, deployment_plan
from deployers.deployment.preparing import prepare
from deployers.deployment.watching import Nobody
from deployers.exceptions import Conflict, HostKeyError, Unreachable
from deployers.journal import Journal, journals, read_entries, unfinished
from deployers.site import Site
from tests.unit.deployers.deployment.conftest import MODEL, World, make_world
from tests.unit.deployers.deployment.test_plan import NEW, OLD, SITE, WANTED, hub, model, shop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def boards_do(world: World, what: str) -> None:
    for jetson in world.jetsons.values():
        for board in jetson.boards.values():
            board.does = what


def cut_off(world: World) -> None:
    """Release two is active on the hub, and no board was there to take it."""
    world.deploy()
    world.champion = ("two", "2")
    boards_do(world, "absent")
    assert world.deploy().exit_code == 5
    assert world.jetson.active == 2


def wait_for(what: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


# The hub's way home


def test_a_hub_goes_back_also_where_an_earlier_run_activated_the_model(world: World) -> None:
    cut_off(world)
    boards_do(world, "reverts")
    report = world.deploy()
    assert (report.exit_code, report.version, report.hubs) == (10, 0, {"kitchen": "rolled back"})
    assert (world.jetson.active, world.versions()) == (1, {"board-1": 1, "board-2": 1})
    assert world.mlflow.tags[MODEL, "1"]["image_version.kitchen"] == "1"
    assert "image_version.kitchen" not in world.mlflow.tags[MODEL, "2"]
    world.require_sound()


def test_a_hub_stays_where_a_board_that_was_not_asked_runs_the_model(world: World) -> None:
    cut_off(world)
    boards_do(world, "takes")
    world.limit = ("board-1",)
    assert world.deploy().exit_code == 0
    boards_do(world, "reverts")
    world.limit = ("board-2",)
    report = world.deploy()
    assert (report.exit_code, report.hubs, world.jetson.active) == (10, {}, 2)


def test_a_hub_that_ran_nothing_before_is_not_said_to_have_gone_back(world: World) -> None:
    boards_do(world, "reverts")
    report = world.deploy()
    assert (report.exit_code, report.hubs, world.jetson.active) == (10, {}, 1)
    assert world.mlflow.tags[MODEL, "1"]["image_version.kitchen"] == "1"


def test_a_rollback_leads_to_what_boards_ran_and_not_to_what_was_cut_off(world: World) -> None:
    cut_off(world)
    world.champion = ("three", "3")
    boards_do(world, "takes")
    assert world.deploy().exit_code == 0
    assert world.roll_back().exit_code == 0
    models = {model["version"]: model for model in world.jetson.models()}
    assert models[world.jetson.active]["model_version"] == "1"


# Versions


def test_a_version_is_used_once_for_all_jetsons(tmp_path: Path) -> None:
    world = make_world(tmp_path / "w", {"a": ("a1",), "b": ("b1",)})
    world.limit = ("a",)
    assert world.deploy().version == 1
    world.champion, world.limit = ("two", "2"), ("b",)
    assert (world.deploy().version, world.versions()) == (2, {"a1": 1, "b1": 2})


@pytest.mark.parametrize(
    ("by_hand", "version", "way"),
    [(model(6, NEW, description="by hand"), 7, 8), (model(6, OLD), 5, 6), (model(9, OLD), 5, 6)],
)
def test_a_way_back_is_never_another_image_of_its_version(by_hand: dict[str, Any], version: int, way: int) -> None:
    there = hub(4, (model(4, OLD), by_hand), board_1=4)
    pinned = Numbers(5, {f"{OLD} int8": 6})
    plan = deployment_plan(WANTED, [Target(SITE, ("board-1",), there)], shop(), pinned=pinned)
    assert (plan.version, plan.ways) == (version, {f"{OLD} int8": way})


def test_a_way_back_that_was_not_planned_before_is_above_all_that_is_installed() -> None:
    there = hub(4, (model(4, OLD), model(8, NEW)), board_1=4)
    plan = deployment_plan(WANTED, [Target(SITE, ("board-1",), there)], shop(), pinned=Numbers(5))
    assert (plan.version, plan.ways) == (5, {f"{OLD} int8": 9})


# A plan that is only printed


def test_a_preview_is_of_what_is_left_and_leaves_nothing(world: World) -> None:
    world.deploy()
    world.champion = ("two", "2")
    ours = world.jetson.ours

    def cut(words: tuple[str, ...]) -> Any:
        if any("2.tar" in word for word in words):
            msg = "kitchen is away"
            raise Unreachable(msg)
        return ours(words)

    world.jetson.ours = cut  # type: ignore[method-assign]
    assert world.deploy().exit_code == 5
    world.jetson.ours = ours  # type: ignore[method-assign]
    (world.home / "used").write_text("7")
    left = unfinished(world.home / "journal", "deploy")
    assert left is not None
    lines, work = len(read_entries(left)), sorted((world.home / "work").iterdir())
    prepared = prepare(world.request, world.around(), Nobody(), preview=True)
    prepared.close()
    assert (prepared.plan.version, set(prepared.plan.ways.values())) == (2, {3})
    assert (len(read_entries(left)), sorted((world.home / "work").iterdir())) == (lines, work)


# Locks


@pytest.fixture
def held(tmp_path: Path) -> tuple[Target, Workshop, Path]:
    """A Jetson's lock that is nearly old."""
    world = make_world(tmp_path / "w")
    root = world.folder / "kitchen"
    site = Site("kitchen", root, "me", "me", (), systemd=False)  # type: ignore[arg-type]
    target, work = Target(site, (), hub()), Workshop(world.home, "D", "python", tmp_path, owner="0123", who="me")
    for command in locking(target, work).commands:
        assert world.jetson.connector().run(command).code == 0
    lock = root / "incoming/deployment.lock"
    os.utime(lock, (1, 1))
    return target, work, lock


def test_a_lock_stays_fresh_while_a_step_takes_long(held: tuple[Target, Workshop, Path], tmp_path: Path) -> None:
    target, work, lock = held
    world = make_world(tmp_path / "other")
    with renewed([target], work, {"kitchen": world.jetson.connector()}, Journal(tmp_path / "j"), pause=0.01):
        wait_for(lambda: lock.stat().st_mtime > 1)


def test_the_lock_of_another_gets_old(held: tuple[Target, Workshop, Path], tmp_path: Path) -> None:
    target, work, lock = held
    lock.write_text("other-deployment 4567 elsewhere\n")
    os.utime(lock, (1, 1))
    jetson = make_world(tmp_path / "other").jetson
    with renewed([target], work, {"kitchen": jetson.connector()}, Journal(tmp_path / "j"), pause=0.01):
        wait_for(lambda: len(jetson.ran) > 2)
    assert lock.stat().st_mtime == 1


def test_a_lock_that_cannot_be_renewed_is_in_the_journal(held: tuple[Target, Workshop, Path], tmp_path: Path) -> None:
    class Gone:
        def run(self, _: Any) -> Any:
            msg = "kitchen is away"
            raise Unreachable(msg)

    journal = Journal(tmp_path / "j")
    with renewed([held[0]], held[1], {"kitchen": Gone()}, journal, pause=0.01):  # type: ignore[dict-item]
        wait_for(lambda: bool(journal.entries()))
    journal.release()
    entry = read_entries(journal.path)[0]
    assert (entry["event"], entry["jetson"], entry["error"]) == ("not renewed", "kitchen", "kitchen is away")


def test_a_deployment_renews_its_locks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    began = list[tuple[str, ...]]()

    def spy(targets: Any, *given: Any) -> Any:
        began.append(tuple(target.name for target in targets))
        return renewed(targets, *given)

    monkeypatch.setattr("deployers.deployment.deployment.renewed", spy)
    monkeypatch.setattr("deployers.deployment.going_back.renewed", spy)
    world.deploy()
    world.champion = ("two", "2")
    world.deploy()
    world.roll_back()
    assert began == [("kitchen",)] * 3


# Rollback


def test_a_rollback_that_is_refused_gives_nothing_up(world: World) -> None:
    boards_do(world, "absent")
    assert world.deploy().exit_code == 5
    with pytest.raises(Conflict, match="no way back"):
        world.roll_back()
    assert unfinished(world.home / "journal", "deploy") is not None


def test_a_deployment_that_a_rollback_gives_up_leaves_no_files(world: World) -> None:
    cut_off(world)
    assert list((world.home / "work").iterdir())
    boards_do(world, "takes")
    assert world.roll_back().exit_code == 0
    assert not list((world.home / "work").iterdir())


def test_mlflow_is_told_of_a_hub_that_went_back_without_its_boards(world: World) -> None:
    world.deploy()
    world.champion = ("two", "2")
    world.deploy()
    boards_do(world, "absent")
    assert world.roll_back().exit_code == 5
    assert world.mlflow.tags[MODEL, "1"]["image_version.kitchen"] == "3"
    assert "image_version.kitchen" not in world.mlflow.tags[MODEL, "2"]
    assert world.mlflow.tags[MODEL, "2"]["image_version.kitchen.board-1"] == "2"


# Several that fail differently


def test_a_host_key_is_told_before_a_jetson_that_is_away(tmp_path: Path) -> None:
    world = make_world(tmp_path / "w", {"a": ("a1",), "b": ("b1",)})
    world.deploy()
    world.down = {"a": Unreachable("a is away"), "b": HostKeyError("b is another")}
    with pytest.raises(HostKeyError, match="b is another"):
        world.deploy()
    with pytest.raises(HostKeyError, match="b is another"):
        world.roll_back()


def test_a_verdict_stands_also_where_the_board_cannot_be_told_to_go_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deploy()
    world.champion = ("two", "2")
    boards_do(world, "reverts")
    monkeypatch.setattr(world.jetson, "_revert", lambda _: ({"error": "the board did not connect"}, 5))
    report = world.deploy()
    assert (report.exit_code, report.hubs, world.jetson.active) == (10, {"kitchen": "rolled back"}, 1)
    assert "went back" in report.error
    told = [entry for path in journals(world.home / "journal") for entry in read_entries(path)]
    assert next(entry["error"] for entry in told if entry["event"] == "not undone").endswith("did not connect")
