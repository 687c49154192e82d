"""The door: who asks, how often, how much and how slowly; and what is answered when something breaks behind it.

One ASGI middleware without any machinery between it and the server: every request goes through it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from deployers.hub.auth import PRINCIPAL, bearer, no_token
from deployers.hub.problems import of_error, problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import Response
    from prometheus_client import Counter, Histogram
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from deployers.hub.auth import Principal
    from deployers.hub.context import Hub

CALLERS_MAX = 4096
# Wrong tokens that one address may send at once, and then a second: enough for a mistyped one, useless for guessing.
WRONG_BURST, WRONG_A_SECOND = 20, 2.0
# Asked by service managers and scrapers while the hub starts, or when it has too much to do.
ALWAYS = frozenset({"/health", "/ready"})
BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
UNMATCHED = "unmatched"  # one label for every address that is not there: a scan makes no new ones
CLOSE = (b"connection", b"close")
NOSNIFF = (b"x-content-type-options", b"nosniff")


class Buckets:
    """A token bucket a caller.

    Args:
        rate: tokens that come back a second; 0: no limit.
        burst: tokens that a bucket holds.
        callers: buckets kept; the one not used for longest goes first.
    """

    def __init__(self, rate: float, burst: int, callers: int = CALLERS_MAX) -> None:
        self._rate, self._burst, self._callers = rate, float(burst), callers
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, caller: str, now: float) -> float:
        """Take a token.

        Args:
            caller: whose.
            now: seconds.

        Returns:
            0, or the seconds until there is one again.
        """
        if not self._rate:
            return 0.0
        left, before = self._buckets.pop(caller, (self._burst, now))
        left = min(self._burst, left + (now - before) * self._rate)
        wait = 0.0 if left >= 1 else (1 - left) / self._rate
        self._buckets[caller] = (left if wait else left - 1, now)
        if len(self._buckets) > self._callers:
            self._buckets.popitem(last=False)
        return wait


class Door:
    """Lets requests in.

    Args:
        app: what is behind it.
        hub: settings, tokens and metrics.
        clock: seconds.
    """

    def __init__(self, app: ASGIApp, hub: Hub, clock: Callable[[], float] = time.monotonic) -> None:
        self._app, self._hub, self._clock = app, hub, clock
        self._rest = rest = hub.settings.rest
        self._buckets = Buckets(rest.requests_per_second, rest.burst)
        self._wrong = Buckets(WRONG_A_SECOND, WRONG_BURST)
        self._concurrency, self._bytes = rest.concurrency_max, rest.body_bytes_max
        self._active = 0
        # Looking for a figure by its labels takes longer than counting.
        self._counted: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock()
        visit = Visit(scope, receive, send, self._rest.body_seconds, self)
        self._active += 1
        try:
            refused = self._refusal(scope, began)
            if refused is None:
                await self._app(scope, visit.receive, visit.send)
            else:
                await refused(scope, visit.receive, visit.send)
        except Exception as error:
            if visit.status:
                raise  # the answer is half sent: the server cuts the connection
            await of_error(error)(scope, visit.receive, visit.send)
        finally:
            self._active -= 1
            self._count(scope, visit.status, self._clock() - began)

    @property
    def body_bytes_max(self) -> int:
        """Of one request."""
        return self._bytes

    @property
    def send_seconds(self) -> float:
        """Time that a client has to take the next part of an answer."""
        return self._rest.send_seconds

    def _refusal(self, scope: Scope, now: float) -> Response | None:
        """Why a request is not even looked at; also finds out who asks."""
        principal, wait = self._who(scope, now)
        scope[PRINCIPAL] = principal
        if wait > 0:
            detail = f"more than {self._rest.requests_per_second:g} requests a second, or too many wrong tokens: wait"
            return problem(429, detail, headers={"Retry-After": str(math.ceil(wait))})
        if scope["path"] in ALWAYS:
            return None
        if not self._hub.is_ready:
            parts = ", ".join(f"{name} {state}" for name, state in self._hub.states.items() if state != "up")
            return problem(503, f"the hub is starting ({parts}): ask again", "starting", {"Retry-After": "1"})
        if self._active > self._concurrency:
            detail = f"{self._concurrency} requests are being answered already: ask again"
            return problem(503, detail, "too_many", {"Retry-After": "1"})
        if principal is None and scope["method"] not in BODILESS:
            return of_error(no_token())  # before its body is read
        return self._too_large(scope)

    def _who(self, scope: Scope, now: float) -> tuple[Principal | None, float]:
        token = bearer(scope)
        principal = self._hub.tokens.find(token) if token is not None else None
        if principal is not None:
            return principal, self._buckets.take("token " + principal.name, now)
        address = network(scope)
        wait = self._wrong.take(address, now) if token is not None else 0.0
        return None, wait or self._buckets.take(address, now)

    def _too_large(self, scope: Scope) -> Response | None:
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > self._bytes:  # digits: the parser has refused anything else
                return problem(413, too_large(self._bytes))
        return None

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", UNMATCHED)
        # A method that no route takes could be any word: one label for all of them.
        key = (scope["method"] if route != UNMATCHED else "", route, str(status))
        if key not in self._counted:
            metrics = self._hub.metrics
            self._counted[key] = (metrics.requests.labels(*key), metrics.seconds.labels(route))
        requests, duration = self._counted[key]
        requests.inc()
        duration.observe(seconds)


class Visit:
    """One request on its way through the door.

    Attributes:
        status: of the answer once it has begun, else 0.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, seconds: float, door: Door) -> None:
        self.status = 0
        self._receive, self._send, self._door = receive, send, door
        self._end = asyncio.get_running_loop().time() + seconds
        self._seconds, self._bytes = seconds, 0
        self._complete = scope["method"] in BODILESS and not _has_body(scope)

    async def receive(self) -> Message:
        """The next part of the body, as long as it comes in time and is not too much.

        Raises:
            HTTPException: 408 or 413.
        """
        if self._complete:
            return await self._receive()  # what comes now is only that the client has gone
        try:
            async with asyncio.timeout_at(self._end):
                message = await self._receive()
        except TimeoutError:
            detail = f"the request was not sent within {self._seconds:g} s: send it whole"
            raise HTTPException(408, detail) from None
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._door.body_bytes_max:
            raise HTTPException(413, too_large(self._door.body_bytes_max))
        self._complete = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """The next part of the answer; the connection ends with it if the request was not read whole.

        Raises:
            TimeoutError: the client does not take it.
        """
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            more = [NOSNIFF] if self._complete else [NOSNIFF, CLOSE]
            await self._send({**message, "headers": [*message.get("headers", ()), *more]})
        elif message.get("more_body"):
            async with asyncio.timeout(self._door.send_seconds):
                await self._send(message)
        else:
            await self._send(message)


def network(scope: Any) -> str:
    """Where a request comes from: an IPv4 address, or the /64 of an IPv6 address, for its owner has all of those."""
    client = scope.get("client")
    if not client:
        return "unknown"
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return str(client[0])
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def too_large(limit: int) -> str:
    """What is said of a body beyond the limit."""
    return f"the body is larger than {limit} bytes: send less at once"


def _has_body(scope: Scope) -> bool:
    return any(
        (name == b"content-length" and value != b"0") or name == b"transfer-encoding"
        for name, value in scope["headers"]
    )
