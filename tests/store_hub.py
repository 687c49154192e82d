"""A hub's store and its REST routes on a loopback port, without the rest of a hub."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

import uvicorn
from fastapi import FastAPI

from deployers.hub import problems
from deployers.hub.auth import PRINCIPAL, Principal, bearer
from deployers.hub.routes import temperatures
from deployers.hub.store import Store

if TYPE_CHECKING:
    from collections.abc import Coroutine

SECONDS = 20
TOKEN = "a-token-that-may-read"  # noqa: S105 - of a hub that lives for one test


class _Parts:
    def __init__(self, store: Store) -> None:
        self.store = store


class StoreHub:
    """Runs in a thread of its own while it is entered.

    Args:
        url: of the store.
        port: where it is to answer, 0 for a free one.
        options: of uvicorn, such as its certificate.

    Attributes:
        asked: path and query of every request.
        port: where it answers.
    """

    def __init__(self, url: str, port: int = 0, **options: Any) -> None:
        self.asked: list[str] = []
        self._url, self._options = url, options
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = int(self._socket.getsockname()[1])
        self._up, self._down = threading.Event(), False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(SECONDS)
        self._socket.close()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine gives in the hub's loop, where its store lives."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with Store(self._url) as self.store:
            self.app = FastAPI()
            self.app.state.hub = _Parts(self.store)
            problems.install(self.app)
            self.app.include_router(temperatures.router)
            options = {
                "log_level": "critical",
                "interface": "asgi3",
                "lifespan": "off",
                "http": "h11",
                "loop": "asyncio",
            }
            self._server = uvicorn.Server(uvicorn.Config(self._known, **options, **self._options))  # type: ignore[arg-type]
            self._loop.call_later(0.05, self._up.set)
            await self._server.serve(sockets=[self._socket])

    async def _known(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].decode()
        self.asked.append(f"{scope['path']}?{query}" if query else scope["path"])
        if bearer(scope) == TOKEN:
            scope[PRINCIPAL] = Principal("test", "read")
        await self.app(scope, receive, send)
