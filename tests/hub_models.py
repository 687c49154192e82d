"""Model folders as a deployer uploads them, made in milliseconds from the engine's test cells."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.conversion.features import FeatureProgram, decode_program
from deployers.conversion.runtimes import LiteRT
from deployers.conversion.stream import encode_golden, golden_vector, stream
from deployers.hub.catalogue import Catalogue
from deployers.imaging import MODEL_TYPES, tensors_of
from deployers.protocol.image import ImageParts, create_image
from deployers.protocol.manifest import CONVERSION, write_manifest
from tests import board_image

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CADENCE_MS, START_MS, HORIZON = board_image.CADENCE_MS, board_image.START_MS, board_image.HORIZON
CELLS = {"float32": "gru float32 4x16x6", "int8": "gru int8 4x16x6", "int16x8": "gru int16 4x16x6"}
TOLERANCE = 0.01


@dataclass(frozen=True)
class Kind:
    """What a folder is made with.

    Attributes:
        chosen: type that runs.
        target_scale: °C of one unit of the output; another one is another model.
        shift: °C that golden forecasts are off by.
        seed: of the key that signs.
    """

    chosen: str = "float32"
    target_scale: float = 0.01
    shift: float = 0.0
    seed: int = 1


FLOAT = Kind()


def program(kind: Kind = FLOAT) -> tuple[FeatureProgram, dict[str, Any], bytes]:
    """Four features, six steps, ten minutes apart."""
    payload = bytearray(board_image.program())
    payload[8:16] = np.float64(kind.target_scale).tobytes()
    found, cleaning = decode_program(bytes(payload))
    return found, cleaning, bytes(payload)


def readings(count: int, begin: int = 0, seed: int = 3) -> list[tuple[int, int]]:
    """(ms since 1970, micro-degrees), on the grid; the same at the same place."""
    steps = np.cumsum(np.random.default_rng(seed).integers(-200_000, 200_001, begin + count))
    pairs = [(START_MS + i * CADENCE_MS, 20_000_000 + int(step)) for i, step in enumerate(steps)]
    return pairs[begin:]


def expected(pairs: list[tuple[int, int]], kind: Kind = FLOAT) -> np.ndarray[Any, Any]:
    """Forecasts in °C at every accepted reading, `(accepted, horizon)`, by the conversion's own functions."""
    features, cleaning, _ = program(kind)
    streamed, _ = stream(features, cleaning, [(ms * 1000, value / 1e6) for ms, value in pairs])
    cell = LiteRT(board_image.cell(CELLS[kind.chosen]))
    residuals = cell.forecasts(streamed.features.astype(np.float32), np.flatnonzero(streamed.resets))
    celsius = streamed.values[:, None] + residuals.astype(np.float64) * features.target_scale
    return np.asarray(celsius[streamed.made].astype(np.float32))


def upload(folder: Path, version: int, kind: Kind = FLOAT) -> Path:
    """Write a conversion with its image."""
    folder.mkdir(parents=True)
    _, _, payload = program(kind)
    pairs = readings(40)
    made = expected(pairs, kind) + np.float32(kind.shift)
    golden = encode_golden([golden_vector(pairs, list(range(40)), made, TOLERANCE)])
    cell = board_image.cell(CELLS[kind.chosen])
    (folder / f"cell_{kind.chosen}.tflite").write_bytes(cell)
    (folder / f"golden_{kind.chosen}.bin").write_bytes(golden)
    (folder / "program.bin").write_bytes(payload)
    (folder / "fidelity.json").write_text(json.dumps(report(kind)), encoding="utf-8")
    facts = {"chosen": kind.chosen, "release_sha256": "5a" * 32, "model": "kitchen", "version": "7"}
    write_manifest(folder, facts, CONVERSION)
    parts = ImageParts(
        model=cell,
        program=payload,
        golden=golden,
        tensors=tensors_of(cell),
        version=version,
        model_type=MODEL_TYPES[kind.chosen],
        arena_bytes=4096,
        buffer_bytes=4096,
        release_sha256=bytes.fromhex("5a" * 32),
        description="for a test",
    )
    (folder / "model.img").write_bytes(create_image(parts, board_image.private_key(kind.seed)))
    return folder


def report(kind: Kind) -> dict[str, Any]:
    """As much of fidelity.json as the hub reads."""
    figures = {
        "metrics": {"mae": 0.15},
        "mae_growth": 0.002,
        "error": {"largest": {"celsius": 0.005}},
        "file_bytes": 9472,
        "instructions": 5981,
    }
    return {"types": {kind.chosen: figures}, "keras": {"mae": 0.1497}}


def keys(folder: Path, *seeds: int) -> Path:
    """A folder with public keys."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds or (1,):
        (folder / f"key{seed}.pub").write_bytes(board_image.public_point(seed))
    return folder


async def shelved(folder: Path, kinds: Mapping[int, Kind], active: int | None = None) -> None:
    """Fill a hub's folder with versions, of which one is active if it is named."""
    catalogue = Catalogue(folder / "data" / "models", keys(folder / "keys"))
    await catalogue.open()
    for version, kind in kinds.items():
        await catalogue.install(upload(folder / f"up{version}", version, kind))
    if active is not None:
        await catalogue.activate(active)
    await catalogue.close()
