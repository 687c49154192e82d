"""Where the monitor is measured: simulated rooms and measured ones, and what may go wrong with their sensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from forecaster.sources.simulated import NOISE, RESOLUTION, Habits, Simulation, simulated_room

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Fault = Callable[["Site", int, np.random.Generator], "Readings"]

CADENCE_MS, DAY_STEPS = 600_000, 144
SIMULATED_YEAR = datetime(2025, 1, 1)  # noqa: DTZ001 - wall clock without offset, as the simulation has it
BEHIND_MS = 1000  # from a reading to its arrival
DELAY_MS = 1500  # mean delay of a reading's time behind the grid, as the simulated sensor has it
LATER_HOURS = 4.0
LAG_STEPS = 3.0  # 30 minutes
CLOCK_MS = 3_600_000
# Of what a moved sensor shows: so much of where it was, the rest of outdoors (of a sensor outdoors: of a room).
STAYED = 0.6
USERS = ("living_room", "laundry", "bedroom", "weather_station")
ELSEWHERE = dict.fromkeys(USERS, "weather_station") | {"weather_station": "living_room"}
NOISE_WINDOW = 1.4826 / math.sqrt(6)  # from the median size of second differences to a normal noise's deviation


class Readings(NamedTuple):
    """Readings in the order in which they come.

    Attributes:
        times: as the sender has them, ms since 1970, `(readings,)`.
        celsius: °C, likewise.
        received: when the hub has them, by its own clock.
    """

    times: Integers
    celsius: Doubles
    received: Integers

    def part(self, begin: int, end: int) -> Readings:
        """Those from one to before another."""
        return Readings(self.times[begin:end], self.celsius[begin:end], self.received[begin:end])


@dataclass(frozen=True)
class Site:
    """One sensor and the place where it hangs.

    Attributes:
        name: of the series.
        times: of its readings, ms since 1970, `(readings,)`.
        air: what it would show without noise in °C, likewise; of measured readings what was measured.
        elsewhere: what it would show where it is moved to.
        noise: that it adds in °C.
        spread: standard deviation of the noise in °C.
        resolution: steps in which it measures in °C, 0 if they are finer than it matters.
        later: what it would show if the occupants' day moved at a reading.
        begin: reading from which on it is in the field; those before it are for training.
    """

    name: str
    times: Integers
    air: Doubles
    elsewhere: Doubles
    noise: Doubles
    spread: float
    resolution: float
    later: Callable[[int], Doubles]
    begin: int = 0

    def measured(self, air: Doubles, noise: Doubles | None = None) -> Doubles:
        """What it shows of an air, in its steps; with its own noise if no other is given."""
        shown = air + (self.noise[-len(air) :] if noise is None else noise)
        return np.round(shown / self.resolution) * self.resolution if self.resolution else shown

    @property
    def healthy(self) -> Readings:
        """What it shows as long as nothing goes wrong."""
        return Readings(self.times, self.measured(self.air), self.times + BEHIND_MS)

    def shown(self, at: int, celsius: Doubles) -> Readings:
        """Values from one reading on, at their own times."""
        return Readings(self.times[at:], celsius, self.times[at:] + BEHIND_MS)


def simulated(seed: int, days: int) -> Site:
    """A room of its own weather and occupants."""
    simulation = Simulation(days=days, seed=seed, start=SIMULATED_YEAR, cadence=CADENCE_MS // 1000)
    air, outdoor = simulated_room(simulation)
    random = np.random.default_rng([seed, 100])
    delay = np.minimum(random.exponential(DELAY_MS, len(air)), CADENCE_MS / 5).astype(np.int64)
    begin = np.datetime64(SIMULATED_YEAR, "ms").astype(np.int64)
    times = begin + np.arange(len(air)) * CADENCE_MS + delay

    def later(at: int) -> Doubles:
        return simulated_room(simulation, Habits(LATER_HOURS, at / DAY_STEPS))[0]

    noise = random.normal(0, NOISE, len(air))
    spread = math.hypot(NOISE, RESOLUTION / math.sqrt(12))
    return Site(f"room-{seed}", times, air, outdoor, noise, spread, RESOLUTION, later)


def measured(file: Path, trained_days: int) -> list[Site]:
    """The sensors of a house, in the field after days for training."""
    frame = pd.read_csv(file)
    times = pd.to_datetime(frame[frame["user"] == USERS[0]]["time_point"]).to_numpy("datetime64[ms]").astype(np.int64)
    values = {user: frame[frame["user"] == user].sort_values("time_point")["value"].to_numpy() for user in USERS}
    return [_measured(user, times, values, trained_days * DAY_STEPS) for user in USERS]


def _measured(user: str, times: Integers, values: dict[str, Doubles], begin: int) -> Site:
    air = values[user]

    def later(at: int) -> Doubles:
        """All that the sensor sees comes later by the clock, sun and weather too; without a jump at the beginning."""
        back = round(LATER_HOURS * DAY_STEPS / 24)
        shown: Doubles = np.r_[air[:at], air[at - back : -back] + air[at] - air[at - back]]
        return shown

    spread = float(np.median(np.abs(np.diff(air, 2)))) * NOISE_WINDOW
    return Site(user, times, air, values[ELSEWHERE[user]], np.zeros(len(air)), spread, 0.0, later, begin)


def none(site: Site, at: int, _: np.random.Generator) -> Readings:
    """Nothing: what is found here is found by chance."""
    return _from(site, at, site.air[at:])


def offset(site: Site, at: int, random: np.random.Generator) -> Readings:
    """It shows 1 °C more, or less."""
    return _from(site, at, site.air[at:] + random.choice([-1.0, 1.0]))


def gain(site: Site, at: int, _: np.random.Generator) -> Readings:
    """It shows 10 % more, of °C."""
    return _from(site, at, 1.1 * site.air[at:], 1.1 * site.noise[at:])


def lag(site: Site, at: int, _: np.random.Generator) -> Readings:
    """It follows with a time constant of 30 minutes, as one that was covered."""
    shown, share = np.empty(len(site.air) - at), 1 - math.exp(-1 / LAG_STEPS)
    level = site.air[at]
    for row, air in enumerate(site.air[at:].tolist()):
        level += share * (air - level)
        shown[row] = level
    return _from(site, at, shown)


def noise(site: Site, at: int, random: np.random.Generator) -> Readings:
    """Its noise is three times as large."""
    more = random.normal(0, math.sqrt(8) * site.spread, len(site.air) - at)
    return _from(site, at, site.air[at:], site.noise[at:] + more)


def stuck(site: Site, at: int, _: np.random.Generator) -> Readings:
    """It shows the same for ever."""
    shown = site.measured(site.air[at : at + 1], site.noise[at : at + 1])
    return site.shown(at, np.full(len(site.air) - at, shown[0]))


def schedule(site: Site, at: int, _: np.random.Generator) -> Readings:
    """The occupants' day is four hours later."""
    return _from(site, at, site.later(at)[at:])


def clock(site: Site, at: int, random: np.random.Generator) -> Readings:
    """The sender's clock is an hour fast, or slow; a time that was there before is not stored."""
    times = site.times[at:] + CLOCK_MS * random.choice([-1, 1])
    fresh = ~np.isin(times, site.times[:at])
    _, celsius, received = site.healthy.part(at, len(site.times))
    return Readings(times[fresh], celsius[fresh], received[fresh])


def moved(site: Site, at: int, _: np.random.Generator) -> Readings:
    """It hangs in a draught of the air outdoors, a sensor of outdoors in one of a room."""
    return _from(site, at, STAYED * site.air[at:] + (1 - STAYED) * site.elsewhere[at:])


FAULTS: dict[str, Fault] = {
    each.__name__: each for each in (none, offset, gain, lag, noise, stuck, schedule, clock, moved)
}


def injected(site: Site, fault: str, at: int, seed: int, count: int) -> Readings:
    """Readings from one on, at most so many, of which the first is the first with the fault."""
    found = FAULTS[fault](site, at, np.random.default_rng([seed, at, *fault.encode()]))
    return found.part(0, count)


def _from(site: Site, at: int, air: Doubles, noise: Doubles | None = None) -> Readings:
    return site.shown(at, site.measured(air, noise))
