"""One search of one method on one sensor: run in a process of its own, its figures kept in a file of its own."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from benchmarks.accuracy import errors_on_test, reference_dataset
from benchmarks.search_judge import Judge, Meter, Pick, point
from benchmarks.search_plain import Fitted, Scale, Windows, fit, forecasts, plain_search
from benchmarks.search_rivals import RIVALS
from forecaster.genome import Space
from forecaster.model import Forecaster, train
from forecaster.records import unpacked
from forecaster.search import chosen, search
from forecaster.search_config import SearchConfig

if TYPE_CHECKING:
    from pathlib import Path

    from forecaster.dataset import Dataset
    from forecaster.records import Record

OURS, SCRATCH, PLAIN = "ours", "scratch", "plain"
METHODS = (OURS, SCRATCH, *RIVALS, PLAIN)
# Only CPU seconds end a search here.
UNBOUNDED = 100_000


@dataclass(frozen=True)
class Job:
    """One search.

    Attributes:
        method: of METHODS.
        user: sensor of the source.
        seed: of search and trainings.
        budget: CPU seconds; 0 for plain DEAP, whose generations end it.
        source: of the readings.
        config: of our search, and the space, trainer and finals of the rivals; scratch alone changes it.
        final_seeds: final trainings of what was picked, of which the median one is kept.
        scale: of plain DEAP.
    """

    method: str
    user: str
    seed: int
    budget: float
    source: str
    config: SearchConfig = field(default_factory=SearchConfig)
    final_seeds: int = 1
    scale: Scale = field(default_factory=Scale)

    @property
    def name(self) -> str:
        """What tells it from the others of one benchmark."""
        return f"{self.method}-{self.user}-{self.seed}" + (f"-{self.budget:g}" if self.budget else "")

    @property
    def digest(self) -> str:
        """SHA-256 over all settings, so that figures of other settings are not taken for its own."""
        own = asdict(self.scale) if self.method == PLAIN else self._settings()
        source = self.source.rpartition("/")[2]  # wherever the file lies
        return hashlib.sha256(json.dumps([self.name, source, own], sort_keys=True).encode()).hexdigest()

    @property
    def search_config(self) -> SearchConfig:
        """What is searched with: no end but the CPU seconds, and in scratch no weights inherited."""
        bounds = {"max_cpu_seconds": self.budget, "generations": UNBOUNDED, "max_evaluations": UNBOUNDED}
        return self.config.model_copy(update=bounds | self._ablation())

    def _settings(self) -> dict[str, Any]:
        """Of the search and of the final training after it."""
        config = self.config.model_copy(update=self._ablation())
        return {**config.model_dump(mode="json"), "final_seeds": self.final_seeds}

    def _ablation(self) -> dict[str, bool]:
        return {"inherit": False} if self.method == SCRATCH else {}


def kept(job: Job, folder: Path) -> dict[str, Any] | None:
    """The figures of a job that was run before; None if it was not, or with other settings."""
    try:
        found = json.loads((folder / f"{job.name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("digest") == job.digest else None


def keep(job: Job, figures: dict[str, Any], folder: Path) -> None:
    """Write the figures, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{job.name}.json"
    part = target.with_suffix(".part")
    part.write_text(json.dumps({"digest": job.digest, **figures}), encoding="utf-8")
    part.replace(target)


def run_and_keep(job: Job, folder: Path) -> None:
    """What a process of the benchmark does."""
    keep(job, run(job), folder)


def run(job: Job) -> dict[str, Any]:
    """Search, train what was picked, and score it on the test part.

    Returns:
        `cpu_seconds` of the search (compilation included, imports not), those of the imports that only this method
        needs, the trace of its trainings, the pick, and its errors on the test part: `test`, trained again on the
        validation part too, and of ours, scratch and plain also `test_as_found`, the network that the search left.
    """
    importing = Meter()
    _import_libraries(job.method)
    imports = importing.seconds
    dataset = reference_dataset(job.source, job.user)
    figures = _plain(job, dataset) if job.method == PLAIN else _shared_space(job, dataset)
    described = {"method": job.method, "user": job.user, "seed": job.seed, "budget": job.budget}
    return {**described, "import_cpu_seconds": imports, **figures}


