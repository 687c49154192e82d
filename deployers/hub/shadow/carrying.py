"""Challengers that boards carry: brought to their second slots, compared with the hub's, and taken away again.

What a board carries is asked of it, so that a hub that was restarted goes on with what is there. Only one challenger
fits on a board: the one that began first. Whatever else changes a board comes first, and while a deployment runs no
board is touched: between its transfer and its installation the slot is its own, though no request is under way.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from deployers.hub.busy import BoardBusyError
from deployers.hub.jobs import DEPLOYMENT, held
from deployers.hub.turns import attempted, woken
from deployers.link import LinkLostError, LinkRefusedError
from deployers.protocol.messages import SlotState
from deployers.protocol.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deployers.hub.boards import Boards
    from deployers.hub.catalogue import Catalogue
    from deployers.hub.device import Device
    from deployers.hub.jobs import Jobs
    from deployers.hub.monitor.service import Monitor
    from deployers.protocol.messages import Shadow

_log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
# Boards that are brought a challenger at the same time: each is read from and sent to in the hub's one event loop.
AT_ONCE = 4
UNABLE = "its firmware carries no challengers"
DEPLOYED = "a deployment comes first"
AWAY = "it is not connected"
State = Literal["carries", "waits", "refused", "unable"]
EMPTY: tuple[State, str] = ("waits", "")  # it carries none


class Wanted(NamedTuple):
    """A challenger that runs on the hub.

    Attributes:
        version: its own.
        since_ms: when it began; one that begins again is tried again where it was refused.
    """

    version: int
    since_ms: int


@dataclass(frozen=True)
class Note:
    """How a board stood to a challenger when it was last visited.

    Attributes:
        connection: its number; on another one everything is asked again.
        wanted: the challenger; None where there was none, and the board carried none.
        reason: why it is so, for people.
    """

    connection: int
    wanted: Wanted | None
    state: State = "waits"
    reason: str = ""


class Carrying:
    """Challengers on the boards of a hub.

    Args:
        boards: carry them.
        catalogue: has their images, and knows which version is active.
        jobs: tell which boards are in use.
        monitor: compares forecasts of boards and hub.
    """

    def __init__(self, boards: Boards, catalogue: Catalogue, jobs: Jobs, monitor: Monitor) -> None:
        self._boards, self._catalogue, self._jobs, self._monitor = boards, catalogue, jobs, monitor
        self._wanted: Callable[[], Sequence[Wanted]] = tuple
        self._notes: dict[str, Note] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, wanted: Callable[[], Sequence[Wanted]]) -> None:
        """Begin to visit boards.

        Args:
            wanted: the challengers that run, the one that began first at the front.
        """
        self._wanted = wanted
        self._task = asyncio.create_task(self._forever(), name="challengers on boards")

    async def stop(self) -> None:
        """Leave boards as they are; what was on its way goes on after the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def wake(self) -> None:
        """Visit boards soon: a challenger has begun or ended."""
        self._wake.set()

    async def forget(self, version: int) -> None:
        """Have this challenger compared from the beginning."""
        await self._monitor.forget_carried(version)

    async def turn(self) -> None:
        """Visit every board that is connected, once."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def visit(device: Device) -> None:
            async with gate:
                await self._visit(device)

        await asyncio.gather(*(visit(each) for each in self._boards.devices() if each.online))

    def disagreement(self, version: int) -> str:
        """Which board answers otherwise than the hub with this challenger, for so long that it is no accident."""
        for device in self._boards.devices():
            found = self._monitor.carried(device.id)
            if found is not None and found.version == version and found.agreement.level == "alarm":
                said = found.agreement
                count, off, allowed = max(said.apart, said.ALARM), said.worst, said.allowed or 0.0
                return (
                    f"board {device.id!r} answers otherwise than the hub: {count} forecasts in a row differ, "
                    f"by {off:.3g} °C at most, allowed are {allowed:.3g} °C"
                )
        return ""

    def rows(self, version: int) -> list[dict[str, Any]]:
        """How each board stands to a challenger that runs, and how its forecasts compare with the hub's."""
        return [self._row(device, version) for device in self._boards.devices()]

    async def _forever(self) -> None:
        while True:
            await woken(self._wake, EVERY_SECONDS)
            await attempted(self.turn, "who brings challengers to boards")

    async def _visit(self, device: Device) -> None:
        """Never raises but where it is cancelled: other boards have their turn."""
        note, wanted = self._note_of(device), self._first()
        if note is not None and (note.state == "unable" or (note.wanted is None and wanted is None)):
            return
        refusal = note.reason if note is not None and note.state == "refused" and note.wanted == wanted else ""
        try:
            found = await self._settle(device.id, wanted, refusal)
        except LinkRefusedError as error:
            found = _refused(error)
        except (BoardBusyError, LinkLostError) as error:
            found = "waits", str(error)
        except Exception as error:  # noqa: BLE001 - whatever a board answers, other boards have their turn
            _log.exception("board %s carries no challenger now", device.id)
            found = "waits", str(error)
        if found is None or (wanted is None and found[0] == "waits" and found != EMPTY):
            self._notes.pop(device.id, None)  # it may carry one that nobody wants
        else:
            self._notes[device.id] = Note(device.counters.connections, wanted, *found)

    async def _settle(self, board: str, wanted: Wanted | None, refusal: str) -> tuple[State, str] | None:
        """Have a board carry what it shall.

        Args:
            board: its id.
            wanted: the challenger, if there is one.
            refusal: why the board has refused it, if it has.

        Returns:
            How the board stands then; None if it is to be asked again whatever comes.
        """
        if self._is_in_use(board):
            return "waits", DEPLOYED
        carried = await self._boards.shadow(board)
        if wanted != self._first():
            return None
        if wanted is not None and carried.version == wanted.version:
            return _standing(carried)
        if wanted is not None and not refusal:
            return await self._bring(board, wanted.version)
        if carried.version and not self._may_stay(carried.version):
            carried = await self._take_away(board, carried)
        if refusal:
            return "refused", refusal
        return None if carried.version else EMPTY

    async def _bring(self, board: str, version: int) -> tuple[State, str]:
        """Nothing is awaited before the request: a deployment that begins after it takes the board from it."""
        if why := self._why_not(board, version):
            return "waits", why
        return _standing(await self._boards.carry(board, version, self._catalogue.image(version)))

    async def _take_away(self, board: str, carried: Shadow) -> Shadow:
        """Likewise."""
        if self._is_in_use(board):
            return carried
        _log.info("board %s is to carry challenger %d no more", board, carried.version)
        return await self._boards.leave(board, carried.version)

    def _why_not(self, board: str, version: int) -> str:
        """Why a board cannot take a challenger now; nothing if it can."""
        state = self._boards.device(board).state
        if self._is_in_use(board):
            return DEPLOYED
        if state is None or state.slot_state is not SlotState.CONFIRMED or state.model_status != Status.OK:
            return "no confirmed model runs on it"
        return f"it runs version {version} itself" if state.model_version == version else ""

    def _is_in_use(self, board: str) -> bool:
        return any(job.holds & {DEPLOYMENT, held(board)} for job in self._jobs.running())

    def _first(self) -> Wanted | None:
        return next(iter(self._wanted()), None)

    def _may_stay(self, version: int) -> bool:
        """One that runs, or that became active, for a deployment finds it there."""
        active = self._catalogue.active
        return version in {each.version for each in self._wanted()} or (
            active is not None and active.version == version
        )

    def _note_of(self, device: Device) -> Note | None:
        note = self._notes.get(device.id)
        return note if note is not None and note.connection == device.counters.connections else None

    def _row(self, device: Device, version: int) -> dict[str, Any]:
        state, reason = self._state(device, version)
        found = self._monitor.carried(device.id)
        agreement = found.agreement if found is not None and found.version == version else None
        compared = agreement.compared if agreement is not None else 0
        worst = round(agreement.worst, 6) if agreement is not None and compared else None
        return {"board": device.id, "state": state, "forecasts": compared, "worst_celsius": worst, "reason": reason}

    def _state(self, device: Device, version: int) -> tuple[State, str]:
        first, note = self._first(), self._note_of(device)
        if note is not None and note.state == "unable":
            return note.state, note.reason
        if first is not None and first.version != version:
            return "waits", f"version {first.version} began first, and one fits on a board"
        if note is None or note.wanted != first:
            return "waits", "its turn comes within a minute" if device.online else AWAY
        if not device.online:
            return "carries" if note.state == "carries" else "waits", AWAY
        return note.state, note.reason


def _standing(carried: Shadow) -> tuple[State, str]:
    if carried.status == Status.OK:
        return "carries", ""
    return "refused", f"it makes no forecasts with it: {_name(carried.status)}"


def _refused(error: LinkRefusedError) -> tuple[State, str]:
    return ("unable", UNABLE) if error.status == Status.SESSION_TYPE else ("refused", _name(error.status))


def _name(status: int) -> str:
    return Status(status).name if status in set(Status) else f"status {status}"
