"""Conditions on a temperature series, one small pure function each.

Deepchecks' tabular checks know nothing of time; these do. `grid` is the cleaned frame (columns time, value, segment,
filled), `readings` the raw one (time, value), `report` the cleaning report as a dict of counts. A value that cannot be
measured, because there are too few rows, is NaN, and NaN passes no condition.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from forecaster.gate import Condition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from forecaster.validation.config import ValidationConfig

    Doubles = NDArray[np.float64]

SECONDS_PER_HOUR = 3600.0
# Standard deviation of a normal distribution over its median absolute deviation, 1 / Phi^-1(3/4).
MAD_TO_DEVIATION = 1.4826
# What a DS18B20 answers before its first conversion (data sheet, power-on reset value), and what drivers answer for a
# sensor that is gone.
POWER_ON_VALUE = 85.0
DISCONNECTED_VALUE = -127.0


def series_conditions(
    readings: pd.DataFrame, grid: pd.DataFrame, report: Mapping[str, Any], config: ValidationConfig
) -> list[Condition]:
    """All conditions of this module, in the order in which a reviewer asks for them."""
    cadence = float(report["cadence_seconds"])
    return [
        enough_readings(grid, config),
        lowest_value(grid, config),
        highest_value(grid, config),
        median_value(grid, config),
        standard_deviation(grid, config),
        rate_of_change(grid, cadence, config),
        spikes(grid, config),
        longest_run(grid, config),
        long_run_share(grid, config),
        out_of_order(report, config),
        exact_duplicates(report, config),
        conflicting_readings(report, config),
        intervals_at_cadence(readings, cadence, config),
        gap_share(grid, report, config),
        longest_gap(report, config),
    ]


def enough_readings(grid: pd.DataFrame, config: ValidationConfig) -> Condition:
    """Count of grid rows that were read, not held."""
    count = int((~grid["filled"]).sum())
    return Condition("number of readings", count, "at least", config.min_readings, "readings")


def lowest_value(grid: pd.DataFrame, config: ValidationConfig) -> Condition:
    """Smallest value, °C."""
    value, when = _extreme(grid, np.argmin)
    detail = f"{when}; {DISCONNECTED_VALUE:g} °C stands for a lost sensor" if value == DISCONNECTED_VALUE else when
    return Condition("lowest value", value, "at least", config.lowest_value, "°C", detail)


def highest_value(grid: pd.DataFrame, config: ValidationConfig) -> Condition:
    """Largest value, °C."""
    value, when = _extreme(grid, np.argmax)
    detail = f"{when}; {POWER_ON_VALUE:g} °C is a DS18B20's power-on value" if value == POWER_ON_VALUE else when
    if looks_like_fahrenheit(grid["value"].to_numpy(), config):
        detail = f"{when}; values look like Fahrenheit"
    return Condition("highest value", value, "at most", config.highest_value, "°C", detail)


def median_value(grid: pd.DataFrame, config: ValidationConfig) -> Condition:
    """Median, °C: no room or outdoor place has one near the top of the range, but every room in °F does."""
    values = grid["value"].to_numpy()
    median = float(np.median(values)) if len(values) else math.nan
    detail = "values look like Fahrenheit" if looks_like_fahrenheit(values, config) else ""
    return Condition("median value", median, "at most", config.highest_median, "°C", detail)


def looks_like_fahrenheit(values: Doubles, config: ValidationConfig) -> bool:
    """Whether the median is too high for °C and plausible once read as °F."""
    if not len(values):
        return False
    median = float(np.median(values))
    return median > config.highest_median and (median - 32.0) / 1.8 <= config.highest_median


def standard_deviation(grid: pd.DataFrame, config: ValidationConfig) -> Condition:
    """Standard deviation of all values, °C: a constant series teaches nothing."""
    values = grid["value"].to_numpy()
    deviation = float(np.std(values)) if len(values) else math.nan
    return Condition("standard deviation", deviation, "at least", config.min_standard_deviation, "°C")


def rate_of_change(grid: pd.DataFrame, cadence_seconds: float, config: ValidationConfig) -> Condition:
    """Largest change inside a segment over at least `rate_span_minutes`, °C per hour.

    The median of three takes single spikes out first: those have a condition of their own. The span keeps one quantum
    of a fast sensor (0.0625 °C in a second is 225 °C per hour) from counting.
    """
    lag = max(1, round(config.rate_span_minutes * 60.0 / cadence_seconds))
    inside = _inside_segment(grid, 3 + lag)
    rate, detail = math.nan, f"no segment is longer than {3 + lag} rows"
    if inside.any():
        calm = np.median(sliding_window_view(grid["value"].to_numpy(), 3), axis=1)
        change = np.where(inside, np.abs(calm[lag:] - calm[:-lag]), -1.0)
        rate = float(change.max()) * SECONDS_PER_HOUR / (lag * cadence_seconds)
        detail = f"at {grid['time'].iloc[int(change.argmax()) + 1]}"
    return Condition("largest rate of change", rate, "at most", config.max_rate, "°C/h", detail)


def spikes(grid: pd.DataFrame, config: ValidationConfig) -> Condition:
    """Share of rows that leave the local median and return to it.

    Hampel's identifier: a row is a spike if it is further than `spike_spread` local standard deviations, estimated by
    1.4826 times the median absolute deviation, from the median of its window (R. K. Pearson, "Outliers in process
    modeling and identification", IEEE Trans. Control Systems Technology 10, 2002), and at least `spike_height` °C.
    A level that stays changed is none.
    """
    width = 2 * config.spike_half_window + 1
    inside = _inside_segment(grid, width)
    share, detail = math.nan, f"no segment has {width} rows"
    if inside.any():
        found = np.flatnonzero(inside & _is_spike(grid["value"].to_numpy(), width, config))
        share = len(found) / len(grid)
        first = f", the first at {grid['time'].iloc[found[0] + config.spike_half_window]}" if len(found) else ""
        detail = f"{len(found)} found{first}"
    return Condition("spikes", share, "at most", config.max_spike_share, "share", detail)


def longest_run(grid: pd.DataFrame, config: ValidationConfig) -> Condition:
    """Longest time from the first to the last reading of one identical value inside a segment, hours."""
    hours, _, starts = _runs(grid)
    longest, detail = math.nan, "no readings"
    if len(hours):
        at = int(hours.argmax())
        longest, detail = float(hours[at]), f"from {pd.Timestamp(starts[at])}"
    return Condition("longest run of one value", longest, "at most", config.max_run_hours, "h", detail)


def long_run_share(grid: pd.DataFrame, config: ValidationConfig) -> Condition:
    """Share of readings in runs of one value of at least `long_run_hours`: a sensor that seldom updates."""
    hours, counts, _ = _runs(grid)
    share = float(counts[hours >= config.long_run_hours].sum() / counts.sum()) if len(hours) else math.nan
    detail = f"runs of {config.long_run_hours:g} h and more"
    return Condition("readings in long runs of one value", share, "at most", config.max_long_run_share, "share", detail)


def out_of_order(report: Mapping[str, Any], config: ValidationConfig) -> Condition:
    """Share of raw readings that came after a later one."""
    return _counted("readings out of order", report, "out_of_order", config.max_out_of_order_share)


def exact_duplicates(report: Mapping[str, Any], config: ValidationConfig) -> Condition:
    """Share of raw readings that repeat another one's time and value."""
    return _counted("repeated readings", report, "exact_duplicates", config.max_duplicate_share)


def conflicting_readings(report: Mapping[str, Any], config: ValidationConfig) -> Condition:
    """Share of raw readings that give another value for a time already read."""
    return _counted("conflicting readings", report, "conflicting", config.max_conflicting_share)


def intervals_at_cadence(readings: pd.DataFrame, cadence_seconds: float, config: ValidationConfig) -> Condition:
    """Share of intervals between raw readings that are a whole multiple of the cadence, within the tolerance.

    Multiples pass because a missed reading is a gap, which has its own conditions; repeated times are left out because
    duplicates have theirs.
    """
    intervals = raw_intervals(readings)
    if not len(intervals):
        return Condition("intervals at the cadence", math.nan, "at least", config.min_cadence_share, "share", "none")
    steps = intervals / cadence_seconds
    share = float(np.mean(np.abs(steps - np.maximum(np.rint(steps), 1.0)) <= config.cadence_tolerance))
    detail = f"median interval {np.median(intervals):g} s, cadence {cadence_seconds:g} s"
    return Condition("intervals at the cadence", share, "at least", config.min_cadence_share, "share", detail)


def raw_intervals(readings: pd.DataFrame) -> Doubles:
    """Seconds between readings of different times, in time order; shape (distinct times - 1,)."""
    times = np.unique(readings["time"].dropna().to_numpy("datetime64[us]"))
    return np.diff(times).astype(np.float64) / 1e6


def gap_share(grid: pd.DataFrame, report: Mapping[str, Any], config: ValidationConfig) -> Condition:
    """Share of the steps from the first to the last grid time that have no reading of their own in the grid."""
    if not len(grid):
        return Condition("grid without a reading", math.nan, "at most", config.max_gap_share, "share", "no rows")
    span = (grid["time"].iloc[-1] - grid["time"].iloc[0]).total_seconds()
    # Segments may sit between steps of one another, so rounding can give a step less than there are rows.
    steps = max(round(span / float(report["cadence_seconds"])) + 1, len(grid))
    share = 1.0 - int((~grid["filled"]).sum()) / steps
    detail = (
        f"{report['missing']} missing, {report['held']} of them held, {report['rows_dropped_with_segments']} dropped"
    )
    return Condition("grid without a reading", share, "at most", config.max_gap_share, "share", detail)


def longest_gap(report: Mapping[str, Any], config: ValidationConfig) -> Condition:
    """Longest gap between readings, hours."""
    hours = float(report["longest_gap_steps"]) * float(report["cadence_seconds"]) / SECONDS_PER_HOUR
    return Condition("longest gap", hours, "at most", config.max_gap_hours, "h", f"{report['gaps_long']} long gap(s)")


def _extreme(grid: pd.DataFrame, pick: Any) -> tuple[float, str]:
    values = grid["value"].to_numpy()
    if not len(values):
        return math.nan, "no rows"
    at = int(pick(values))
    return float(values[at]), f"at {grid['time'].iloc[at]}"


def _inside_segment(grid: pd.DataFrame, width: int) -> NDArray[np.bool_]:
    """Which windows of `width` rows lie in one segment; shape (rows - width + 1,), or (0,)."""
    segment = grid["segment"].to_numpy()
    same: NDArray[np.bool_] = segment[: max(len(segment) - width + 1, 0)] == segment[width - 1 :]
    return same


def _is_spike(values: Doubles, width: int, config: ValidationConfig) -> NDArray[np.bool_]:
    windows = sliding_window_view(values, width)
    median = np.median(windows, axis=1)
    spread = MAD_TO_DEVIATION * np.median(np.abs(windows - median[:, None]), axis=1)
    distance = np.abs(windows[:, width // 2] - median)
    far: NDArray[np.bool_] = distance > np.maximum(config.spike_height, config.spike_spread * spread)
    return far


def _runs(grid: pd.DataFrame) -> tuple[Doubles, NDArray[np.int64], NDArray[np.datetime64]]:
    """Hours, readings and first time of each run; held values are left out, as they repeat by construction."""
    read = grid[~grid["filled"]]
    if read.empty:
        return np.zeros(0), np.zeros(0, np.int64), np.zeros(0, "datetime64[us]")
    value, segment, time = (read[name].to_numpy() for name in ("value", "segment", "time"))
    first = np.flatnonzero(np.r_[True, (value[1:] != value[:-1]) | (segment[1:] != segment[:-1])])
    last = np.r_[first[1:], len(read)] - 1
    hours = (time[last] - time[first]) / np.timedelta64(1, "h")
    return hours, last - first + 1, time[first]


def _counted(name: str, report: Mapping[str, Any], key: str, limit: float) -> Condition:
    total = int(report["rows_in"])
    share = int(report[key]) / total if total else math.nan
    return Condition(name, share, "at most", limit, "share", f"{report[key]} of {total}")
