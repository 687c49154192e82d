"""Parts by themselves: who is chosen, what an answer means, which conversions are believed, what Jetsons say."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from deployers.connectors.base import Completed
from deployers.connectors.command import Command
from deployers.deployment import conversions
from deployers.deployment.carry import answer_of
from deployers.deployment.selection import select
from deployers.deployment.wanted import Wanted
from deployers.exceptions import (
    BoardRefused,
    DeployerError,
    DeploymentRunning,
    GateFailed,
    InputError,
    ReleaseError,
    RemoteFailed,
    RolledBack,
    ServiceUnavailable,
)
from deployers.protocol.manifest import CONVERSION, verify_manifest
from deployers.protocol.signature import load_private_key, public_point
from tests.fake_jetson import convert, make_release, sign
from tests.unit.deployers.deployment.conftest import make_world

if TYPE_CHECKING:
    from pathlib import Path

    from deployers.inventory import Inventory

CTL = Command(("python", "-m", "deployers.hub", "ctl", "status"))
SH = Command(("sh", "-c", "exit 9"))


# Who is chosen


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    return make_world(tmp_path / "w", {"kitchen": ("k1", "k2"), "attic": ("a1",), "bare": ()}, canary="k2").inventory


@pytest.mark.parametrize(
    ("limit", "devices"),
    [
        ((), ["kitchen/k1", "kitchen/k2", "attic/a1", "bare"]),
        (("kitchen",), ["kitchen/k1", "kitchen/k2"]),
        (("k1", "bare"), ["kitchen/k1", "bare"]),
        (("canary",), ["kitchen/k2"]),
        (("k*",), ["kitchen/k1", "kitchen/k2"]),
        (("a1", "attic"), ["attic/a1"]),
    ],
)
def test_names_patterns_and_groups_choose(inventory: Inventory, limit: tuple[str, ...], devices: list[str]) -> None:
    assert [device.name for each in select(inventory, limit) for device in each.devices] == devices


def test_canaries_are_those_of_the_group(inventory: Inventory) -> None:
    assert [device.name for each in select(inventory) for device in each.canaries] == ["kitchen/k2"]
    assert [device.name for each in select(inventory, ("k1",)) for device in each.canaries] == []


def test_a_name_that_fits_nothing_lists_those_that_do(inventory: Inventory) -> None:
    with pytest.raises(InputError, match=r"'cellar' fits nothing .* a1, attic, bare, canary, k1, k2, kitchen"):
        select(inventory, ("kitchen", "cellar"))


# What an answer means


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (2, InputError),
        (3, GateFailed),
        (5, ServiceUnavailable),
        (9, BoardRefused),
        (10, RolledBack),
        (77, RemoteFailed),
    ],
)
def test_an_exit_code_of_ours_is_its_error(code: int, kind: type[DeployerError]) -> None:
    with pytest.raises(kind, match=r"kitchen: .*board away") as caught:
        answer_of("kitchen", CTL, Completed(code, b'{"error": "board away"}\n', b"error: board away\n"))
    assert type(caught.value) is kind


def test_an_exit_code_of_another_program_is_none_of_ours() -> None:
    with pytest.raises(RemoteFailed, match="ended with 9"):
        answer_of("kitchen", SH, Completed(9, b"", b"sh: no"))


@pytest.mark.parametrize(
    ("stdout", "stderr", "told"),
    [(b"", b"warning\nerror: no space\n", "no space"), (b"", b"killed\n", "killed"), (b"", b"", "said nothing")],
)
def test_why_it_failed_is_told_however_it_was_said(stdout: bytes, stderr: bytes, told: str) -> None:
    with pytest.raises(ServiceUnavailable, match=told):
        answer_of("kitchen", CTL, Completed(5, stdout, stderr))


def test_a_lock_that_is_taken_names_its_holder() -> None:
    command = Command(("sh", "-c", "…"), accepted=(0, 11))
    with pytest.raises(DeploymentRunning, match="'D of office process 7' runs there"):
        answer_of("kitchen", command, Completed(11, b"D of office process 7\n"))


@pytest.mark.parametrize(
    ("text", "found"), [(b'line\n{"a": 1}\n', {"a": 1}), (b"", {}), (b"[1]", {}), (b"{", {}), (b'{"a": 1}\nmore', {})]
)
def test_an_answer_is_the_last_line(text: bytes, found: dict[str, int]) -> None:
    assert answer_of("kitchen", CTL, Completed(0, text)) == found


# Conversions


def test_only_whole_conversions_are_kept(tmp_path: Path) -> None:
    release = make_release(tmp_path / "release")
    for key in ("whole", "spoiled"):
        convert(release, tmp_path / "conversions" / key)
    (tmp_path / "conversions" / "spoiled" / "program.bin").write_text("changed")
    (tmp_path / "conversions" / "empty").mkdir()
    assert conversions.kept(tmp_path) == {"whole"}
    assert conversions.kept(tmp_path / "nowhere") == frozenset()


def test_the_oldest_of_many_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversions, "KEPT", 2)
    release = make_release(tmp_path / "release")
    for number in range(4):
        convert(release, tmp_path / "fresh")
        found = conversions.adopt(tmp_path / "fresh", tmp_path, f"key-{number}")
        os.utime(found, (number, number))
    assert conversions.kept(tmp_path) == {"key-1", "key-2", "key-3"}


@pytest.mark.parametrize("name", ["features.json", "golden.json", "model.onnx"])
def test_a_conversion_with_a_file_of_another_release_is_refused(tmp_path: Path, name: str) -> None:
    release, other = make_release(tmp_path / "release"), make_release(tmp_path / "other", "two")
    convert(release, tmp_path / "fresh")
    sha256 = json.loads((tmp_path / "fresh/manifest.json").read_text())["facts"]["release_sha256"]
    conversions.require_of_release(tmp_path / "fresh", release, sha256)
    (release / name).write_bytes((other / name).read_bytes())
    with pytest.raises(ReleaseError, match=f"{name} of conversion"):
        conversions.require_of_release(tmp_path / "fresh", release, sha256)
    with pytest.raises(ReleaseError, match="is of release"):
        conversions.require_of_release(tmp_path / "fresh", release, "00" * 32)


def test_the_label_says_which_registered_version_it_is(tmp_path: Path) -> None:
    convert(make_release(tmp_path / "release"), tmp_path / "fresh")
    conversions.label(tmp_path / "fresh", "m", "7")
    facts = verify_manifest(tmp_path / "fresh", CONVERSION)["facts"]
    assert (facts["model"], facts["version"], facts["chosen"]) == ("m", "7", "int8")


def test_what_a_hub_hands_out_must_be_what_was_signed_here(tmp_path: Path) -> None:
    world = make_world(tmp_path / "w")
    key, stranger = world.inventory.signing_key, make_world(tmp_path / "v").inventory.signing_key
    assert key is not None
    assert stranger is not None
    public, folder = public_point(load_private_key(key)), tmp_path / "fresh"
    release = make_release(tmp_path / "release")
    convert(release, folder)
    (folder / "model.img").write_bytes(sign(folder, key, 4, ""))
    conversions.require_own(folder, public, "ab")
    assert not (folder / "model.img").exists()
    (folder / "model.img").write_bytes(sign(folder, stranger, 4, ""))
    with pytest.raises(ReleaseError, match="cannot be taken as the way back"):
        conversions.require_own(folder, public, "ab")
    (folder / "model.img").unlink()
    image = sign(folder, key, 4, "")
    convert(make_release(tmp_path / "other", "two"), folder)
    (folder / "model.img").write_bytes(image)
    with pytest.raises(ReleaseError, match="are not those of its image"):
        conversions.require_own(folder, public, "ab")


def test_what_is_wanted_has_a_name_for_people_and_a_key_for_its_conversion() -> None:
    one = Wanted("ab" * 32, "m", "7", ("--budget", "0.01"))
    two = Wanted("ab" * 32, "", "", ("--budget", "0.02"))
    assert (one.name, two.name) == ("m 7", "release abababababab")
    assert one.key != two.key
    assert one.description == f"m 7, conversion {one.digest[:8]}"
