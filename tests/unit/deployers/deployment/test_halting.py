"""The emergency stop and the quarantine, as every deployment meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deployers import tags
from deployers.deployment import halting, quarantine
from deployers.exceptions import Conflict, GateFailed, InputError, NotFound

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.deployers.deployment.conftest import World

MODEL, SINCE = "temperature-forecaster", "2026-11-22T10:00:00Z"


def held(version: str, because: str = "bad", release_sha256: str = "", model: str = MODEL) -> quarantine.Held:
    return quarantine.Held(model, version, release_sha256, because, SINCE)


def test_no_deployment_begins_during_a_stop_and_a_rollback_does(world: World) -> None:
    world.deploy()
    world.champion = ("two", "2")
    world.deploy()
    first = halting.stop(world.home, "boards reboot", "Ann", 0.0)
    assert halting.stop(world.home, "again", "Bob", 9.0) == first
    world.champion = ("three", "3")
    with pytest.raises(Conflict, match=r"stopped by Ann .*'boards reboot', expected no stop: .* fleet resume"):
        world.deploy()
    assert world.roll_back().exit_code == 0
    assert halting.resume(world.home)
    assert not halting.resume(world.home)
    assert world.deploy().result == "confirmed"


def test_a_stop_that_cannot_be_read_stops_nevertheless(world: World) -> None:
    world.home.mkdir()
    (world.home / halting.FILE).write_text("{")
    with pytest.raises(InputError, match="expected an emergency stop"):
        world.deploy()
    assert world.versions() == {"board-1": 0, "board-2": 0}


def test_a_release_in_quarantine_is_deployed_by_no_name(world: World) -> None:
    sha256 = world.deploy().wanted.release_sha256
    world.champion = ("two", "2")
    world.deploy()
    quarantine.add(world.home, held("1", release_sha256=sha256))
    world.champion = ("one", "9")  # the same content under another number
    with pytest.raises(GateFailed, match=f"{MODEL} 1 is in quarantine since {SINCE} .bad., expected another version"):
        world.deploy()
    world.champion = ("three", "1")  # the same number with another content
    with pytest.raises(GateFailed, match="in quarantine"):
        world.deploy()
    world.champion = ("three", "3")
    assert world.deploy().result == "confirmed"


def test_the_first_reason_stays_and_lifting_wants_one_name(tmp_path: Path) -> None:
    for one in (held("1"), held("1", "worse"), held("1", model="other"), held("2")):
        quarantine.add(tmp_path, one)
    assert [(one.name, one.because) for one in quarantine.listed(tmp_path)] == [
        (f"{MODEL} 1", "bad"), ("other 1", "bad"), (f"{MODEL} 2", "bad"),
    ]  # fmt: skip
    with pytest.raises(NotFound, match="'1' means 2 versions in quarantine"):
        quarantine.lift(tmp_path, "1", SINCE)
    assert quarantine.lift(tmp_path, "other 1", SINCE).model == "other"
    assert quarantine.lift(tmp_path, "1", SINCE).model == MODEL
    assert [one.version for one in quarantine.listed(tmp_path)] == ["2"]


def test_mlflow_is_told_of_a_quarantine_and_of_its_end(world: World) -> None:
    quarantine.add(world.home, held("7"))
    tags.tell(world.home, world.mlflow)
    assert world.mlflow.tags[MODEL, "7"] == {"quarantined": f"{SINCE} bad"}
    quarantine.lift(world.home, "7", SINCE)
    tags.tell(world.home, world.mlflow)
    assert world.mlflow.tags[MODEL, "7"] == {}


def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / quarantine.FILE).write_text('[{"what": 1}]')
    with pytest.raises(InputError, match="expected the versions in quarantine: mend it"):
        quarantine.listed(tmp_path)
