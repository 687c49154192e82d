"""The figures behind the docs' page: written whole enough to have the page again, and taken for run on request."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from benchmarks.search_jobs import Job
from benchmarks.search_published import FILE, NOTHING, publish, published, taken
from benchmarks.search_summary import curves, table

if TYPE_CHECKING:
    from pathlib import Path


def job(**more: Any) -> Job:
    return Job(**{"method": "ours", "user": "attic", "seed": 1, "budget": 40.0, "source": "readings.csv", **more})


def figures(of: Job, *errors: float | None) -> dict[str, Any]:
    trace = [{"cpu_seconds": 1.0 + at, "validation_rmse": error} for at, error in enumerate(errors)]
    return {
        "digest": of.digest, "method": of.method, "user": of.user, "seed": of.seed, "budget": of.budget,
        "cpu_seconds": 40.0 / 3, "trainings": len(trace), "trace": trace, "usual": False,
        "test": {"rmse": math.pi / 10, "mae": math.pi / 20},
    }  # fmt: skip


def test_what_is_published_gives_the_same_page(tmp_path: Path) -> None:
    results = [figures(job(seed=seed), None, 0.5, 0.7, round(0.4 + seed / 100, 2), 0.9, None) for seed in (1, 2, 3)]
    publish(tmp_path, results, 7.5, {"speedup": 1.8})
    known = published(tmp_path)
    again = [taken(job(seed=seed), known) for seed in (1, 2, 3)]
    for one, other in zip(table(results), table(again), strict=True):
        for key in ("user", "method", "budget", "runs", "trainings", "usual"):
            assert one[key] == other[key]
        assert f"{one['rmse']['mean']:.6f}" == f"{other['rmse']['mean']:.6f}"
        assert one["validation_rmse"] == other["validation_rmse"]
        assert one["trainings"] == 6
    assert curves(results) == curves(again)
    assert (known["compilation_cpu_seconds"], known["workers"]) == (7.5, {"speedup": 1.8})


def test_searches_that_a_page_is_not_made_of_stay_until_they_are_run_with_other_settings(tmp_path: Path) -> None:
    attic, hall, other = job(), job(user="hall"), job(user="hall", final_seeds=3)
    publish(tmp_path, [figures(attic, 0.5), figures(hall, 0.5)], 7.5, None)
    publish(tmp_path, [figures(other, 0.4)], 7.5, None, published(tmp_path))
    assert set(published(tmp_path)["searches"]) == {attic.digest, other.digest}


def test_trainings_that_lowered_nothing_are_left_out_but_for_the_last(tmp_path: Path) -> None:
    publish(tmp_path, [figures(job(), None, 0.5, 0.7, 0.4, 0.9)], 7.5, None)
    found = taken(job(), published(tmp_path))
    assert found is not None
    assert [each["validation_rmse"] for each in found["trace"]] == [0.5, 0.4, 0.9]
    assert found["trace"][-1]["cpu_seconds"] == 5.0


def test_a_search_is_a_line(tmp_path: Path) -> None:
    publish(tmp_path, [figures(job(seed=seed), 0.5) for seed in (1, 2)], 7.5, None)
    lines = (tmp_path / FILE).read_text(encoding="utf-8").splitlines()
    assert [job(seed=seed).digest in line for seed, line in enumerate(lines[2:4], 1)] == [True, True]
    assert json.loads("\n".join(lines)) == published(tmp_path)


def test_figures_of_other_settings_are_not_taken(tmp_path: Path) -> None:
    publish(tmp_path, [figures(job(), 0.5)], 7.5, None)
    known = published(tmp_path)
    assert taken(job(source="/elsewhere/readings.csv"), known) is not None
    for other in (job(seed=2), job(budget=20.0), job(source="others.csv"), job(final_seeds=3)):
        assert taken(other, known) is None


def test_without_a_page_nothing_is_known(tmp_path: Path) -> None:
    assert published(tmp_path) == NOTHING
    assert taken(job(), NOTHING) is None
