"""A converted folder becomes an image; nothing that was not checked is signed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from deployers.conversion.board import HostBoard
from deployers.conversion.checking import FLOAT_TOLERANCE
from deployers.conversion.cost import TYPES
from deployers.exceptions import GateFailed, InputError, ReleaseError
from deployers.imaging import MODEL_TYPES, TENSOR_TYPES, image_of_conversion, run_image, tensors_of
from deployers.protocol.image import ImageParts, ModelType, Policy, TensorKind, TensorType, verify_image
from deployers.protocol.manifest import CONVERSION, verify_manifest, write_manifest
from deployers.protocol.signature import public_point
from deployers.protocol.tlv import ImageError

KEY = ec.derive_private_key(7, ec.SECP256R1())
POLICY = Policy((public_point(KEY),))


def refit(folder: Path, **facts: Any) -> Path:
    """The manifest written again over whatever a test has changed."""
    found = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["facts"]
    write_manifest(folder, {**found, **facts}, CONVERSION)
    return folder


def test_an_image_holds_what_the_folder_holds(conversion: Path) -> None:
    parts = verify_image(image_of_conversion(conversion, KEY, 5, minimum_firmware=0x010000, description="a"), POLICY)
    facts = verify_manifest(conversion, CONVERSION)["facts"]
    kind = facts["chosen"]
    assert parts.model == (conversion / f"cell_{kind}.tflite").read_bytes()
    assert parts.program == (conversion / "program.bin").read_bytes()
    assert parts.golden == (conversion / f"golden_{kind}.bin").read_bytes()
    assert parts.release_sha256.hex() == facts["release_sha256"]
    assert (parts.version, parts.minimum_firmware, parts.description) == (5, 0x010000, "a")
    assert parts.model_type == MODEL_TYPES[kind]
    assert parts.buffer_bytes == facts["buffer_bytes"]
    assert parts.arena_bytes == facts["arena_bytes"][kind]


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_makes_an_image_that_the_firmware_runs(copied: Path, kind: str) -> None:
    path = copied / "fidelity.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chosen": kind}))
    image = image_of_conversion(refit(copied, chosen=kind), KEY, 1)
    parts = verify_image(image, POLICY)
    horizon = next(tensor.elements for tensor in parts.tensors if tensor.kind == TensorKind.Y)
    board = HostBoard(parts.model, parts.program, horizon)
    assert board.golden(parts.golden)[0].name == "OK"
    assert parts.model_type == MODEL_TYPES[kind]
    assert board.engine.arena_bytes <= parts.arena_bytes
    assert run_image(parts) <= (FLOAT_TOLERANCE if kind == "float32" else 0)


# An image, run as a board runs it


@pytest.fixture(scope="module")
def parts(conversion: Path) -> ImageParts:
    return verify_image(image_of_conversion(conversion, KEY, 1), POLICY)


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"model": b"no model at all"}, "OK", "the engine refuses the file: NN_"),
        ({"program": b"no program"}, "OK", "a feature program of 10 bytes"),
        ({"arena_bytes": 1}, "IMAGE_LIMIT", "bytes of arena are needed, the image says 1: make"),
        ({"buffer_bytes": 2}, "IMAGE_LIMIT", "bytes of buffer are needed, the image says 2: make"),
        ({"golden": b"no vectors"}, "GOLDEN_LENGTH", "the firmware refuses the golden vectors"),
    ],
)
def test_an_image_that_a_board_cannot_run_is_refused(
    parts: ImageParts, change: dict[str, Any], status: str, message: str
) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        run_image(replace(parts, **change))
    assert caught.value.status.name == status


def test_an_image_that_forecasts_otherwise_than_it_says_is_refused(parts: ImageParts) -> None:
    golden = parts.golden[:-4] + np.float32(99.5).tobytes()
    with pytest.raises(ImageError, match=r"refuses the golden vectors, .* °C off: convert") as caught:
        run_image(replace(parts, golden=golden))
    assert caught.value.status.name == "GOLDEN_MISMATCH"


# What is not signed


@pytest.mark.parametrize("horizon", ["x", 5, -5, 600_000])
def test_the_horizon_is_that_of_the_program(copied: Path, horizon: object) -> None:
    with pytest.raises(ReleaseError, match=r"horizon of conversion .* expected 3"):
        image_of_conversion(refit(copied, horizon=horizon), KEY, 1)


def test_a_type_that_the_report_did_not_choose_is_not_signed(copied: Path) -> None:
    chosen = verify_manifest(copied, CONVERSION)["facts"]["chosen"]
    other = next(kind for kind in TYPES if kind != chosen)
    with pytest.raises(ReleaseError, match=f"is '{other}', expected '{chosen}'"):
        image_of_conversion(refit(copied, chosen=other), KEY, 1)


@pytest.mark.parametrize("kind", TYPES)
def test_tensor_specs_are_those_of_the_cell(forms: dict[str, Any], kind: str) -> None:
    for converted in forms.values():
        specs = tensors_of(converted.files[kind])
        assert [spec.kind for spec in specs] == [
            TensorKind.X, *[TensorKind.STATE] * len(converted.cell.states), TensorKind.Y,
        ]  # fmt: skip
        assert (specs[0].elements, specs[-1].elements) == (3, 4)
        assert all((spec.scale > 0) == (kind != "float32") for spec in specs)
        if kind == "int16x8":
            assert {spec.type for spec in specs} == {TensorType.INT16}
            assert {spec.zero_point for spec in specs} == {0}


def test_types_are_numbered_as_in_the_engine() -> None:
    header = (Path(__file__).parents[3] / "firmware" / "core" / "nn" / "nn.h").read_text(encoding="utf-8")
    assert "NN_FLOAT32" in header
    order = [header.index(f"NN_{name}") for name in ("FLOAT32", "INT8", "INT16X8")]
    assert order == sorted(order)
    assert [int(MODEL_TYPES[kind]) for kind in ("float32", "int8", "int16x8")] == [0, 1, 2]
    assert set(MODEL_TYPES.values()) == set(ModelType)
    assert TENSOR_TYPES[np.dtype(np.int16)] == TensorType.INT16


def test_the_same_folder_makes_the_same_image(conversion: Path) -> None:
    assert image_of_conversion(conversion, KEY, 2) == image_of_conversion(conversion, KEY, 2)


def test_stages_are_told(conversion: Path) -> None:
    stages: list[str] = []
    image_of_conversion(conversion, KEY, 1, progress=stages.append)
    assert stages == list(verify_manifest(conversion, CONVERSION)["facts"]["types"])


@pytest.mark.parametrize("name", ["cell_int8.tflite", "program.bin", "golden_float32.bin", "features.json"])
def test_a_changed_file_is_not_signed(copied: Path, name: str) -> None:
    data = bytearray((copied / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / name).write_bytes(data)
    with pytest.raises(ReleaseError, match=f"{name} differs"):
        image_of_conversion(copied, KEY, 1)


def test_golden_vectors_that_do_not_match_are_not_signed(copied: Path) -> None:
    kind = verify_manifest(copied, CONVERSION)["facts"]["chosen"]
    path = copied / f"golden_{kind}.bin"
    data = bytearray(path.read_bytes())
    data[-4:] = np.float32(99.5).tobytes()
    path.write_bytes(data)
    with pytest.raises(GateFailed, match="GOLDEN_MISMATCH"):
        image_of_conversion(refit(copied), KEY, 1)


@pytest.mark.parametrize("digits", [None, "", "5a", "zz" * 32, 7])
def test_a_release_without_a_hash_is_refused(copied: Path, digits: Any) -> None:
    with pytest.raises(ReleaseError, match="expected 64 hexadecimal digits"):
        image_of_conversion(refit(copied, release_sha256=digits), KEY, 1)


def test_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="nowhere"):
        image_of_conversion(tmp_path / "nowhere", KEY, 1)


@pytest.mark.parametrize("version", [0, -1, 2**32])
def test_a_version_that_does_not_fit_is_refused(conversion: Path, version: int) -> None:
    with pytest.raises(InputError, match=f"version {version}: expected 1 to"):
        image_of_conversion(conversion, KEY, version)
