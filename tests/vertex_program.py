"""The pipeline service of Vertex AI: jobs are kept and called failed, as nothing runs in them.

Run as a program in the environment with the platforms' SDKs: its arguments are the files of its certificate, of the
certificate's key, and of the requests it got, one a line. It prints the port it listens on.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.cloud.aiplatform_v1 import types
from google.protobuf import json_format

SERVICE = "google.cloud.aiplatform.v1.PipelineService"


def serve(shown: Path, secret: Path, kept: Path) -> None:
    """Answer until the end of the process."""

    def create(request: Any, _context: Any) -> Any:
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(json_format.MessageToDict(types.CreatePipelineJobRequest.pb(request))) + "\n")
        return types.PipelineJob(name=f"{request.parent}/pipelineJobs/{request.pipeline_job_id}")

    def get(request: Any, _context: Any) -> Any:
        return types.PipelineJob(name=request.name, state=types.PipelineState.PIPELINE_STATE_FAILED)

    methods = {
        "CreatePipelineJob": _method(create, types.CreatePipelineJobRequest),
        "GetPipelineJob": _method(get, types.GetPipelineJobRequest),
    }
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    credentials = grpc.ssl_server_credentials([(secret.read_bytes(), shown.read_bytes())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    os.write(1, f"{port}\n".encode())
    server.wait_for_termination()


def _method(function: Any, asks: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(function, asks.deserialize, types.PipelineJob.serialize)


if __name__ == "__main__":
    serve(*(Path(word) for word in sys.argv[1:]))
