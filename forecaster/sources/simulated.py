"""A simulated room with a DS18B20 temperature sensor: data without hardware, for trying things and for tests.

Physics: a two-capacity thermal model of a room (air and walls, resistances to each other and to outdoors; such models
are fitted in P. Bacher, H. Madsen, "Identifying suitable models for the heat dynamics of buildings", Energy and
Buildings 43, 2011), outdoor temperature as season + day + weather, sun, people, a radiator behind a
thermostatic valve with day and night setpoints, and someone who opens the window when it gets warm.
Sensor: steps of 0.0625 °C (DS18B20 data sheet, 12 bit), noise, and a clock that reads some seconds late.
"""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forecaster.errors import ConfigError
from forecaster.sources.selection import choose

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forecaster.arrays import Bools, Doubles
    from forecaster.sources.selection import Selection

    Times = NDArray[np.datetime64]

GENERATOR = 1  # raise it with any change of the output, fingerprints depend on it
TAG = "indoor"
DAY, HOUR = 86_400.0, 3_600.0
MOST_ROWS = 2_000_000
LONGEST_STEP = 300.0  # seconds of one step of the physics; the fastest time constant is some 25 minutes

RESOLUTION = 0.0625  # °C
NOISE = 0.02  # °C, standard deviation
DELAY, LONGEST_DELAY = 1.5, 0.2  # mean in seconds, longest in cadences
LONGEST_GAP = 48  # steps
LONGEST_STUCK = 36  # steps
SPIKE = (5.0, 15.0)  # °C

# Room: capacities J/K, conductances W/K, powers W.
AIR, WALLS = 7.0e5, 3.5e6
AIR_TO_WALLS, AIR_TO_OUTDOOR, WALLS_TO_OUTDOOR, OPEN_WINDOW = 220.0, 22.0, 28.0, 180.0
RADIATOR, RADIATOR_LAG, BAND = 1800.0, 1500.0, 1.8  # the valve is fully open a band below the setpoint
PEOPLE, SUN = 140.0, 300.0
DAY_SETPOINT, NIGHT_SETPOINT, SUMMER_SETPOINT = 21.6, 18.6, 16.0
HEATED_BELOW = 14.0  # °C, outdoors over the day
OPENS, CLOSES = 23.5, 21.5


