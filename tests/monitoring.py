"""Simulated series for the monitor: days of readings with forecasts of a known quality, without a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.hub.monitor.decay import Thresholds
from deployers.hub.monitor.sensors import Limits
from deployers.hub.monitor.watch import Rules
from deployers.hub.store import StoredForecast, StoredReading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CADENCE_MS = 600_000
STEPS_A_DAY = 144
HORIZON = 3
RULES = Rules(Thresholds.of(60, 365, 14), Limits(-40, 85))
START_MS = 19_800 * 86_400_000


@dataclass
class Site:
    """A room: a daily cycle, weather that wanders, and a forecaster that knows the next readings but for an error.

    Attributes:
        days: how many.
        seed: of the random numbers.
        share: of persistence's error that the forecaster makes.
        worse_from: day from which on it makes `worse` of it instead.
    """

    days: int = 30
    seed: int = 0
    share: float = 0.6
    worse: float = 0.6
    worse_from: int = 10_000
    series: str = "board-1"
    source: str = "hub"
    version: int = 1

    def celsius(self) -> NDArray[np.float64]:
        """Readings in °C."""
        random, count = np.random.default_rng(self.seed), self.days * STEPS_A_DAY
        at = np.arange(count)
        weather = np.cumsum(random.normal(0, 0.05, count))
        return 20 + 2 * np.sin(2 * np.pi * at / STEPS_A_DAY) + weather + random.normal(0, 0.02, count)

    def events(self, celsius: NDArray[np.float64] | None = None) -> Iterator[StoredReading | StoredForecast]:
        """Readings, each with the forecast made at it, in the order in which they arrive."""
        values = self.celsius() if celsius is None else celsius
        random = np.random.default_rng(self.seed + 1)
        for at, value in enumerate(values):
            time_ms = START_MS + at * CADENCE_MS
            yield StoredReading(at + 1, self.series, time_ms, round(float(value) * 1e6), time_ms + 1000)
            share = self.worse if at // STEPS_A_DAY >= self.worse_from else self.share
            share *= float(np.exp(random.normal(0, 0.3)))
            ahead = values[at + 1 : at + 1 + HORIZON]
            made = tuple(float(there + share * (value - there)) for there in ahead)
            if len(made) == HORIZON:
                yield StoredForecast(self.series, self.source, time_ms, self.version, 0, made, time_ms + 1001)


def watched(watch: Any, events: Iterator[StoredReading | StoredForecast]) -> Any:
    """Give them to a watch."""
    for each in events:
        if isinstance(each, StoredReading):
            watch.reading(each)
        else:
            watch.forecast(each)
    return watch
