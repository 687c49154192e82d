"""What the hub knows of a board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from deployers.keeping import Counters
    from deployers.protocol.messages import BoardState, Hello


@dataclass(frozen=True, slots=True)
class Transfer:
    """The last image that was sent to a board since the hub started.

    Attributes:
        done: bytes of it in place on the board.
        total: bytes of the image.
        resumed: bytes that were in place already when this transfer began.
    """

    done: int
    total: int
    resumed: int


@dataclass(frozen=True, slots=True)
class Device:
    """What the hub knows of a board.

    Attributes:
        id: its name.
        online: it has an open session.
        hello: what it said when it last connected.
        state: the newest that it said of itself.
        last_seen_ms: when it last connected, answered, sent something, or was lost; None if it never was here.
        transfer: the last one.
        busy: the request that changes it and is under way, as "transfer"; "carry" and "leave" are of a challenger.
        counters: since the hub started.
    """

    id: str
    online: bool
    hello: Hello | None
    state: BoardState | None
    last_seen_ms: int | None
    transfer: Transfer | None
    busy: str | None
    counters: Counters


@dataclass(slots=True)
class Record:
    """What changes of a device, beside its link."""

    hello: Hello | None = None
    state: BoardState | None = None
    transfer: Transfer | None = None
    busy: str | None = None
    giving_way: asyncio.Task[Any] | None = None  # changes it until somebody else wants to
    asked: float = 0.0  # by the event loop's clock: when its state was last asked for
