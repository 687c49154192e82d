"""How much sooner a search ends with several processes than with one, and that all find the same.

    python -m benchmarks.search_workers [--counts 1,4] [--user living_room] [--seed 1] [--rounds 5]

Whole searches in turns, with the training pipeline's settings and no bound on CPU seconds (one that is reached would
let the number of workers decide where the search ends). The seconds are those on the wall, from the first proposal to
the pick, the start of the processes included, and the lowest of the rounds counts: whoever else uses the machine can
only add to it. The machine must do nothing else all the same. What it could give at most is measured in the same
rounds: as many independent searches of one process as there are cores, side by side, which slow each other where cores
share caches and memory. All goes to build/bench/search_workers.json. Exit code 1 if the last count is less than 1.7
times as fast as the first, on a machine of two cores or more.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

from forecaster.search import search

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.synchronize import Barrier

    from forecaster.dataset import Dataset
    from forecaster.records import SearchResult
    from forecaster.search_config import SearchConfig

TARGET = Path(__file__).resolve().parents[1] / "build" / "bench" / "search_workers.json"
LEAST_SPEEDUP = 1.7
UNBOUNDED = 1e9
PATIENCE = 300.0  # seconds for a process to begin


def main(arguments: list[str] | None = None) -> int:
    """Search in turns, and say how the seconds compare."""
    options = _options(arguments)
    dataset, config = prepared(options.source, options.user)
    found = compare(dataset, config, options.seed, options.counts, options.rounds)
    options.target.parent.mkdir(parents=True, exist_ok=True)
    options.target.write_text(json.dumps({"user": options.user, "seed": options.seed, **found}), encoding="utf-8")
    for line in found["workers"]:
        seconds = ", ".join(f"{each:.1f}" for each in line["seconds"])
        work = f"trainings {min(line['cpu_seconds']):.1f} CPU s"
        speed = f"{line['speedup']:.2f} times as fast"
        print(f"{line['workers']} workers: {line['lowest']:.1f} s ({seconds}), {speed}; {work}")
    aside = found["side_by_side"]
    print(f"{aside['searches']} searches side by side: {aside['lowest']:.1f} s, the cores give {aside['speedup']:.2f}")
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
    """Lowest seconds of a search by number of workers, and the speed-ups over the first count's.

    Raises:
        ValueError: two of the searches found something different.
    """
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    work: dict[int, list[float]] = {count: [] for count in counts}
    cores = os.cpu_count() or 1
    aside: list[float] = []
    outcomes = set()
    search(dataset, config.model_copy(update={"generations": 1, "updates": 2}), seed)  # the kernels are loaded
    for _ in range(rounds):
        for count in counts:
            began = time.monotonic()
            result = search(dataset, config, seed, workers=str(count))
            seconds[count].append(time.monotonic() - began)
            work[count].append(result.cpu_seconds)
            outcomes.add(_outcome(result))
        aside.append(side_by_side(dataset, config, seed, cores))
    if len(outcomes) > 1:
        msg = f"{len(outcomes)} different results of the same search with {list(counts)!r} workers"
        raise ValueError(msg)
    lowest = {count: min(each) for count, each in seconds.items()}
    lines = [
        {
            "workers": count,
            "seconds": seconds[count],
            "cpu_seconds": work[count],
            "lowest": each,
            "speedup": lowest[counts[0]] / each,
        }
        for count, each in lowest.items()
    ]
    most = {"searches": cores, "seconds": aside, "lowest": min(aside)}
    most["speedup"] = cores * lowest[counts[0]] / min(aside)
    return {"workers": lines, "speedup": lines[-1]["speedup"], "side_by_side": most}


def side_by_side(dataset: Dataset, config: SearchConfig, seed: int, count: int) -> float:
    """Seconds of as many searches at once, each in a process of its own, once all are ready.

    Raises:
        BrokenBarrierError, ChildProcessError: one of them failed.
    """
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(count + 1)
    processes = [context.Process(target=_alone, args=(dataset, config, seed, ready), daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    ready.wait(PATIENCE)
    began = time.monotonic()
    for process in processes:
        process.join()
    took = time.monotonic() - began
    if any(process.exitcode for process in processes):
        msg = f"a search side by side with others ended with exit codes {[each.exitcode for each in processes]!r}"
        raise ChildProcessError(msg)
    return took


def _alone(dataset: Dataset, config: SearchConfig, seed: int, ready: Barrier) -> None:
    try:
        search(dataset, config.model_copy(update={"generations": 1, "updates": 2}), seed)
    except BaseException:
        ready.abort()
        raise
    ready.wait(PATIENCE)
    search(dataset, config, seed)


def _outcome(result: SearchResult) -> tuple[Any, ...]:
    """All but the clock."""
    return (*((record.genome, record.fitness) for record in result.records), result.winner)


def _options(arguments: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", help="of the readings, by default the reference data")
    parser.add_argument("--user", default="living_room")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--counts", type=lambda text: [int(item) for item in text.split(",")], default=[1, 4])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--target", type=Path, default=TARGET)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
