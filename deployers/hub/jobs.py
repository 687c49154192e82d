"""Work that takes longer than a request: it is followed by its id, and what came of it outlives the hub."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import secrets
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from deployers.exceptions import Conflict, DeployerError, DeploymentRunning, NotFound
from deployers.hub.codes import code_of
from deployers.hub.private import write_private

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
    from pathlib import Path

_log = logging.getLogger(__name__)

State = Literal["running", "done", "failed", "stopped", "lost"]
KEPT = 200
LINES_MAX, LINE_MAX = 500, 500
SAVE_SECONDS = 1.0
LOST = "the hub ended while this ran: start it again"
# What another work holds, and the word for it: two deployments at once are told apart from a busy board.
DEPLOYMENT = "deployment"
# Jobs that change the hub's version and then its boards, and those of a deployer that has changed it and goes on.
DEPLOY, ROLLBACK, FORWARD, CONFIRM = "deploy", "rollback", "forward", "confirm"
WHOLE, BOARD_BY_BOARD = frozenset({DEPLOY, ROLLBACK}), frozenset({FORWARD, CONFIRM})
_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def held(board: str) -> str:
    """What a job holds that changes a board."""
    return f"board {board}"


@dataclass
class Job:
    """One piece of work.

    Attributes:
        about: what it was asked to do, for people and programs.
        holds: what no other work may use meanwhile.
        doing: what it does now, one line.
        progress: share of what it does now, 0 to 1; none where that cannot be told.
        result: what came of it; may be there although it failed.
        error: code, detail and exit code of the command line, if it failed.
    """

    id: str
    kind: str
    about: dict[str, Any]
    started_ms: int
    holds: frozenset[str] = frozenset()
    state: State = "running"
    ended_ms: int | None = None
    doing: str = ""
    progress: float | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES_MAX))
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self, doing: str, progress: float | None = None) -> None:
        """What it does now; a new line of the log if it is not what it did before."""
        if doing != self.doing:
            self.note(doing)
        self.doing, self.progress = doing, progress

    def note(self, line: str) -> None:
        """One more line of the log, without what would move a terminal's cursor."""
        self.lines.append(_CONTROL.sub("", line)[:LINE_MAX])

    def fail(self, error: DeployerError) -> None:
        """Keep why it failed."""
        self.state = "failed"
        self.error = {"code": code_of(error)[1], "detail": str(error), "exit_code": error.exit_code}

    def as_dict(self, tail: int = LINES_MAX) -> dict[str, Any]:
        """Plain values for JSON, with the last lines of the log."""
        names = ("id", "kind", "about", "state", "started_ms", "ended_ms", "doing", "progress", "result", "error")
        return {**{name: getattr(self, name) for name in names}, "log": list(self.lines)[-tail:] if tail else []}

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Job:
        """A job of an earlier hub; one that was running then is lost.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        lines = fields.pop("log")
        job = cls(**fields)
        job.lines.extend(str(line) for line in lines)
        if not _ID.fullmatch(job.id):
            raise ValueError(job.id)
        if job.state == "running":
            job.state, job.error = "lost", {"code": "lost", "detail": LOST, "exit_code": 5}
        job.ended.set()
        return job


class Jobs:
    """All jobs of a hub.

    Args:
        folder: where they are kept, a file a job.
        clock: ms since 1970-01-01.
    """

    def __init__(self, folder: Path, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._folder, self._clock = folder, clock
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closing = False
        # One thread, so that what was told last of a job is what stays on the disk.
        self._disk = ThreadPoolExecutor(1, "jobs")

    async def open(self) -> None:
        """Read what an earlier hub left."""
        for job in await asyncio.to_thread(self._read):
            self._jobs[job.id] = job

    async def close(self) -> None:
        """Stop what runs, and keep that it was stopped."""
        self._closing = True
        for number, task in self._tasks.items():
            if self._jobs[number].state == "running":  # what has ended is about to be kept
                task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._disk.shutdown(wait=False)

    def list(self) -> Sequence[Job]:
        """All jobs, the newest first."""
        return sorted(self._jobs.values(), key=lambda job: (job.started_ms, job.id), reverse=True)

    def get(self, number: str) -> Job:
        """One job.

        Raises:
            NotFound: there is none of this id, or it is so old that it is gone.
        """
        if number not in self._jobs:
            msg = f"job {number[:64]!r} is not known here, expected an id of GET /jobs: the last {KEPT} are kept"
            raise NotFound(msg)
        return self._jobs[number]

    def running(self) -> Sequence[Job]:
        """Jobs that run."""
        return [job for job in self._jobs.values() if job.state == "running"]

    def require_none(self, kinds: Collection[str], what: str) -> None:
        """Refuse something while certain other work runs.

        Args:
            kinds: of that work.
            what: what is refused, for people, as "version 3 cannot be activated".

        Raises:
            DeploymentRunning: one runs.
        """
        for other in self.running():
            if other.kind in kinds:
                msg = f"{what}, {other.kind} {other.id!r} runs: wait until it has ended"
                raise DeploymentRunning(msg)

    async def start(
        self,
        kind: str,
        about: dict[str, Any],
        work: Callable[[Job], Awaitable[dict[str, Any]]],
        holds: Iterable[str] = (),
    ) -> Job:
        """Begin some work.

        Args:
            kind: what it is called.
            about: what it was asked to do.
            work: does it, and returns what came of it.
            holds: what no other work may use meanwhile.

        Returns:
            The job, which stands on the disk.

        Raises:
            DeploymentRunning: another deployment runs.
            Conflict: another work uses some of what this one needs, or the hub is going down.
        """
        wanted = frozenset(holds)
        self._require_free(kind, wanted)
        now = self._clock()
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now / 1000))
        job = Job(f"{stamp}-{secrets.token_hex(4)}", kind, about, now, wanted)
        self._jobs[job.id] = job
        self._tasks[job.id] = asyncio.create_task(self._run(job, work), name=f"job {kind} {job.id}")
        await self._save(job)
        return job

    def _require_free(self, kind: str, wanted: frozenset[str]) -> None:
        if self._closing:
            msg = f"{kind} cannot begin, the hub is going down: ask again in a moment"
            raise Conflict(msg)
        for other in self.running():
            for thing in sorted(other.holds & wanted, key=lambda thing: (thing != DEPLOYMENT, thing)):
                error = DeploymentRunning if thing == DEPLOYMENT else Conflict
                msg = f"{kind} cannot begin, {other.kind} {other.id!r} uses {thing!r}: wait until it has ended"
                raise error(msg)

    async def _run(self, job: Job, work: Callable[[Job], Awaitable[dict[str, Any]]]) -> None:
        saving = asyncio.create_task(self._save_often(job))
        try:
            job.result = await work(job)
            job.state = "done"
        except asyncio.CancelledError:
            job.state = "stopped"
            job.error = {
                "code": "stopped",
                "detail": "the hub went down while this ran: start it again",
                "exit_code": 5,
            }
        except DeployerError as error:
            job.fail(error)
        except Exception as error:  # noqa: BLE001 - nobody waits for the task: it is logged, and the job has failed
            _log.exception("job %s %s", job.kind, job.id)
            job.fail(DeployerError(f"internal error, the hub's log has it under {job.id}"))
            job.note(type(error).__name__)
        finally:
            saving.cancel()
            await self._end(job)

    async def _end(self, job: Job) -> None:
        job.ended_ms = self._clock()
        job.note(job.error["detail"] if job.error else job.state)
        about = " ".join(f"{name} {value}" for name, value in job.about.items())
        _log.info("job %s of %s: %s", job.id, f"{job.kind} {about}".strip(), job.lines[-1])
        await self._save(job)
        job.ended.set()
        await self._forget()
        self._tasks.pop(job.id, None)

    async def _forget(self) -> None:
        """Remove the oldest jobs that have ended."""
        for job in [job for job in self.list() if job.state != "running"][KEPT:]:
            del self._jobs[job.id]
            await self._on_disk((self._folder / f"{job.id}.json").unlink, True)  # noqa: FBT003 - missing_ok

    async def _save_often(self, job: Job) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            await self._save(job)

    async def _save(self, job: Job) -> None:
        content = json.dumps(job.as_dict()).encode()
        try:
            await self._on_disk(write_private, self._folder / f"{job.id}.json", content)
        except OSError as error:
            # The work goes on: what it does to a board is worth more than the note about it.
            _log.error("job %s is not on the disk: %s", job.id, error)

    async def _on_disk(self, work: Callable[..., None], *arguments: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)

    def _read(self) -> Sequence[Job]:
        self._folder.mkdir(parents=True, exist_ok=True)
        found = []
        for path in sorted(self._folder.glob("*.json"))[-KEPT:]:
            try:
                found.append(Job.of(json.loads(path.read_bytes())))
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                _log.warning("%s is no job and is left out: %s", path, error)
        for path in self._folder.glob(".*.json.*"):  # of a save that was cut
            with contextlib.suppress(OSError):
                path.unlink()
        return found
