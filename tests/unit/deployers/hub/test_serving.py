"""One step a reading: the same forecasts as the whole series at once, and the firmware's rules for what is no step."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployers.conversion.board import HostBoard
from deployers.conversion.stream import GoldenVector
from deployers.exceptions import GateFailed
from deployers.hub.cells import LiteCell
from deployers.hub.serving import REMEMBERED, Model, Track, replayed
from tests import board_image
from tests.hub_models import CADENCE_MS, CELLS, FLOAT, HORIZON, START_MS, Kind, expected, program, readings

HOLD_STEPS = 3


def model(kind: Kind = FLOAT, version: int = 1) -> Model:
    features, cleaning, _ = program(kind)
    file = board_image.cell(CELLS[kind.chosen])
    return Model(version, features, cleaning, lambda: LiteCell(file), kind.chosen)


MODEL = model()


def pushed(track: Track, pairs: list[tuple[int, int]]) -> list[bool]:
    return [track.push(*pair) is not None for pair in pairs]


def at(step: float, celsius: float = 20.0) -> tuple[int, int]:
    return START_MS + round(step * CADENCE_MS), round(celsius * 1e6)


@pytest.mark.parametrize("chosen", CELLS)
def test_a_series_reading_by_reading_is_the_series_at_once(chosen: str) -> None:
    pairs, kind = readings(60), Kind(chosen)
    track = model(kind).track()
    made = [track.push(*pair) for pair in pairs]
    assert np.array([each.celsius for each in made if each is not None]) == pytest.approx(expected(pairs, kind), abs=0)
    assert track.last is made[-1]
    assert track.last is not None
    assert (track.last.time_ms, track.last.grid_ms) == (pairs[-1][0], pairs[-1][0])


@given(
    st.lists(st.tuples(st.sampled_from([1, 1, 1, 2, 4, 9, 0]), st.integers(-100, 100)), min_size=1, max_size=40),
    st.integers(0, 40),
)
@settings(max_examples=60)
def test_a_replay_leaves_the_state_that_pushing_leaves(steps: list[tuple[int, int]], cut: int) -> None:
    """Gaps, readings off the grid or surplus, and a replay in two parts."""
    index = np.cumsum([step for step, _ in steps])
    pairs = [at(float(i) + jitter / 250, 20 + i % 7) for i, (_, jitter) in zip(index, steps, strict=True)]
    one, other = MODEL.track(), MODEL.track()
    made = one.push_all(pairs)
    other.replay(pairs[:cut])
    other.replay(pairs[cut:])
    assert other.last == one.last == made[-1]
    assert other.push(*at(float(index[-1]) + 1)) == one.push(*at(float(index[-1]) + 1))


@given(
    st.lists(st.tuples(st.sampled_from([1, 1, 1, 2, 4, 9, 0]), st.integers(-100, 100)), min_size=1, max_size=60),
    st.integers(0, 1000),
)
@settings(max_examples=40)
def test_the_firmware_makes_the_same_forecasts(steps: list[tuple[int, int]], seed: int) -> None:
    """Where no clock is set back and no grid is lost, which firmware/core/forecast leaves to the application."""
    index = np.cumsum([step for step, _ in steps])
    value = np.random.default_rng(seed).normal(20, 2, len(steps))
    pairs = [at(float(i) + j / 1000, v) for i, (_, j), v in zip(index, steps, value, strict=True)]
    pairs = list(dict(sorted(pairs)).items())  # a time comes once
    file, payload = board_image.cell(CELLS["float32"]), program()[2]
    numbers, forecasts = HostBoard(file, payload, HORIZON).forecasts(pairs)
    made = MODEL.track().push_all(pairs)
    assert [each.time_ms for each in made] == [pairs[number][0] for number in numbers]
    assert np.abs(np.array([each.celsius for each in made]) - forecasts).max() < 2e-5


def test_a_reading_that_comes_again_makes_nothing() -> None:
    track, pairs = MODEL.track(), readings(10)
    assert pushed(track, pairs) == [True] * 10
    before = track.last
    assert pushed(track, pairs) == [False] * 10
    assert track.last is before
    assert track.push(*readings(1, 10)[0]) == replayed(MODEL, readings(11)).last


def test_only_so_many_readings_are_remembered() -> None:
    track = MODEL.track()
    track.replay(readings(REMEMBERED + 50))
    assert len(track._remembered) == REMEMBERED  # noqa: SLF001


def test_a_clock_that_is_set_back_begins_a_new_series() -> None:
    track = MODEL.track()
    track.replay(readings(20))
    back = [(time - 100 * CADENCE_MS - 7_000, value) for time, value in readings(5)]
    assert pushed(track, back) == [True] * 5
    assert track.last is not None
    assert track.last.celsius == replayed(MODEL, back).last.celsius  # type: ignore[union-attr]


def test_a_clock_that_is_corrected_by_a_minute_begins_none() -> None:
    track = MODEL.track()
    track.replay([at(0), at(1)])
    assert pushed(track, [(at(1)[0] - 60_000, 20_000_000)]) == [False]
    assert pushed(track, [at(2)]) == [True]
    assert track.last == replayed(MODEL, [at(0), at(1), at(2)]).last


def test_two_readings_off_the_grid_after_a_gap_begin_a_new_series() -> None:
    track = MODEL.track()
    track.replay([at(0), at(1)])
    gone = 1 + HOLD_STEPS + 1
    assert pushed(track, [at(gone + 0.5), at(gone + 1.5)]) == [False, True]
    assert track.last is not None
    assert track.last == replayed(MODEL, [at(gone + 1.5)]).last


def test_readings_off_the_grid_within_the_held_steps_begin_none() -> None:
    track = MODEL.track()
    track.replay([at(0), at(1)])
    assert pushed(track, [at(2.5), at(3.5), at(4)]) == [False, False, True]


def test_one_off_the_grid_between_others_begins_none() -> None:
    track = MODEL.track()
    track.replay([at(0)])
    assert pushed(track, [at(10.5), at(11), at(21.5), at(22)]) == [False, True, False, True]


@pytest.mark.parametrize("time_ms", [-1, 253_402_300_800_000])
def test_a_time_outside_1970_to_9999_changes_nothing(time_ms: int) -> None:
    track = MODEL.track()
    track.replay(readings(3))
    before = track.last
    assert track.push(time_ms, 0) is None
    assert track.last is before


def test_nothing_to_replay_leaves_nothing() -> None:
    assert replayed(MODEL, []).last is None
    assert MODEL.track().push_all([]) == []


# Golden vectors


def vector(shift: float = 0.0, tolerance: float = 0.01, kind: Kind = FLOAT) -> GoldenVector:
    pairs = readings(30)
    times = np.array([time for time, _ in pairs])
    forecasts = expected(pairs, kind) + np.float32(shift)
    return GoldenVector(times, np.array([value for _, value in pairs]), times, forecasts, tolerance)


def test_golden_vectors_within_their_tolerance_pass() -> None:
    assert MODEL.prove([vector(), vector(0.009)]) == pytest.approx(0.009, abs=1e-4)


@pytest.mark.parametrize("chosen", CELLS)
def test_a_vector_beyond_its_tolerance_is_named(chosen: str) -> None:
    """The steps of an integer cell may be as many apart once more: other kernels round otherwise."""
    kind = Kind(chosen)
    slack = 1 if chosen == "float32" else 2
    proven = model(kind, version=9)
    proven.prove([vector(slack * 0.0099, kind=kind)])
    with pytest.raises(GateFailed, match=r"golden vector 1 of version 9 comes out .* °C off in LiteRT"):
        proven.prove([vector(kind=kind), vector(slack * 0.0102, kind=kind)])


def test_a_forecast_that_is_not_made_does_not_pass() -> None:
    found = vector()
    late = np.append(found.forecast_times[:-1], found.forecast_times[-1] + 1)
    with pytest.raises(GateFailed, match="inf °C off"):
        MODEL.prove([replace(found, forecast_times=late)])


def test_a_vector_that_is_no_number_does_not_pass() -> None:
    found = vector()
    forecasts = found.forecasts.copy()
    forecasts[3, 2] = np.nan
    with pytest.raises(GateFailed, match="expected at most"):
        MODEL.prove([replace(found, forecasts=forecasts)])


# Threads


def test_each_thread_has_a_cell_of_its_own() -> None:
    cells = [MODEL.cell]
    thread = threading.Thread(target=lambda: cells.append(MODEL.cell))
    thread.start()
    thread.join()
    assert cells[0] is not cells[1]
    assert MODEL.cell is cells[0]


def test_tracks_of_one_model_do_not_mix() -> None:
    one, other = MODEL.track(), MODEL.track()
    for mine, theirs in zip(readings(20), readings(20, seed=8), strict=True):
        one.push(*mine)
        other.push(*theirs)
    assert one.last == replayed(MODEL, readings(20)).last
    assert other.last == replayed(MODEL, readings(20, seed=8)).last


def test_what_rebuilds_a_state_is_what_the_firmware_replays() -> None:
    assert MODEL.replay_readings == 512 + MODEL.program.history_steps
    assert MODEL.cadence_ms == CADENCE_MS
