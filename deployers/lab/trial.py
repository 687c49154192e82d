"""One model on one virtual board: the same readings through Keras, LiteRT and the firmware."""

from __future__ import annotations

import json
import math
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec

from deployers.conversion.converter import convert
from deployers.conversion.features import FeatureProgram
from deployers.conversion.folder import write_conversion
from deployers.conversion.runtimes import LiteRT
from deployers.conversion.stream import MICRODEGREES, stream
from deployers.exceptions import GateFailed
from deployers.imaging import image_of_conversion
from deployers.lab.board import VirtualBoard
from deployers.lab.feeder import part_for_tests
from deployers.protocol.messages import Reading
from deployers.protocol.signature import public_point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from deployers.conversion.proof import Proof
    from deployers.conversion.stream import Streamed
    from deployers.protocol.messages import Forecast
    from deployers.registry import FetchedRelease

    Doubles = NDArray[np.float64]
    Integers = NDArray[np.int64]

RUNTIMES = ("Keras", "LiteRT", "board")


@dataclass(frozen=True)
class Trial:
    """What came of the readings.

    Attributes:
        times: of the readings that forecasts were made at, ms since 1970, `(forecasts,)`.
        celsius: the readings, `(forecasts,)`.
        forecasts: by runtime, °C, `(forecasts, horizon)`.
        cadence_seconds: between two readings, and between two values of a forecast.
        model_version: of the image that the board says it runs, confirmed.
    """

    times: Integers
    celsius: Doubles
    forecasts: dict[str, Doubles]
    cadence_seconds: int
    model_version: int

    @property
    def horizon(self) -> int:
        """Values of a forecast."""
        return int(self.forecasts["Keras"].shape[1])

    def ahead(self, step: int) -> str:
        """How far ahead a value of a forecast is, as +10 min."""
        return f"+{step * self.cadence_seconds / 60:g} min"

    def largest_difference(self, one: str, other: str) -> float:
        """Between two runtimes, over all forecasts, in °C; not a number if there are none."""
        if not len(self.times):
            return math.nan
        return float(np.abs(self.forecasts[one] - self.forecasts[other]).max())

    def require(self, tolerance: float) -> None:
        """The board says what Keras says.

        Raises:
            GateFailed: some forecast differs by more than `tolerance` °C.
        """
        found = self.largest_difference("Keras", "board")
        if not found <= tolerance:
            msg = (
                f"the board's forecasts differ from Keras' by {found!r} °C, allowed are {tolerance:g}: do not deploy it"
            )
            raise GateFailed(msg)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; no differences and no last forecast if there are no forecasts."""
        made = len(self.times) > 0
        return {
            "readings": len(self.times),
            "model_version": self.model_version,
            "differences": {name: self.largest_difference("Keras", name) for name in RUNTIMES[1:] if made},
            "last": {name: self.forecasts[name][-1].tolist() for name in RUNTIMES if made},
        }


def last_readings(release: Path, count: int) -> list[Reading]:
    """The last measured readings of a release's test part, from one segment, as a sensor would give them.

    Raises:
        ReleaseError: the release has no test part.
    """
    stored = part_for_tests(release, release.name)
    time, value, segment, filled = (stored[name] for name in ("time", "value", "segment", "filled"))
    rows = np.flatnonzero((segment == segment[-1]) & ~filled)[-count:]
    return [Reading(int(time[row]) // 1000, round(float(value[row]) * MICRODEGREES)) for row in rows]


def on_board(  # noqa: PLR0913, PLR0917 - the whole hand-over
    release: FetchedRelease,
    proof: Proof,
    folder: Path,
    board_kind: str,
    readings: list[Reading],
    stage: Callable[[str], None] = lambda _: None,
) -> tuple[int, Trial]:
    """Sign an image of the chosen type, install it on a fresh board, confirm it, and compare.

    Args:
        release: the release.
        proof: of its conversion.
        folder: scratch.
        board_kind: "native" or "mps2_an500".
        readings: in time order.
        stage: called with the name of each stage.

    Returns:
        Bytes of the image, and what came of the readings.

    Raises:
        GateFailed: no type is within budget, or the board made no forecast.
        DeployerError: the board refused, or did not answer.
    """
    stage("image")
    converted = folder / "converted"
    chosen = write_conversion(release.path, proof, converted, release.facts)
    key = ec.generate_private_key(ec.SECP256R1())
    image = image_of_conversion(converted, key, version=int(release.version or 1))
    stage(f"{board_kind} starts")
    board = VirtualBoard(
        board_kind, key=secrets.token_bytes(32), state_folder=folder / "board", public_key=public_point(key)
    )
    with board:
        stage("transfer")
        board.install(image)
        stage("readings")
        trial = run_trial(release.path, proof.files[chosen], board, readings, folder / "keras")
    return len(image), trial


def run_trial(release: Path, cell: bytes, board: VirtualBoard, readings: list[Reading], folder: Path) -> Trial:
    """Feed readings to a board that runs an image of this release's cell, and stream them through the other runtimes.

    Args:
        release: release folder.
        cell: the .tflite file that the image holds.
        board: a board that has forecast nothing yet.
        readings: in time order.
        folder: for Keras' inputs and outputs; made here.

    Raises:
        LabError: the board did not send them back in time.
        GateFailed: the board made no forecast.
    """
    program, streamed = streamed_readings(release, readings)
    made = {forecast.time_ms: forecast for forecast in board.feed(readings)}
    accepted = [readings[number].time_ms for number in streamed.accepted]
    forecasts = {
        "Keras": _celsius(streamed, keras_residuals(release, streamed, folder), program),
        "LiteRT": _celsius(streamed, LiteRT(cell).stream(streamed.features.astype(np.float32)), program),
        "board": _of_board(accepted, made, board),
    }
    values = streamed.values[streamed.made]
    board.confirm()
    version = board.link.status().model_version
    return Trial(np.array(accepted), values, forecasts, program.cadence_seconds, version)


def streamed_readings(release: Path, readings: Sequence[Reading]) -> tuple[FeatureProgram, Streamed]:
    """A release's feature program, and what it makes of readings."""
    fields = json.loads((release / "features.json").read_text(encoding="utf-8"))
    program = FeatureProgram.from_dict(fields["program"])
    pairs = [(reading.time_ms * 1000, reading.microcelsius / MICRODEGREES) for reading in readings]
    streamed, _ = stream(program, fields["cleaning"], pairs)
    return program, streamed


def _celsius(streamed: Streamed, residuals: NDArray[Any], program: FeatureProgram) -> Doubles:
    at = streamed.made
    made: Doubles = streamed.values[at, None] + residuals[at].astype(np.float64) * program.target_scale
    return made


def keras_residuals(release: Path, streamed: Streamed, folder: Path) -> NDArray[np.float32]:
    """By the converter's process: TensorFlow stays out of this one."""
    folder.mkdir()
    np.savez(
        folder / "inputs.npz",
        features=streamed.features.astype(np.float32),
        starts=np.flatnonzero(streamed.resets),
    )
    convert(release, folder, ("float32",))
    with np.load(folder / "reference.npz") as made:
        residuals: NDArray[np.float32] = made["residuals"]
    return residuals


def _of_board(accepted: list[int], made: dict[int, Forecast], board: VirtualBoard) -> Doubles:
    missing = [time for time in accepted if time not in made]
    if missing:
        msg = (
            f"the board made no forecast at {len(missing)!r} of {len(accepted)} readings, expected one at each; "
            f"it printed {board.log_end()!r}: do not deploy it"
        )
        raise GateFailed(msg)
    return np.array([made[time].celsius for time in accepted], np.float64)
