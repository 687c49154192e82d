"""A hub for the page: the real routes over parts in memory, which a test changes while the page looks at them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import socket
import threading
import time
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI, HTTPException

from deployers.exceptions import Conflict
from deployers.hub import problems
from deployers.hub.auth import PRINCIPAL, Token, Tokens, bearer, require
from deployers.hub.examples import RETRAINING, STANDING
from deployers.hub.fleet import Maps
from deployers.hub.monitor import told
from deployers.hub.monitor.watch import Model, Watch
from deployers.hub.routes import fleet, monitor, page, retraining, shadow
from deployers.hub.settings import ShadowSection
from deployers.hub.shadow.challenge import Challenge
from deployers.hub.shadow.told import row as challenger_row
from deployers.hub.store import SeriesView, StoredForecast
from deployers.protocol.messages import BoardState, Hello, Reading, SlotState
from tests.monitoring import CADENCE_MS, RULES, Site, watched
from tests.shadowing import days

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployers.hub.shadow.comparing import Compared

START_MS = 1_714_000_800_000  # 2024-04-24 23:20 by the readings' clock
STEP_MS = 600_000
HORIZON = 6
HOSTILE = "<img src=x onerror=\"document.title='taken'\">"


def celsius(step: float) -> float:
    """A day's curve with some weather in it."""
    return 21 + 2.2 * math.sin(step * math.tau / 144) + 0.35 * math.sin(step / 5.3) + 0.1 * math.sin(step * 1.7)


def reading(step: int) -> Reading:
    """The reading of one step, its clock a little off."""
    jitter = (step * 7919) % 40_000 - 20_000
    return Reading(START_MS + step * STEP_MS + jitter, round(celsius(step) * 1e6))


def forecast(series: str, source: str, step: int, version: int = 7, off: float = 0.04) -> StoredForecast:
    """A forecast at the reading of one step, wrong by more the further ahead."""
    time_ms = reading(step).time_ms
    values = tuple(celsius(step + ahead) + off * ahead * math.sin(step / 3) for ahead in range(1, HORIZON + 1))
    return StoredForecast(series, source, time_ms, version, 2 if source == "board" else 0, values, time_ms + 90)


@dataclass
class FakeStore:
    """Readings and forecasts in lists."""

    kept: dict[str, list[Reading]] = field(default_factory=dict)
    made: list[StoredForecast] = field(default_factory=list)
    questions: int = 0

    async def series(self) -> list[SeriesView]:
        return [
            SeriesView(name, len(found), found[0].time_ms, found[-1].time_ms, len(found), 0, 0, "store")
            for name, found in sorted(self.kept.items())
        ]

    async def readings(self, series: str, *, since_ms: int | None = None, last: int | None = None) -> list[Reading]:
        self.questions += 1
        found = sorted(self.kept.get(series, []), key=lambda item: item.time_ms)
        return [item for item in found if since_ms is None or item.time_ms >= since_ms][-(last or 0) :]

    async def forecasts(
        self, series: str, *, source: str | None = None, since_ms: int | None = None, last: int | None = None
    ) -> list[StoredForecast]:
        found = [item for item in self.made if item.series == series and item.source == source]
        found = [item for item in found if since_ms is None or item.time_ms >= since_ms]
        return sorted(found, key=lambda item: item.time_ms)[-(last or 0) :]

    def step(self, series: str, step: int) -> None:
        """One more reading and the forecasts of it."""
        self.kept.setdefault(series, []).append(reading(step))
        self.made += [forecast(series, "board", step), forecast(series, "hub", step, off=0.03)]


def state(version: int, slot_state: SlotState = SlotState.CONFIRMED, **fields: int) -> BoardState:
    """What a board says that has nothing to complain about."""
    usual = BoardState(slot_state, 1, True, True, version, version, 0, 940, 944, 0, 512, 0, 120, 0, 33, START_MS)
    return replace(usual, **fields)


def device(name: str, board: BoardState | None, seen_ms: int | None, *, online: bool = True) -> SimpleNamespace:
    """A device as `Boards.devices` gives it."""
    hello = Hello((1, 2, 0), name, bytes(16), board, 1024) if board is not None else None
    return SimpleNamespace(
        id=name, online=online, hello=hello, state=board, last_seen_ms=seen_ms, transfer=None, busy=None
    )


