"""Forecast errors of the GRU and of its rivals on the reference readings: every sensor, three seeds.

    python -m benchmarks.accuracy [--source FILE] [--users A,B] [--seeds 1,2,3] [--processes 2]

Each fit of the GRU is a whole search and final training with the default settings; CPU seconds are of both.
Rivals learn from the training part ("train") and from training and validation part ("train+validation"),
as the GRU's final training does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from forecaster.baselines import standard_baselines
from forecaster.baselines.boosting import Boosting
from forecaster.cleaning import clean
from forecaster.dataset import Dataset, build_dataset
from forecaster.features import fit_program
from forecaster.metrics import naive_scale, score, truth
from forecaster.model import train
from forecaster.search import chosen, search
from forecaster.sources import Selection, read_readings
from forecaster.splitting import split
from pipelines.config import load_config

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT.parent / "shared" / "data" / "house_temperatures_10min.csv.gz"
USERS = "living_room,laundry,bedroom,weather_station"
BOTH = ("train", "validation")


@dataclass(frozen=True)
class Job:
    """One sensor and, for the GRU, one seed; None for the rivals."""

    source: str
    user: str
    seed: int | None


def main() -> int:
    """Run every job, print the table, write build/bench/accuracy.json."""
    options = _options()
    jobs = [Job(options.source, user, seed) for user in options.users for seed in (None, *options.seeds)]
    results: list[dict[str, Any]] = []
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        pending = [pool.submit(run, job) for job in jobs]
        for done in as_completed(pending):
            results.append(done.result())
            print(f"{len(results)} of {len(jobs)} done", file=sys.stderr, flush=True)
    table = summarise([row for result in results for row in result["rows"]], options.users)
    _print(table)
    target = ROOT / "build" / "bench" / "accuracy.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"table": table, "runs": results}, indent=1), encoding="utf-8")
    print(f"\nwritten to {target.relative_to(ROOT)}")
    return 0


def run(job: Job) -> dict[str, Any]:
    """All figures of one job."""
    dataset = reference_dataset(job.source, job.user)
    rows = _gru(dataset, job) if job.seed is not None else _rivals(dataset, job)
    return {"user": job.user, "seed": job.seed, "rows": rows}


def summarise(rows: list[dict[str, Any]], users: list[str]) -> list[dict[str, Any]]:
    """Median over the seeds, for each sensor and model, in the order of the error."""
    table = []
    for user in users:
        mine = [row for row in rows if row["user"] == user]
        for model in dict.fromkeys(row["model"] for row in mine):
            same = [row for row in mine if row["model"] == model]
            keys = [key for key, value in same[0].items() if isinstance(value, float | int)]
            medians = {key: statistics.median(row[key] for row in same) for key in keys}
            table.append({"user": user, "model": model, "runs": len(same), **medians})
    return sorted(table, key=lambda row: (users.index(row["user"]), row["rmse"]))


def reference_dataset(source: str, user: str) -> Dataset:
    """One sensor's readings as the data pipeline makes a dataset of them, with its default settings."""
    config = load_config([]).data
    grid, report = clean(read_readings(source, Selection(user=user)), config.cleaning)
    parts = split(grid, config.split)
    program = fit_program(parts, config.features, report.cadence_seconds, config.sequences.horizon)
    return build_dataset(parts, program, config.sequences, {})


def _gru(dataset: Dataset, job: Job) -> list[dict[str, Any]]:
    config, seed = load_config([]).training, job.seed or 0
    found = search(dataset, config.search, seed)
    candidate, best_update = chosen(found, config.search, dataset)
    rows = []
    for name, refit in (("GRU", True), ("GRU, training part only", False)):
        model = train(dataset, candidate, best_update, seed, refit=refit, seeds=config.seeds)
        sizes = {"parameters": model.architecture.parameters, "macs": model.architecture.macs_per_forecast}
        cost = {"cpu_seconds": found.cpu_seconds + model.training["cpu_seconds"]}
        rows.append(
            {**errors_on_test(dataset, model.forecasts(dataset.grid)), "user": job.user, "model": name, **sizes, **cost}
        )
    return rows


def _rivals(dataset: Dataset, job: Job) -> list[dict[str, Any]]:
    rows = []
    for parts in (("train",), BOTH):
        for rival in (*standard_baselines(), Boosting()):
            if parts == BOTH and rival.name in ("persistence", "drift", "seasonal naive"):
                continue  # they learn nothing
            rival.fit(dataset.grid, dataset.program.horizon, dataset.program.cadence_seconds, parts)
            name = rival.name if parts != BOTH else f"{rival.name}, train+validation"
            rows.append({**errors_on_test(dataset, rival.forecast(dataset.grid)), "user": job.user, "model": name})
    return rows


def errors_on_test(dataset: Dataset, forecasts: Any) -> dict[str, float]:
    """Errors of the forecasts made at the rows of the test part, `forecasts` being `(rows, horizon)` in °C."""
    test = (dataset.grid["part"] == "test").to_numpy()
    readings = truth(dataset.grid, dataset.program.horizon)
    overall = score(forecasts[test], readings[test], naive_scale(dataset.grid)).overall
    return {"mae": overall.mae, "rmse": overall.rmse, "mape": overall.mape, "mase": overall.mase}


def _print(table: list[dict[str, Any]]) -> None:
    print("| sensor | model | MAE °C | RMSE °C | MAPE % | MASE | parameters | CPU seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for row in table:
        size = f"{row['parameters']:,.0f}" if "parameters" in row else ""
        cost = f"{row['cpu_seconds']:.0f}" if "cpu_seconds" in row else ""
        figures = f"{row['mae']:.4f} | {row['rmse']:.4f} | {row['mape']:.3f} | {row['mase']:.3f}"
        print(f"| {row['user']} | {row['model']} | {figures} | {size} | {cost} |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=str(SOURCE))
    parser.add_argument("--users", type=lambda text: text.split(","), default=USERS.split(","))
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[1, 2, 3])
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
