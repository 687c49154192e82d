"""Boards one by one: what the hub knows of them, and a version forward, confirmed or back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from deployers.hub.auth import require
from deployers.hub.context import Hub, TheHub  # noqa: TC001 - FastAPI reads annotations when it starts
from deployers.hub.jobs import BOARD_BY_BOARD, CONFIRM, FORWARD, WHOLE, held
from deployers.protocol.messages import SlotState

if TYPE_CHECKING:
    from deployers.hub.device import Device
    from deployers.hub.jobs import Job

router = APIRouter(prefix="/devices", tags=["devices"])

Version = Annotated[int, Field(ge=1, le=0xFFFFFFFF)]
STATES = {SlotState.NONE: "empty", SlotState.TEST: "test", SlotState.CONFIRMED: "confirmed"}


class Wanted(BaseModel):
    """A version, and how long each stage may take."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"version": 3, "seconds": 60}})

    version: Version
    seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None


@router.get("", dependencies=[require("read")])
async def devices(hub: TheHub) -> dict[str, Any]:
    """Every board that has a key here, online or not."""
    return {"devices": [described(hub, device) for device in hub.boards.devices()]}


@router.get("/{board}", dependencies=[require("read")])
async def device(hub: TheHub, board: str) -> dict[str, Any]:
    """One board."""
    return described(hub, hub.boards.device(board))


@router.get("/{board}/log", dependencies=[require("read")])
async def log(hub: TheHub, board: str) -> dict[str, Any]:
    """The lines of its log that the board still keeps; asked for now."""
    return {"board": board, "lines": (await hub.boards.log(board)).splitlines()}


@router.post("/{board}/forward", status_code=202, dependencies=[require("deploy")])
async def forward(hub: TheHub, board: str, wanted: Wanted) -> dict[str, Any]:
    """Bring a version to this board, from where an earlier transfer was cut, and start it in test: a job."""
    hub.catalogue.view(wanted.version)

    async def work(job: Job) -> dict[str, Any]:
        return await hub.rollout.forward(job, board, wanted.version, wanted.seconds)

    return await _started(hub, FORWARD, board, wanted, work)


@router.post("/{board}/confirm", status_code=202, dependencies=[require("deploy")])
async def confirm(hub: TheHub, board: str, wanted: Wanted) -> dict[str, Any]:
    """Compare a forecast of the version in test with the hub's own, then keep it or go back. Answers with a job."""
    hub.catalogue.view(wanted.version)

    async def work(job: Job) -> dict[str, Any]:
        return await hub.rollout.confirm(job, board, wanted.version, wanted.seconds)

    return await _started(hub, CONFIRM, board, wanted, work)


@router.post("/{board}/revert", status_code=202, dependencies=[require("deploy")])
async def revert(hub: TheHub, board: str, wanted: Wanted) -> dict[str, Any]:
    """Have this board go back from a version in test. Answers with a job."""

    async def work(job: Job) -> dict[str, Any]:
        return await hub.rollout.revert(job, board, wanted.version)

    return await _started(hub, "revert", board, wanted, work)


async def _started(hub: Hub, kind: str, board: str, wanted: Wanted, work: Any) -> dict[str, Any]:
    known = hub.boards.device(board).id
    if kind in BOARD_BY_BOARD:
        hub.jobs.require_none(WHOLE, f"version {wanted.version} cannot go on to board {known!r}")
    about = {"board": known, "version": wanted.version}
    return (await hub.jobs.start(kind, about, work, {held(known)})).as_dict()


def described(hub: Hub, device: Device) -> dict[str, Any]:
    """One board as JSON."""
    state, transfer = device.state, device.transfer
    confirmed = _confirmed(device)
    return {
        "id": device.id,
        "online": device.online,
        "last_seen_ms": device.last_seen_ms,
        "state": "unknown" if state is None else STATES[state.slot_state],
        "confirmed": confirmed,
        "test": state.model_version if state is not None and state.slot_state is SlotState.TEST else None,
        "since_ms": hub.rollout.confirmed.since(device.id, confirmed),
        "firmware": None if device.hello is None else ".".join(map(str, device.hello.firmware_version)),
        "busy": device.busy,
        "transfer": None if transfer is None else {"done": transfer.done, "total": transfer.total},
        "details": None if state is None else {name: int(getattr(state, name)) for name in state.__slots__},
        "counters": {name: getattr(device.counters, name) for name in device.counters.__slots__},
    }


def _confirmed(device: Device) -> int:
    """The version that the board has confirmed, 0 if none is known; while another is in test, the lowest it takes."""
    state = device.state
    if state is None or state.slot_state is SlotState.NONE:
        return 0
    return state.model_version if state.slot_state is SlotState.CONFIRMED else state.lowest_version
