"""The comparison as a whole: what it plans, how it runs, resumes and ends, and what it writes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import search
from benchmarks.search_jobs import Job, keep, kept
from pipelines.config import load_config

SMALL = ["--users", "attic", "--seeds", "1,2", "--budget", "4", "--further", "2", "--methods", "ours,random,plain"]
ROOT = Path(search.__file__).resolve().parents[1]


WORKERS = {
    "user": "attic", "seed": 1, "speedup": 1.8,
    "side_by_side": {"searches": 2, "seconds": [9.5], "lowest": 9.5, "speedup": 1.9},
    "workers": [
        {"workers": 1, "seconds": [9.0], "lowest": 9.0, "speedup": 1.0},
        {"workers": 4, "seconds": [5.0], "lowest": 5.0, "speedup": 1.8},
    ],
}  # fmt: skip


def options(*given: str) -> Any:
    return search._options(list(given))  # noqa: SLF001


def figures(job: Job) -> dict[str, Any]:
    rmse = 0.3 + job.seed / 100 - job.budget / 1000
    cpu = job.budget or 800.0
    trace = [{"cpu_seconds": cpu / 2, "validation_rmse": rmse, "fitness": 0.6, "updates": 300}]
    errors = {"rmse": rmse, "mae": rmse / 2}
    return {
        "method": job.method, "user": job.user, "seed": job.seed, "budget": job.budget, "cpu_seconds": cpu,
        "trainings": 1, "trace": trace, "usual": True, "pick": {}, "test": errors, "test_as_found": errors,
        "final_cpu_seconds": 0.0,
    }  # fmt: skip


class Process:
    """A process that has ended before it is looked at, or that lasts until it is told to end."""

    def __init__(self, exitcode: int = 0, *, lasts: bool = False, stubborn: bool = False) -> None:
        self.exitcode, self.lasts, self.stubborn = exitcode, lasts, stubborn
        self.told: list[str] = []

    def is_alive(self) -> bool:
        return self.lasts

    def terminate(self) -> None:
        self.told.append("terminate")
        self.lasts = self.stubborn

    def kill(self) -> None:
        self.told.append("kill")
        self.lasts = False

    def join(self, timeout: float | None = None) -> None:
        self.told.append("join")


@pytest.fixture
def place(monkeypatch, tmp_path: Path) -> Path:
    """Results go to a folder of the test; searches take no time and write what `figures` says."""
    monkeypatch.setattr(search, "ROOT", tmp_path)
    monkeypatch.setattr(search, "compilation_seconds", lambda: 8.0)
    monkeypatch.setattr(search, "speedup_of_workers", lambda *_: WORKERS)
    return tmp_path


@pytest.fixture
def started(monkeypatch) -> list[str]:
    names: list[str] = []

    def start(job: Job, folder: Path) -> Process:
        names.append(job.name)
        keep(job, figures(job), folder)
        return Process()

    monkeypatch.setattr(search, "_start", start)
    return names


def test_options() -> None:
    usual = options()
    assert (len(usual.users), usual.seeds, usual.budget) == (4, [1, 2, 3, 4, 5], 40.0)
    assert usual.further == [8, 14, 400]
    assert usual.methods == ["ours", "scratch", "random", "tpe", "nsga2", "hyperband", "plain"]
    assert (usual.processes, usual.docs.parts[-2:]) == (2, ("docs", "search"))
    given = options("--users", "a,b", "--seeds", "7", "--further", "", "--methods", "tpe", "--processes", "1")
    assert (given.users, given.seeds, given.further, given.methods) == (["a", "b"], [7], [], ["tpe"])


@pytest.mark.parametrize("given", [["--methods", "ours,cmaes"], ["--processes", "3"], ["--seeds", "x"]])
def test_options_that_are_refused(given: list[str], capsys) -> None:
    with pytest.raises(SystemExit):
        options(*given)
    assert given[0] in capsys.readouterr().err


def test_an_unknown_method_is_named_beside_the_known_ones(capsys) -> None:
    with pytest.raises(SystemExit):
        options("--methods", "cmaes")
    assert "method 'cmaes' is unknown, choose from ours, scratch, random, tpe" in capsys.readouterr().err


def test_every_method_has_the_budget_and_ours_the_further_ones() -> None:
    jobs = search.planned(options(*SMALL, "--source", "readings.csv"))
    assert sorted(job.name for job in jobs) == [
        "ours-attic-1-2", "ours-attic-1-4", "ours-attic-2-2", "ours-attic-2-4",
        "plain-attic-1", "plain-attic-2", "random-attic-1-4", "random-attic-2-4",
    ]  # fmt: skip
    assert {job.source for job in jobs} == {"readings.csv"}
    training = load_config([]).training
    assert all((job.config, job.final_seeds) == (training.search, training.seeds) for job in jobs)


def test_what_is_compared_is_run_one_after_the_other() -> None:
    """A machine is not equally fast all day."""
    jobs = search.planned(options())
    each = 4 + 5 + 1  # ours at its budgets, scratch and the rivals at one, plain
    assert len(jobs) == 5 * 4 * each
    for first in range(0, len(jobs), each):
        compared = jobs[first : first + each]
        assert len({(job.seed, job.user) for job in compared}) == 1
        assert [job.budget for job in compared] == [8.0, 14.0, *[40.0] * 6, 400.0, 0.0]
    assert [job.seed for job in jobs] == sorted(job.seed for job in jobs)
    assert [job.user for job in jobs[::each]] == options().users * 5


def test_scratch_has_the_common_budget_alone_and_follows_ours() -> None:
    jobs = search.planned(options(*SMALL[:-1], "plain,random,scratch"))
    assert [job.name for job in jobs if job.method == "scratch"] == ["scratch-attic-1-4", "scratch-attic-2-4"]
    assert search.METHODS[:2] == ("ours", "scratch")


def test_the_help_says_what_is_compared_with_what(capsys) -> None:
    with pytest.raises(SystemExit):
        options("--help")
    said = capsys.readouterr().out
    for word in ("scratch     the same", "no weights inherited", "both of plain's networks", "the smaller of the two"):
        assert word in said


def test_a_budget_that_is_also_a_further_one_is_run_once() -> None:
    jobs = search.planned(options("--budget", "10", "--methods", "ours"))
    assert len({job.name for job in jobs}) == len(jobs)


def test_workers_are_measured_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], *, check: bool) -> None:
        commands.append(command)
        assert not check, "too slow is an exit code as well"
        Path(command[-1]).write_text(json.dumps(WORKERS), encoding="utf-8")

    monkeypatch.setattr(search.subprocess, "run", run)
    target = tmp_path / "workers.json"
    assert search.speedup_of_workers(target, options("--kept")) is None
    assert search.speedup_of_workers(target, options()) == search.speedup_of_workers(target, options()) == WORKERS
    assert [command[1:] for command in commands] == [["-m", "benchmarks.search_workers", "--target", str(target)]]


def test_workers_that_could_not_be_measured_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(search.subprocess, "run", lambda *_, **__: None)
    assert search.speedup_of_workers(tmp_path / "workers.json", options()) is None


@pytest.mark.usefixtures("started")
def test_everything_is_written(place: Path, capsys) -> None:
    assert search.main([*SMALL, "--docs", str(place / "docs")]) == 0
    written = json.loads((place / "build" / "bench" / "search.json").read_text())
    assert len(written["runs"]) == 8
    assert written["budget"] == 4.0
    assert written["compilation_cpu_seconds"] == 8.0
    assert written["speedup_vs_plain"] == pytest.approx(800 / 2)
    assert [(line["method"], line["budget"], line["runs"]) for line in written["table"]] == [
        ("ours", 2.0, 2), ("ours", 4.0, 2), ("random", 4.0, 2), ("plain", 0.0, 2),
    ]  # fmt: skip
    assert written["shortfalls"] == []
    printed = capsys.readouterr()
    documented = (place / "docs" / "README.md").read_text()
    assert printed.out in documented
    assert "`make bench-search ARGS='--users attic --seeds 1,2" in documented
    assert "| attic | random search | 4 | 2 |" in printed.out
    assert (place / "docs" / "curves.svg").is_file()
    assert (place / "docs" / "test.svg").is_file()
    assert "8 of 8" in printed.err


def test_what_was_run_is_not_run_again(place: Path, started: list[str]) -> None:
    first = [*SMALL[:3], "1", *SMALL[4:], "--docs", str(place)]
    assert search.main(first) == 0
    assert len(started) == 4
    started.clear()
    assert search.main([*SMALL, "--docs", str(place)]) == 0
    assert started == ["ours-attic-2-2", "ours-attic-2-4", "random-attic-2-4", "plain-attic-2"]
    started.clear()
    before = (place / "build" / "bench" / "search.json").read_bytes()
    assert search.main([*SMALL, "--docs", str(place)]) == 0
    assert started == []
    assert (place / "build" / "bench" / "search.json").read_bytes() == before


def test_kept_figures_are_judged_without_running_what_is_missing(place: Path, started: list[str]) -> None:
    assert search.main([*SMALL[:3], "1", *SMALL[4:], "--docs", str(place)]) == 0
    started.clear()
    assert search.main([*SMALL, "--kept", "--docs", str(place)]) == 0
    assert started == []
    written = json.loads((place / "build" / "bench" / "search.json").read_text(encoding="utf-8"))
    assert {run["seed"] for run in written["runs"]} == {1}


def test_published_searches_are_not_run_again_if_that_is_asked_for(place: Path, started: list[str]) -> None:
    docs = ["--docs", str(place / "docs")]
    assert search.main([*SMALL[:3], "1", *SMALL[4:], *docs]) == 0
    page = (place / "docs" / "README.md").read_text(encoding="utf-8")
    shutil.rmtree(place / "build")
    started.clear()
    assert search.main([*SMALL[:3], "1", *SMALL[4:], *docs, "--kept", "--published"]) == 0
    assert started == []
    assert (place / "docs" / "README.md").read_text(encoding="utf-8").splitlines()[6:] == page.splitlines()[6:]
    assert search.main([*SMALL, *docs, "--published"]) == 0
    assert started == ["ours-attic-2-2", "ours-attic-2-4", "random-attic-2-4", "plain-attic-2"]
    started.clear()
    shutil.rmtree(place / "build")
    assert search.main([*SMALL, *docs]) == 0
    assert len(started) == 8, "unless it is asked for, figures of another machine perhaps are not taken"


def test_a_failed_search_is_named_and_the_others_are_kept(place: Path, monkeypatch, capsys) -> None:
    def start(job: Job, folder: Path) -> Process:
        if job.method == "random" and job.seed == 1:
            return Process(exitcode=1)
        keep(job, figures(job), folder)
        return Process()

    monkeypatch.setattr(search, "_start", start)
    assert search.main([*SMALL, "--docs", str(place)]) == 1
    printed = capsys.readouterr().err
    assert "search: random-attic-1-4 failed" in printed
    assert len(json.loads((place / "build" / "bench" / "search.json").read_text())["runs"]) == 7


@pytest.mark.usefixtures("place")
def test_no_search_that_ended_is_an_exit_code(monkeypatch, capsys) -> None:
    monkeypatch.setattr(search, "_start", lambda job, folder: Process(exitcode=1))
    assert search.main(SMALL) == 1
    assert "search: no search came to its end" in capsys.readouterr().err


@pytest.mark.usefixtures("place", "started")
def test_a_figure_that_falls_short_is_an_exit_code(monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setattr(search, "shortfalls", lambda summary, budget: [f"too slow at {budget:g}"])
    assert search.main([*SMALL, "--docs", str(tmp_path)]) == 1
    assert "search: too slow at 4" in capsys.readouterr().err


def test_only_so_many_run_at_a_time(tmp_path: Path) -> None:
    running: list[Process] = []
    most = 0

    class Ends(Process):
        looks = 0

        def is_alive(self) -> bool:
            self.looks += 1
            self.lasts = self.looks < 3
            return self.lasts

    def start(job: Job, folder: Path) -> Process:
        nonlocal most
        running.append(Ends(lasts=True))
        most = max(most, sum(process.lasts for process in running))
        return running[-1]

    jobs = search.planned(options(*SMALL))
    assert search.run_all(jobs, tmp_path, options("--processes", "2"), start) == []
    assert (most, len(running)) == (2, len(jobs))


def test_an_interrupt_ends_what_runs_and_keeps_what_ended(place: Path, monkeypatch, capsys) -> None:
    processes: list[Process] = []

    def start(job: Job, folder: Path) -> Process:
        if not processes:
            keep(job, figures(job), folder)
            processes.append(Process())
        else:
            processes.append(Process(lasts=True))
        return processes[-1]

    def interrupted(seconds: float) -> None:
        if len(processes) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(search, "_start", start)
    monkeypatch.setattr(search.time, "sleep", interrupted)
    assert search.main(SMALL) == 130
    assert [process.told for process in processes] == [[], ["terminate", "join"], ["terminate", "join"]]
    assert "search: interrupted" in capsys.readouterr().err
    first = search.planned(options(*SMALL))[0]
    assert kept(first, place / "build" / "bench" / "search") is not None


def test_a_process_that_does_not_end_is_made_to() -> None:
    stubborn = Process(lasts=True, stubborn=True)
    search._end([stubborn])  # noqa: SLF001
    assert stubborn.told == ["terminate", "join", "kill", "join"]


def test_an_interrupt_while_a_process_starts_ends_it_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes when signals are let through again, before anybody knows of the process."""
    made: list[Process] = []

    class Starting(Process):
        def __init__(self, **_: Any) -> None:
            super().__init__()
            made.append(self)

        def start(self) -> None:
            self.lasts = True

    def unmask(how: int, _: Any) -> set[int]:
        if how == signal.SIG_SETMASK:
            raise KeyboardInterrupt
        return set()

    monkeypatch.setattr(search.multiprocessing, "get_context", lambda _: SimpleNamespace(Process=Starting))
    monkeypatch.setattr(search.signal, "pthread_sigmask", unmask)
    with pytest.raises(KeyboardInterrupt):
        search._start(Job("ours", "attic", 1, 4.0, "x"), Path())  # noqa: SLF001
    assert made[0].told == ["terminate", "join"]


