"""A hub's parts in memory, with the faces of the real ones: what a test of one part needs of the others."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from deployers.exceptions import NotFound
from deployers.hub.auth import Token, Tokens
from deployers.hub.boards import UnknownBoardError
from deployers.hub.catalogue import Activated
from deployers.hub.device import Device, Transfer
from deployers.hub.model_folder import ModelView
from deployers.hub.settings import Settings
from deployers.hub.stepping import EVER
from deployers.hub.store import StoredForecast
from deployers.hub.store.watching import Arrivals, Cursor, DaySums, Remembered
from deployers.keeping import Counters
from deployers.link import LinkLostError
from deployers.protocol.messages import BoardState, Reading, SlotState

if TYPE_CHECKING:
    from deployers.hub.store.challenges import StoredChallenge

ROLES = ("read", "write", "deploy")
STATE = BoardState(SlotState.CONFIRMED, 0, True, True, 1, 1, 0, 5, 9, 0, 64, 0, 4, 0, 12, 1_000)


def tokens() -> Tokens:
    """One token a role; the token is the role's name, written out."""
    return Tokens([Token(name=role, role=role, sha256=hashlib.sha256(role.encode()).hexdigest()) for role in ROLES])


def headers(role: str) -> dict[str, str]:
    """The header of that role's token."""
    return {"Authorization": f"Bearer {role}"}


def settings(root: Path, **sections: Any) -> Settings:
    """Settings of a hub in a folder."""
    return Settings.model_validate({"root": root, **sections})


class MemoryStore:
    """A store that forgets."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[int, Reading]] = {}
        self.made: list[StoredForecast] = []
        self.challengers: dict[int, StoredChallenge] = {}
        self.days: list[tuple[str, DaySums]] = []
        self.is_open = False
        self.failure: Exception | None = None
        self.counters = SimpleNamespace()

    async def open(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    async def check(self) -> None:
        if self.failure:
            raise self.failure

    async def keep_readings(self, series: str, readings: Sequence[Reading]) -> int:
        await self.check()
        known = self.kept.setdefault(series, {})
        new = [reading for reading in readings if reading.time_ms not in known]
        known.update({reading.time_ms: reading for reading in new})
        return len(new)

    async def keep_forecasts(self, forecasts: Sequence[StoredForecast]) -> None:
        await self.check()
        self.made += forecasts

    async def watch_cursor(self, most: int) -> Cursor:
        return Cursor(0, 0)

    async def watch_states(self) -> dict[str, str]:
        return {}

    async def watch_days(self, series: str, since: int) -> list[DaySums]:
        return []

    async def challenges(self) -> list[StoredChallenge]:
        return [self.challengers[version] for version in sorted(self.challengers)]

    async def keep_challenge(self, kept: StoredChallenge) -> None:
        await self.check()
        self.challengers[kept.version] = kept

    async def challenge_days(self, champion: int, challenger: int, since: int) -> list[tuple[str, DaySums]]:
        await self.check()
        wanted = {("hub", champion), ("shadow", challenger)}
        return [(n, d) for n, d in self.days if (d.source, d.version) in wanted and d.day >= since]

    async def arrivals(self, after: Cursor, limit: int) -> Arrivals:
        return Arrivals([], [])

    async def remember(self, kept: Remembered) -> None: ...

    async def forecasts(
        self,
        series: str,
        *,
        source: str | None = None,
        version: int | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        last: int | None = None,
    ) -> list[StoredForecast]:
        await self.check()
        found = [made for made in self.made if made.series == series and source in (None, made.source)]
        found = [made for made in found if version in (None, made.version)]
        found = [made for made in found if (since_ms or 0) <= made.time_ms < (until_ms or EVER)]
        return found[-last:] if last else found


def view(version: int) -> Any:
    """A model's view that a test may change."""
    unknown = {each.name: None for each in fields(ModelView)}
    known = {"state": "installed", "chosen": "float32", "types": {}, "agreement_celsius": 0.01, "horizon": 2}
    digests = {"release_sha256": "00", "image_sha256": "00", "image_bytes": 800, "description": "", "installed_ms": 1}
    found = SimpleNamespace(**{**unknown, **known, **digests, "version": version, "cadence_seconds": 600})
    found.as_dict = lambda: {name: value for name, value in vars(found).items() if name != "as_dict"}
    return found


class MemoryCatalogue:
    """Versions without files."""

    def __init__(self, *versions: int, active: int | None = None) -> None:
        self.views = {version: view(version) for version in versions}
        self.active: Any = SimpleNamespace(version=active, cadence_ms=600_000) if active else None
        self.damaged: dict[str, str] = {}
        self.failure: Exception | None = None
        self.active_since_ms = None
        self.before: int | None = None

    async def open(self) -> None:
        if self.failure:
            raise self.failure

    async def close(self) -> None: ...

    def view(self, version: int) -> Any:
        if version not in self.views:
            msg = f"version {version!r} is not installed"
            raise NotFound(msg)
        return self.views[version]

    def installed(self, version: int) -> Any:
        self.view(version)
        metrics = {"mae": 0.1, "by_horizon": [{"mae": 0.1}]}
        fidelity = {"chosen": "float32", "types": {"float32": {"metrics": metrics}}}
        return SimpleNamespace(fidelity=fidelity, parts=SimpleNamespace(tensors=()))

    def models(self) -> list[Any]:
        return [self.views[version] for version in sorted(self.views, reverse=True)]

    def image(self, version: int) -> bytes:
        return b"image %d " % self.view(version).version * 100

    def way_back_of(self, version: int) -> int | None:
        return next((view.version for view in self.views.values() if view.way_back_for == version), None)

    def ran_before(self, version: int) -> int | None:
        return self.before if self.before != version else None

    async def activate(self, version: int) -> Activated:
        self.view(version)
        before = self.active.version if self.active else None
        if before != version:
            self.before = before
        self.active = SimpleNamespace(version=version, cadence_ms=600_000)
        return Activated(version, before)


