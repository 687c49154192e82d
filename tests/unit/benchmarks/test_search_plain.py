"""Plain DEAP around Keras fit: its windows, its fits, its evolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import search_plain
from benchmarks.search_judge import Meter
from benchmarks.search_plain import GENES, INPUTS, WINDOW, Fitted, Scale, Windows, fit, forecasts, plain_search
from forecaster.dataset import build_dataset
from forecaster.features import features, fit_program
from forecaster.metrics import truth
from tests import synthetic

GENOME = {"units": 4, "layers": 1, "learning_rate": 0.01, "batch": 16, "dropout": 0.0}
BREAK = 400


@pytest.fixture(scope="module")
def windows() -> Windows:
    grid = synthetic.grid(900, breaks=(BREAK,))
    program = fit_program(grid, synthetic.FEW, synthetic.CADENCE, synthetic.SMALL.horizon)
    return Windows(build_dataset(grid, program, synthetic.SMALL, {}))


@pytest.fixture(scope="module")
def fitted(windows: Windows) -> Fitted:
    import keras

    keras.utils.set_random_seed(1)
    return fit(windows, GENOME, 4, ("train",))


def test_a_window_is_the_last_24_readings_oldest_first(windows: Windows) -> None:
    dataset = windows.dataset
    expected = features(dataset.grid, dataset.program.select(INPUTS))
    assert windows.x.shape == (900, WINDOW, len(INPUTS))
    np.testing.assert_array_equal(windows.x[100], expected[77:101].astype(np.float32))


def test_a_window_does_not_reach_into_the_segment_before(windows: Windows) -> None:
    np.testing.assert_array_equal(windows.x[BREAK + 2, : WINDOW - 3], 0.0)
    assert np.any(windows.x[BREAK + 2, WINDOW - 3 :] != 0)
    np.testing.assert_array_equal(windows.x[0, : WINDOW - 1], 0.0)


def test_training_takes_whole_windows_with_known_targets(windows: Windows) -> None:
    x, y = windows.of("train")
    rows = 630  # 70 % of 900
    assert len(x) == rows - 2 * (WINDOW - 1) - 2 * synthetic.SMALL.horizon
    assert np.isfinite(y).all()
    both, _ = windows.of("train", "validation")
    assert len(both) == len(x) + len(windows.of("validation")[0])


def test_targets_are_changes_from_now_that_become_celsius_again(windows: Windows) -> None:
    grid = windows.dataset.grid
    inside = np.arange(100, 110)
    output = windows.celsius(windows.y)[inside]
    np.testing.assert_allclose(output, truth(grid, windows.dataset.program.horizon)[inside], atol=1e-5)


def test_a_fit_keeps_the_weights_of_its_best_epoch(windows: Windows, fitted: Fitted) -> None:
    part = (windows.dataset.grid["part"] == "validation").to_numpy() & windows._usable  # noqa: SLF001
    errors = forecasts(windows, fitted) - truth(windows.dataset.grid, windows.dataset.program.horizon)
    assert np.sqrt(np.square(errors[part]).mean()) == pytest.approx(fitted.rmse, rel=1e-3)
    assert 1 <= fitted.epochs <= 4


def test_a_fit_learns(windows: Windows, fitted: Fitted) -> None:
    _, y = windows.of("validation")
    persistence = float(np.sqrt(np.square(y).mean())) * windows.scale
    assert fitted.rmse < persistence


def test_forecasts_are_made_at_every_row(windows: Windows, fitted: Fitted) -> None:
    made = forecasts(windows, fitted)
    assert made.shape == (900, windows.dataset.program.horizon)
    assert np.isfinite(made).all()


def test_a_fit_that_learns_from_the_validation_part_ends_with_its_last_epoch(windows: Windows) -> None:
    made = fit(windows, GENOME, 2, ("train", "validation"))
    assert made.epochs == 2
    assert np.isfinite(made.rmse)


def test_layers_and_units_are_those_of_the_genes(windows: Windows) -> None:
    genes = {**GENOME, "units": 8, "layers": 2}
    network = search_plain._network(genes, 3, 6)  # noqa: SLF001
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["GRU", "GRU", "Dropout", "Dense"]
    assert [layer.units for layer in network.layers if hasattr(layer, "units")] == [8, 8, 6]
    assert network.output_shape == (None, 6)


class Stand:
    """Takes the place of `fit`: the error falls with the units, and every genome asked for is noted."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.epochs: set[int] = set()

    def __call__(self, windows: object, genes: dict[str, Any], epochs: int, parts: tuple[str, ...]) -> Fitted:
        assert parts == ("train",)
        self.asked.append(genes)
        self.epochs.add(epochs)
        return Fitted(genes, 1 / genes["units"] + genes["dropout"], epochs, [])


def evolve(monkeypatch, seed: int, scale: Scale) -> tuple[Stand, Fitted, list[dict[str, Any]]]:
    stand, told = Stand(), list[dict[str, Any]]()
    monkeypatch.setattr(search_plain, "fit", stand)
    best = plain_search(None, scale, seed, Meter(), told.append)  # type: ignore[arg-type]
    return stand, best, told


def test_its_scale_is_that_of_the_beginning() -> None:
    assert (Scale().individuals, Scale().generations, Scale().epochs) == (12, 4, 8)


def test_the_evolution_fits_a_first_generation_and_all_that_changed_later(monkeypatch) -> None:
    stand, _, told = evolve(monkeypatch, 1, Scale())
    assert 12 + 3 * 3 < len(stand.asked) <= 12 * 4
    assert len(told) == len(stand.asked)
    assert stand.epochs == {8}
    assert len(evolve(monkeypatch, 1, Scale(generations=1))[0].asked) == 12


def test_the_evolution_stays_in_its_space_and_remembers_nothing(monkeypatch) -> None:
    asked = evolve(monkeypatch, 3, Scale(generations=8))[0].asked
    assert all(genes[name] in options for genes in asked for name, options in GENES.items())
    assert len({tuple(genes.values()) for genes in asked}) < len(asked)


def test_the_best_that_was_ever_fitted_wins(monkeypatch) -> None:
    stand, best, told = evolve(monkeypatch, 2, Scale())
    errors = [1 / genes["units"] + genes["dropout"] for genes in stand.asked]
    assert best.rmse == min(errors)
    assert best.genes == stand.asked[errors.index(min(errors))]
    assert [entry["validation_rmse"] for entry in told] == errors


def test_the_evolution_repeats_from_its_seed_alone(monkeypatch) -> None:
    first = evolve(monkeypatch, 5, Scale())[0].asked
    assert evolve(monkeypatch, 5, Scale())[0].asked == first
    assert evolve(monkeypatch, 6, Scale())[0].asked != first


def test_a_trace_tells_the_cpu_seconds_of_each_fit(monkeypatch) -> None:
    told = evolve(monkeypatch, 1, Scale(individuals=4, generations=2))[2]
    seconds = [entry["cpu_seconds"] for entry in told]
    assert seconds == sorted(seconds)
    assert all(entry["updates"] == 8 and entry["fitness"] is None for entry in told)