def test_compilation_is_measured_once(tmp_path: Path, monkeypatch) -> None:
    measured = iter([7.5, 9.0])
    monkeypatch.setattr(search, "compilation_seconds", lambda: next(measured))
    assert [search.compilation(tmp_path) for _ in range(2)] == [7.5, 7.5]


def test_the_smallest_speed_up_is_that_of_all_sensors() -> None:
    jobs = [Job("plain", user, 1, 0.0, "x") for user in ("attic", "hall")]
    ours = [Job("ours", "attic", 1, 4.0, "x"), Job("ours", "hall", 1, 4.0, "x")]
    all_runs = [figures(job) for job in (*jobs, *ours)]
    assert search.summarise(all_runs, 4.0, 8.0, WORKERS)["speedup_vs_plain"] == 200.0
    all_runs[-1]["test"] = {"rmse": 9.0, "mae": 9.0}
    found = search.summarise(all_runs, 4.0, 8.0, WORKERS)
    assert found["speedup_vs_plain"] is None
    (short,) = found["shortfalls"]
    assert short.startswith("hall: speed-up over plain DEAP is not reached at any budget (plain's, as the search")
    assert found["speedups"]["hall"]["as_found"]["speedup"] == 200.0


@pytest.mark.parametrize("by", ["the terminal", "kill", "kill in the background"])
def test_a_real_process_ends_cleanly_at_an_interrupt(tmp_path: Path, by: str) -> None:
    """The whole program, on simulated readings, while it trains: the terminal's signal to its group, or its own end."""
    given = ["--source", "simulated://lab?days=40&seed=1", "--users", "lab", "--seeds", "1", "--methods", "ours"]
    code = (
        "import sys; from pathlib import Path; from benchmarks import search; "
        f"search.ROOT = Path({str(tmp_path)!r}); sys.exit(search.main())"
    )
    command = [sys.executable, "-c", code, *given, "--further", "", "--budget", "500"]
    if by == "kill in the background":
        command = ["env", "--ignore-signal=INT", *command]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        deadline = time.monotonic() + 60
        while len(children.read_text().split()) < 2 and time.monotonic() < deadline:  # multiprocessing's own, and ours
            time.sleep(0.05)
        started = [int(pid) for pid in children.read_text().split()]
        if by == "the terminal":
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.terminate()
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert said.strip().splitlines()[-1] == "search: interrupted; what came to its end is kept"
    assert "Traceback" not in said
    assert not any(Path(f"/proc/{pid}").exists() for pid in started[-1:])