def model(version: int, **fields: Any) -> SimpleNamespace:
    """A model as `Catalogue.models` gives it."""
    types = {"int8": {"mae_growth": 0.0031, "file_bytes": 9032, "instructions": 118_402}}
    usual = {
        "version": version,
        "state": "installed",
        "chosen": "int8",
        "types": types,
        "mae_growth": 0.0031,
        "reason": None,
    }
    more: dict[str, Any] = {
        "model": "temperature-forecaster",
        "model_version": "3",
        "way_back_for": None,
        "cadence_ms": STEP_MS,
        "agreement_celsius": 0.01,
    }
    return SimpleNamespace(**{**usual, **more, **fields})


class FakeCatalogue:
    """Installed models in a dictionary."""

    def __init__(self) -> None:
        found = [model(8, way_back_for=7, model_version="2"), model(7), model(5, model_version="2", state="retired")]
        self.found = {one.version: one for one in [model(9, model_version="4", mae_growth=-0.0012), *found]}
        self.active: SimpleNamespace | None = self.found[7]

    def models(self) -> list[SimpleNamespace]:
        return list(self.found.values())

    def way_back_of(self, version: int) -> int | None:
        return next((one.version for one in self.found.values() if one.way_back_for == version), None)


@dataclass
class FakeMonitor:
    """What the monitor says: nothing, until it is given watches and their days."""

    watches: dict[str, Watch] = field(default_factory=dict)
    days: dict[str, Any] = field(default_factory=dict)

    async def devices(self) -> list[dict[str, Any]]:
        return sorted((told.row(name, watch, 0) for name, watch in self.watches.items()), key=told.order)

    async def device(self, series: str) -> dict[str, Any]:
        if series not in self.watches:
            raise HTTPException(404, f"series {series!r} is not watched")
        return told.detail(series, self.watches[series], self.days[series], 0, None)


@dataclass
class FakeShadows:
    """Challengers that a test has put there."""

    found: list[Challenge] = field(default_factory=list)
    boards: list[dict[str, Any]] = field(default_factory=list)
    rules: ShadowSection = field(default_factory=ShadowSection)

    def view(self) -> dict[str, Any]:
        rows = [challenger_row(each, None, self.rules, {}, "", boards=self.boards) for each in self.found]
        return {"challengers": rows, "rules": self.rules.model_dump()}


def challenged() -> FakeShadows:
    """Version 9 beside version 7: better on eight of nine days."""
    apart = [0.02, 0.03, -0.01, 0.02, 0.01, 0.04, 0.02, 0.03, 0.02]
    over: dict[int, Compared | None] = {each.day: each for each in days(apart)}
    boards = [
        {"board": "board-1", "state": "carries", "forecasts": 1290, "worst_celsius": 0.000021, "reason": ""},
        {"board": "board-2", "state": "refused", "forecasts": 0, "worst_celsius": None, "reason": "NN_ARENA"},
    ]
    rules = ShadowSection(alpha=0.1)
    return FakeShadows([Challenge(9, 7, 0).judged(over, rules)], boards, rules)


@cache
def decayed() -> FakeMonitor:
    """Two series; the first one's model has decayed. It takes a second, so a server must not wait for it."""
    sites = {"board-1": Site(days=30, worse=1.2, worse_from=20), "board-2": Site(days=20)}
    watches = {name: watched(Watch(RULES, lambda _: Model(CADENCE_MS)), site.events()) for name, site in sites.items()}
    return FakeMonitor(watches, {name: watch.take_changed() for name, watch in watches.items()})


@dataclass
class FakeRetrainer:
    """What was asked of the training side: nothing, until a test or a person asks.

    Attributes:
        enabled: whether it retrains.
        rows: requests, the newest first.
        refuses: why a person's request is not taken.
    """

    enabled: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)
    refuses: str = ""

    async def standing(self) -> dict[str, Any]:
        one: dict[str, Any] = {**STANDING["series"][0], "cooldown_until_ms": None}  # type: ignore[index]
        now = now_ms()
        given_ = {"enabled": self.enabled, "now_ms": now, "requests": self.rows}
        return {**STANDING, **given_, "series": [{**one, "next_ms": now + 90 * 3_600_000}]}

    async def ask(self, series: str, reason: str, by: str, *, force: bool = False) -> SimpleNamespace:
        if self.refuses:
            raise Conflict(self.refuses)
        fresh = {"id": len(self.rows) + 1, "state": "running", "ended_ms": None, "answer": None}
        about = {"series": series, "trigger": "person", "reason": reason, "asked_ms": now_ms(), "started_ms": now_ms()}
        row = {**RETRAINING, **fresh, **about, "numbers": {"by": by, "force": force}}
        self.rows.insert(0, row)
        return SimpleNamespace(as_dict=lambda: row)


