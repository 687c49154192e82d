"""What the parts of a running hub are, and how a route gets at them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

if TYPE_CHECKING:
    from deployers.hub.auth import Tokens
    from deployers.hub.boards import Boards
    from deployers.hub.catalogue import Catalogue
    from deployers.hub.jobs import Jobs
    from deployers.hub.live import Live
    from deployers.hub.metrics import Metrics
    from deployers.hub.settings import Settings
    from deployers.hub.store import Store


@dataclass
class Hub:
    """The parts of one hub, as `app.state.hub`.

    Attributes:
        states: what each part is doing, by its name: "starting", "up", or why it is not up.
        is_ready: every part has started.
    """

    settings: Settings
    store: Store
    catalogue: Catalogue
    live: Live
    boards: Boards
    jobs: Jobs
    metrics: Metrics
    tokens: Tokens
    states: dict[str, str] = field(default_factory=dict)
    is_ready: bool = False


async def hub_of(request: Request) -> Hub:
    """The hub that answers this request; a dependency of routes."""
    hub: Hub = request.app.state.hub
    return hub


TheHub = Annotated[Hub, Depends(hub_of)]
