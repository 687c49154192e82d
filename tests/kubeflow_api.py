"""As much of Kubeflow Pipelines' API as ZenML speaks to; runs are kept and called failed, as nothing runs in them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.answering import Answering, Request, answering

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = {"run_id": "run-1", "display_name": "run", "state": "FAILED"}
EXPERIMENT = {"experiment_id": "experiment-1", "display_name": "Default"}


def _answer(request: Request) -> tuple[int, Any]:
    """One experiment, one run, no login."""
    known = {"healthz": {"multi_user": False}, "experiments": {"experiments": [EXPERIMENT]}}
    last = request.path.rpartition("/")[2]
    if request.method == "POST" and last == "experiments":
        return 200, EXPERIMENT
    return 200, known.get(last, RUN)


@contextmanager
def kubeflow_api() -> Iterator[Answering]:
    """An API server on loopback."""
    with answering(_answer) as server:
        yield server


def submitted(server: Answering) -> list[dict[str, Any]]:
    """The pipeline of every run that was asked for, with the platform's own part where there is one."""
    return [json.loads(text) if isinstance(text := body["pipeline_spec"], str) else text
            for body in server.bodies("POST", "/runs")]  # fmt: skip
