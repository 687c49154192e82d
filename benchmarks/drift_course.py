"""The room of the demonstration: a simulated one, in which the sensor is moved beside the radiator one day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from deployers.lab.feeder import Course
from forecaster.sources.simulated import NOISE, RESOLUTION, Simulation, simulated_room

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DAY_MS, CADENCE = 86_400_000, 600
STEPS_A_DAY = DAY_MS // (1000 * CADENCE)
# All of it is in the heating season. Wall clock without offset, as the simulation has it.
START = datetime(2023, 10, 1)  # noqa: DTZ001
# Beside the radiator each stroke of the heating is felt so much more; what is slower than three hours is the room's.
STROKE, SLOW_STEPS = 3.5, 18


@dataclass(frozen=True)
class Plan:
    """Days of the demonstration.

    Attributes:
        trained: of which the first model learns.
        healthy: in the field before the sensor is moved.
        live: in the field altogether.
        seed: of weather, people and sensor.
    """

    trained: int = 60
    healthy: int = 34  # of which half may pass until hub and boards have a model
    live: int = 300
    seed: int = 3

    @property
    def live_ms(self) -> int:
        """Time of the first reading in the field, ms since 1970."""
        return round(START.replace(tzinfo=UTC).timestamp() * 1000) + self.trained * DAY_MS

    @property
    def moved_ms(self) -> int:
        """When the sensor is moved, likewise."""
        return self.live_ms + self.healthy * DAY_MS


def celsius(plan: Plan) -> NDArray[np.float64]:
    """Readings in °C, one each ten minutes, `(days * 144,)`."""
    room, _ = simulated_room(Simulation(days=plan.trained + plan.live, seed=plan.seed, start=START, cadence=CADENCE))
    stroke = room - pd.Series(room).ewm(span=SLOW_STEPS).mean().to_numpy()
    moved = (plan.trained + plan.healthy) * STEPS_A_DAY
    felt = room.copy()
    felt[moved:] += (STROKE - 1) * stroke[moved:]
    noise = np.random.default_rng([plan.seed, 100]).normal(0.0, NOISE, len(felt))
    measured: NDArray[np.float64] = np.round((felt + noise) / RESOLUTION) * RESOLUTION
    return measured


def write(plan: Plan, history: Path, readings: Path) -> None:
    """The days before as a CSV source of the data pipeline, those in the field as what the lab's boards are fed."""
    values = celsius(plan)
    times = plan.live_ms + (np.arange(len(values)) - plan.trained * STEPS_A_DAY) * CADENCE * 1000
    past = plan.trained * STEPS_A_DAY
    stamps = np.datetime_as_string(times[:past].astype("datetime64[ms]"), unit="s")
    frame = pd.DataFrame({"time_point": stamps, "user": "room", "value": values[:past], "tag": "indoor"})
    frame.assign(id=np.arange(1, past + 1)).to_csv(history, index=False)
    microcelsius = np.round(values[past:] * 1e6).astype(np.int64)
    Course(times[past:].astype(np.int64), microcelsius, float(CADENCE), "a room whose sensor is moved").write(readings)
