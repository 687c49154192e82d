"""The search as it was before: DEAP's simple evolution around Keras `fit` of a windowed GRU.

A network sees the last 24 readings and forecasts the next ones. Each individual is built, compiled and fitted for 8
epochs on the training part, and its error is the lowest on the validation part after an epoch. Its inputs are those
that a windowed GRU did best with: the scaled change since the reading before and the hour of day, with the change from
now as target; on raw levels its error is twice as high. Nothing is remembered, shared or ended early.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.search_judge import point
from forecaster.features import features, residuals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.search_judge import Meter
    from forecaster.arrays import Doubles, Floats
    from forecaster.dataset import Dataset

WINDOW = 24
INPUTS = ("difference:1", "hour:1:sin", "hour:1:cos")
GENES: dict[str, tuple[Any, ...]] = {
    "units": (8, 16, 24, 32),
    "layers": (1, 2),
    "learning_rate": (0.001, 0.003, 0.01),
    "batch": (32, 64, 128),
    "dropout": (0.0, 0.1, 0.2),
}
# The values that DEAP's own examples use.
CROSSOVER, MUTATION, GENE_MUTATION, TOURNAMENT = 0.5, 0.2, 0.2, 3


@dataclass(frozen=True)
class Scale:
    """How large the search is; the random first generation counts."""

    individuals: int = 12
    generations: int = 4
    epochs: int = 8


@dataclass(frozen=True)
class Fitted:
    """An individual after its fit.

    Attributes:
        genes: what they mean.
        rmse: °C, lowest on the validation part after an epoch.
        epochs: after which that was.
        weights: of that epoch.
    """

    genes: dict[str, Any]
    rmse: float
    epochs: int
    weights: list[Floats]


class Windows:
    """The grid as windows of the last readings, `(rows, 24, inputs)`; what a segment lacks before a row is zero."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset, self.scale = dataset, dataset.program.target_scale
        grid = dataset.grid
        program = dataset.program.select([name for name in INPUTS if name in dataset.program.names])
        inputs = features(grid, program).astype(np.float32)
        segment = grid["segment"].to_numpy()
        rows = np.arange(len(grid))[:, None] + np.arange(1 - WINDOW, 1)
        inside = (rows >= 0) & (segment[rows.clip(0)] == segment[:, None])
        self.x = np.where(inside[..., None], inputs[rows.clip(0)], np.float32(0))
        self.y = (residuals(grid, dataset.program.horizon) / self.scale).astype(np.float32)
        self._part = grid["part"].to_numpy()
        self._usable = inside.all(axis=1) & np.isfinite(self.y).all(axis=1)

    def of(self, *parts: str) -> tuple[Floats, Floats]:
        """Windows and targets of these parts: whole windows of which every target is known."""
        chosen = np.isin(self._part, parts) & self._usable
        return self.x[chosen], self.y[chosen]

    def celsius(self, output: Floats) -> Doubles:
        """Forecasts in °C, `(rows, horizon)`, of a network's outputs for every row."""
        return np.asarray(self.dataset.grid["value"].to_numpy(np.float64)[:, None] + output * self.scale)


def plain_search(
    windows: Windows, scale: Scale, seed: int, meter: Meter, told: Callable[[dict[str, Any]], None]
) -> Fitted:
    """Run the search; the best individual ever fitted.

    Args:
        windows: the data.
        scale: individuals, generations, epochs.
        seed: of the search and of Keras.
        meter: gives the CPU seconds of the trace.
        told: called with the trace's entry after each fit.
    """
    import keras  # noqa: PLC0415 - only the process that runs it pays for its import
    from deap import algorithms, base, creator, tools  # noqa: PLC0415 - as above

    keras.utils.set_random_seed(seed)
    random.seed(seed)
    best: list[Fitted] = []

    def evaluate(individual: Sequence[int]) -> tuple[float]:
        genes = {name: options[i] for (name, options), i in zip(GENES.items(), individual, strict=True)}
        fitted = fit(windows, genes, scale.epochs, ("train",))
        if not best or fitted.rmse < best[0].rmse:
            best[:] = [fitted]
        told(point(meter.seconds, fitted.rmse, None, scale.epochs))
        return (fitted.rmse,)

    if not hasattr(creator, "PlainIndividual"):
        creator.create("PlainFitness", base.Fitness, weights=(-1.0,))
        creator.create("PlainIndividual", list, fitness=creator.PlainFitness)
    toolbox = base.Toolbox()
    last = [len(options) - 1 for options in GENES.values()]
    toolbox.register("drawn", lambda: [random.randint(0, high) for high in last])  # noqa: S311 - a search, not a secret
    toolbox.register("individual", tools.initIterate, creator.PlainIndividual, toolbox.drawn)
    toolbox.register("population", tools.initRepeat, list, toolbox.individual)
    toolbox.register("evaluate", evaluate)
    toolbox.register("mate", tools.cxTwoPoint)
    toolbox.register("mutate", tools.mutUniformInt, low=[0] * len(last), up=last, indpb=GENE_MUTATION)
    toolbox.register("select", tools.selTournament, tournsize=TOURNAMENT)
    population = toolbox.population(n=scale.individuals)
    algorithms.eaSimple(population, toolbox, CROSSOVER, MUTATION, scale.generations - 1, verbose=False)
    return best[0]


def fit(windows: Windows, genes: dict[str, Any], epochs: int, parts: tuple[str, ...]) -> Fitted:
    """One Keras fit, judged on the validation part after each epoch; with that part in `parts` the last epoch counts.

    Args:
        windows: the data.
        genes: of the individual.
        epochs: how many.
        parts: what it learns from.
    """
    import keras  # noqa: PLC0415 - as above

    keras.backend.clear_session()  # or the graphs of all fits before stay in memory
    x, y = windows.of(*parts)
    model = _network(genes, x.shape[2], y.shape[1])
    model.compile(optimizer=keras.optimizers.Adam(genes["learning_rate"]), loss="mse")
    keep = keras.callbacks.EarlyStopping("val_loss", patience=epochs, restore_best_weights=True)
    callbacks = [] if "validation" in parts else [keep]
    judged = windows.of("validation")
    history = model.fit(
        x, y, validation_data=judged, epochs=epochs, batch_size=genes["batch"], callbacks=callbacks, verbose=0
    ).history["val_loss"]
    at = int(np.nanargmin(history)) if callbacks and np.isfinite(history).any() else epochs - 1
    return Fitted(genes, float(np.sqrt(history[at])) * windows.scale, at + 1, model.get_weights())


def forecasts(windows: Windows, fitted: Fitted) -> Doubles:
    """Forecasts in °C made at every row, `(rows, horizon)`."""
    model = _network(fitted.genes, windows.x.shape[2], windows.y.shape[1])
    model.set_weights(fitted.weights)
    return windows.celsius(model.predict(windows.x, batch_size=1024, verbose=0))


def _network(genes: dict[str, Any], inputs: int, horizon: int) -> Any:
    import keras  # noqa: PLC0415 - as above

    grus = [
        keras.layers.GRU(genes["units"], return_sequences=layer + 1 < genes["layers"])
        for layer in range(genes["layers"])
    ]
    ends = [keras.layers.Dropout(genes["dropout"]), keras.layers.Dense(horizon)]
    return keras.Sequential([keras.layers.Input((WINDOW, inputs)), *grus, *ends])
