"""The composition root: settings in, the ASGI application out.

    app = create_app(Settings.load(Path("config/hub.toml")))

Parts start one after the other (store, models, forecasts, boards) while the application answers already: /ready says
how far they are. They stop in reverse.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from deployers.exceptions import DeployerError, ServiceUnavailable
from deployers.hub import openapi, problems
from deployers.hub.alerts.service import Alerts
from deployers.hub.auth import Tokens
from deployers.hub.boards import Boards
from deployers.hub.catalogue import Catalogue
from deployers.hub.context import Hub
from deployers.hub.examples import show_examples
from deployers.hub.fleet import Maps
from deployers.hub.jobs import Jobs
from deployers.hub.keys import KeyFolder
from deployers.hub.limits import Door
from deployers.hub.live import Live
from deployers.hub.metrics import Metrics
from deployers.hub.monitor.service import Monitor
from deployers.hub.retraining.service import Retrainer
from deployers.hub.rollout import ConfirmedSince, Rollout
from deployers.hub.shadow.carrying import Carrying
from deployers.hub.shadow.service import Shadows
from deployers.hub.sink import HubSink
from deployers.hub.store import Retention, Store
from deployers.hub.training import Training

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import TypedDict, Unpack

    from deployers.hub.settings import Settings

    class Parts(TypedDict, total=False):
        """What is given instead of what the settings say; tests give parts in memory."""

        store: Any
        catalogue: Any
        live: Any
        boards: Any
        tokens: Tokens
        jobs: Jobs
        training: Training


_log = logging.getLogger(__name__)

ROUTES = (
    "page",
    "predict",
    "temperatures",
    "forecasts",
    "models",
    "devices",
    "deploy",
    "train",
    "monitor",
    "alerts",
    "retraining",
    "shadow",
    "fleet",
    "health",
)
# Parts that start at once are up before the first request is read.
PROMPT_SECONDS = 1.0
RETRY_SECONDS, RETRY_SECONDS_MAX = 1.0, 30.0
# Of each part, and together less than the 10 s after which a service manager kills.
STOP_SECONDS = 2.0


def create_app(settings: Settings, **parts: Unpack[Parts]) -> FastAPI:
    """The application of one hub.

    Args:
        settings: what it is told.
        parts: given instead of those that the settings describe.

    Raises:
        InputError: the token file cannot be used, or another file that the settings name.
    """
    hub = assemble(settings, **parts)
    app = FastAPI(**openapi.DESCRIPTION, lifespan=functools.partial(_lifespan, hub), docs_url=None, redoc_url=None)
    app.state.hub = hub
    problems.install(app)
    app.add_middleware(Door, hub=hub)
    for name in ROUTES:
        app.include_router(import_module(f"deployers.hub.routes.{name}").router)
    show_examples(app)
    return app


def assemble(settings: Settings, **parts: Unpack[Parts]) -> Hub:
    """The parts of one hub, none of them started."""
    metrics = Metrics()
    store = parts.get("store") or _store(settings)
    catalogue = parts.get("catalogue") or _catalogue(settings)
    live = parts.get("live") or Live(catalogue, store)
    sink = HubSink(store, live, catalogue, metrics)
    boards = parts.get("boards") or _boards(settings, sink)
    monitor = Monitor(store, catalogue, settings.monitor)
    jobs = parts.get("jobs") or Jobs(settings.root / "data" / "jobs")
    training = parts.get("training") or Training(settings)
    confirmed = ConfirmedSince(settings.root / "data" / "boards.json")
    rollout = Rollout(catalogue, boards, store, live, confirmed, settings.boards.test_seconds)
    carrying = Carrying(boards, catalogue, jobs, monitor) if settings.shadow.boards else None
    return Hub(
        settings=settings,
        store=store,
        catalogue=catalogue,
        live=live,
        boards=boards,
        jobs=jobs,
        metrics=metrics,
        tokens=parts.get("tokens") or Tokens.load(settings.path(settings.auth.tokens)),
        sink=sink,
        rollout=rollout,
        training=training,
        monitor=monitor,
        alerts=Alerts(settings, store, monitor),
        retraining=Retrainer(store, monitor, training, jobs, settings.retraining),
        shadows=Shadows(
            settings, store, catalogue, live, jobs=jobs, rollout=rollout, metrics=metrics, carrying=carrying
        ),
        maps=Maps(settings.root / "data" / "fleet.json"),
        started_ms=time.time_ns() // 1_000_000,
    )


def _store(settings: Settings) -> Store:
    days = settings.store.retention_days
    return Store(settings.store_url, retention=Retention(days, days))


def _catalogue(settings: Settings) -> Catalogue:
    models = settings.models
    return Catalogue(settings.path(models.folder), settings.path(models.image_keys), models.runtime, models.keep)


def _boards(settings: Settings, sink: HubSink) -> Boards:
    boards = settings.boards
    return Boards(KeyFolder(settings.path(boards.keys)), sink, boards.host, boards.port)


@asynccontextmanager
async def _lifespan(hub: Hub, _app: FastAPI) -> AsyncIterator[None]:
    starting = asyncio.create_task(start(hub), name="start of the hub")
    try:
        await asyncio.wait({starting}, timeout=PROMPT_SECONDS)
        yield
    finally:
        hub.is_ready = False
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        await stop(hub)


async def start(hub: Hub) -> None:
    """Start every part, each as soon as the one before is up; what does not answer is tried again."""
    parts = _starts(hub)
    hub.states.update(dict.fromkeys((name for name, _ in parts), "starting"))
    try:
        for name, begin in parts:
            await _start_part(hub, name, begin)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is kept and ends the process
        # A wrong setting does not mend itself: the process ends with it, see `deployers.hub.server`.
        _log.error("the hub cannot start: %s", error, exc_info=not isinstance(error, DeployerError))
        hub.failed(error)
        return
    hub.is_ready = True
    _log.info("the hub is up, boards on port %d", hub.boards.port)


async def stop(hub: Hub) -> None:
    """Stop every part in reverse; one that takes too long is left behind, and said so."""
    for name, end in _stops(hub):
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await end()
        except Exception as error:  # noqa: BLE001 - the other parts are stopped nevertheless
            why = str(error) or "it took too long"
            _log.error("%s did not stop: %s", name, why, exc_info=not isinstance(error, TimeoutError))
        hub.states[name] = "stopped"


def _starts(hub: Hub) -> list[tuple[str, Callable[[], Awaitable[Any]]]]:
    return [
        ("jobs", hub.jobs.open),
        ("store", hub.store.open),
        ("models", hub.catalogue.open),
        ("forecasts", hub.live.start),
        ("boards", hub.boards.start),
        ("monitor", hub.monitor.start),
        ("alerts", hub.alerts.start),
        ("retraining", hub.retraining.start),
        ("challengers", hub.shadows.start),
    ]


def _stops(hub: Hub) -> list[tuple[str, Callable[[], Awaitable[Any]]]]:
    return [
        ("jobs", hub.jobs.close),
        ("alerts", hub.alerts.stop),
        ("retraining", hub.retraining.stop),
        ("challengers", hub.shadows.stop),
        ("monitor", hub.monitor.stop),
        ("boards", hub.boards.stop),
        ("forecasts", hub.live.stop),
        ("models", hub.catalogue.close),
        ("store", hub.store.close),
    ]


async def _start_part(hub: Hub, name: str, begin: Callable[[], Awaitable[Any]]) -> None:
    wait = RETRY_SECONDS
    while True:
        try:
            await begin()
        except (ServiceUnavailable, OSError) as error:
            hub.states[name] = f"not up: {error}"
            _log.warning("%s is not up, again in %g s: %s", name, wait, error)
            await asyncio.sleep(wait)
            wait = min(2 * wait, RETRY_SECONDS_MAX)
        else:
            hub.states[name] = "up"
            return
