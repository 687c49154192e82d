"""Raw readings become a grid of regular cadence; nothing is filled or dropped without being counted.

Everything here looks back only. A grid value depends on the first reading (which places the grid) and on readings up
to `tolerance` of a cadence after its time, never on later ones; gaps are bridged by holding the last value, as the
device does, never interpolated. Later readings decide only whether a held row or a short segment is kept at all.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from forecaster.errors import ReadingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forecaster.arrays import Doubles

    Integers = NDArray[np.int64]

MICROSECONDS = 1_000_000
LONGEST_CADENCE = 86_400
# The grid lies at the first reading, rounded to a quarter of the cadence. Rounded to a whole one, a sensor that reads
# half-way between grid points would lose half of its readings to jitter.
PHASES = 4
# A cadence this close to a whole minute is taken as that: a step in 200 is then held or surplus.
MINUTE_SHARE = 0.005
# Three standard errors of a median, in median absolute deviations: 3 * sqrt(pi / 2) / Phi^-1(3/4).
MEDIAN_ERROR = 5.57


class CleaningConfig(BaseModel):
    """How readings become a grid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cadence_seconds: int | None = Field(
        None, ge=1, le=LONGEST_CADENCE, description="seconds from grid point to grid point, inferred if not given"
    )
    tolerance: float = Field(
        0.5, ge=0.25, le=0.5, description="how far from a grid point a reading still counts, in cadences"
    )
    conflicts: Literal["last", "mean", "median"] = Field(
        "last", description="which value stands where one time was read with different values"
    )
    max_hold_steps: int = Field(
        6, ge=0, description="missing grid points in a row that are bridged by holding the last value"
    )
    min_segment_steps: int = Field(24, ge=1, description="shorter segments between long gaps are dropped")


@dataclass(frozen=True)
class CleaningReport:
    """What cleaning found and did.

    Each row is in one count: `rows_in - exact_duplicates - conflicting - surplus - off_grid + held
    - rows_dropped_with_segments == rows_out`.

    Attributes:
        rows_in: readings given.
        out_of_order: readings whose time is before that of the row above.
        exact_duplicates: readings dropped because time and value were there already.
        conflicting: readings dropped because another value was read at the same time.
        surplus: readings dropped because another one is nearer to the same grid point.
        off_grid: readings dropped because they are further than the tolerance from any grid point.
        missing: grid points between the first and the last one without a reading.
        held: grid points filled with the value before, in gaps up to `max_hold_steps`.
        gaps_long: longer gaps; each begins a segment.
        longest_gap_steps: missing grid points of the longest gap, short ones included.
        segments: segments kept.
        segments_dropped: segments shorter than `min_segment_steps`.
        rows_dropped_with_segments: grid rows in them, held ones included.
        rows_out: rows of the grid.
        cadence_seconds: given or inferred.
        first_time: time of the first grid row, ISO 8601.
        last_time: time of the last grid row, ISO 8601.
    """

    rows_in: int
    out_of_order: int
    exact_duplicates: int
    conflicting: int
    surplus: int
    off_grid: int
    missing: int
    held: int
    gaps_long: int
    longest_gap_steps: int
    segments: int
    segments_dropped: int
    rows_dropped_with_segments: int
    rows_out: int
    cadence_seconds: int
    first_time: str
    last_time: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Steps:
    """Readings on grid points: the grid starts at `anchor` (µs since 1970) and steps by `step` (µs)."""

    anchor: int
    step: int
    index: Integers
    celsius: Doubles


def clean(readings: pd.DataFrame, config: CleaningConfig) -> tuple[pd.DataFrame, CleaningReport]:
    """Put readings on a grid of regular cadence.

    Sort by time, drop repetitions, settle conflicts, give each grid point its nearest reading, hold values over short
    gaps, begin a segment after long ones, drop short segments.

    Args:
        readings: readings frame, any order, shape (rows_in, 2).
        config: how.

    Returns:
        Grid frame (time, value, segment, filled), shape (rows_out, 4), and the report. Its times are multiples of
        a quarter of the cadence. Cleaning the grid again gives the same times, values and segments.

    Raises:
        ReadingError: fewer than two distinct times, no cadence to infer, or nothing left.
    """
    ordered = _in_order(readings)
    distinct = ordered.drop_duplicates(["time", "value"], keep="last")
    settled = _settled(distinct, config.conflicts)
    times = settled["time"].to_numpy("datetime64[us]")
    if len(times) < 2:
        message = f"{len(readings)} reading(s) at {len(times)} distinct time(s): expected at least two times"
        raise ReadingError(message)
    cadence = config.cadence_seconds or infer_cadence(times)
    steps, counts = _on_grid(times.astype(np.int64), settled["value"].to_numpy(np.float64), cadence, config.tolerance)
    whole, gaps = _bridged(steps, config.max_hold_steps)
    grid, dropped = _long_enough(whole, config.min_segment_steps, cadence)
    report = CleaningReport(
        rows_in=len(readings),
        out_of_order=int((np.diff(readings["time"].to_numpy("datetime64[us]").astype(np.int64)) < 0).sum()),
        exact_duplicates=len(ordered) - len(distinct),
        conflicting=len(distinct) - len(settled),
        **counts,
        **gaps,
        **dropped,
        rows_out=len(grid),
        cadence_seconds=cadence,
        first_time=grid["time"].iloc[0].isoformat(),
        last_time=grid["time"].iloc[-1].isoformat(),
    )
    return grid, report


