"""What goes into the store and comes out of it.

A series is named by the board that it comes from, or by REST as user and tag: `user/tag`, or `user` where there is no
tag. So a board `bench-1` is the user `bench-1` without tag in an exported CSV, and the data pipeline finds it by
`--user bench-1`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from deployers.exceptions import InputError

if TYPE_CHECKING:
    from deployers.protocol.messages import Reading

LATEST_MS = 253_402_300_799_999  # the end of the year 9999, as the golden vectors and CSV times have it
LOWEST_MICROCELSIUS, HIGHEST_MICROCELSIUS = -(2**31), 2**31 - 1  # what a board's messages hold
MICRODEGREES = 1_000_000
SHADOW, BOARD_SHADOW = "shadow", "board-shadow"
# Whose forecasts answer somebody; a challenger's, in the shadow of the active model, are only compared with readings,
# and those that a board makes with a challenger only with those that the hub makes with it.
ANSWERING = ("board", "hub")
PAIRED = (*ANSWERING, SHADOW)
SOURCES = (*PAIRED, BOARD_SHADOW)  # tables have the place in this list
CHALLENGERS_MOST = 4  # at once, as `settings.ShadowSection` has it
VALUES_MAX = 32  # the longest horizon of the protocol

# No comma, quote or line end, and nothing that a spreadsheet takes for a formula: names travel through CSV files, URLs
# and pages. Either part may be as long as the ids that boards may have, four times over.
_PART = r"\w[\w .:@+-]{0,63}"
NAME = re.compile(rf"{_PART}(?:/{_PART})?")
NAME_EXPECTED = "user or user/tag, each at most 64 letters, digits, spaces and _.:@+-, a letter, a digit or _ first"


@dataclass(frozen=True, slots=True)
class StoredForecast:
    """A forecast of a board, of the hub itself, or of a challenger on the hub or on a board.

    Attributes:
        series: of the reading.
        source: one of `SOURCES`.
        time_ms: of the reading that it was made at, ms since 1970.
        version: image version that made it.
        slot_state: of the board's slot then, as `SlotState` numbers it.
        celsius: °C, one a step of the horizon.
        received_ms: when the hub had it.
    """

    series: str
    source: str
    time_ms: int
    version: int
    slot_state: int
    celsius: tuple[float, ...]
    received_ms: int


@dataclass(frozen=True, slots=True)
class StoredReading:
    """A reading as the store has it.

    Attributes:
        id: rises with every reading that is stored, whatever its time; never used again.
    """

    id: int
    series: str
    time_ms: int
    microcelsius: int
    received_ms: int

    @property
    def celsius(self) -> float:
        """The temperature in °C."""
        return self.microcelsius / MICRODEGREES


@dataclass(frozen=True, slots=True)
class SeriesView:
    """One series, as it is now.

    Attributes:
        readings: how many are stored.
        first_ms: time of the oldest, None without readings.
        last_ms: time of the newest.
        last_id: the highest id among them, 0 without readings.
        revision: rises with each correction and each removal of a reading, not with new ones and not when old ones
            expire. Who has copied everything up to `last_id` needs only higher ids as long as it stays.
        different: readings that came a second time with another value; the first one stayed.
        store: of which store, a random name that a database gets when it is made.
    """

    series: str
    readings: int
    first_ms: int | None
    last_ms: int | None
    last_id: int
    revision: int
    different: int
    store: str

    @property
    def user(self) -> str:
        """The first part of the name."""
        return self.series.partition("/")[0]

    @property
    def tag(self) -> str:
        """The second part of the name, "" if there is none."""
        return self.series.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of readings that were sent.

    Attributes:
        new: stored now.
        already: were there with this value.
        different: were there with another value, which stays.
    """

    new: int
    already: int
    different: int


class Place(NamedTuple):
    """A place in the order of all readings, by series and then by time."""

    series_id: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which readings are wanted.

    Attributes:
        series: of this series only.
        user: of series of this user only.
        tag: of series with this tag only.
        since_ms: not before this time.
        until_ms: before this time.
        after_id: with higher ids only.
        upto_id: with ids up to this one only.
    """

    series: str | None = None
    user: str | None = None
    tag: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    after_id: int | None = None
    upto_id: int | None = None

    def matches(self, series: str) -> bool:
        """Whether readings of this series are wanted at all."""
        user, _, tag = series.partition("/")
        wanted = ((self.series, series), (self.user, user), (self.tag, tag))
        return all(given in (None, there) for given, there in wanted)


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days readings and forecasts stay, counted from when the hub had them; 0 for ever."""

    readings_days: float = 0.0
    forecasts_days: float = 0.0


@dataclass(frozen=True, slots=True)
class Expired:
    """How many readings and forecasts were older than their retention, and are gone."""

    readings: int
    forecasts: int


def series_name(user: str, tag: str = "") -> str:
    """The series of a user and a tag.

    Raises:
        InputError: names that cannot be kept.
    """
    return checked_name(f"{user}/{tag}" if tag else user, parts=2 if tag else 1)


def checked_name(name: str, parts: int | None = None) -> str:
    """The name itself, if a series may have it.

    Args:
        name: of the series.
        parts: 1 if it is a user alone, 2 if it is user and tag; None if either will do.

    Raises:
        InputError: it may not.
    """
    if NAME.fullmatch(name) is None or parts not in (None, name.count("/") + 1):
        msg = f"name of a series {name[:200]!r}: expected {NAME_EXPECTED}"
        raise InputError(msg)
    return name


def checked_time(time_ms: int) -> int:
    """The time itself, if it lies between 1970 and 9999.

    Raises:
        InputError: it does not.
    """
    if not 0 <= time_ms <= LATEST_MS:
        msg = f"time {time_ms!r} ms since 1970: expected one of the years 1970 to 9999, set the sender's clock"
        raise InputError(msg)
    return time_ms


def is_storable(reading: Reading) -> bool:
    """Whether a store takes this reading; one that it does not take now it will never take."""
    in_time = 0 <= reading.time_ms <= LATEST_MS
    return in_time and LOWEST_MICROCELSIUS <= reading.microcelsius <= HIGHEST_MICROCELSIUS


def checked_microcelsius(microcelsius: int) -> int:
    """The value itself, if it fits into 32 bits, as readings do on their way.

    Raises:
        InputError: it does not.
    """
    if not LOWEST_MICROCELSIUS <= microcelsius <= HIGHEST_MICROCELSIUS:
        msg = f"value {microcelsius!r} in micro-degrees: expected a number of 32 bits, check the sensor"
        raise InputError(msg)
    return microcelsius
