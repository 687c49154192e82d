"""A Dask scheduler and workers on the loopback interface, as processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.programs import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

SECONDS_TO_START = 60


class DaskCluster:
    """A context that ends what it has started.

    Args:
        folder: for logs and scratch files.
        protocol, options: of all its processes.
    """

    def __init__(self, folder: Path, protocol: str = "tcp", options: Sequence[str] = ()) -> None:
        self.folder, self.options = folder, options
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.address = f"{protocol}://127.0.0.1:{self.port}"
        self.processes: list[subprocess.Popen[bytes]] = []

    def scheduler(self) -> subprocess.Popen[bytes]:
        """Start it, and wait until it takes connections."""
        process = self._start("scheduler", "--host", self.address.rpartition(":")[0], "--port", str(self.port))
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.05)
            else:
                return process

    def worker(self, *options: str, env: Mapping[str, str] | None = None, code: Path = CHECKOUT) -> Any:
        """Start one with one thread and no nanny, unless the options say otherwise.

        Args:
            options: of `dask worker`.
            env: variables on top of this process's.
            code: folder from which it imports our packages.
        """
        alone = () if "--nanny" in options else ("--no-nanny",)
        more = ("--nthreads", "1", "--memory-limit", "0", "--local-directory", str(self.folder))
        return self._start("worker", self.address, *more, *alone, *options, env=env, code=code)

    def log(self) -> str:
        """What all of them printed."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def _start(
        self, part: str, *arguments: str, env: Mapping[str, str] | None = None, code: Path = CHECKOUT
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{part}", *arguments, "--no-dashboard", *self.options]
        kept = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        path = os.pathsep.join([str(code), *kept])
        with (self.folder / f"{part}-{len(self.processes)}.log").open("wb") as log:
            environment = {**os.environ, "PYTHONPATH": path, **(env or {})}
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # also what a nanny has started
            process.wait(5)
