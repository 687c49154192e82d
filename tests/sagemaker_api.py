"""As much of SageMaker's API as ZenML speaks to; executions are kept and called failed, as nothing runs in them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.answering import Answering, Request, answering

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLE = "arn:aws:iam::123456789012:role/edgeloop"
ARN = "arn:aws:sagemaker:eu-central-1:123456789012:pipeline/edgeloop"
EXECUTION = f"{ARN}/execution/abcdefghijkl"
ANSWERS = {
    "CreatePipeline": {"PipelineArn": ARN},
    "StartPipelineExecution": {"PipelineExecutionArn": EXECUTION},
    "DescribePipelineExecution": {
        "PipelineArn": ARN,
        "PipelineExecutionArn": EXECUTION,
        "PipelineExecutionStatus": "Failed",
        "FailureReason": "nothing runs here",
    },
}


def _answer(request: Request) -> tuple[int, Any]:
    return 200, ANSWERS.get(_operation(request), {})


def _operation(request: Request) -> str:
    return request.headers["X-Amz-Target"].rpartition(".")[2]


@contextmanager
def sagemaker_api() -> Iterator[Answering]:
    """An API server on loopback."""
    with answering(_answer) as server:
        yield server


def created(server: Answering) -> list[dict[str, Any]]:
    """The body of every request for a pipeline, its definition parsed."""
    bodies = [request.body for request in server.requests if _operation(request) == "CreatePipeline"]
    return [{**body, "PipelineDefinition": json.loads(body["PipelineDefinition"])} for body in bodies]


def started(server: Answering) -> int:
    """How many executions were started."""
    return [_operation(request) for request in server.requests].count("StartPipelineExecution")
