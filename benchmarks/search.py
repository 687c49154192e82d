"""The search beside the tools people would otherwise use, at equal CPU seconds, on the same space and trainer.

    python -m benchmarks.search [--users A,B] [--seeds 1,2] [--methods ours,tpe] [--budget 40] [--further 5,10,400]

    ours        forecaster.search, bounded by CPU seconds alone; also at the budgets of --further
    scratch     the same at --budget alone, with no weights inherited, whatever the configuration says
    random      candidates drawn evenly
    tpe         Optuna's TPE; the median pruner looks after a quarter and a half of a training
    nsga2       Optuna's NSGA-II, on the one error
    hyperband   Keras Tuner's Hyperband oracle over our trainer; rungs at a quarter, a half and a whole training
    plain       DEAP around Keras fit of a windowed GRU, as the search began: 12 individuals, 4 generations, 8 epochs

Every method but plain has the search's folds, its penalty for size, its finals (the best few on further seeds, and the
recipe known to work unless one clearly beats it), and the training pipeline's final training. The budget holds for
candidates and finals together. All but Hyperband, whose interface takes no first trial, begin with the recipe known to
work. CPU seconds are those of the process and its children from the first proposal to the pick: compilation by Keras
and Optuna's own work included, imports not (they are kept beside, and would count against the rivals). The trainer's
kernels are compiled once a checkout; what that costs is measured, and the speed-up given with it as well.

The speed-up over plain is that of what the pipeline registers, our pick trained again on the validation part too. It is
held against both of plain's networks: the one that its search left, and its winner trained again as ours is. Against
each it is plain's CPU seconds over those of our smallest budget whose search found at most plain's lowest validation
RMSE and whose test RMSE and MAE are at most plain's, all means over seeds; a sensor's is the smaller of the two, and
there is none unless both are reached. The CPU seconds are those of the searches and, where a winner is trained again,
of that training. The network that our search itself leaves, which nobody is given, is compared as well, and not judged.

A rival is better than ours where its interval says so, on one sensor or on all together. The intervals hold for all
rivals together, for the best of several looks better than it is.

What several processes gain is measured at the end, by benchmarks.search_workers.

A search's figures stay in build/bench/search/ and are not worked out again; what was not run is not judged. The whole
takes hours on two cores: run it in parts, by --seeds or --users, and put them together by --kept or --published.
All goes to build/bench/search.json, the table, two plots and the figures behind them to docs/search/; --published takes
those for run, which were taken on another machine perhaps. Exit code 1 where a figure falls short or a search failed,
130 where it was interrupted. The machine should do nothing else: the same work costs more CPU seconds where others want
the same cores and caches.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import signal
import subprocess
import sys
import time
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.accuracy import SOURCE, USERS
from benchmarks.search_compile import compilation_seconds
from benchmarks.search_figure import draw
from benchmarks.search_jobs import METHODS, OURS, PLAIN, Job, kept, run_and_keep
from benchmarks.search_published import NOTHING, publish, published, taken
from benchmarks.search_summary import curves, longer, overall, shortfalls, speedups, table
from benchmarks.search_table import markdown, page
from pipelines.config import load_config

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parents[1]
INTERRUPTED = 130
GRACE = 5.0  # seconds between asking a process to end and making it


def main(arguments: list[str] | None = None) -> int:
    """Run what was not run before, then say what all of it says."""
    options = _options(arguments)
    bench = ROOT / "build" / "bench"
    jobs = planned(options)
    before = published(options.docs) if options.published else NOTHING

    def known(job: Job) -> dict[str, Any] | None:
        return kept(job, bench / "search") or taken(job, before)

    # Or the processes would outlive this one. It waits, as an interrupt does, while one is being started. A shell lets
    # what it starts in the background ignore interrupts.
    before_int = signal.signal(signal.SIGINT, signal.default_int_handler)
    before_term = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        missing = [] if options.kept else [job for job in jobs if known(job) is None]
        failed = run_all(missing, bench / "search", options)
        results = [found for job in jobs if (found := known(job)) is not None]
        if not results:
            print("search: no search came to its end", file=sys.stderr)
            return 1
        workers = before["workers"]
        if workers is None and OURS in options.methods:
            workers = speedup_of_workers(bench / "search_workers.json", options)
        compiling = before["compilation_cpu_seconds"] or compilation(bench / "search")
        summary = summarise(results, options.budget, compiling, workers)
    except KeyboardInterrupt:
        print("search: interrupted; what came to its end is kept", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before_term)
        signal.signal(signal.SIGINT, before_int)
    bench.mkdir(parents=True, exist_ok=True)
    (bench / "search.json").write_text(json.dumps({**summary, "runs": results}), encoding="utf-8")
    print(markdown(summary))
    draw(summary, options.budget, options.docs)
    (options.docs / "README.md").write_text(page(summary, arguments or sys.argv[1:]), encoding="utf-8")
    publish(options.docs, results, compiling, workers, before)
    short = [f"{job.name} failed" for job in failed] + summary["shortfalls"]
    for sentence in short:
        print(f"search: {sentence}", file=sys.stderr)
    return 1 if short else 0


def planned(options: Any) -> list[Job]:
    """All searches asked for, with the training pipeline's settings.

    What is compared, a sensor's searches of one seed, comes one after the other: no machine is equally fast all day.
    """
    training = load_config([]).training
    jobs = []
    for method in options.methods:
        budgets = {OURS: sorted({options.budget, *options.further}), PLAIN: [0.0]}.get(method, [options.budget])
        jobs += [
            Job(method, user, seed, budget, options.source, training.search, training.seeds)
            for budget in budgets
            for seed in options.seeds
            for user in options.users
        ]
    users = list(options.users)
    return sorted(jobs, key=lambda job: (job.seed, users.index(job.user), job.budget or float("inf")))


def run_all(
    jobs: Sequence[Job], folder: Path, options: Any, start: Callable[[Job, Path], Any] | None = None
) -> list[Job]:
    """Run each job in a process of its own, a few at a time; those that failed.

    Args:
        jobs: what to run.
        folder: that keeps their figures.
        options: `processes` says how many at a time.
        start: starts the process of a job.
    """
    start = start or _start
    waiting, failed, done = list(jobs), list[Job](), 0
    running: list[tuple[Job, Any]] = []
    try:
        while waiting or running:
            while waiting and len(running) < options.processes:
                job = waiting.pop(0)
                running.append((job, start(job, folder)))
            time.sleep(0.05)
            for job, process in [each for each in running if not each[1].is_alive()]:
                running.remove((job, process))
                done += 1
                failed += [job] if process.exitcode else []
                ending = f"failed with {process.exitcode}" if process.exitcode else "done"
                print(f"{job.name} {ending}, {done} of {len(jobs)}", file=sys.stderr, flush=True)
    finally:
        _end([process for _, process in running])
    return failed


def _start(job: Job, folder: Path) -> Any:
    """A job's process, from whose first moment on the terminal's interrupt is for its parent, which ends it."""
    process = multiprocessing.get_context("spawn").Process(target=run_and_keep, args=(job, folder))
    resource_tracker.ensure_running()  # its start would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    except KeyboardInterrupt:  # it came meanwhile, and nobody else knows of the process yet
        _end([process])
        raise
    return process


def _end(processes: Sequence[Any]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(GRACE)
        if process.is_alive():
            process.kill()
            process.join()


def compilation(folder: Path) -> float:
    """CPU seconds of compiling the trainer, measured once."""
    target = folder / "compilation.json"
    if not target.is_file():
        target.write_text(json.dumps({"cpu_seconds": compilation_seconds()}), encoding="utf-8")
    return float(json.loads(target.read_text(encoding="utf-8"))["cpu_seconds"])


def speedup_of_workers(target: Path, options: Any) -> dict[str, Any] | None:
    """What `search_workers` found, measured once; nothing if it came to no end, or was not and nothing is to run."""
    if not target.is_file() and not options.kept:
        command = [sys.executable, "-m", "benchmarks.search_workers", "--target", str(target)]
        subprocess.run(command, check=False)  # noqa: S603 - ours; that it is too slow, its exit code, is said below
    return json.loads(target.read_text(encoding="utf-8")) if target.is_file() else None


def summarise(
    results: Sequence[dict[str, Any]], budget: float, compiling: float, workers: dict[str, Any] | None
) -> dict[str, Any]:
    """Everything that is said of the searches."""
    sensors = speedups(results, compiling)
    reached = [line["speedup"] for line in sensors.values() if "speedup" in line]
    smallest = min(reached) if reached and len(reached) == len(sensors) else None
    summary: dict[str, Any] = {
        "budget": budget,
        "compilation_cpu_seconds": compiling,
        "table": table(results),
        "overall": overall(results, budget),
        "speedup_vs_plain": smallest,
        "speedups": sensors,
        "longer": longer(results, budget),
        "workers": workers,
        "curves": curves(results),
    }
    return {**summary, "shortfalls": shortfalls(summary, budget)}


def _options(arguments: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=str(SOURCE))
    parser.add_argument("--users", type=_list(str), default=USERS.split(","))
    parser.add_argument("--seeds", type=_list(int), default=[1, 2, 3, 4, 5])
    parser.add_argument("--budget", type=float, default=40.0, help="CPU seconds of every method but plain")
    parser.add_argument("--further", type=_list(float), default=[8, 14, 400], help="CPU seconds, of ours alone")
    parser.add_argument("--methods", type=_list(_method), default=list(METHODS), help=", ".join(METHODS))
    parser.add_argument("--kept", action="store_true", help="run nothing, judge what was run before")
    parser.add_argument("--published", action="store_true", help="take the searches of the docs' page for run")
    parser.add_argument("--processes", type=int, choices=(1, 2), default=2)
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "search", help="folder of the table and the plots")
    return parser.parse_args(arguments)


def _list(of: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    def read(text: str) -> list[Any]:
        return [of(item) for item in text.split(",") if item]

    return read


def _method(text: str) -> str:
    if text not in METHODS:
        msg = f"method {text!r} is unknown, choose from {', '.join(METHODS)}"
        raise argparse.ArgumentTypeError(msg)
    return text


if __name__ == "__main__":
    sys.exit(main())
