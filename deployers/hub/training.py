"""Asking the training side to run: a command here, a webhook, or the trigger of a ZenML server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from deployers.exceptions import GateFailed, InputError, ServiceUnavailable
from deployers.processes import bound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deployers.hub.jobs import Job
    from deployers.hub.settings import Settings, TrainSection

CALL_SECONDS = 30.0
PAUSE_SECONDS = 1.0
# Within the time that the hub itself has to end.
KILL_SECONDS = 1.5
ANSWER_MAX = 2000
READ_BYTES = 4096
# Answers that another attempt may change.
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
# What a training command is given of the hub's environment; secrets of the hub stay with the hub.
PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "EDGELOOP_HOME", "ZENML_CONFIG_PATH", "MLFLOW_TRACKING_URI")

NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
# No two trainings run at once: this is what the job of one holds.
TRAINING = "training"


class Training:
    """What POST /train does, by configuration.

    Args:
        settings: with the section `train`.
        environment: where the token for a call is, and what a command is given.
        transport: of httpx; tests give one in memory.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str] = os.environ,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._train: TrainSection = settings.train
        self._folder: Path = settings.path(settings.train.folder)
        self._environment, self._transport = environment, transport

    def require(self) -> None:
        """Refuse before there is a job.

        Raises:
            InputError: this hub is not configured to train.
            ServiceUnavailable: the command is not there, or the token is not in the environment.
        """
        if self._train.kind == "none":
            msg = "this hub is not configured to train, expected kind command, webhook or zenml in [train] of hub.toml"
            raise InputError(msg)
        if self._train.kind == "command":
            self._program()
        elif self._train.kind == "zenml":
            self._headers()

    async def run(
        self,
        job: Job,
        parameters: dict[str, Any],
        variables: Mapping[str, str] = NO_VARIABLES,
        heard: Callable[[bytes], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Do it.

        Args:
            job: takes what is said meanwhile.
            parameters: for a webhook or a trigger.
            variables: of the environment, for a command.
            heard: called with all that a command prints, as it comes.

        Raises:
            GateFailed: the training side ran, and says that it failed.
            ServiceUnavailable: it cannot be started, does not answer, or takes too long.
        """
        if self._train.kind == "command":
            return await self._command(job, variables, heard)
        return await self._call(job, parameters)

    async def _command(self, job: Job, variables: Mapping[str, str], heard: Callable[[bytes], None]) -> dict[str, Any]:
        program, *arguments = self._train.command
        job.say(f"runs {program}")
        process = await self._start([self._program(), *arguments], variables)
        try:
            async with asyncio.timeout(self._train.seconds):
                await asyncio.gather(_follow(process, job, self._train.log_bytes, heard), process.wait())
        except TimeoutError:
            msg = (
                f"training took longer than {self._train.seconds:g} s and was ended: raise train.seconds, or train less"
            )
            raise ServiceUnavailable(msg) from None
        finally:
            await _end(process)
        if process.returncode:
            job.result = {"exit_code": process.returncode}
            msg = f"training ended with exit code {process.returncode}, expected 0: read the log of this job"
            raise GateFailed(msg)
        return {"exit_code": 0}

    async def _start(self, command: list[str], variables: Mapping[str, str]) -> asyncio.subprocess.Process:
        """A process in a group of its own, which ends when the hub does, even if the hub is killed."""
        environment = {name: self._environment[name] for name in PASSED if name in self._environment}
        try:
            return await asyncio.create_subprocess_exec(
                *bound(command, os.getpid()),
                cwd=self._folder,
                env={**environment, **variables},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            msg = f"training cannot be started in {str(self._folder)!r} ({error.strerror}): mend [train] of hub.toml"
            raise ServiceUnavailable(msg) from None

    def _program(self) -> str:
        program = self._train.command[0]
        found = shutil.which(program, path=self._environment.get("PATH"))
        if found is None:
            msg = f"program {program!r} of [train] is not on this machine, expected one that can be run: mend hub.toml"
            raise ServiceUnavailable(msg)
        return str(Path(found).absolute())

    async def _call(self, job: Job, parameters: dict[str, Any]) -> dict[str, Any]:
        host = urlsplit(self._train.url).hostname
        body = self._body(parameters)
        async with httpx.AsyncClient(
            transport=self._transport, timeout=CALL_SECONDS, headers=self._headers()
        ) as client:
            for attempt in range(1, self._train.attempts + 1):
                job.say(f"calls {host}, attempt {attempt} of {self._train.attempts}")
                answer = await _post(client, self._train.url, body, job)
                if answer is not None and answer.status_code not in AGAIN:
                    return _answered(answer, str(host))
                if attempt < self._train.attempts:
                    await asyncio.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
        msg = f"{host!r} did not take the call in {self._train.attempts} attempts: look at it, or at train.url"
        raise ServiceUnavailable(msg)

    def _body(self, parameters: dict[str, Any]) -> dict[str, Any]:
        if self._train.kind == "zenml":
            return {"run_configuration": {"parameters": parameters} if parameters else {}}
        return {"event": "train", "parameters": parameters}

    def _headers(self) -> dict[str, str]:
        token = self._environment.get(self._train.token_env, "")
        if not token and self._train.kind == "zenml":
            msg = f"environment variable {self._train.token_env!r} is empty, expected the ZenML server's token: set it"
            raise ServiceUnavailable(msg)
        return {"Authorization": f"Bearer {token}"} if token else {}


async def _follow(
    process: asyncio.subprocess.Process, job: Job, bytes_max: int, heard: Callable[[bytes], None]
) -> None:
    """Note what a process writes, up to a bound; the rest is read, so that it does not stand still, and left out."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    left, rest = bytes_max, b""
    while data := await process.stdout.read(READ_BYTES):
        heard(data)
        if left <= 0:
            continue
        left -= len(data)
        *lines, rest = (rest + data).split(b"\n")
        rest = rest[-READ_BYTES:]
        for line in lines:
            job.note(line.decode(errors="replace").rstrip())
        if left <= 0:
            job.note(f"… more than {bytes_max} bytes, the rest is left out")
    if rest:
        job.note(rest.decode(errors="replace"))


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process and what it has started."""
    for number, seconds in ((signal.SIGTERM, KILL_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        if process.returncode is not None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), seconds)


async def _post(client: httpx.AsyncClient, url: str, body: dict[str, Any], job: Job) -> httpx.Response | None:
    try:
        return await client.post(url, json=body)
    except httpx.TransportError as error:
        job.note(f"{type(error).__name__}: {error}")
        return None


def _answered(answer: httpx.Response, host: str) -> dict[str, Any]:
    if answer.is_success:
        return {"status": answer.status_code, "answer": answer.text[:ANSWER_MAX]}
    msg = f"{host!r} refused with status {answer.status_code}, expected 2xx: look at train.url and its token"
    raise GateFailed(msg)
