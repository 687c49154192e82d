"""From raw readings to forecasts in °C, the same way wherever a model is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forecaster.cleaning import CleaningConfig, clean
from forecaster.features import FeatureProgram
from forecaster.streaming import stream_forecasts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from forecaster.arrays import Doubles, Floats


@dataclass(frozen=True)
class Preprocessing:
    """What stands between a reading and the network.

    Attributes:
        program: the features the network reads.
        cleaning: how raw readings become a grid.
    """

    program: FeatureProgram
    cleaning: CleaningConfig

    @classmethod
    def as_trained(cls, program: FeatureProgram, cleaning: Mapping[str, Any]) -> Preprocessing:
        """The rules of the training at its cadence; only its shortest segment does not apply.

        A device forecasts from its first readings on.

        Args:
            program: holds the cadence.
            cleaning: the training's `CleaningConfig` as plain values.
        """
        fixed = {"cadence_seconds": program.cadence_seconds, "min_segment_steps": 1}
        return cls(program, CleaningConfig(**{**cleaning, **fixed}))

    def forecasts(self, readings: pd.DataFrame, network: Callable[[Floats], Floats]) -> tuple[pd.DataFrame, Doubles]:
        """Forecasts made at every step of the grid that raw readings become.

        Args:
            readings: readings frame.
            network: any runtime: features `(1, steps, inputs)`, float32, to residuals `(1, steps, horizon)`.

        Returns:
            The grid frame and the forecasts in °C made at each of its rows, `(rows, horizon)`.

        Raises:
            ReadingError: the readings cannot become a series.
        """
        grid, _ = clean(readings, self.cleaning)
        return grid, stream_forecasts(grid, self.program, network)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"program": self.program.as_dict(), "cleaning": self.cleaning.model_dump(mode="json")}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Preprocessing:
        """The inverse of `as_dict`."""
        return cls(FeatureProgram.from_dict(fields["program"]), CleaningConfig(**fields["cleaning"]))