class MemoryLive:
    """Forecasts that a test has put there."""

    def __init__(self) -> None:
        self.own: dict[tuple[str, int, int], tuple[float, ...]] = {}
        self.seen: list[tuple[str, int]] = []
        self.failure: Exception | None = None

    async def start(self) -> None: ...
    async def stop(self) -> None: ...

    async def on_readings(self, series: str, readings: Sequence[Reading]) -> list[StoredForecast]:
        if self.failure:
            raise self.failure
        self.seen += [(series, reading.time_ms) for reading in readings]
        return [StoredForecast(series, "hub", readings[-1].time_ms, 1, 0, (readings[-1].celsius,), 0)]

    async def forecast_at(self, series: str, time_ms: int, version: int) -> tuple[float, ...] | None:
        return self.own.get((series, time_ms, version))

    def forget(self, series: str) -> None: ...

    def figures(self) -> dict[str, float]:
        return {"series": 1.0}


@dataclass
class MemoryBoard:
    """One board.

    Attributes:
        before: what it goes back to.
        refuses: raised when an image is to be installed.
        returns: whether it runs an image that it has installed.
        made: called with a version in test; a forecast that the board then makes, and the hub's own.
    """

    state: BoardState = STATE
    before: BoardState = STATE
    online: bool = True
    refuses: Exception | None = None
    returns: bool = True
    in_place: int = 0


@dataclass
class MemoryBoards:
    """Boards without links; what is done to them is noted in `calls`."""

    boards: dict[str, MemoryBoard] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    port: int = 7484
    on_test: Callable[[str, int], None] = lambda *_: None
    hold: asyncio.Event | None = None
    failure: Exception | None = None

    async def start(self) -> None:
        if self.failure:
            raise self.failure

    async def stop(self) -> None:
        self.calls.append(("stop", ""))

    def devices(self) -> list[Device]:
        return [self.device(board) for board in sorted(self.boards)]

    def device(self, board: str) -> Device:
        if board not in self.boards:
            msg = f"board {board!r}: expected one that has a key here"
            raise UnknownBoardError(msg)
        found = self.boards[board]
        return Device(board, found.online, None, found.state, 1, Transfer(1, 2, 0), None, Counters())

    def _there(self, board: str, call: str) -> MemoryBoard:
        self.device(board)
        self.calls.append((call, board))
        if not self.boards[board].online:
            msg = f"board {board!r} is not connected"
            raise LinkLostError(msg)
        return self.boards[board]

    async def status(self, board: str) -> BoardState:
        return self._there(board, "status").state

    async def log(self, board: str) -> str:
        self._there(board, "log")
        return "one\ntwo\n"

    async def transfer(self, board: str, image: bytes, progress: Callable[[int, int], None]) -> int:
        found = self._there(board, "transfer")
        found.in_place, resumed = len(image), found.in_place
        progress(len(image), len(image))
        if self.hold:
            await self.hold.wait()
        self.version = int(image.split()[1])
        return resumed

    async def install(self, board: str, seconds: float) -> BoardState:
        found = self._there(board, "install")
        if found.refuses:
            raise found.refuses
        if found.returns:
            found.before = found.state
            found.state = replace(found.state, slot_state=SlotState.TEST, model_version=self.version)
            self.on_test(board, self.version)
        return found.state

    async def confirm(self, board: str, version: int) -> BoardState:
        found = self._there(board, "confirm")
        found.state = replace(found.state, slot_state=SlotState.CONFIRMED, lowest_version=version)
        return found.state

    async def revert(self, board: str, version: int, seconds: float = 1.0) -> BoardState:
        found = self._there(board, "revert")
        if (found.state.slot_state, found.state.model_version) == (SlotState.TEST, version):
            found.state = found.before
        return found.state


class Parts:
    """All of them, and the arguments by which `create_app` takes them."""

    def __init__(self, *versions: int, active: int | None = None, boards: Sequence[str] = ()) -> None:
        self.store, self.catalogue, self.live = MemoryStore(), MemoryCatalogue(*versions, active=active), MemoryLive()
        self.boards = MemoryBoards({board: MemoryBoard() for board in boards}, on_test=self.agree)

    def agree(self, board: str, version: int, apart: float = 0.001) -> None:
        """The board forecasts, and the hub the same but for `apart`."""
        self.store.made.append(StoredForecast(board, "board", 600_000, version, SlotState.TEST, (20.0, 21.0), 0))
        self.live.own[board, 600_000, version] = (20.0, 21.0 + apart)

    def disagree(self, board: str, version: int) -> None:
        """The board makes other forecasts than the hub."""
        for step in range(4):
            time_ms = 600_000 * step
            self.store.made.append(StoredForecast(board, "board", time_ms, version, SlotState.TEST, (20.0,), 0))
            self.live.own[board, time_ms, version] = (25.0 + step,)

    def given(self) -> dict[str, Any]:
        """For `create_app`."""
        parts = {"store": self.store, "catalogue": self.catalogue, "live": self.live, "boards": self.boards}
        return {**parts, "tokens": tokens()}
