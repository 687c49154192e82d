"""The demonstration of the loop: its room, and what it calls a failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.drift_course import DAY_MS, STEPS_A_DAY, STROKE, Plan, celsius, write
from benchmarks.drift_demo import failures
from benchmarks.drift_figure import draw
from deployers.lab.feeder import Course
from forecaster.sources import Selection, read_readings

PLAN = Plan(trained=10, healthy=5, live=12, seed=3)
FIGURES: dict[str, Any] = {
    "skill_before": 0.35, "skill_moved": 0.1, "skill_after": 0.32, "lacking": {"board-1": 0, "board-2": 0},
    "bad_in_the_shadow": "worse", "bad_rollout": "rolled back", "quarantined": "temperature-forecaster 1  since …",
    "bad_forecasts": {"board-1": 400, "board-2": 0},
}  # fmt: skip


def test_until_the_sensor_is_moved_it_is_the_room_and_after_that_strokes_are_felt_more() -> None:
    values = celsius(PLAN)
    stayed = celsius(Plan(trained=10, healthy=12, live=12, seed=3))
    moved = 15 * STEPS_A_DAY
    np.testing.assert_array_equal(values[:moved], stayed[:moved])
    apart = np.abs(np.diff(values[moved:])).mean() / np.abs(np.diff(stayed[moved:])).mean()
    assert 2 < apart < STROKE


def test_history_and_what_the_boards_are_fed_follow_each_other(tmp_path: Path) -> None:
    write(PLAN, tmp_path / "history.csv", tmp_path / "readings.npz")
    history = read_readings(str(tmp_path / "history.csv"), Selection())
    fed = Course.read(tmp_path / "readings.npz")
    assert (len(history), len(fed.times)) == (10 * STEPS_A_DAY, 12 * STEPS_A_DAY)
    assert int(fed.times[0]) == PLAN.live_ms
    last = pd.Timestamp(history["time"].iloc[-1])
    assert PLAN.live_ms - last.value // 10**6 == DAY_MS // STEPS_A_DAY
    np.testing.assert_allclose(fed.microcelsius, celsius(PLAN)[10 * STEPS_A_DAY :] * 1e6)


def test_all_of_it_came_true() -> None:
    assert failures(FIGURES) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"skill_after": 0.31}, "skill 0.310 after, expected 0.9 of 0.350"),
        ({"skill_moved": 0.33}, "it cost nothing"),
        ({"lacking": {"board-1": 0, "board-2": 2}}, "2 readings of board-2 went without a forecast"),
        ({"bad_in_the_shadow": "undecided"}, "the bad challenger was 'undecided'"),
        ({"bad_rollout": "confirmed"}, "the bad rollout is 'confirmed'"),
        ({"quarantined": ""}, "expected 'rolled back' and a quarantine"),
        ({"bad_forecasts": {"board-1": 400, "board-2": 1}}, "expected those of the canary alone"),
        ({"bad_forecasts": {"board-1": 0, "board-2": 0}}, "expected those of the canary alone"),
    ],
)
def test_what_did_not_come_true_is_named(changed: dict[str, Any], said: str) -> None:
    (line,) = failures({**FIGURES, **changed})
    assert said in line


def test_the_plot_has_every_version_and_every_event(tmp_path: Path) -> None:
    days = [{"at": float(at), "version": 1 + at // 4, "skill": 0.3 - 0.01 * at} for at in range(8)]
    events = [{"day": 5.0, "text": "the sensor is moved", "mark": "moved"}, {"day": 6.0, "text": "x", "mark": ""}]
    draw({**FIGURES, "days": days, "events": events}, PLAN, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