@dataclass
class FakeHub:
    """What the page's routes ask for; `jobs_asked` is what was asked of it."""

    store: FakeStore = field(default_factory=FakeStore)
    catalogue: FakeCatalogue = field(default_factory=FakeCatalogue)
    fleet: list[SimpleNamespace] = field(default_factory=list)
    jobs_kept: list[SimpleNamespace] = field(default_factory=list)
    jobs_asked: list[tuple[str, Any]] = field(default_factory=list)
    refuses: str = ""
    viewing: Any = None
    monitor: FakeMonitor = field(default_factory=FakeMonitor)
    retraining: FakeRetrainer = field(default_factory=FakeRetrainer)
    shadows: FakeShadows = field(default_factory=FakeShadows)
    maps: Maps = field(default_factory=lambda: Maps(Path("/nowhere/fleet.json")))  # not told of any

    @property
    def boards(self) -> SimpleNamespace:
        return SimpleNamespace(devices=lambda: list(self.fleet))

    @property
    def jobs(self) -> SimpleNamespace:
        return SimpleNamespace(list=lambda: list(reversed(self.jobs_kept)))

    def begin(self, kind: str, about: dict[str, Any]) -> dict[str, Any]:
        """A job that runs until the test ends it."""
        if self.refuses:
            raise HTTPException(409, self.refuses)
        self.jobs_asked.append((kind, about))
        job = SimpleNamespace(
            id=f"job-{len(self.jobs_asked)}", kind=kind, about=about, state="running", started_ms=now_ms(),
            ended_ms=None, doing="transfer to board-1", progress=0.25, error=None, result=None,
        )  # fmt: skip
        self.jobs_kept.append(job)
        return {"id": job.id, "state": job.state}


def now_ms() -> int:
    """The hub's clock."""
    return time.time_ns() // 1_000_000


def filled(steps: int = 400) -> FakeHub:
    """A hub with two series, five devices and four models."""
    hub, now = FakeHub(), now_ms()
    for step in range(steps):
        hub.store.step("board-1", step)
    hub.store.kept["kitchen/window"] = [reading(step) for step in range(40)]
    hub.fleet = [
        device("board-1", state(7), now - 800),
        device("board-2", state(7, SlotState.TEST, slot=0), now - 1500),
        device("board-3", state(5, ring_dropped=12, ring_next=1452), now - 7_400_000, online=False),
        device("board-4", None, None, online=False),
        device(HOSTILE, state(7), now - 900),
    ]
    return hub


TOKENS = {"reader": "read", "writer": "write", "deployer": "deploy"}


def application(hub: Any) -> FastAPI:
    """The page's routes, the two requests that its buttons make, and tokens named like their owners."""
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in TOKENS}
    tokens = Tokens([Token(name=name, role=role, sha256=digests[name]) for name, role in TOKENS.items()])  # type: ignore[arg-type]
    app = FastAPI()
    app.state.hub = hub
    problems.install(app)
    app.include_router(page.router)
    app.include_router(monitor.router)
    app.include_router(retraining.router)
    app.include_router(shadow.router)
    app.include_router(fleet.router)

    @app.post("/deploy", status_code=202, dependencies=[require("deploy")])
    async def deploy(body: dict[str, Any]) -> dict[str, Any]:
        return dict(hub.begin("deploy", body))

    @app.post("/rollback", status_code=202, dependencies=[require("deploy")])
    async def rollback(body: dict[str, Any]) -> dict[str, Any]:
        return dict(hub.begin("rollback", body))

    inner = app.router

    async def known(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            token = bearer(scope)
            scope[PRINCIPAL] = tokens.find(token) if token is not None else None
        await inner(scope, receive, send)

    app.router = known  # type: ignore[assignment]
    return app


@dataclass
class Server:
    """A uvicorn in a thread, which can be stopped and started again on the same port."""

    app: Any
    port: int = 0
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        config = uvicorn.Config(self.app, "127.0.0.1", self.port, log_level="warning", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=asyncio.run, args=(_serve(self._server),), daemon=True)
        self._thread.start()
        end = time.monotonic() + 60
        while not self._server.started:
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.01)

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
            self._server = self._thread = None


async def _serve(server: uvicorn.Server) -> None:
    await server.serve()
    # Connections that were being accepted, or did not end in time, uvicorn leaves to the garbage collector.
    for _ in range(3):
        await asyncio.sleep(0.02)
        for connection in list(server.server_state.connections):
            connection.transport.abort()


@contextlib.contextmanager
def serving(app: Any) -> Iterator[Server]:
    """Serve an application on a free port."""
    server = Server(app)
    server.start()
    try:
        yield server
    finally:
        server.stop()
