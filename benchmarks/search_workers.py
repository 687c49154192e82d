"""How much sooner a search ends with several processes than with one, and that all find the same.

    python -m benchmarks.search_workers [--counts 1,4] [--user living_room] [--seed 1] [--rounds 3]

Whole searches in turns, with the training pipeline's settings and no bound on CPU seconds (one that is reached would
let the number of workers decide where the search ends). The seconds are those on the wall, from the first proposal to
the pick, the start of the processes included: the machine must do nothing else. All goes to
build/bench/search_workers.json. Exit code 1 if the last count is less than 1.7 times as fast as the first, on a machine
of two cores or more.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

from forecaster.search import search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forecaster.dataset import Dataset
    from forecaster.records import SearchResult
    from forecaster.search_config import SearchConfig

TARGET = Path(__file__).resolve().parents[1] / "build" / "bench" / "search_workers.json"
LEAST_SPEEDUP = 1.7
UNBOUNDED = 1e9


def main(arguments: list[str] | None = None) -> int:
    """Search in turns, and say how the seconds compare."""
    options = _options(arguments)
    dataset, config = prepared(options.source, options.user)
    found = compare(dataset, config, options.seed, options.counts, options.rounds)
    options.target.parent.mkdir(parents=True, exist_ok=True)
    options.target.write_text(json.dumps({"user": options.user, "seed": options.seed, **found}), encoding="utf-8")
    for line in found["workers"]:
        seconds = ", ".join(f"{each:.1f}" for each in line["seconds"])
        print(f"{line['workers']} workers: {line['median']:.1f} s ({seconds}), {line['speedup']:.2f} times as fast")
    if found["speedup"] < LEAST_SPEEDUP and (os.cpu_count() or 1) > 1:
        reached = f"{options.counts[-1]} workers are {found['speedup']:.2f} times as fast as {options.counts[0]}"
        print(f"search_workers: {reached}, must be at least {LEAST_SPEEDUP:g}", file=sys.stderr)
        return 1
    return 0


def prepared(source: str | None, user: str) -> tuple[Dataset, SearchConfig]:
    """One sensor's dataset, and the training pipeline's settings without a bound on CPU seconds."""
    # Each worker imports this module, and these libraries would take it longer than the trainings.
    from benchmarks.accuracy import SOURCE, reference_dataset  # noqa: PLC0415
    from pipelines.config import load_config  # noqa: PLC0415

    config = load_config([]).training.search.model_copy(update={"max_cpu_seconds": UNBOUNDED})
    return reference_dataset(source or str(SOURCE), user), config


def compare(dataset: Dataset, config: SearchConfig, seed: int, counts: Sequence[int], rounds: int) -> dict[str, Any]:
    """Seconds of a search by number of workers; speed-ups of their medians over that of the first count.

    Raises:
        ValueError: two of the searches found something different.
    """
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    outcomes = set()
    search(dataset, config.model_copy(update={"generations": 1, "updates": 2}), seed)  # the kernels are loaded
    for _ in range(rounds):
        for count in counts:
            began = time.monotonic()
            result = search(dataset, config, seed, workers=str(count))
            seconds[count].append(time.monotonic() - began)
            outcomes.add(_outcome(result))
    if len(outcomes) > 1:
        msg = f"{len(outcomes)} different results of the same search with {list(counts)!r} workers"
        raise ValueError(msg)
    medians = {count: statistics.median(each) for count, each in seconds.items()}
    lines = [
        {"workers": count, "seconds": seconds[count], "median": median, "speedup": medians[counts[0]] / median}
        for count, median in medians.items()
    ]
    return {"workers": lines, "speedup": lines[-1]["speedup"]}


def _outcome(result: SearchResult) -> tuple[Any, ...]:
    """All but the clock."""
    return (*((record.genome, record.fitness) for record in result.records), result.winner)


def _options(arguments: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", help="of the readings, by default the reference data")
    parser.add_argument("--user", default="living_room")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--counts", type=lambda text: [int(item) for item in text.split(",")], default=[1, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--target", type=Path, default=TARGET)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
