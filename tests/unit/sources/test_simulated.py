"""The simulated sensor: plausible, repeatable, and faulty only on request."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from forecaster.cleaning import CleaningConfig, clean
from forecaster.errors import ConfigError, SourceError
from forecaster.sources import Selection, fingerprint, read_readings
from forecaster.sources.simulated import RESOLUTION, simulated_table

ANY = Selection()


def simulated(query: str = "") -> pd.DataFrame:
    return read_readings(f"simulated://lab?{query}", ANY)


def test_the_default_is_120_days_every_ten_minutes() -> None:
    readings = simulated()
    assert len(readings) == 120 * 144
    assert readings["time"].dtype == "datetime64[us]"
    assert readings["time"].iloc[0].isoformat().startswith("2024-01-01T00:00:0")
    pd.testing.assert_frame_equal(readings, simulated("days=120&seed=1"))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_room_is_a_room_all_the_year_round(seed: int) -> None:
    readings = simulated(f"days=366&seed={seed}")
    values = readings["value"]
    assert values.between(16, 27).all()
    assert values.std() > 0.8
    assert values.diff().abs().max() < 2.0
    winter = values[readings["time"].dt.month == 1].groupby(readings["time"].dt.hour).mean()
    assert winter[18] - winter[5] > 1.0  # night setback
    assert values[readings["time"].dt.month == 7].mean() > values[readings["time"].dt.month == 1].mean()


def test_the_sensor_quantises_and_its_clock_runs_late() -> None:
    readings = simulated("days=10")
    steps = readings["value"] / RESOLUTION
    assert (steps == steps.round()).all()
    late = readings["time"] - pd.date_range("2024-01-01", periods=len(readings), freq="600s")
    seconds = late.dt.total_seconds()
    assert seconds.between(0, 120).all()
    assert 0.5 < seconds.mean() < 4
    assert readings["time"].dt.microsecond.nunique() > 1000
    assert readings["time"].is_monotonic_increasing


def test_neighbouring_readings_say_more_than_the_mean_does() -> None:
    values = simulated("days=30")["value"].to_numpy()
    assert np.abs(np.diff(values, n=1)).mean() < 0.25 * np.abs(values - values.mean()).mean()


def test_a_seed_repeats_and_another_does_not() -> None:
    pd.testing.assert_frame_equal(simulated("days=3&seed=5"), simulated("seed=5&days=3"))
    assert not simulated("days=3&seed=5")["value"].equals(simulated("days=3&seed=6")["value"])


@pytest.mark.parametrize(("cadence", "rows"), [(60, 2880), (600, 288), (3600, 48), (7200, 24)])
def test_any_cadence_gives_the_same_climate(cadence: int, rows: int) -> None:
    readings = simulated(f"days=2&cadence={cadence}")
    assert len(readings) == rows
    assert readings["value"].between(16, 27).all()
    _, report = clean(readings, CleaningConfig(min_segment_steps=1))
    assert report.cadence_seconds == cadence
    assert report.missing == report.surplus == 0


def test_the_start_is_the_first_reading() -> None:
    first = simulated("days=1&start=2024-07-04T12:00:30")["time"].iloc[0]
    assert pd.Timestamp("2024-07-04T12:00:30") <= first < pd.Timestamp("2024-07-04T12:01:30")


def test_a_table_has_the_layout_of_a_csv_source() -> None:
    table = simulated_table("simulated://attic?days=2")
    assert list(table.columns) == ["time_point", "user", "value", "tag", "id"]
    assert set(table["user"]) == {"attic"}
    assert set(table["tag"]) == {"indoor"}
    assert table["id"].tolist() == list(range(1, 289))
    readings = read_readings("simulated://attic?days=2", ANY)
    assert pd.to_datetime(table["time_point"]).tolist() == readings["time"].tolist()
    assert table["value"].tolist() == readings["value"].tolist()


def test_gaps_are_as_many_as_asked_for_and_remove_nothing_else() -> None:
    whole, holed = simulated("days=60"), simulated("days=60&gaps=7")
    hours = holed["time"].diff().dt.total_seconds()
    assert (hours > 900).sum() == 7
    assert hours.max() <= 50 * 600
    assert set(holed["time"]) < set(whole["time"])
    common = whole[whole["time"].isin(holed["time"])]
    assert common["value"].tolist() == holed["value"].tolist()


def test_duplicates_repeat_rows_exactly() -> None:
    whole, twice = simulated("days=30"), simulated("days=30&duplicates=0.1")
    assert len(twice) == len(whole) + round(0.1 * len(whole))
    pd.testing.assert_frame_equal(twice.drop_duplicates(ignore_index=True), whole)


def test_stuck_episodes_freeze_the_value() -> None:
    whole, stuck = simulated("days=60"), simulated("days=60&stuck=5")
    changed = (whole["value"] != stuck["value"]).to_numpy()
    assert 5 <= changed.sum() <= 5 * 36
    frozen = stuck["value"].to_numpy()
    assert (frozen[changed] == frozen[np.flatnonzero(changed) - 1]).mean() > 0.8


def test_spikes_are_single_readings_far_off() -> None:
    off = simulated("days=60&spikes=9")["value"] - simulated("days=60")["value"]
    struck = off[off != 0].abs()
    assert len(struck) == 9
    assert struck.between(4.9, 15.1).all()
    assert np.diff(np.flatnonzero(off)).min() > 1


def test_drift_is_in_degrees_a_day() -> None:
    off = simulated("days=40&drift=0.05")["value"] - simulated("days=40")["value"]
    assert off.iloc[:72].abs().max() <= RESOLUTION
    assert off.iloc[-1] == pytest.approx(0.05 * 40, abs=RESOLUTION)


def test_a_short_series_may_have_one_fault_of_each_kind() -> None:
    assert len(simulated("days=1&gaps=3&stuck=3&spikes=3&duplicates=1")) > 144


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("day=3", r"parameter 'day' of the simulated sensor is unknown, did you mean 'days'\?"),
        ("xyz=3", "is unknown, known are days, seed, start"),
        ("days=0", "'days' of the simulated sensor is '0'"),
        ("days=many", "'days'"),
        ("days=", "'days'"),
        ("days=nan", "'days'"),
        ("seed=-1", "'seed'"),
        ("seed=1.5", "'seed'"),
        ("cadence=0", "'cadence'"),
        ("drift=2", "'drift'"),
        ("duplicates=1.01", "'duplicates'"),
        ("gaps=-1", "'gaps'"),
        ("start=yesterday", "'start'"),
        ("start=2024-01-01T00:00:00Z", "'start' is .*expected a time without offset"),
        ("days=1&days=2", "gives a parameter twice"),
        ("days=0.01&cadence=600", "are 1 readings: expected 2 to 2000000"),
        ("days=3000&cadence=1", "expected 2 to 2000000"),
        ("days=1&gaps=10&spikes=9", "19 gaps, stuck episodes and spikes in 144 readings"),
    ],
)
def test_wrong_parameters_are_named(query: str, message: str) -> None:
    for use in (simulated, lambda query: fingerprint(f"simulated://lab?{query}", ANY)):
        with pytest.raises(ConfigError, match=message) as caught:
            use(query)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["simulated://", "simulated://lab/room?days=1", "simulated://lab?days=1#x"])
def test_a_malformed_uri_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"expected simulated://name\?days=120&seed=1"):
        read_readings(uri, ANY)


def test_only_its_own_user_and_tag_can_be_selected() -> None:
    assert len(read_readings("simulated://lab?days=1", Selection("lab", "indoor"))) == 144
    with pytest.raises(SourceError, match=r"no rows for user 'la'.*did you mean 'lab'"):
        read_readings("simulated://lab?days=1", Selection("la"))


def test_the_fingerprint_depends_on_meaning_not_on_spelling() -> None:
    plain = fingerprint("simulated://lab", ANY)
    assert fingerprint("simulated://lab?seed=1&days=120.0&gaps=0", ANY) == plain
    assert fingerprint("simulated://lab?seed=2", ANY) != plain
    assert fingerprint("simulated://den", ANY) != plain


def test_a_room_without_its_sensor_is_the_one_that_is_measured() -> None:
    from forecaster.sources.simulated import Simulation, simulated_room

    air, outdoor = simulated_room(Simulation(days=3, seed=4))
    shown = simulated("days=3&seed=4")["value"].to_numpy()
    assert shown == pytest.approx(air, abs=0.15)
    assert outdoor.mean() < air.mean() - 5


def test_occupants_whose_day_moves_change_the_room_from_then_on_and_nothing_else() -> None:
    from forecaster.sources.simulated import Habits, Simulation, simulated_room

    usual, outdoor = simulated_room(Simulation(days=10, seed=4))
    later, same = simulated_room(Simulation(days=10, seed=4), Habits(later_hours=4, from_days=5))
    assert (outdoor == same).all()
    assert (usual[: 5 * 144] == later[: 5 * 144]).all()
    assert abs(usual - later)[6 * 144 :].max() > 1


def profile(month: int, later_hours: float) -> np.ndarray:
    """Mean air at each ten minutes of a day of two months, °C, `(144,)`."""
    from forecaster.sources.simulated import Habits, Simulation, simulated_room

    simulation = Simulation(days=60, seed=4, start=datetime(2025, month, 1))  # noqa: DTZ001 - wall clock
    return simulated_room(simulation, Habits(later_hours))[0].reshape(60, 144).mean(axis=0)


@pytest.mark.parametrize("later_hours", [0, 4])
def test_heating_follows_the_occupants_day_past_midnight_too(later_hours: float) -> None:
    course = profile(1, later_hours)
    change = np.diff(course, append=course[0])
    assert change.argmax() / 6 == pytest.approx(6.5 + later_hours, abs=1), "they get up"
    assert change.argmin() / 6 == pytest.approx((22.5 + later_hours) % 24, abs=1), "they go to bed"


def test_occupants_whose_day_moves_leave_and_come_home_later_too() -> None:
    warmer = profile(7, 4) - profile(7, 0)
    at = {hour: bool(warmer[hour * 6] > 0) for hour in (8, 12, 20, 2)}
    assert at == {8: False, 12: True, 20: False, 2: True}, "in summer people warm the room, not the heating"
