"""The rivals of the search: random search, Optuna's TPE with pruning and NSGA-II, Keras Tuner's Hyperband.

Each begins with the recipe known to work where its interface lets it (Hyperband's does not), proposes candidates of
the search's space until the budget is spent, and leaves the choice to the search's finals. Settings are the libraries'
own but where the budget of a few dozen trainings makes no sense of them; the reason stands beside each.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecaster.genome import ORDERED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import keras_tuner
    import optuna

    from benchmarks.search_judge import Judge
    from forecaster.genome import Candidate, Space

# A sampler that has nothing new to propose would go on for ever without training.
PROPOSALS = 10_000
# Hyperband's; with the factor 2 its rungs are those of the search.
EPOCHS = 4


def random_search(judge: Judge) -> None:
    """Each gene drawn evenly; what repeats or is too large is drawn again."""
    rng = random.Random(judge.seed)  # noqa: S311 - a search, not a secret
    judge.judge(judge.space.decode(judge.space.usual()))
    for _ in range(PROPOSALS):
        if judge.exhausted:
            return
        candidate = judge.space.decode(judge.space.drawn(rng))
        if candidate not in judge.entries and judge.fits(candidate):
            judge.judge(candidate)


def tpe(judge: Judge) -> None:
    """Tree-structured Parzen estimator; the median pruner looks at each rung of the validation part's training.

    Ten random trials before the estimator and five before the pruner are Optuna's defaults.
    """
    import optuna  # noqa: PLC0415 - only the process that runs it pays for its import

    sampler = optuna.samplers.TPESampler(seed=judge.seed)
    _optimise(judge, sampler, optuna.pruners.MedianPruner(), prunes=True)


def nsga2(judge: Judge) -> None:
    """NSGA-II on the one error; a population as large as the search's, for 50 would all be drawn at random."""
    import optuna  # noqa: PLC0415 - as above

    sampler = optuna.samplers.NSGAIISampler(population_size=judge.config.population, seed=judge.seed)
    _optimise(judge, sampler, optuna.pruners.NopPruner(), prunes=False)


def _optimise(
    judge: Judge, sampler: optuna.samplers.BaseSampler, pruner: optuna.pruners.BasePruner, *, prunes: bool
) -> None:
    import optuna  # noqa: PLC0415 - as above

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: optuna.Trial) -> float:
        candidate = judge.space.decode(_suggested(trial, judge.space))
        return judge.judge(candidate, _pruning(trial, judge.config.rung_updates) if prunes else None)

    def stop(study: optuna.Study, _: optuna.trial.FrozenTrial) -> None:
        if judge.exhausted:
            study.stop()

    study = optuna.create_study(sampler=sampler, pruner=pruner)
    study.enqueue_trial(_parameters(judge.space.usual(), judge.space))
    study.optimize(objective, n_trials=PROPOSALS, callbacks=[stop])


def _suggested(trial: optuna.Trial, space: Space) -> list[int]:
    """A genome: places of ordered choices as integers, so that the sampler knows their order."""
    return [
        trial.suggest_int(name, 0, len(options) - 1)
        if name in ORDERED
        else trial.suggest_categorical(name, list(range(len(options))))
        for name, options in space.choices.items()
    ]


def _parameters(genome: list[int], space: Space) -> dict[str, int]:
    return dict(zip(space.choices, genome, strict=True))


def _pruning(trial: optuna.Trial, rungs: tuple[int, ...]) -> Callable[[int, float], None]:
    """Reports the best error so far at the first look after each rung, and gives up where the pruner says so."""
    import optuna  # noqa: PLC0415 - as above

    waiting = list(rungs)

    def watch(update: int, error: float) -> None:
        if not waiting or update < waiting[0]:
            return
        trial.report(error, waiting.pop(0))
        if trial.should_prune():
            raise optuna.TrialPruned

    return watch


def hyperband(judge: Judge) -> None:
    """Keras Tuner's oracle over our trainer, an epoch being a quarter of a training; brackets without end.

    As its own tuner does, a trial of a later round goes on from the weights of the earlier one.
    """
    import keras_tuner  # noqa: PLC0415 - it imports TensorFlow

    space = keras_tuner.HyperParameters()
    for name, options in judge.space.choices.items():
        space.Choice(name, list(range(len(options))), ordered=name in ORDERED)
    with tempfile.TemporaryDirectory() as folder:
        oracle = keras_tuner.oracles.HyperbandOracle(
            objective=keras_tuner.Objective("error", "min"),
            max_epochs=EPOCHS,
            factor=2,
            hyperband_iterations=PROPOSALS,
            seed=judge.seed,
            hyperparameters=space,
            allow_new_entries=False,
        )
        tuner = _tuner(judge)(oracle=oracle, directory=Path(folder), project_name="search")
        oracle.verbose = 0
        tuner.search(verbose=0)


def _tuner(judge: Judge) -> type[keras_tuner.Tuner]:
    """Keras Tuner's loop around our trainer."""
    import keras_tuner  # noqa: PLC0415 - as above

    class Tuner(keras_tuner.engine.base_tuner.BaseTuner):  # type: ignore[misc]
        def run_trial(self, trial: Any, *_: Any, **__: Any) -> dict[str, float]:
            """Train from the epoch the oracle names to the one it names."""
            values = trial.hyperparameters.values
            before, until = (
                round(values[f"tuner/{name}"] * judge.config.updates / EPOCHS) for name in ("initial_epoch", "epochs")
            )
            return {"error": judge.advance(_decoded(values, judge.space), before, until)}

        def on_trial_end(self, trial: Any) -> None:
            """Tell the oracle, and stop it when the budget is spent."""
            super().on_trial_end(trial)
            if judge.exhausted:
                self.oracle.max_trials = len(self.oracle.trials)

    return Tuner


def _decoded(values: Mapping[str, int], space: Space) -> Candidate:
    return space.decode([values[name] for name in space.choices])


RIVALS: dict[str, Callable[[Judge], None]] = {
    "random": random_search,
    "tpe": tpe,
    "nsga2": nsga2,
    "hyperband": hyperband,
}
