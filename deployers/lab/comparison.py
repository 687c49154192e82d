"""What came back from a deployed model: live readings, and the forecasts of board, hub and Keras at each of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.conversion.fidelity import changes_ahead, errors_against_truth
from deployers.exceptions import GateFailed
from deployers.lab.trial import RUNTIMES, Trial, keras_residuals, streamed_readings

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from deployers.conversion.stream import Streamed
    from deployers.protocol.messages import Reading

    Doubles = NDArray[np.float64]

# Below it a difference is rounding.
SMALLEST_TOLERANCE = 0.001


@dataclass(frozen=True)
class Live:
    """What the hub has of one board.

    Attributes:
        board: its id.
        version: of the image whose forecasts these are.
        readings: all, in time order.
        forecasts: °C of "board" and "LiteRT" (the hub's own), by the time of the reading in ms.
    """

    board: str
    version: int
    readings: tuple[Reading, ...]
    forecasts: dict[str, dict[int, tuple[float, ...]]]


@dataclass(frozen=True)
class Comparison:
    """One board's live forecasts.

    Attributes:
        board: its id.
        readings: that the hub has of it.
        trial: forecasts of Keras, LiteRT (on the hub) and the board at readings where all three were made.
        live: MAE and RMSE in °C against the readings that came later, by "board" and "persistence".
        test: likewise on the release's test part, by "model" and "persistence"; None where the release does not say.
        tolerance: °C by which two may differ.
    """

    board: str
    readings: int
    trial: Trial
    live: dict[str, dict[str, Any]]
    test: dict[str, float | None]
    tolerance: float

    def require(self, forecasts: int) -> None:
        """So many forecasts were made, and all three say the same.

        Raises:
            GateFailed: not so.
        """
        made = len(self.trial.times)
        if made < forecasts:
            msg = (
                f"{made!r} readings of board {self.board!r} have a forecast of board and hub, expected {forecasts}: "
                "python -m deployers logs"
            )
            raise GateFailed(msg)
        for name in RUNTIMES[1:]:
            found = self.trial.largest_difference("Keras", name)
            if not found <= self.tolerance:
                msg = (
                    f"forecasts of {name} ({self.board}) differ from Keras' by {found!r} °C, "
                    f"allowed are {self.tolerance:g}: python -m deployers rollback"
                )
                raise GateFailed(msg)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        trial = self.trial.as_dict()
        return {
            "board": self.board,
            "readings": self.readings,
            "forecasts": trial.pop("readings"),
            **trial,
            "tolerance": self.tolerance,
            "live": self.live,
            "test": self.test,
        }


def tolerance(largest_celsius: float) -> float:
    """Twice the largest difference from Keras that the type had on the whole test part, at least 0.001 °C.

    Live readings are not those of the test part, and begin elsewhere.
    """
    return max(SMALLEST_TOLERANCE, 2 * largest_celsius)


def compare(release: Path, live: Live, largest_celsius: float, folder: Path) -> Comparison:
    """Stream a board's readings through Keras, and put the three forecasts side by side.

    Args:
        release: folder of the release that was deployed.
        live: what the hub has.
        largest_celsius: see `tolerance`.
        folder: for Keras' inputs and outputs; made here.

    Raises:
        InputError: there are no readings.
        ConversionError: Keras does not answer.
    """
    program, streamed = streamed_readings(release, live.readings)
    residuals = keras_residuals(release, streamed, folder).astype(np.float64) * program.target_scale
    times = [live.readings[number].time_ms for number in streamed.accepted]
    made = [live.forecasts[name] for name in ("LiteRT", "board")]
    rows = [row for row, time in enumerate(times) if all(time in each for each in made)]
    at = streamed.made[rows]
    celsius = streamed.values[at]
    forecasts = {"Keras": celsius[:, None] + residuals[at]}
    for name, found in zip(("LiteRT", "board"), made, strict=True):
        forecasts[name] = np.array([found[times[row]] for row in rows]).reshape(-1, program.horizon)
    kept = np.array([times[row] for row in rows], np.int64)
    trial = Trial(kept, celsius, forecasts, program.cadence_seconds, live.version)
    errors = _live_errors(streamed, at, forecasts["board"] - celsius[:, None], program.horizon)
    return Comparison(
        live.board, len(live.readings), trial, errors, errors_on_test_part(release), tolerance(largest_celsius)
    )


def _live_errors(streamed: Streamed, at: NDArray[Any], residuals: Doubles, horizon: int) -> dict[str, dict[str, Any]]:
    """Against what was measured later, where that has come already."""
    filled = np.ones(len(streamed.values), bool)
    filled[streamed.made] = False
    truth = changes_ahead(streamed.values, np.cumsum(streamed.resets), filled, horizon)[at]
    return {
        "board": errors_against_truth(residuals, truth),
        "persistence": errors_against_truth(np.zeros_like(residuals), truth),
    }


def errors_on_test_part(release: Path) -> dict[str, float | None]:
    """What the release says of its test part: MAE in °C of the model and of persistence."""
    metrics = json.loads((release / "metrics.json").read_text(encoding="utf-8"))
    model, persistence = metrics.get("model", {}), metrics.get("baselines", {}).get("persistence", {})
    return {"model": model.get("mae"), "persistence": persistence.get("mae")}
