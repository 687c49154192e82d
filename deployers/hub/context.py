"""What the parts of a running hub are, and how a route gets at them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.hub.alerts.service import Alerts
    from deployers.hub.auth import Tokens
    from deployers.hub.boards import Boards
    from deployers.hub.catalogue import Catalogue
    from deployers.hub.fleet import Maps
    from deployers.hub.jobs import Jobs
    from deployers.hub.live import Live
    from deployers.hub.metrics import Metrics
    from deployers.hub.monitor.service import Monitor
    from deployers.hub.retraining.service import Retrainer
    from deployers.hub.rollout import Rollout
    from deployers.hub.settings import Settings
    from deployers.hub.shadow.service import Shadows
    from deployers.hub.sink import HubSink
    from deployers.hub.store import Store
    from deployers.hub.training import Training
    from deployers.hub.viewing import Viewing


@dataclass
class Hub:
    """The parts of one hub, as `app.state.hub`.

    Attributes:
        states: what each part is doing, by its name: "starting", "up", or why it is not up.
        is_ready: every part has started.
        sink: where readings and forecasts of boards go.
        rollout: brings versions to boards.
        training: asks the training side to run.
        monitor: watches errors and sensors.
        alerts: tells what the monitor finds.
        retraining: asks the training side by itself, and keeps what came of it.
        shadows: challengers, which forecast beside the active model.
        maps: where rollouts over the fleet stand, as the deployer told it.
        viewing: what viewers of the page are shown; made when the first one comes.
        started_ms: when the process began, ms since 1970-01-01.
        fatal: why the hub cannot start, whoever waits.
        give_up: called then; the server sets it, and ends.
    """

    settings: Settings
    store: Store
    catalogue: Catalogue
    live: Live
    boards: Boards
    jobs: Jobs
    metrics: Metrics
    tokens: Tokens
    sink: HubSink
    rollout: Rollout
    training: Training
    monitor: Monitor
    alerts: Alerts
    retraining: Retrainer
    shadows: Shadows
    maps: Maps
    viewing: Viewing | None = None
    started_ms: int = 0
    states: dict[str, str] = field(default_factory=dict)
    is_ready: bool = False
    fatal: Exception | None = None
    give_up: Callable[[], None] = lambda: None

    def failed(self, error: Exception) -> None:
        """The hub cannot start, and waiting does not help."""
        self.fatal = error
        self.give_up()


async def hub_of(request: Request) -> Hub:
    """The hub that answers this request; a dependency of routes."""
    hub: Hub = request.app.state.hub
    return hub


TheHub = Annotated[Hub, Depends(hub_of)]
