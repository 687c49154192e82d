"""Deployments from end to end on a fake Jetson: what is done, said, told to MLflow, and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from deployers.deployment.plan import Patience
from deployers.deployment.rollout import Limits
from deployers.deployment.waves import parse_waves
from deployers.exceptions import (
    DeploymentRunning,
    GateFailed,
    HostKeyError,
    InputError,
    ReleaseError,
    ServiceUnavailable,
    Unreachable,
)
from deployers.journal import deployment_lock, journals, read_entries
from deployers.protocol.signature import generate_keys
from tests.unit.deployers.deployment.conftest import MODEL, World, make_world

TAG = "2026-11-18"


def test_a_first_deployment_converts_signs_installs_and_confirms(world: World) -> None:
    report = world.deploy()
    assert (report.result, report.exit_code, report.version, report.ways_back) == ("confirmed", 0, 1, ())
    assert world.versions() == {"board-1": 1, "board-2": 1}
    assert world.jetson.active == 1
    assert report.converted == {"where": "here", "chosen": "int8", "mae_growth": 0.002}
    assert [device.state for device in report.devices] == ["confirmed", "confirmed"]
    assert not list((world.folder / "kitchen/incoming").iterdir())
    assert not list((world.home / "work").iterdir())
    world.require_sound()


def test_a_second_run_has_nothing_to_do(world: World) -> None:
    world.deploy()
    before = list(world.jetson.ran)
    report = world.deploy()
    assert (report.result, report.exit_code, report.version) == ("nothing to do", 0, 0)
    changed = [words for words in world.jetson.ran[len(before) :] if "status" not in words and words != ("true",)]
    assert changed == []


def test_a_new_release_gets_the_next_version_and_a_way_back(world: World) -> None:
    world.deploy()
    world.champion = ("two", "2")
    report = world.deploy()
    assert (report.version, report.ways_back) == (2, (3,))
    assert world.versions() == {"board-1": 2, "board-2": 2}
    models = {model["version"]: model for model in world.jetson.models()}
    assert models[3]["way_back_for"] == 2
    assert models[3]["release_sha256"] == models[1]["release_sha256"]
    assert (models[3]["model"], models[3]["model_version"]) == (MODEL, "1")
    assert world.here.converted == 2


def test_a_conversion_is_not_repeated(world: World) -> None:
    world.deploy()
    world.champion = ("two", "2")
    world.deploy()
    world.champion = ("one", "3")
    report = world.deploy()
    assert world.here.converted == 2
    assert report.converted is not None
    assert report.converted["where"] == "kept"
    models = {model["version"]: model for model in world.jetson.models()}
    assert (report.version, models[report.version]["model_version"]) == (4, "3")


def test_another_budget_is_another_conversion(world: World) -> None:
    world.deploy()
    report = world.deploy(options=("--budget", "0.05"))
    assert (report.result, report.version, world.here.converted) == ("confirmed", 2, 2)


def test_a_jetson_with_tensorflow_converts(tmp_path: Path) -> None:
    world = make_world(tmp_path / "w", tensorflow=True)
    report = world.deploy()
    assert report.converted is not None
    assert (report.converted["where"], world.jetson.converted, world.here.converted) == ("kitchen", 1, 0)
    world.require_sound()


def test_what_runs_is_fetched_from_the_hub_where_it_is_not_kept(world: World) -> None:
    world.deploy()
    shutil.rmtree(world.home)
    world.champion = ("two", "2")
    report = world.deploy()
    assert report.ways_back == (3,)
    assert "fetch what runs now" in [stage["name"] for stage in report.stages]
    world.require_sound()


def test_a_changed_model_on_the_hub_is_no_way_back(world: World) -> None:
    world.deploy()
    shutil.rmtree(world.home)
    folder = world.folder / "kitchen/data/models/1"
    (folder / "cell_int8.tflite").write_text("another model")
    from deployers.protocol.manifest import CONVERSION, verify_manifest, write_manifest

    image = (folder / "model.img").read_bytes()
    (folder / "model.img").unlink()
    facts = json.loads((folder / "manifest.json").read_text())["facts"]
    write_manifest(folder, facts, CONVERSION)
    verify_manifest(folder, CONVERSION)
    (folder / "model.img").write_bytes(image)
    world.champion = ("two", "2")
    with pytest.raises(ReleaseError, match="are not those of its image"):
        world.deploy()
    assert world.jetson.active == 1


def test_a_board_that_was_away_takes_the_same_image_later(world: World) -> None:
    world.jetson.boards["board-2"].does = "absent"
    report = world.deploy()
    assert (report.exit_code, report.result) == (5, "failed")
    assert [device.state for device in report.devices] == ["confirmed", "unreachable"]
    world.jetson.boards["board-2"].does = "takes"
    report = world.deploy()
    assert (report.exit_code, world.versions()) == (0, {"board-1": 1, "board-2": 1})
    assert [device.state for device in report.devices] == ["already", "confirmed"]
    assert world.jetson.installed_at == 1


def test_a_jetson_without_boards_is_installed(tmp_path: Path) -> None:
    world = make_world(tmp_path / "w", {"attic": ()})
    report = world.deploy()
    assert [device.state for device in report.devices] == ["installed"]
    assert world.jetson.active == 1


# Verdicts


@pytest.mark.parametrize(("does", "code", "state"), [("refuses", 9, "refused"), ("reverts", 10, "reverted")])
def test_a_board_that_does_not_keep_it_brings_the_hub_back(world: World, does: str, code: int, state: str) -> None:
    world.deploy()
    world.champion = ("two", "2")
    for board in world.jetson.boards.values():
        board.does = does
    report = world.deploy()
    assert (report.exit_code, report.result) == (code, "failed")
    assert state in [device.state for device in report.devices]
    assert report.hubs == {"kitchen": "rolled back"}
    assert (world.jetson.active, world.versions()) == (1, {"board-1": 1, "board-2": 1})
    world.require_sound()


def test_after_a_verdict_the_next_deployment_has_a_new_version(world: World) -> None:
    for board in world.jetson.boards.values():
        board.does = "reverts"
    assert world.deploy().exit_code == 10
    for board in world.jetson.boards.values():
        board.does = "takes"
    report = world.deploy()
    assert (report.exit_code, report.result) == (0, "confirmed")
    assert set(world.versions().values()) == {world.jetson.active}


def test_a_hub_stays_where_one_board_took_the_model(world: World) -> None:
    world.deploy()
    world.champion = ("two", "2")
    world.jetson.boards["board-2"].does = "reverts"
    report = world.deploy(limits=Limits(5, 4))
    assert (report.exit_code, report.hubs, world.jetson.active) == (10, {}, 2)
    assert world.versions() == {"board-1": 2, "board-2": 1}


def test_too_many_failures_stop_the_rollout(tmp_path: Path) -> None:
    world = make_world(tmp_path / "w", {"a": ("a1",), "b": ("b1",), "c": ("c1",), "d": ("d1",)}, canary="b1")
    for jetson in world.jetsons.values():
        next(iter(jetson.boards.values())).does = "reverts"
    report = world.deploy(waves=parse_waves("canary,50%,100%"), limits=Limits(1, 1))
    states = {device.device.name: (device.wave, device.state) for device in report.devices}
    assert states["b/b1"] == ("canary", "reverted")
    assert states["a/a1"] == ("50%", "reverted")
    assert (states["c/c1"], states["d/d1"]) == (("100%", "not started"), ("100%", "not started"))
    assert (report.result, report.exit_code) == ("stopped", 10)
    assert world.jetsons["c"].installed_at == 0
    assert "2 of 4 devices failed, 2 were not started" in report.error


def test_many_jetsons_share_one_conversion_and_one_version(tmp_path: Path) -> None:
    world = make_world(tmp_path / "w", {name: (f"{name}-1", f"{name}-2") for name in "abcde"})
    report = world.deploy()
    assert (report.exit_code, set(world.versions().values()), world.here.converted) == (0, {1}, 1)
    assert [device.device.jetson for device in report.devices if device.wave == "canary"] == ["a", "a"]


def test_jetsons_with_different_models_get_ways_back_of_their_own(tmp_path: Path) -> None:
    world = make_world(tmp_path / "w", {"a": ("a1",), "b": ("b1",)})
    world.limit = ("a",)
    world.deploy()
    world.limit, world.champion = ("b",), ("two", "2")
    world.deploy()
    world.limit, world.champion = (), ("three", "3")
    report = world.deploy()
    assert len(report.ways_back) == 2
    world.roll_back()
    names = {
        name: {m["version"]: m["model_version"] for m in j.models()}[j.active] for name, j in world.jetsons.items()
    }
    assert names == {"a": "1", "b": "2"}
    world.require_sound()


# MLflow


def test_mlflow_is_told_what_runs_where_since_when(world: World) -> None:
    world.deploy()
    told = world.mlflow.tags[MODEL, "1"]
    assert told["image_version.kitchen"] == "1"
    assert told["image_version.kitchen.board-1"] == "1"
    assert len(told["image_sha256.kitchen.board-2"]) == 64
    assert told["running_since.kitchen"].startswith(TAG)
    world.champion = ("two", "2")
    world.deploy()
    assert set(world.mlflow.tags[MODEL, "1"]) == {
        "ran_until.kitchen",
        "ran_until.kitchen.board-1",
        "ran_until.kitchen.board-2",
    }
    assert world.mlflow.tags[MODEL, "2"]["image_version.kitchen.board-2"] == "2"


def test_mlflow_that_goes_down_is_told_by_the_next_command(world: World) -> None:
    tell = world.mlflow.tell
    world.mlflow.tell = lambda home: (_ for _ in ()).throw(ServiceUnavailable("down"))  # type: ignore[method-assign]
    report = world.deploy()
    assert (report.exit_code, report.mlflow) == (0, "pending")
    assert world.mlflow.tags == {}
    world.mlflow.tell = tell  # type: ignore[method-assign]
    assert world.deploy().mlflow == "told"
    assert world.mlflow.tags[MODEL, "1"]["image_version.kitchen.board-1"] == "1"


def test_mlflow_that_is_down_before_ends_it(world: World) -> None:
    world.mlflow.is_up = False
    with pytest.raises(ServiceUnavailable, match="MLflow"):
        world.deploy()
    assert world.jetson.installed_at == 0


# Bad input


def test_two_deployments_at_once_on_one_machine(world: World) -> None:
    with deployment_lock(world.home), pytest.raises(DeploymentRunning, match="another deployment runs"):
        world.deploy()


def test_two_deployments_at_once_from_two_machines(world: World) -> None:
    lock = world.folder / "kitchen/incoming/deployment.lock"
    lock.write_text("other-deployment 0123 elsewhere process 7\n")
    report = world.deploy()
    assert report.exit_code == 11
    assert "other-deployment of elsewhere process 7" in report.error
    assert (world.jetson.active, lock.exists()) == (None, True)


def test_a_lock_of_a_machine_that_went_down_gets_old(world: World) -> None:
    import os
    import time

    lock = world.folder / "kitchen/incoming/deployment.lock"
    lock.write_text("other-deployment 0123 elsewhere\n")
    old = time.time() - 16 * 60
    os.utime(lock, (old, old))
    assert world.deploy().exit_code == 0


def test_no_signing_key_says_how_to_make_one(world: World) -> None:
    world.inventory = world.inventory.model_copy(update={"signing_key": None})
    with pytest.raises(InputError, match="image keygen"):
        world.deploy()


def test_a_key_that_the_hub_does_not_know_installs_nothing(world: World) -> None:
    generate_keys(world.folder / "stranger.key", world.folder / "stranger.key.pub")
    world.inventory = world.inventory.model_copy(update={"signing_key": world.folder / "stranger.key"})
    report = world.deploy()
    assert (report.exit_code, world.jetson.active) == (GateFailed.exit_code, None)
    assert not list((world.folder / "kitchen/data/models").iterdir())


def test_a_full_disk_is_told_before_anything_is_sent(world: World) -> None:
    world.jetson.free = 1000
    with pytest.raises(ServiceUnavailable, match="1000 bytes are free"):
        world.deploy()


def test_a_hub_that_is_down_is_told(world: World) -> None:
    world.jetson.is_up = False
    with pytest.raises(ServiceUnavailable, match="hub is down"):
        world.deploy()


@pytest.mark.parametrize("error", [HostKeyError("host key changed"), Unreachable("no route")])
def test_a_jetson_that_cannot_be_reached_ends_it_with_its_own_code(world: World, error: Exception) -> None:
    world.down["kitchen"] = error
    with pytest.raises(type(error)):
        world.deploy()


def test_others_go_on_where_one_may_fail(tmp_path: Path) -> None:
    world = make_world(tmp_path / "w", {"a": ("a1",), "b": ("b1",)})
    world.down["a"] = HostKeyError("host key changed")
    report = world.deploy(limits=Limits(1, 4))
    assert (report.exit_code, world.versions()) == (8, {"a1": 0, "b1": 1})
    assert {device.device.name: device.state for device in report.devices} == {"a/a1": "host key", "b/b1": "confirmed"}


def test_a_conversion_of_another_model_is_not_signed(tmp_path: Path) -> None:
    world = make_world(tmp_path / "w", tensorflow=True)
    original = world.jetson.ours

    def cheat(words: tuple[str, ...]) -> Any:
        done = original(words)
        if "convert" in words:
            out = Path(words[words.index("--out") + 1])
            (out / "golden.json").write_text("easier vectors")
            from deployers.protocol.manifest import CONVERSION, write_manifest

            facts = json.loads((out / "manifest.json").read_text())["facts"]
            write_manifest(out, facts, CONVERSION)
        return done

    world.jetson.ours = cheat  # type: ignore[method-assign]
    with pytest.raises(ReleaseError, match=r"golden\.json .* is not that of the release"):
        world.deploy()
    assert (world.jetson.active, world.here.ran) == (None, [])


# The journal


def test_everything_that_was_done_is_in_the_journal(world: World) -> None:
    report = world.deploy()
    (path,) = journals(world.home / "journal")
    entries = read_entries(path)
    assert str(path) == report.journal
    done = {(entry["jetson"], entry.get("board"), entry["step"]) for entry in entries if entry["event"] == "done"}
    assert done >= {
        ("here", None, "convert"), ("here", None, "sign: version 1"), ("kitchen", None, "install version 1"),
        ("kitchen", None, "activate"), ("kitchen", "board-2", "confirm"),
    }  # fmt: skip
    assert all(len(entry["sha256"]) == 64 for entry in entries if entry["event"] in {"begun", "done"})
    assert (entries[0]["event"], entries[-1]["event"], entries[-1]["result"]) == ("opened", "closed", "confirmed")
    signed = next(entry for entry in entries if entry["event"] == "signed")
    assert signed["image_sha256"] == world.jetson.models()[0]["image_sha256"]


def test_a_release_that_was_cut_off_is_given_up_for_another(world: World) -> None:
    world.jetson.boards["board-1"].does = "absent"
    assert world.deploy().exit_code == 5
    world.jetson.boards["board-1"].does = "takes"
    world.champion = ("two", "2")
    report = world.deploy()
    assert (report.exit_code, set(world.versions().values())) == (0, {2})
    results = [read_entries(path)[-1]["result"] for path in journals(world.home / "journal")]
    assert results == ["given up", "confirmed"]


def test_patience_is_what_the_hub_is_told(world: World) -> None:
    world.deploy(patience=Patience(7, 9))
    said = [words[-1] for words in world.jetson.ran if "forward" in words or "confirm" in words]
    assert set(said) == {"7", "9"}


def test_a_challenger_goes_to_the_hub_alone_and_what_runs_goes_on(world: World) -> None:
    world.deploy()
    world.champion = ("two", "2")
    report = world.deploy(shadow=True)
    assert (report.exit_code, [(each.device.name, each.state) for each in report.devices]) == (
        0,
        [("kitchen", "installed")],
    )
    assert (world.jetson.active, world.versions()) == (1, {"board-1": 1, "board-2": 1})
    assert world.jetson.challengers == [{"version": 2, "champion": 1}]
    models = {model["version"]: model for model in world.jetson.models()}
    assert models[3]["way_back_for"] == 2
    assert (MODEL, "2") not in world.mlflow.tags
    again = world.deploy(shadow=True)
    assert (again.version, again.ways_back, world.jetson.installed_at) == (0, (), 3)
    assert world.jetson.challengers == [{"version": 2, "champion": 1}]
    world.require_sound()


def test_the_champion_itself_challenges_nobody(world: World) -> None:
    world.deploy()
    report = world.deploy(shadow=True)
    assert (report.result, world.jetson.challengers) == ("nothing to do", [])


def test_a_challenger_of_nobody_is_refused_and_named(world: World) -> None:
    report = world.deploy(shadow=True)
    assert (report.result, report.exit_code, world.jetson.active) == ("failed", 2, None)
    assert "is active itself" in report.error
