"""Versions come whole or not at all, and only a proven one runs."""

from __future__ import annotations

import asyncio
import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from deployers.exceptions import Conflict, GateFailed, InputError, NotFound, ServiceUnavailable
from deployers.hub import catalogue as module
from deployers.hub.catalogue import ACTIVE, LOADED_MAX, Activated
from deployers.hub.model_folder import IMAGE, NOTES
from deployers.hub.serving import Model
from tests import hub_models
from tests.hub_models import Kind, upload
from tests.model_shelf import Shelf, listed, spoil

pytestmark = pytest.mark.anyio


# Installation


async def test_a_version_is_moved_in_and_is_there_after_a_restart(shelf: Shelf) -> None:
    catalogue, folder = await shelf.open(), shelf.upload(3)
    view = await catalogue.install(folder, way_back_for=2)
    assert (view.version, view.state, view.installed_ms, view.way_back_for) == (3, "installed", 1_000_000, 2)
    assert not folder.exists()
    assert {path.name for path in (shelf.models / "3").iterdir()} >= {IMAGE, NOTES, "manifest.json"}
    assert catalogue.active is None
    again = await shelf.open()
    assert again.view(3) == view
    assert again.image(3) == (shelf.models / "3" / IMAGE).read_bytes()
    assert again.damaged == {}


