"""Feature values, their scales, and what happens at segment starts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from forecaster.errors import ConfigError, ReadingError
from forecaster.features import FeatureConfig, FeatureProgram, features, fit_program, raw_features, residuals
from tests.synthetic import CADENCE, FEW, grid


def frame(values: list[float], segment: list[int] | None = None, start: str = "2024-03-04T00:00:00") -> pd.DataFrame:
    rows = len(values)
    time = np.datetime64(start, "us") + (np.arange(rows) * CADENCE).astype("timedelta64[s]")
    return pd.DataFrame({"time": time, "value": values, "segment": segment or [0] * rows, "filled": False})


def test_difference_reaches_back_its_lag() -> None:
    out = raw_features(frame([1.0, 3.0, 6.0, 10.0]), ["difference:1", "difference:2"])
    assert out[:, 0].tolist() == [0, 2, 3, 4]
    assert out[:, 1].tolist() == [0, 2, 5, 7]


def test_difference_longer_than_the_segment_uses_its_first_reading() -> None:
    assert raw_features(frame([5.0, 6.0]), ["difference:18"])[:, 0].tolist() == [0, 1]


def test_deviation_is_the_distance_from_the_moving_mean() -> None:
    out = raw_features(frame([3.0, 6.0, 9.0, 0.0]), ["deviation:3"])[:, 0]
    assert out.tolist() == pytest.approx([0, 6 - 4, 9 - 6, 0 - 5])


def test_nothing_reaches_over_a_segment_border() -> None:
    out = raw_features(frame([1.0, 2.0, 50.0, 51.0], [0, 0, 1, 1]), ["difference:1", "deviation:2"])
    assert out[2].tolist() == [0, 0]
    assert out[3].tolist() == [1, 0.5]


def test_clock_features_turn_once_a_day_and_once_a_week() -> None:
    table = frame([20.0] * (7 * 144))
    out = raw_features(table, ["hour:1:sin", "hour:1:cos", "hour:2:sin", "weekday:cos"])
    quarter, half_week = 36, 7 * 72
    assert out[quarter].tolist()[:3] == pytest.approx([1, 0, 0], abs=1e-12)
    assert out[144, :3].tolist() == pytest.approx([0, 1, 0], abs=1e-12)
    assert out[half_week, 3] == pytest.approx(-1)


def test_scales_come_from_the_training_part_only() -> None:
    table = grid()
    program = fit_program(table, FEW, CADENCE, 3)
    louder = table.copy()
    louder.loc[louder["part"] != "train", "value"] *= 7
    assert fit_program(louder, FEW, CADENCE, 3) == program
    training = table[table["part"] == "train"]
    assert program.scales[0] == pytest.approx(np.std(raw_features(training, ["difference:1"])))
    assert program.target_scale == pytest.approx(np.nanstd(residuals(training, 3)[:, 2]))


def test_clock_features_are_not_scaled() -> None:
    program = fit_program(grid(), FEW, CADENCE, 3)
    assert dict(zip(program.names, program.scales, strict=True))["hour:1:sin"] == 1.0


def test_scaled_differences_have_unit_spread_on_training() -> None:
    table = grid()
    program = fit_program(table, FEW, CADENCE, 3)
    out = features(table[table["part"] == "train"], program)
    assert np.std(out[:, 0]) == pytest.approx(1)


def test_constant_series_is_refused_with_its_value() -> None:
    table = grid().assign(value=21.5)
    with pytest.raises(ReadingError, match=r"21\.5 °C.*select a sensor that moves"):
        fit_program(table, FEW, CADENCE, 3)


def test_residuals_are_changes_from_the_present_reading() -> None:
    out = residuals(frame([1.0, 2.0, 4.0, 8.0]), 2)
    assert out[:2].tolist() == [[1, 3], [2, 6]]
    assert out[2, 0] == 4
    assert np.isnan(out[2, 1])
    assert np.isnan(out[3]).all()


@pytest.mark.parametrize("border", ["segment", "part"])
def test_residuals_stop_at_borders(border: str) -> None:
    table = frame([1.0, 2.0, 4.0, 8.0])
    table["part"] = "train"
    table[border] = [0, 0, 1, 1] if border == "segment" else ["train", "train", "test", "test"]
    out = residuals(table, 2)
    assert out[0, 0] == 1
    assert np.isnan(out[0, 1])
    assert np.isnan(out[1]).all()


def test_a_held_reading_is_no_target() -> None:
    table = frame([1.0, 2.0, 4.0])
    table["filled"] = [False, True, False]
    out = residuals(table, 2)
    assert np.isnan(out[0, 0])
    assert out[0, 1] == 3


def test_residuals_longer_than_the_series_are_unknown() -> None:
    assert np.isnan(residuals(frame([1.0, 2.0]), 6)[:, 1:]).all()


def test_selecting_keeps_scales_with_their_names() -> None:
    program = FeatureProgram(("difference:1", "difference:3", "hour:1:sin"), (2.0, 3.0, 1.0), 4.0, 600, 6)
    chosen = program.select(["hour:1:sin", "difference:3"])
    assert chosen.names == ("hour:1:sin", "difference:3")
    assert chosen.scales == (1.0, 3.0)


def test_selecting_an_unknown_feature_names_it() -> None:
    program = FeatureProgram(("difference:1",), (2.0,), 4.0, 600, 6)
    with pytest.raises(ConfigError, match="'difference:9' is not in the dataset"):
        program.select(["difference:9"])


def test_history_is_the_longest_reach() -> None:
    program = FeatureProgram(("difference:18", "deviation:36", "hour:1:sin"), (1.0, 1.0, 1.0), 1.0, 600, 6)
    assert program.history_steps == 36


def test_program_survives_json() -> None:
    program = fit_program(grid(), FEW, CADENCE, 3)
    assert FeatureProgram.from_dict(program.as_dict()) == program


def test_first_difference_is_always_a_candidate() -> None:
    assert FeatureConfig(differences=(6,), harmonics=0).names()[0] == "difference:1"
    assert FeatureConfig(weekday=True).names()[-2:] == ("weekday:sin", "weekday:cos")


def test_a_horizon_longer_than_every_segment_is_said() -> None:
    table = grid(300, breaks=tuple(range(20, 300, 20)))
    with pytest.raises(ReadingError, match=r"no segment .* longer than the horizon of 30 steps: lower data\.sequences"):
        fit_program(table, FEW, CADENCE, 30)


def test_a_moving_mean_of_one_reading_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        FeatureConfig(deviations=(1,))
