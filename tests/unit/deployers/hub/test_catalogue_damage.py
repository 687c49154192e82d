"""What a catalogue finds spoilt when it starts is reported, passed over, and never runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deployers.exceptions import GateFailed, MissingTool, NotFound, ServiceUnavailable
from deployers.hub import catalogue as module
from deployers.hub.catalogue import ACTIVE, Catalogue
from deployers.hub.model_folder import IMAGE
from tests.model_shelf import Shelf, listed, spoil

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", ["cell_float32.tflite", IMAGE, "manifest.json"])
async def test_a_damaged_version_is_reported_and_never_active(shelf: Shelf, name: str, caplog) -> None:
    catalogue = await shelf.with_versions(1, 2)
    await catalogue.activate(2)
    spoil(shelf.models / "2" / name)
    again = await shelf.open()
    assert again.active is None
    assert listed(again) == {1: "installed"}
    assert again.damaged.keys() == {"2"}
    assert "model 2 is passed over" in caplog.text
    with pytest.raises(NotFound):
        await again.activate(2)


async def test_a_folder_under_another_number_is_passed_over(shelf: Shelf) -> None:
    await shelf.with_versions(1)
    (shelf.models / "1").rename(shelf.models / "9")
    again = await shelf.open()
    assert again.models() == []
    assert again.damaged == {"9": "its image has version 1, expected '9'"}


async def test_an_active_version_that_is_gone_is_reported(shelf: Shelf) -> None:
    catalogue = await shelf.with_versions(1)
    await catalogue.activate(1)
    shutil.rmtree(shelf.models / "1")
    again = await shelf.open()
    assert again.active is None
    assert again.damaged == {"1": "it was active, and is not there any more"}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": null, "since_ms": 1}', '{"version": 1}'])
async def test_a_damaged_note_of_what_runs_is_reported(shelf: Shelf, text: str) -> None:
    await shelf.with_versions(1)
    (shelf.models / ACTIVE).write_text(text)
    again = await shelf.open()
    assert again.active is None
    assert again.damaged.keys() == {ACTIVE}
    await again.activate(1)
    assert (await shelf.open()).damaged == {}


async def test_an_active_version_whose_forecasts_came_out_otherwise_does_not_run(shelf: Shelf, monkeypatch) -> None:
    catalogue = await shelf.with_versions(1)
    await catalogue.activate(1)
    monkeypatch.setattr(module.Installable, "load", lambda *_: (_ for _ in ()).throw(GateFailed("off")))
    again = await shelf.open()
    assert again.active is None
    assert again.damaged == {"1": "it was active and does not run: off"}


async def test_what_a_killed_process_left_is_removed(shelf: Shelf) -> None:
    await shelf.with_versions(1)
    (shelf.models / ".7.gone").mkdir()
    assert listed(await shelf.open()) == {1: "installed"}
    assert not (shelf.models / ".7.gone").exists()


async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    catalogue = Catalogue(tmp_path / "file" / "models", tmp_path)
    with pytest.raises(ServiceUnavailable, match=r"models folder .* cannot be read"):
        await catalogue.open()
    await catalogue.close()


async def test_a_runtime_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingTool, match="tflite_runtime"):
        await Catalogue(tmp_path, tmp_path, "tflite").open()
