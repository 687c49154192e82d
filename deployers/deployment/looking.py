"""Ask every Jetson at once what it has and what runs there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from deployers.connectors.base import require
from deployers.deployment.places import Target
from deployers.deployment.state import parse_hub
from deployers.exceptions import DeployerError, InputError, ServiceUnavailable
from deployers.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deployers.connectors.base import Connector
    from deployers.deployment.selection import Selected
    from deployers.facts import Facts
    from deployers.inventory import Jetson

LEAST_FREE_BYTES = 32 << 20
STATUS_SECONDS = 30.0
AT_ONCE = 16


class Reach(Protocol):
    """How Jetsons are reached; tests put others in its place."""

    def connect(self, jetson: Jetson) -> Connector:
        """The connector of a Jetson."""
        ...

    def gather(self, connector: Connector, jetson: Jetson) -> Facts:
        """What is there."""
        ...


@dataclass(frozen=True)
class Seen:
    """What came of asking a Jetson.

    Attributes:
        chosen: who was asked.
        connector: to it, open.
        target: what is there; none if that could not be found out.
        error: why not.
    """

    chosen: Selected
    connector: Connector
    target: Target | None = None
    error: DeployerError | None = None


def look(
    chosen: Sequence[Selected], reach: Reach, begin: Callable[[str, str, None], None] = lambda *_: None
) -> list[Seen]:
    """Ask all of them; one that does not answer is no reason not to ask the others.

    Args:
        chosen: the Jetsons.
        reach: how they are reached.
        begin: told who is asked for what.
    """
    with ThreadPoolExecutor(min(AT_ONCE, len(chosen)), "look") as pool:
        return list(pool.map(lambda each: _look(each, reach, begin), chosen))


def _look(chosen: Selected, reach: Reach, begin: Callable[[str, str, None], None]) -> Seen:
    connector = reach.connect(chosen.jetson)
    try:
        begin(chosen.jetson.name, "connect, facts", None)
        facts = reach.gather(connector, chosen.jetson)
        site = Site.of(chosen.jetson, facts)
        _require_ready(chosen.jetson.name, facts)
        begin(chosen.jetson.name, "what runs there", None)
        status = require_status(connector, site)
        target = Target(site, chosen.boards, parse_hub(status, site.name), facts.tensorflow)
    except DeployerError as error:
        return Seen(chosen, connector, error=error)
    return Seen(chosen, connector, target)


def require_status(connector: Connector, site: Site) -> str:
    """What `ctl status` prints.

    Raises:
        ServiceUnavailable: the hub does not answer.
    """
    return require(connector, site.hub("ctl", "status", timeout=STATUS_SECONDS)).text


def _require_ready(name: str, facts: Facts) -> None:
    """Refuse a Jetson without a hub, with one that is down, or with a full disk.

    Raises:
        InputError: setup did not run there.
        ServiceUnavailable: the hub does not answer, or there is no space.
    """
    if not (facts.code and facts.environment):
        msg = f"{name}: no hub is installed there, expected one: python -m deployers setup --limit {name}"
        raise InputError(msg)
    if not facts.health:
        advice = f"python -m deployers setup --limit {name} starts it, python -m deployers logs says why it ended"
        msg = f"{name}: the hub is down, expected an answer to GET /health: {advice}"
        raise ServiceUnavailable(msg)
    if facts.disk_free < LEAST_FREE_BYTES:
        msg = f"{name}: {facts.disk_free} bytes are free there, expected {LEAST_FREE_BYTES} or more: make room"
        raise ServiceUnavailable(msg)
