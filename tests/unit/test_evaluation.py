"""Model and baselines are judged on the same readings, and the gate says by how much."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import ValidationError

from forecaster.baselines import baseline_forecasts
from forecaster.errors import ForecasterError, GateFailed, InputError
from forecaster.evaluation import Evaluation, GateConfig, assess, evaluate, gate_conditions
from forecaster.gate import require
from forecaster.metrics import naive_scale, score, truth
from tests import synthetic

if TYPE_CHECKING:
    import pandas as pd

HORIZON = 3


@pytest.fixture(scope="module")
def grid() -> pd.DataFrame:
    return synthetic.grid(2400)


def near(grid: pd.DataFrame, error: float, seed: int = 0) -> np.ndarray:
    """Forecasts that miss by `error` on average."""
    known = np.nan_to_num(truth(grid, HORIZON))
    return known + np.random.default_rng(seed).normal(0, error, known.shape)


def judged(
    grid: pd.DataFrame, model: float = 0.1, persistence: float = 0.2, ridge: float = 0.15, **settings: Any
) -> Evaluation:
    rivals = {"persistence": near(grid, persistence, 1), "ridge": near(grid, ridge, 2)}
    return evaluate(grid, near(grid, model), rivals, cadence_seconds=600, seed=0, **settings)


def test_figures_are_those_of_the_part(grid: pd.DataFrame) -> None:
    test = (grid["part"] == "test").to_numpy()
    found, readings = judged(grid), truth(grid, HORIZON)
    assert found.model == score(near(grid, 0.1)[test], readings[test], naive_scale(grid))
    assert found.baselines["ridge"] == score(near(grid, 0.15, 2)[test], readings[test], naive_scale(grid))
    assert list(found.baselines) == ["persistence", "ridge"]
    assert (found.origins, found.horizon) == (test.sum(), HORIZON)
    times = grid["time"][test]
    assert (found.first, found.last) == (times.iloc[0].isoformat(), times.iloc[-1].isoformat())


def test_another_part_can_be_judged(grid: pd.DataFrame) -> None:
    found = judged(grid, part="validation")
    assert found.origins == (grid["part"] == "validation").sum()
    assert found.model.overall.count == found.origins * HORIZON
    assert "validation_rmse" in found.headline()


def test_the_best_baseline_has_the_lowest_rmse(grid: pd.DataFrame) -> None:
    assert judged(grid).best_baseline == "ridge"
    assert judged(grid, persistence=0.05).best_baseline == "persistence"


def test_differences_are_to_persistence_ridge_and_the_best(grid: pd.DataFrame) -> None:
    rivals = {name: near(grid, 0.3, seed) for seed, name in enumerate(("drift", "persistence", "ridge", "other"))}
    rivals["best"] = near(grid, 0.12, 9)
    found = evaluate(grid, near(grid, 0.1, 7), rivals, cadence_seconds=600, seed=0)
    assert list(found.differences) == ["persistence", "ridge", "best"]
    own = found.model.overall
    for name, pair in found.differences.items():
        other = found.baselines[name].overall
        assert pair["rmse"].estimate == pytest.approx(own.rmse - other.rmse)
        assert pair["mae"].estimate == pytest.approx(own.mae - other.mae)
        assert pair["rmse"].high < 0


def test_the_seed_repeats_the_evaluation(grid: pd.DataFrame) -> None:
    assert judged(grid).as_dict() == judged(grid).as_dict()


def test_errors_by_hour_are_of_the_hour_the_forecast_was_made_in(grid: pd.DataFrame) -> None:
    made = np.nan_to_num(truth(grid, HORIZON))
    made[(grid["time"].dt.hour == 7).to_numpy()] += 0.5
    found = evaluate(grid, made, {"persistence": made}, cadence_seconds=600, seed=0).by_hour["model"]
    assert found[7] == pytest.approx(0.5)
    assert sum(found) == pytest.approx(0.5)


def test_an_hour_without_forecasts_is_unknown(grid: pd.DataFrame) -> None:
    short = grid.assign(part=np.where(np.arange(len(grid)) < 2390, "train", "test"))
    hours = judged(short).by_hour["model"]
    assert len(hours) == 24
    assert sum(map(math.isnan, hours)) > 20


def test_a_part_shorter_than_a_day_gets_shorter_blocks(grid: pd.DataFrame) -> None:
    short = grid.assign(part=np.where(np.arange(len(grid)) < 2350, "train", "test"))
    pair = judged(short).differences["persistence"]["rmse"]
    assert pair.low < pair.estimate < pair.high


def test_an_evaluation_survives_json(grid: pd.DataFrame) -> None:
    short = grid.assign(part=np.where(np.arange(len(grid)) < 2390, "train", "test"))
    found = judged(short, fitted_parts=("train", "validation"))
    again = Evaluation.from_dict(json.loads(json.dumps(found.as_dict(), allow_nan=False)))
    assert again.as_dict() == found.as_dict()
    assert again.fitted_parts == ("train", "validation")
    assert again.differences == found.differences
    assert math.isnan(again.by_hour["model"][(short["time"].iloc[-1].hour + 12) % 24])


def test_the_headline_has_plain_numbers_only(grid: pd.DataFrame) -> None:
    found = judged(grid)
    assert found.headline()["test_rmse"] == found.model.overall.rmse
    assert found.headline()["ridge_rmse"] == found.baselines["ridge"].overall.rmse
    zero = grid.assign(value=np.where(grid["part"] == "test", 0.0, grid["value"]))
    assert "test_mape" not in judged(zero).headline()


def test_held_values_and_the_ends_of_segments_are_left_out() -> None:
    table = synthetic.grid(2400, breaks=(2300,))
    table.loc[2200:2209, "filled"] = True
    made = near(table, 0.1)
    found = evaluate(table, made, {"persistence": made}, cadence_seconds=600, seed=0)
    origins = (table["part"] == "test").sum()
    ends = 2 * (1 + 2 + 3)  # of both segments
    assert found.model.overall.count == origins * HORIZON - ends - 10 * HORIZON
    assert [figures.count for figures in found.model.by_horizon] == [origins - 10 - 2 * k for k in (1, 2, 3)]


def test_model_and_baselines_are_scored_on_the_same_readings() -> None:
    dataset = synthetic.dataset(1600)
    rivals = baseline_forecasts(dataset.grid, HORIZON, 600)
    found = evaluate(dataset.grid, rivals["ridge"], rivals, cadence_seconds=600, seed=0)
    assert {figures.overall.count for figures in found.baselines.values()} == {found.model.overall.count}
    assert found.model == found.baselines["ridge"]
    assert found.differences["ridge"]["rmse"].estimate == 0


def test_an_unknown_part_is_refused(grid: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="part 'tset' has no rows, choose from 'train', 'validation', 'test'"):
        judged(grid, part="tset")


def test_no_baseline_is_refused(grid: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="expected at least one"):
        evaluate(grid, near(grid, 0.1), {}, cadence_seconds=600, seed=0)


@pytest.mark.parametrize("shape", [(2399, 3), (2400, 2)])
def test_a_baseline_for_other_rows_or_steps_is_refused(grid: pd.DataFrame, shape: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"'ridge' have shape .* expected \(2400, 3\)"):
        evaluate(grid, near(grid, 0.1), {"ridge": np.zeros(shape)}, cadence_seconds=600, seed=0)


def test_a_forecast_that_is_not_finite_is_refused(grid: pd.DataFrame) -> None:
    made = near(grid, 0.1)
    made[-10, 1] = np.nan
    with pytest.raises(ForecasterError, match="step 2 is nan"):
        evaluate(grid, made, {"persistence": near(grid, 0.2)}, cadence_seconds=600, seed=0)


def test_the_gate_passes_a_model_that_beats_both(grid: pd.DataFrame) -> None:
    conditions = gate_conditions(judged(grid), GateConfig())
    require("model gate", conditions)
    assert [condition.name for condition in conditions] == ["RMSE relative to persistence", "RMSE relative to ridge"]
    found = judged(grid)
    assert conditions[0].value == pytest.approx(found.model.overall.rmse / found.baselines["persistence"].overall.rmse)


def test_the_gate_names_every_rival_that_wins_and_by_how_much(grid: pd.DataFrame) -> None:
    found = judged(grid, model=0.3)
    lost = found.model.overall.rmse - found.baselines["ridge"].overall.rmse
    with pytest.raises(GateFailed, match="2 condition") as refused:
        require("model gate", gate_conditions(found, GateConfig()))
    assert f"worse by {lost:.4f} °C" in str(refused.value)


@pytest.mark.parametrize(("margin", "passed"), [(0.0, True), (0.3, True), (0.4, False)])
def test_margins_ask_for_a_share(grid: pd.DataFrame, margin: float, passed: bool) -> None:
    found = judged(grid, ridge=0.15)  # the model has about two thirds of its error
    assert gate_conditions(found, GateConfig(ridge_margin=margin))[1].passed is passed
    assert gate_conditions(found, GateConfig(ridge_margin=margin))[0].limit == 1.0


def test_a_negative_margin_tolerates_a_loss(grid: pd.DataFrame) -> None:
    found = judged(grid, model=0.21)
    assert not gate_conditions(found, GateConfig())[0].passed
    assert gate_conditions(found, GateConfig(persistence_margin=-0.2))[0].passed


def test_the_largest_rmse_is_a_condition_of_its_own(grid: pd.DataFrame) -> None:
    found = judged(grid)
    assert gate_conditions(found, GateConfig(largest_rmse=0.2))[2].passed
    assert not gate_conditions(found, GateConfig(largest_rmse=0.05))[2].passed


def test_a_perfect_baseline_is_beaten_by_none_and_tied_by_a_perfect_model(grid: pd.DataFrame) -> None:
    assert not gate_conditions(judged(grid, persistence=0.0), GateConfig())[0].passed
    tied = gate_conditions(judged(grid, model=0.0, persistence=0.0), GateConfig())[0]
    assert tied.passed
    assert "no difference" in tied.detail


def test_the_gate_needs_its_baselines(grid: pd.DataFrame) -> None:
    found = evaluate(grid, near(grid, 0.1), {"persistence": near(grid, 0.2)}, cadence_seconds=600, seed=0)
    with pytest.raises(InputError, match="'ridge' was not evaluated, only persistence"):
        gate_conditions(found, GateConfig())


@pytest.mark.parametrize(
    "setting", [{"persistence_margin": 1.0}, {"ridge_margin": -1.0}, {"largest_rmse": 0.0}, {"x": 1}]
)
def test_settings_outside_their_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        GateConfig(**setting)


@pytest.mark.parametrize("learned", [["train"], ["train", "validation"]])
def test_assess_lets_the_baselines_learn_from_what_the_model_learned_from(learned: list[str]) -> None:
    dataset = synthetic.dataset(1600)
    rivals = baseline_forecasts(dataset.grid, HORIZON, 600, tuple(learned))
    training = {"parts": learned, "curves": {"update": [1, 2], "train_rmse": [1.0, 0.5], "validation_rmse": [1.0, 0.6]}}
    forecaster = SimpleNamespace(forecasts=lambda grid: near(grid, 0.01), training=training)
    result, page = assess(dataset, forecaster, GateConfig(), seed=1)
    expected = evaluate(
        dataset.grid, near(dataset.grid, 0.01), rivals, cadence_seconds=600, seed=1, fitted_parts=learned
    )
    assert result["evaluation"] == expected.as_dict()
    assert result["headline"] == expected.headline()
    assert [condition["passed"] for condition in result["conditions"]] == [True, True]
    assert "Passed" in page
    assert f"learned from the {' and '.join(learned)} part" in page