class Simulation(BaseModel):
    """The parameters of a `simulated://name?key=value&…` source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: float = Field(120.0, gt=0, le=3660, description="length in days")
    seed: int = Field(1, ge=0, description="seed of weather, people, sensor and faults")
    start: datetime = Field(datetime(2024, 1, 1), description="first reading, wall clock without offset")  # noqa: DTZ001
    cadence: int = Field(600, ge=1, le=int(DAY), description="seconds between readings")
    drift: float = Field(0.0, ge=-1, le=1, description="°C a day that the sensor adds")
    gaps: int = Field(0, ge=0, description=f"number of gaps, each of 1 to {LONGEST_GAP} readings")
    duplicates: float = Field(0.0, ge=0, le=1, description="share of rows that are repeated exactly")
    stuck: int = Field(0, ge=0, description=f"number of times the value freezes for 2 to {LONGEST_STUCK} readings")
    spikes: int = Field(0, ge=0, description="number of single readings that are 5 to 15 °C off")

    @property
    def rows(self) -> int:
        """Readings before gaps and repetitions."""
        return int(self.days * DAY // self.cadence)


@dataclass(frozen=True)
class Habits:
    """When the occupants' day moves.

    Attributes:
        later_hours: by which they do everything later than they used to: get up, leave, come home, go to bed.
        from_days: after the first reading.
    """

    later_hours: float = 0.0
    from_days: float = 0.0


USUAL = Habits()


@dataclass(frozen=True)
class _Surroundings:
    """What acts on the room at each step of the physics, each of shape (steps,)."""

    outdoor: Doubles  # °C
    gains: Doubles  # W, people
    sun: Doubles  # W
    setpoint: Doubles  # °C


def read(source: str, selection: Selection) -> pd.DataFrame:
    """The simulated readings; the only user is the name in the URI, the only tag "indoor".

    Returns:
        Readings frame.

    Raises:
        ConfigError: a parameter is unknown or outside its range.
        SourceError: another user or tag is selected.
    """
    name, simulation = _parsed(source)
    choose([(name, TAG)], selection, source)
    times, values = _readings(simulation)
    return pd.DataFrame({"time": times, "value": values})


def fingerprint(source: str, selection: Selection) -> str:
    """SHA-256 of the name, all parameters, the selection and the version of the generator.

    Raises:
        ConfigError: a parameter is unknown or outside its range.
    """
    name, simulation = _parsed(source)
    return hashlib.sha256(repr((GENERATOR, name, simulation.model_dump_json(), selection)).encode()).hexdigest()


def simulated_table(uri: str) -> pd.DataFrame:
    """The simulated readings as a table in the layout of a CSV source.

    Returns:
        Columns `time_point` (ISO 8601 text), `user`, `value` (°C), `tag`, `id` (from 1).

    Raises:
        ConfigError: a parameter is unknown or outside its range.
    """
    name, simulation = _parsed(uri)
    times, values = _readings(simulation)
    return pd.DataFrame(
        {
            "time_point": np.datetime_as_string(times, unit="us").astype(object),
            "user": name,
            "value": values,
            "tag": TAG,
            "id": np.arange(1, len(values) + 1),
        }
    )


def simulated_room(simulation: Simulation, habits: Habits = USUAL) -> tuple[Doubles, Doubles]:
    """What a sensor without any error would measure at each reading, in the room and outdoors: °C, `(readings,)` both.

    Args:
        simulation: of which gaps, faults and the sensor itself do not matter.
        habits: of the occupants.
    """
    around, substeps = _acting(simulation, habits)
    air = _room(around, simulation.cadence / substeps)
    return air[::substeps], around.outdoor[::substeps]


def _parsed(uri: str) -> tuple[str, Simulation]:
    message = f"source {uri!r} is not understood: expected simulated://name?days=120&seed=1"
    try:
        parts = urlsplit(uri)
    except ValueError:  # brackets, as those of an IPv6 address
        raise ConfigError(message) from None
    if not parts.netloc or parts.path.strip("/") or parts.fragment:
        raise ConfigError(message)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    given = dict(pairs)
    if len(given) < len(pairs):
        message = f"source {uri!r} gives a parameter twice: give each once"
        raise ConfigError(message)
    return parts.netloc, _validated(given)


def _validated(given: dict[str, str]) -> Simulation:
    known = list(Simulation.model_fields)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            message = f"parameter {name!r} of the simulated sensor is unknown, {hint}"
            raise ConfigError(message)
    try:
        simulation = Simulation.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        message = f"parameter {first['loc'][0]!r} of the simulated sensor is {first['input']!r}: {first['msg']}"
        raise ConfigError(message) from None
    _require_sensible(simulation)
    return simulation


def _require_sensible(simulation: Simulation) -> None:
    rows, faults = simulation.rows, simulation.gaps + simulation.stuck + simulation.spikes
    if simulation.start.tzinfo is not None:
        message = f"parameter 'start' is {simulation.start.isoformat()!r}: expected a time without offset"
        raise ConfigError(message)
    if not 2 <= rows <= MOST_ROWS:
        message = f"{simulation.days!r} days at {simulation.cadence!r} s are {rows} readings: expected 2 to {MOST_ROWS}"
        raise ConfigError(message)
    if faults * 8 > rows:
        message = f"{faults} gaps, stuck episodes and spikes in {rows} readings: expected at most one in 8 readings"
        raise ConfigError(message)


def _readings(simulation: Simulation) -> tuple[Times, Doubles]:
    """Times and values with all faults, each shape (readings,)."""
    sensor, faults = (np.random.default_rng([simulation.seed, stream]) for stream in (2, 3))
    rows, cadence = simulation.rows, simulation.cadence
    air, _ = simulated_room(simulation)
    measured = air + sensor.normal(0.0, NOISE, rows)
    delay = np.minimum(sensor.exponential(DELAY, rows), LONGEST_DELAY * cadence)
    elapsed = np.arange(rows) * cadence
    times = np.datetime64(simulation.start, "us") + ((elapsed + delay) * 1e6).astype("timedelta64[us]")
    values = _faulty(measured + simulation.drift * elapsed / DAY, simulation, faults)
    kept = _received(rows, simulation, faults)
    return times[kept], np.round(values / RESOLUTION)[kept] * RESOLUTION


def _acting(simulation: Simulation, habits: Habits) -> tuple[_Surroundings, int]:
    """What acts on the room, and the steps of the physics for one reading."""
    # One stream for each purpose, so that asking for a fault changes nothing else.
    weather, people = (np.random.default_rng([simulation.seed, stream]) for stream in (0, 1))
    substeps = int(np.ceil(simulation.cadence / LONGEST_STEP))
    seconds = np.arange(simulation.rows * substeps) * (simulation.cadence / substeps)
    return _surroundings(simulation.start, seconds, weather, people, habits), substeps


def _surroundings(
    start: datetime, seconds: Doubles, weather: np.random.Generator, people: np.random.Generator, habits: Habits
) -> _Surroundings:
    day_of_year = start.timetuple().tm_yday - 1
    time = (day_of_year * DAY + start.hour * HOUR + start.minute * 60 + start.second) + seconds  # since New Year
    hour = time % DAY / HOUR
    season = np.cos(2 * np.pi * (time / DAY - 20) / 365.25)  # coldest on 21 January
    front = _slow_noise(seconds, weather, days=2.5)
    cloud = 1 / (1 + np.exp(1.5 * _slow_noise(seconds, weather, days=0.6)))  # share of the sun that comes through
    height = np.maximum(np.sin((hour - 6 - season) / (12 - 2 * season) * np.pi), 0) * ((hour > 5) & (hour < 20))
    mean = 10 - 7.5 * season + 2.2 * front
    outdoor = mean - (2.5 + 2 * cloud) * np.cos(2 * np.pi * (hour - 3.5) / 24)
    lived = time - habits.later_hours * HOUR * (seconds >= habits.from_days * DAY)  # by the occupants' own clock
    theirs, weekend = lived % DAY / HOUR, (start.weekday() - day_of_year + lived // DAY) % 7 >= 5
    late = 1.5 * weekend + 0.4 * _slow_noise(seconds, people, days=0.5)  # hours behind the usual
    awake = (theirs > 6.5 + late) & (theirs < 22.5 + late)
    home = awake & (weekend | (theirs < 8.5) | (theirs > 17 - late))
    activity = np.maximum(1 + _slow_noise(seconds, people, days=0.08), 0)
    return _Surroundings(
        outdoor=outdoor,
        gains=PEOPLE * (home * activity + 0.3),
        sun=SUN * height * cloud * (1 - 0.35 * season),
        setpoint=np.where(mean > HEATED_BELOW, SUMMER_SETPOINT, np.where(awake, DAY_SETPOINT, NIGHT_SETPOINT)),
    )


def _slow_noise(seconds: Doubles, rng: np.random.Generator, days: float) -> Doubles:
    """First-order autoregressive noise with unit variance and this correlation time, drawn hourly."""
    hours = int(seconds[-1] // HOUR) + 2
    keep = float(np.exp(-1 / (24 * days)))
    shocks = rng.normal(0.0, 1.0, hours)
    shocks[1:] *= (1 - keep**2) ** 0.5
    drawn, level = np.empty(hours), 0.0
    for at, shock in enumerate(shocks.tolist()):
        level = keep * level + shock
        drawn[at] = level
    return np.interp(seconds / HOUR, np.arange(hours), drawn)


def _room(around: _Surroundings, step: float) -> Doubles:
    """Air temperature at each step by explicit Euler, °C, shape (steps,)."""
    air, walls, heat, window = 19.0, 18.5, 500.0, 0.0
    lag = min(step / RADIATOR_LAG, 1.0)
    course = np.empty(len(around.outdoor))
    acting = (around.outdoor, around.gains, around.sun, around.setpoint)
    for at, (outdoor, gains, sun, setpoint) in enumerate(zip(*(one.tolist() for one in acting), strict=True)):
        course[at] = air
        heat += lag * (RADIATOR * min(max((setpoint - air) / BAND, 0.0), 1.0) - heat)
        if window or air > OPENS:
            window = OPEN_WINDOW if air > CLOSES and air > outdoor else 0.0
        inward = AIR_TO_WALLS * (walls - air)
        outward = (AIR_TO_OUTDOOR + window) * (outdoor - air)
        air += step / AIR * (inward + outward + heat + gains + 0.3 * sun)
        walls += step / WALLS * (WALLS_TO_OUTDOOR * (outdoor - walls) - inward + 0.7 * sun)
    return course


def _faulty(values: Doubles, simulation: Simulation, rng: np.random.Generator) -> Doubles:
    faulty = values.copy()
    for start, length in _episodes(len(values), simulation.stuck, LONGEST_STUCK, rng):
        faulty[start : start + length] = faulty[start]
    struck = np.array([start for start, _ in _episodes(len(values), simulation.spikes, 2, rng)], dtype=np.int64)
    faulty[struck] += rng.uniform(*SPIKE, len(struck)) * rng.choice([-1.0, 1.0], len(struck))
    return faulty


def _received(rows: int, simulation: Simulation, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of the readings that arrive: some are lost, some come twice."""
    arrives: Bools = np.ones(rows, dtype=bool)
    for start, length in _episodes(rows, simulation.gaps, LONGEST_GAP + 1, rng):
        arrives[start + 1 : start + length] = False
    kept = np.flatnonzero(arrives)
    twice = rng.choice(kept, round(simulation.duplicates * len(kept)), replace=False)
    return np.sort(np.concatenate([kept, twice]))


def _episodes(rows: int, count: int, longest: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """`count` stretches (start, length) of 2 to `longest` rows, one in each equal part of the series."""
    slot = rows // max(count, 1)
    lengths = rng.integers(2, min(longest, slot - 2), count, endpoint=True)
    starts = [at * slot + 1 + int(rng.integers(0, slot - 1 - length)) for at, length in enumerate(lengths)]
    return [(start, int(length)) for start, length in zip(starts, lengths, strict=True)]
