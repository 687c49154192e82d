"""A version on its way to the boards: forward, test, compare, confirm, or back.

A board runs a new version in test first. It is confirmed when a forecast that the board itself made with it agrees with
the hub's own forecast by the same version at the same reading, as closely as its golden vectors have to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deployers.exceptions import BoardRefused, Conflict, DeployerError, RolledBack, ServiceUnavailable
from deployers.hub.private import write_private
from deployers.protocol.messages import SlotState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deployers.hub.boards import Boards
    from deployers.hub.catalogue import Activated, Catalogue
    from deployers.hub.jobs import Job
    from deployers.hub.live import Live
    from deployers.hub.store import Store, StoredForecast
    from deployers.protocol.messages import BoardState

_log = logging.getLogger(__name__)

# The first forecasts after a board's start may lack history that the hub has: only so many that disagree are a verdict.
DISAGREEMENTS = 3
LOOKED_AT = 16
POLL_SECONDS = 0.2
# A board forecasts with its next reading, and the first that comes may be the one that it restarted over.
CADENCES = 2
CONFIRMED = "confirmed"


class ConfirmedSince:
    """Since when boards have their confirmed versions, in a small file."""

    def __init__(self, path: Path, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._path, self._clock = path, clock
        self._known: dict[str, dict[str, int]] | None = None
        self._writing = threading.Lock()

    def since(self, board: str, version: int) -> int | None:
        """When this board confirmed this version; None if another hub saw it, or none."""
        found = self._read().get(board)
        return found.get("since_ms") if found and found.get("version") == version else None

    def note(self, board: str, version: int) -> None:
        """A board has confirmed a version now; a disk that does not take it changes nothing about that."""
        with self._writing:  # boards are confirmed side by side, each in a thread
            self._known = {**self._read(), board: {"version": version, "since_ms": self._clock()}}
            try:
                write_private(self._path, json.dumps(self._known).encode())
            except OSError as error:
                _log.error("since when board %s has version %d is not on the disk: %s", board, version, error)

    def _read(self) -> dict[str, dict[str, int]]:
        if self._known is None:
            try:
                self._known = {str(board): dict(entry) for board, entry in json.loads(self._path.read_bytes()).items()}
            except FileNotFoundError:
                self._known = {}
            except (ValueError, TypeError, AttributeError):
                _log.exception("%s is not what this hub writes, and begins anew", self._path)
                self._known = {}
        return self._known


@dataclass
class Rollout:
    """Versions to boards.

    Attributes:
        seconds: how long each stage of a board's test may take, if a request does not say; forecasts, which come with
            readings, are waited for `CADENCES` at the least.
    """

    catalogue: Catalogue
    boards: Boards
    store: Store
    live: Live
    confirmed: ConfirmedSince
    seconds: float
    # By board: the version that was started in test last, and the times of its forecasts from tests before.
    _earlier: dict[str, tuple[int, frozenset[int]]] = field(default_factory=dict)

    async def forward(self, job: Job, board: str, version: int, seconds: float | None = None) -> dict[str, Any]:
        """Bring a version to a board and start it in test; nothing to do if it runs there already.

        Raises:
            NotFound: no such version here, or no such board.
            LinkLostError: the board is not there, or not back in time.
            BoardRefused: the board refused it, or is back without it.
        """
        image = self.catalogue.image(version)
        state = await self.boards.status(board)
        if _runs(state, version):
            return _forwarded(board, version, state, 0, len(image))
        if state.slot_state is SlotState.TEST:
            job.say(f"{board}: back from version {state.model_version}, which is in test")
            await self.boards.revert(board, state.model_version)
        resumed = await self._transfer(job, board, version, image)
        job.say(f"{board}: restarts with version {version}")
        self._earlier.pop(board, None)
        earlier = frozenset(made.time_ms for made in await self._made_in_test(board, version))
        self._earlier[board] = version, earlier
        state = await self.boards.install(board, seconds or self.seconds)
        if not _runs(state, version):
            msg = f"board {board!r} is back with version {state.model_version!r}, expected {version}: look at its log"
            raise BoardRefused(msg)
        return _forwarded(board, version, state, len(image) - resumed, resumed)

    async def confirm(self, job: Job, board: str, version: int, seconds: float | None = None) -> dict[str, Any]:
        """Wait for a forecast of the version in test, compare it, and confirm; or have the board go back.

        Raises:
            RolledBack: the board went back by itself, made no forecast in time, or other ones than the hub.
            LinkLostError, NotFound: as `forward`.
            ServiceUnavailable: the store does not answer.
        """
        began = time.monotonic()
        state = await self.boards.status(board)
        if state.slot_state is SlotState.CONFIRMED and state.model_version == version:
            return _confirmed(board, version, None, 0.0)
        if not _runs(state, version):
            raise self._gone_back(job, board, version, state.model_version, "the board went back by itself")
        job.say(f"{board}: waits for a forecast of version {version}")
        cadences = CADENCES * self.catalogue.view(version).cadence_seconds
        apart, why = await self._compare(job, board, version, seconds or max(self.seconds, cadences))
        if why:
            state = await self.boards.revert(board, version)
            raise self._gone_back(job, board, version, state.model_version, why)
        await self.boards.confirm(board, version)
        await asyncio.to_thread(self.confirmed.note, board, version)
        job.say(f"{board}: version {version} confirmed", 1.0)
        return _confirmed(board, version, apart, time.monotonic() - began)

    async def revert(self, job: Job, board: str, version: int) -> dict[str, Any]:
        """Have a board go back from a version in test; nothing to do if it is not in test there.

        Raises:
            Conflict: the board has confirmed it.
            LinkLostError, NotFound: as `forward`.
        """
        state = await self.boards.revert(board, version)
        if _runs(state, version):
            msg = f"board {board!r} has confirmed version {version}, expected it in test: roll back instead"
            raise Conflict(msg)
        job.say(f"{board}: back on version {state.model_version}")
        return {"board": board, "version": version, "state": "reverted", "running": state.model_version}

    async def deploy(self, job: Job, version: int, boards: Sequence[str] | None, failures_max: int) -> dict[str, Any]:
        """The hub first, then board by board; the hub goes back too if no board took the version.

        Args:
            job: told how far it is.
            version: installed here.
            boards: which; all that are online if not given.
            failures_max: boards that may fail before no further one is tried.

        Raises:
            RolledBack: no board took it, and everything runs as before.
            BoardRefused: some took it and some did not.
        """
        before = self._before(version, await self.catalogue.activate(version))
        job.say(f"the hub forecasts with version {version}")
        rows = await self._each(job, version, boards, failures_max)
        job.result = {"version": version, "active": version, "before": before, "boards": rows}
        failed = _failed(rows)
        if failed and before is not None and not any(row["state"] == CONFIRMED for row in rows):
            await self.catalogue.activate(before)
            job.result["active"] = before
            msg = f"no board took version {version}, {failed[0]['error']}; the hub runs {before} again"
            raise RolledBack(msg)
        _require_all(rows, version)
        return job.result

    async def rollback(self, job: Job, boards: Sequence[str] | None) -> dict[str, Any]:
        """The model that ran before the active one, on the hub and then on the boards.

        Raises:
            Conflict: there is no way back.
            BoardRefused: some boards did not take it; the hub runs it.
        """
        back = self.way_back()
        activated = await self.catalogue.activate(back)
        job.say(f"the hub forecasts with version {back}")
        rows = await self._each(job, back, boards, failures_max=1_000_000)
        job.result = {"active": back, "before": activated.before, "boards": rows}
        _require_all(rows, back)
        return job.result

    def way_back(self) -> int:
        """The version that holds the model before the active one.

        Raises:
            Conflict: there is none.
        """
        active = self.catalogue.active
        if active is None:
            msg = "no model is active, expected one to roll back from: deploy one first"
            raise Conflict(msg)
        back = self.catalogue.way_back_of(active.version)
        if back is None:
            msg = f"version {active.version} has no way back, expected a version signed as one: deploy another instead"
            raise Conflict(msg)
        return back

    def wanted(self, boards: Sequence[str] | None) -> list[str]:
        """The boards asked for, each of which has a key here; all that have one if none is named.

        Raises:
            UnknownBoardError: one has none.
        """
        if boards is None:
            return [device.id for device in self.boards.devices()]
        return [self.boards.device(board).id for board in dict.fromkeys(boards)]

    def require_not_older(self, version: int, boards: Sequence[str]) -> None:
        """Refuse a version that boards are known to refuse, before the hub changes to it.

        Raises:
            Conflict: a board has confirmed a higher one.
        """
        for board in boards:
            state = self.boards.device(board).state
            if state is not None and state.lowest_version > version:
                msg = (
                    f"board {board!r} has confirmed version {state.lowest_version} and takes none below it, not "
                    f"{version}: roll back, or deploy the same model again under a higher version"
                )
                raise Conflict(msg)

    def _before(self, version: int, activated: Activated) -> int | None:
        """What to go back to: where an earlier deployment activated the version and no board kept it, what ran then."""
        if activated.before != version:
            return activated.before
        states = [device.state for device in self.boards.devices()]
        kept = any(s and (s.slot_state, s.model_version) == (SlotState.CONFIRMED, version) for s in states)
        return None if kept else self.catalogue.ran_before(version)

    async def _each(
        self, job: Job, version: int, boards: Sequence[str] | None, failures_max: int
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for board in self.wanted(boards):
            if len(_failed(rows)) >= failures_max:
                rows.append(_row(board, version, "skipped"))
            elif boards is None and not self.boards.device(board).online:
                rows.append(_row(board, version, "absent"))
            else:
                rows.append(await self._one(job, board, version))
        return rows

    async def _one(self, job: Job, board: str, version: int) -> dict[str, Any]:
        try:
            await self.forward(job, board, version)
            done = await self.confirm(job, board, version)
        except RolledBack as error:
            return _row(board, version, "reverted", str(error))
        except BoardRefused as error:
            return _row(board, version, "refused", str(error))
        except DeployerError as error:
            # A board that is away goes back by itself when its test is over; one that is there goes back now.
            with contextlib.suppress(DeployerError):
                await self.boards.revert(board, version)
            return _row(board, version, "absent" if isinstance(error, ServiceUnavailable) else "failed", str(error))
        return {**_row(board, version, CONFIRMED), "agreed_within": done["agreed_within"]}

    async def _transfer(self, job: Job, board: str, version: int, image: bytes) -> int:
        what = f"{board}: takes version {version}"
        job.say(what, 0.0)
        resumed = await self.boards.transfer(board, image, lambda done, total: job.say(what, done / total))
        job.note(f"{board}: {len(image) - resumed} bytes sent, {resumed} were there")
        return resumed

    async def _compare(self, job: Job, board: str, version: int, seconds: float) -> tuple[float, str]:
        """How far a forecast of the board is from the hub's own, in °C, and what is wrong, nothing if it agrees."""
        bound, seen, end = self.bound(version), dict[int, float](), time.monotonic() + seconds
        while time.monotonic() < end:
            for made in await self._made_in_test(board, version):
                if made.time_ms in seen:
                    continue
                own = await self.live.forecast_at(board, made.time_ms, version)
                if own is None:
                    continue  # its reading is not stored yet
                seen[made.time_ms] = apart = _apart(made.celsius, own)
                job.note(f"{board}: {apart:.2g} °C from the hub's forecast, at most {bound:.2g} are allowed")
                if apart <= bound:
                    return apart, ""
            if len(seen) >= DISAGREEMENTS:
                worst = max(seen.values())
                return worst, f"its forecasts are {worst:.2g} °C from the hub's, at most {bound:.2g} are allowed"
            await asyncio.sleep(POLL_SECONDS)
        return float("nan"), f"no forecast of it that agrees came within {seconds:g} s"

    async def _made_in_test(self, board: str, version: int) -> list[StoredForecast]:
        """Of this test: what the version forecast in one before, and why it went back then, says nothing about now."""
        found = await self.store.forecasts(board, source="board", last=LOOKED_AT)
        tested, earlier = self._earlier.get(board, (version, frozenset()))
        return [
            made
            for made in found
            if (made.version, made.slot_state) == (version, SlotState.TEST)
            and not (tested == version and made.time_ms in earlier)
        ]

    def bound(self, version: int) -> float:
        """How far forecasts of board and hub may be apart in °C."""
        return self.catalogue.view(version).agreement_celsius

    def _gone_back(self, job: Job, board: str, version: int, running: int, why: str) -> RolledBack:
        error = f"board {board!r} runs version {running} and not {version}: {why}"
        job.result = {"board": board, "version": version, "state": "reverted", "running": running, "error": error}
        return RolledBack(error)


