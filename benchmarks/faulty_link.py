"""A TCP proxy that cuts, truncates and stalls: the network between boards and hub on a bad day."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Coroutine

_READ_BYTES = 4096


class FaultyLink:
    """Passes bytes between who connects here and a port of this machine, until it is told otherwise.

    Args:
        to: the port that connections are passed on to.
    """

    def __init__(self, to: int) -> None:
        self.port = 0
        self.connections = 0
        self._to = to
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._bytes_left: int | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._open.set()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection; what is under way is lost."""
        for writer in self._writers:
            writer.transport.abort()

    def cut_after(self, count: int) -> None:
        """Reset every connection once so many more bytes went through, most likely within a frame."""
        self._bytes_left = count

    def stall(self, seconds: float) -> None:
        """Nothing goes through for a while, and no connection ends."""
        self._open.clear()
        asyncio.get_running_loop().call_later(seconds, self._open.set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            hub_reader, hub_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            self._writers.discard(writer)
            writer.transport.abort()
            return
        self._writers.add(hub_writer)
        pumps = [self._begin(self._pump(reader, hub_writer)), self._begin(self._pump(hub_reader, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in (writer, hub_writer):
                self._writers.discard(end)
                end.transport.abort()

    def _begin(self, what: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_READ_BYTES):
                await self._open.wait()
                if self._bytes_left is not None and len(data) >= self._bytes_left:
                    writer.write(data[: self._bytes_left])
                    self._bytes_left = None
                    await asyncio.sleep(0.01)  # what was let through arrives
                    self.cut()
                    return
                if self._bytes_left is not None:
                    self._bytes_left -= len(data)
                writer.write(data)
                await writer.drain()
