"""The figures behind the page of the docs: written with it, and taken for run where that is asked for."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.search_jobs import Job

Figures = dict[str, Any]
FILE = "searches.json"
NOTHING: Figures = {"compilation_cpu_seconds": None, "workers": None, "searches": {}}


def publish(
    folder: Path, results: Sequence[Figures], compiling: float, workers: Figures | None, before: Figures = NOTHING
) -> None:
    """Write what the page is made of, a search a line, so that a change shows as the lines that it changed.

    Of the trainings of a search only those are kept that found a lower validation error, and the last one.

    Args:
        folder: of the page.
        results: of the searches of this page.
        compiling, workers: as the page has them.
        before: what was published; searches that this page has no figures of stay.
    """
    mine = {_name(each) for each in results}
    searches = {digest: each for digest, each in before["searches"].items() if _name(each) not in mine}
    searches |= {each["digest"]: {**each, "trace": _lower(each["trace"])} for each in results}
    lines = ",\n".join(f"{json.dumps(digest)}: {json.dumps(_rounded(each))}" for digest, each in searches.items())
    head = json.dumps(_rounded({"compilation_cpu_seconds": compiling, "workers": workers}))[:-1]
    (folder / FILE).write_text(f'{head},\n"searches": {{\n{lines}\n}}}}\n', encoding="utf-8")


def published(folder: Path) -> Figures:
    """What `publish` wrote: `compilation_cpu_seconds`, `workers`, and `searches` by their jobs' digests."""
    target = folder / FILE
    return json.loads(target.read_text(encoding="utf-8")) if target.is_file() else NOTHING


def taken(job: Job, known: Figures) -> Figures | None:
    """The figures of a job among those published; None if there are none, or of other settings."""
    found: Figures | None = known["searches"].get(job.digest)
    return found


def _name(figures: Figures) -> tuple[Any, ...]:
    return tuple(figures[name] for name in ("method", "user", "seed", "budget"))


def _lower(trace: Sequence[Figures]) -> list[Figures]:
    lowest, kept = math.inf, []
    for each in trace:
        error = each["validation_rmse"]
        if (error is not None and error < lowest) or each is trace[-1]:
            kept.append(each)
            lowest = lowest if error is None else min(lowest, error)
    return kept


def _rounded(value: Any) -> Any:
    """Floats to seven digits: more than any table shows."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value