def _runs(state: BoardState, version: int) -> bool:
    return state.slot_state in {SlotState.TEST, SlotState.CONFIRMED} and state.model_version == version


def _forwarded(board: str, version: int, state: BoardState, sent: int, resumed: int) -> dict[str, Any]:
    name = state.slot_state.name.lower()
    return {"board": board, "version": version, "state": name, "bytes": sent, "resumed_from": resumed}


def _confirmed(board: str, version: int, apart: float | None, waited: float) -> dict[str, Any]:
    done = {"board": board, "version": version, "state": CONFIRMED}
    return {**done, "agreed_within": apart, "waited_seconds": round(waited, 3)}


def _row(board: str, version: int, state: str, error: str | None = None) -> dict[str, Any]:
    return {"board": board, "version": version, "state": state, "error": error}


def _failed(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["error"] is not None]


def _require_all(rows: Sequence[dict[str, Any]], version: int) -> None:
    failed = _failed(rows)
    if failed:
        msg = f"{len(failed)} of {len(rows)} boards did not take version {version}, {failed[0]['error']}"
        raise BoardRefused(msg)


def _apart(one: Sequence[float], other: Sequence[float]) -> float:
    """The largest difference; infinite between forecasts of different lengths, and NaN is never within a bound."""
    if len(one) != len(other):
        return float("inf")
    differences = [abs(a - b) for a, b in zip(one, other, strict=True)]
    return max(differences) if all(d == d for d in differences) else float("inf")  # noqa: PLR0124 - NaN
