"""Whether a challenger takes the champion's place."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from forecaster.errors import InputError
from forecaster.metrics import forecast_errors, truth
from forecaster.serving import ServedForecaster
from forecaster.streaming import stream_forecasts

if TYPE_CHECKING:
    from pathlib import Path

    from forecaster.arrays import Doubles
    from forecaster.dataset import Dataset


class PromotionConfig(BaseModel):
    """When a challenger becomes champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    margin: float = Field(0.0, ge=0, lt=1, description="share by which the challenger's test RMSE must be lower")


@dataclass(frozen=True)
class Decision:
    """The outcome of a comparison.

    Attributes:
        promoted: whether the challenger takes over.
        reason: why, in words with the figures.
        challenger_rmse, champion_rmse: °C on the same test part; None where there is none.
    """

    promoted: bool
    reason: str
    challenger_rmse: float | None = None
    champion_rmse: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def decide(challenger: Path, champion: Path | None, dataset: Dataset, config: PromotionConfig) -> Decision:
    """Compare two releases on the test part of one dataset.

    Args:
        challenger: release folder of the new version.
        champion: release folder of the present champion, None where there is none.
        dataset: both forecast its test part, reading by reading.
        config: the margin the challenger must win by.

    Raises:
        InputError: the challenger was made for another cadence or horizon than the dataset's; a champion that was
            keeps its place.
    """
    error = release_rmse(challenger, dataset)
    if champion is None:
        return Decision(
            promoted=True, reason=f"there is no champion yet; test RMSE {error:.4f} °C", challenger_rmse=error
        )
    try:
        present = release_rmse(champion, dataset)
    except InputError as other:
        return Decision(promoted=False, reason=f"the champion cannot be compared: {other}", challenger_rmse=error)
    limit = present * (1 - config.margin)
    verdict = "beats" if error < limit else "does not beat"
    margin = f" by the margin of {config.margin:.1%}" if config.margin else ""
    reason = f"test RMSE {error:.4f} °C {verdict} the champion's {present:.4f} °C on the same readings{margin}"
    return Decision(error < limit, reason, error, present)


def release_rmse(release: Path, dataset: Dataset) -> float:
    """RMSE in °C of a release on a dataset's test part, pooled over all horizons; errors as `release_errors`."""
    return float(np.sqrt(np.nanmean(np.square(release_errors(release, dataset)))))


def release_errors(release: Path, dataset: Dataset) -> Doubles:
    """Errors in °C of a release on a dataset's test part, `(origins, horizon)`; NaN where the reading is unknown.

    Raises:
        InputError: the release was made for another cadence or horizon.
    """
    served = ServedForecaster(release)
    made = (served.program.cadence_seconds, served.program.horizon)
    wanted = (dataset.program.cadence_seconds, dataset.program.horizon)
    if made != wanted:
        msg = (
            f"the release forecasts {made[1]} steps of {made[0]} s, the dataset has {wanted[1]} of {wanted[0]} s: "
            "choose a matching dataset, or put another champion in its place with run.py promote --version N --force"
        )
        raise InputError(msg)
    forecasts = stream_forecasts(dataset.grid, served.program, served.network)
    test = (dataset.grid["part"] == "test").to_numpy()
    return forecast_errors(forecasts[test], truth(dataset.grid, wanted[1])[test])