async def test_the_same_image_again_changes_nothing(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(3)
    await catalogue.activate(3)
    before, again = catalogue.view(3), shelf.upload(3, name="again")
    assert await catalogue.install(again) == before
    assert not again.exists()


async def test_the_same_image_again_may_say_what_it_is_the_way_back_for(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(3)
    await catalogue.install(shelf.upload(3, name="again"), way_back_for=2)
    assert (await shelf.open()).view(3).way_back_for == 2
    assert catalogue.way_back_of(2) == 3
    assert catalogue.way_back_of(3) is None


async def test_another_image_of_the_same_version_is_refused(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(3)
    before, other = catalogue.view(3), shelf.upload(3, Kind(target_scale=0.02), "other")
    with pytest.raises(Conflict, match=r"version 3 is installed with image .*: sign a higher version"):
        await catalogue.install(other)
    assert other.exists()
    assert catalogue.view(3) == before


@pytest.mark.parametrize(
    ("kind", "spoilt", "told"),
    [
        (Kind(seed=2), "", "model.img of 'v3' is refused, signed with key"),
        (Kind(), "cell_float32.tflite", "cell_float32.tflite differs"),
        (Kind(shift=0.02), "", "golden vector 0 of version 3 comes out 0.02 °C off"),
    ],
)
async def test_what_is_refused_stays_where_it_is(shelf: Shelf, kind: Kind, spoilt: str, told: str) -> None:
    catalogue, folder = await shelf.open(), shelf.upload(3, kind)
    if spoilt:
        spoil(folder / spoilt)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(GateFailed, match=told):
        await catalogue.install(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert list(shelf.models.iterdir()) == []
    assert catalogue.models() == []


@pytest.mark.parametrize("way_back_for", [3, 4, 0, -1])
async def test_a_way_back_leads_from_a_version_before(shelf: Shelf, way_back_for: int) -> None:
    catalogue = await shelf.open()
    with pytest.raises(InputError, match=f"version 3 as way back for {way_back_for}"):
        await catalogue.install(shelf.upload(3), way_back_for)


async def test_a_full_disk_leaves_nothing_behind_and_the_same_again_works(shelf: Shelf, monkeypatch) -> None:
    catalogue, folder = await shelf.open(), shelf.upload(3)

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "sync_files", full)
        with pytest.raises(ServiceUnavailable, match=r"version 3 cannot be installed .No space left on device"):
            await catalogue.install(folder)
    assert catalogue.models() == []
    assert folder.exists()
    assert (await catalogue.install(folder)).version == 3


async def test_a_disk_that_takes_no_notes_is_said(shelf: Shelf, monkeypatch) -> None:
    catalogue = await shelf.with_versions(1, 2)
    await catalogue.activate(1)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("deployers.protocol.files.os.fsync", full)
        for changed in (catalogue.activate(2), catalogue.install(shelf.upload(3))):
            with pytest.raises(ServiceUnavailable, match="No space left on device"):
                await changed
    assert listed(catalogue) == listed(await shelf.open()) == {1: "active", 2: "installed"}


async def test_an_installation_that_was_killed_before_its_end_is_done_by_the_same_again(shelf: Shelf) -> None:
    folder = shelf.upload(3)
    (folder / NOTES).write_text('{"image_sha256": "x", "installed_ms": 5, "activated_ms": 77}')
    catalogue = await shelf.open()
    view = await catalogue.install(folder)
    assert (view.installed_ms, view.activated_ms) == (1_000_000, None)


async def test_a_damaged_version_is_replaced_by_a_sound_one(shelf: Shelf) -> None:
    await shelf.with_versions(3)
    spoil(shelf.models / "3" / "program.bin")
    catalogue = await shelf.open()
    assert catalogue.damaged.keys() == {"3"}
    await catalogue.install(shelf.upload(3, name="again"))
    assert catalogue.damaged == {}
    assert listed(catalogue) == {3: "installed"}
    assert listed(await shelf.open()) == {3: "installed"}


# What stays


async def test_the_oldest_go_beyond_those_to_keep(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(1, 2, 3, keep=2)
    assert listed(catalogue).keys() == {2, 3}
    assert {path.name for path in shelf.models.iterdir()} == {"2", "3"}
    with pytest.raises(NotFound, match="version 1 is not installed, expected one of 2, 3"):
        catalogue.view(1)


async def test_the_active_one_and_its_way_back_stay(shelf: Shelf) -> None:
    catalogue = await shelf.open(keep=2)
    await catalogue.install(shelf.upload(1))
    await catalogue.activate(1)
    await catalogue.install(shelf.upload(2), way_back_for=1)
    for version, others in ((3, set()), (4, {3}), (5, {4})):
        await catalogue.install(shelf.upload(version))
        assert listed(catalogue).keys() == {1, 2, *others, version}


async def test_a_version_and_its_way_back_stay_until_they_are_activated(shelf: Shelf) -> None:
    catalogue = await shelf.open(keep=2)
    await catalogue.install(shelf.upload(1))
    await catalogue.activate(1)
    await catalogue.install(shelf.upload(2), way_back_for=1)
    await catalogue.install(shelf.upload(3))
    await catalogue.install(shelf.upload(4), way_back_for=3)
    assert (await catalogue.activate(3)).before == 1
    assert catalogue.way_back_of(3) == 4


async def test_a_way_back_from_a_later_version_is_refused_however_often_it_is_sent(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(1, 2)
    for version in (1, 3):  # one that is there, and a new one
        with pytest.raises(InputError, match="expected a version before it"):
            await catalogue.install(shelf.upload(version), way_back_for=version + 1)
    assert catalogue.way_back_of(2) is None


# Activation


async def test_the_active_version_runs_again_after_a_restart(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(1, 2)
    assert await catalogue.activate(1) == Activated(1, None)
    shelf.now = 2000.0
    assert (await catalogue.activate(2)).as_dict() == {"active": 2, "before": 1}
    again = await shelf.open()
    assert again.active is not None
    assert (again.active.version, again.active_since_ms) == (2, 2_000_000)
    assert listed(again) == {2: "active", 1: "retired"}
    assert again.view(2).activated_ms == 2_000_000


async def test_activating_the_active_one_does_nothing(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(1)
    await catalogue.activate(1)
    model, shelf.now = catalogue.active, 5000.0
    assert await catalogue.activate(1) == Activated(1, 1)
    assert catalogue.active is model
    assert catalogue.view(1).activated_ms == 1_000_000


async def test_what_ran_before_is_what_was_activated_last(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(1, 2, 3)
    assert catalogue.ran_before(1) is None
    for now, version in enumerate((2, 1, 3), start=1):
        shelf.now = now
        await catalogue.activate(version)
    assert [catalogue.ran_before(version) for version in (1, 2, 3)] == [3, 3, 1]
    assert (await shelf.open()).ran_before(3) == 1


async def test_what_is_not_installed_cannot_run(shelf: Shelf) -> None:
    catalogue = await shelf.open()
    with pytest.raises(NotFound, match="version 7 is not installed, expected one of none"):
        await catalogue.activate(7)


async def test_a_version_that_was_spoilt_on_the_disk_does_not_become_active(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(1, 2)
    await catalogue.activate(1)
    before = catalogue.active
    spoil(shelf.models / "2" / "cell_float32.tflite")
    with pytest.raises(GateFailed, match=r"cell_float32.tflite differs"):
        await catalogue.activate(2)
    assert catalogue.active is before
    view = catalogue.view(2)
    assert view.state == "failed"
    assert view.reason is not None
    assert "cell_float32.tflite differs" in view.reason
    assert json.loads((shelf.models / ACTIVE).read_text())["version"] == 1


async def test_golden_vectors_are_run_again_before_a_version_answers(shelf: Shelf, monkeypatch) -> None:
    catalogue = await shelf.with_versions(1)

    def fail(*_: Any) -> float:
        msg = "golden vector 0 comes out otherwise"
        raise GateFailed(msg)

    with monkeypatch.context() as patch:
        patch.setattr(Model, "prove", fail)
        with pytest.raises(GateFailed, match="golden vector 0"):
            await catalogue.activate(1)
    assert catalogue.active is None
    assert listed(await shelf.open()) == {1: "failed"}
    await catalogue.activate(1)
    assert listed(await shelf.open()) == {1: "active"}


async def test_another_image_put_in_its_place_does_not_become_active(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(1)
    shutil.rmtree(shelf.models / "1")
    upload(shelf.models / "1", 1, Kind(target_scale=0.02))
    with pytest.raises(Conflict, match=r"model.img of version 1 is not the one that was installed"):
        await catalogue.activate(1)
    assert catalogue.active is None


async def test_a_key_that_is_taken_away_stops_what_it_signed(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(1, 2)
    await catalogue.activate(1)
    (shelf.keys / "key1.pub").unlink()
    hub_models.keys(shelf.keys, 2)
    with pytest.raises(GateFailed, match="is refused, signed with key"):
        await catalogue.activate(2)
    again = await shelf.open()
    assert again.active is None
    assert again.damaged.keys() == {"1", "2"}


async def test_a_model_is_prepared_before_it_answers(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(1, 2)
    await catalogue.activate(1)
    seen = []

    async def prepare(model: Model) -> None:
        assert catalogue.active is not None
        seen.append(
            (model.version, catalogue.active.version, json.loads((shelf.models / ACTIVE).read_text())["version"])
        )

    catalogue.prepare = prepare
    await catalogue.activate(2)
    assert seen == [(2, 1, 1)]


async def test_a_preparation_that_fails_changes_nothing(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(1, 2)
    await catalogue.activate(1)

    async def prepare(_: Model) -> None:
        msg = "the store does not answer"
        raise ServiceUnavailable(msg)

    catalogue.prepare = prepare
    with pytest.raises(ServiceUnavailable, match="the store does not answer"):
        await catalogue.activate(2)
    assert catalogue.active is not None
    assert catalogue.active.version == 1
    assert listed(await shelf.open()) == {1: "active", 2: "installed"}


# Versions by name


async def test_a_version_can_be_asked_without_being_active(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(1, 2, 3, 4)
    await catalogue.activate(4)
    assert await catalogue.model(4) is catalogue.active
    first = await catalogue.model(1)
    assert (first.version, await catalogue.model(1)) == (1, first)
    for version in (2, 3):
        await catalogue.model(version)
    assert len(catalogue._loaded) == LOADED_MAX  # noqa: SLF001
    assert await catalogue.model(1) is not first
    with pytest.raises(NotFound):
        await catalogue.model(9)


async def test_many_who_ask_at_once_have_a_version_loaded_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue, loads = await shelf.with_versions(1), list[int]()
    load = catalogue._load  # noqa: SLF001

    def counted(version: int) -> Any:
        loads.append(version)
        return load(version)

    monkeypatch.setattr(catalogue, "_load", counted)
    models = await asyncio.gather(*(catalogue.model(1) for _ in range(50)))
    assert loads == [1]
    assert all(model is models[0] for model in models)


async def test_a_closed_catalogue_says_so(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(1)
    await catalogue.close()
    await catalogue.close()
    with pytest.raises(ServiceUnavailable, match="catalogue of models is closed"):
        await catalogue.activate(1)