def infer_cadence(times: NDArray[np.datetime64]) -> int:
    """Cadence in whole seconds: the median interval, rounded to a whole minute where that explains it.

    A whole minute does if it is within 0.5 % of the median, or within three standard errors of the median under the
    jitter seen.

    Args:
        times: strictly increasing, datetime64[us], shape (n,).

    Raises:
        ReadingError: the median interval rounds to no second, or is longer than a day.
    """
    intervals = np.diff(times).astype(np.int64) / MICROSECONDS
    median = float(np.median(intervals))
    seconds = round(median)
    if not 1 <= seconds <= LONGEST_CADENCE:
        message = (
            f"no cadence can be inferred from a median interval of {median!r} s: expected 1 to {LONGEST_CADENCE} s, "
            f"check the times or set cadence_seconds"
        )
        raise ReadingError(message)
    minute = 60 * max(1, round(seconds / 60))
    spread = float(np.median(np.abs(intervals - median)))
    allowed = max(MINUTE_SHARE * seconds, MEDIAN_ERROR * spread / len(intervals) ** 0.5)
    return minute if abs(seconds - minute) <= allowed else seconds


def _in_order(readings: pd.DataFrame) -> pd.DataFrame:
    if readings.empty:
        message = f"there are {len(readings)} readings: expected a series of at least two times"
        raise ReadingError(message)
    return readings.sort_values("time", kind="stable", ignore_index=True)


def _settled(distinct: pd.DataFrame, conflicts: str) -> pd.DataFrame:
    """One row a time; the others of that time go."""
    if not distinct["time"].duplicated().any():
        return distinct
    if conflicts == "last":
        return distinct.drop_duplicates("time", keep="last")
    return distinct.groupby("time", as_index=False)[["value"]].agg(conflicts)


def _on_grid(times: Integers, values: Doubles, cadence: int, tolerance: float) -> tuple[_Steps, dict[str, int]]:
    step = cadence * MICROSECONDS
    phase = step // PHASES
    anchor = int((times[0] + phase // 2) // phase * phase)
    index = (times - anchor + step // 2) // step
    distance = np.abs(times - anchor - index * step)
    near = distance <= tolerance * step
    index, distance, values = index[near], distance[near], values[near]
    nearest_first = np.lexsort((distance, index))  # stable: of two as near, the earlier one
    kept = nearest_first[np.diff(index[nearest_first], prepend=-1) > 0]
    counts = {"surplus": len(index) - len(kept), "off_grid": int((~near).sum())}
    return _Steps(anchor, step, index[kept], values[kept]), counts


def _bridged(steps: _Steps, max_hold: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """All segments as a grid frame; short gaps are held."""
    missing = np.diff(steps.index) - 1
    short = missing <= max_hold
    lengths = np.append(np.where(short, missing, 0), 0) + 1
    source = np.repeat(np.arange(len(lengths)), lengths)
    held = np.arange(len(source)) - (np.cumsum(lengths) - lengths)[source]
    time = steps.anchor + (steps.index[source] + held) * steps.step
    grid = pd.DataFrame(
        {
            "time": time.astype("datetime64[us]"),
            "value": steps.celsius[source],
            "segment": np.insert(np.cumsum(~short), 0, 0)[source].astype(np.int64),
            "filled": held > 0,
        }
    )
    counts = {
        "missing": int(missing.sum()),
        "held": int((held > 0).sum()),
        "gaps_long": int((~short).sum()),
        "longest_gap_steps": int(missing.max(initial=0)),
    }
    return grid, counts


def _long_enough(whole: pd.DataFrame, min_steps: int, cadence: int) -> tuple[pd.DataFrame, dict[str, int]]:
    segment = whole["segment"].to_numpy()
    sizes = np.bincount(segment)
    long = sizes >= min_steps
    if not long.any():
        message = (
            f"nothing is left: the longest of {len(sizes)} segments has {sizes.max()} steps of {cadence} s, expected "
            f"at least {min_steps}; give more readings, the sensor's cadence_seconds or a smaller min_segment_steps"
        )
        raise ReadingError(message)
    grid = whole[long[segment]].reset_index(drop=True)
    grid["segment"] = (np.cumsum(long) - 1)[grid["segment"].to_numpy()]
    dropped = ~long
    counts = {
        "segments": int(long.sum()),
        "segments_dropped": int(dropped.sum()),
        "rows_dropped_with_segments": int(sizes[dropped].sum()),
    }
    return grid, counts