def _import_libraries(method: str) -> None:
    """Load, on one thread, what only this method needs; ours, scratch and random need nothing."""
    if method in ("tpe", "nsga2"):
        import optuna  # noqa: F401, PLC0415 - only the process that runs it pays for its import
    if method in ("hyperband", PLAIN):
        import tensorflow as tf  # noqa: PLC0415 - as above

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    if method == "hyperband":
        import keras_tuner  # noqa: F401, PLC0415 - as above


def _shared_space(job: Job, dataset: Dataset) -> dict[str, Any]:
    """Ours, with inherited weights or without, or a rival on the same space and trainer."""
    config, meter = job.search_config, Meter()
    if job.method in (OURS, SCRATCH):
        pick, network, trace = _ours(dataset, config, job, meter)
    else:
        network = None
        judge = Judge(dataset, config, job.seed, meter)
        RIVALS[job.method](judge)
        pick, trace = judge.finish(), judge.trace
    figures = _search_figures(meter, trace)
    space = Space(config.space, dataset.program.names, config.updates, dataset.config.steps // 2)
    final = Meter()
    model = train(dataset, pick.candidate, pick.best_update, job.seed, refit=True, seeds=job.final_seeds)
    return {
        **figures,
        "usual": pick.candidate == space.decode(space.usual()),
        "pick": {**pick.candidate.as_dict(), "best_update": pick.best_update, "fitness": pick.fitness},
        "final_cpu_seconds": final.seconds,
        "test": errors_on_test(dataset, model.forecasts(dataset.grid)),
        **({} if network is None else {"test_as_found": errors_on_test(dataset, network.forecasts(dataset.grid))}),
    }


def _ours(
    dataset: Dataset, config: SearchConfig, job: Job, meter: Meter
) -> tuple[Pick, Forecaster, list[dict[str, Any]]]:
    """The pick, its network as the search left it, and the trace."""
    trace: list[dict[str, Any]] = []

    def told(record: Record, _: Record) -> None:
        whole = record.fitness if len(record.fold_ratios) == config.folds else None
        updates = getattr(record, "updates", config.updates)
        trace.append(point(meter.seconds, record.validation_rmse, whole, updates))
        _say(job, trace)

    found = search(dataset, config, job.seed, progress=told)
    fitness = next(final["fitness"] for final in found.finals if final["index"] == found.winner)
    pick = Pick(*chosen(found, config, dataset), fitness)
    program = dataset.program.select(pick.candidate.features)
    network = Forecaster(pick.candidate.architecture(program.horizon), program, unpacked(found.weights), {})
    return pick, network, trace


def _plain(job: Job, dataset: Dataset) -> dict[str, Any]:
    """Plain DEAP: the winner as its search left it, and trained on the validation part as well."""
    windows, trace = Windows(dataset), list[dict[str, Any]]()

    def told(entry: dict[str, Any]) -> None:
        trace.append(entry)
        _say(job, trace)

    meter = Meter()
    best = plain_search(windows, job.scale, job.seed, meter, told)
    figures = _search_figures(meter, trace)
    final = Meter()
    again = fit(windows, best.genes, best.epochs, ("train", "validation"))

    def errors(fitted: Fitted) -> dict[str, float]:
        return errors_on_test(dataset, forecasts(windows, fitted))

    return {
        **figures,
        "pick": {**best.genes, "epochs": best.epochs, "validation_rmse": best.rmse},
        "final_cpu_seconds": final.seconds,
        "test": errors(again),
        "test_as_found": errors(best),
    }


def _search_figures(meter: Meter, trace: list[dict[str, Any]]) -> dict[str, Any]:
    return {"cpu_seconds": meter.seconds, "trainings": len(trace), "trace": trace}


def _say(job: Job, trace: list[dict[str, Any]]) -> None:
    """Progress of the long jobs."""
    if job.method == PLAIN or (job.budget >= 100 and len(trace) % 20 == 0):
        seconds = trace[-1]["cpu_seconds"]
        print(f"{job.name}: {len(trace)} trainings, {seconds:.0f} CPU seconds", file=sys.stderr, flush=True)
