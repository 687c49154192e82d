"""A board in Python on a real connection, served by a task of the test's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Self

from tests.board_twin import BoardTwin

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.protocol.messages import Forecast, Reading

SECONDS = 60.0  # only a failure takes so long


async def until(condition: Callable[[], object]) -> None:
    """Wait for what nothing tells of."""
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


class Kept:
    """A sink in memory; while `gate` is not set nothing is kept, and each call waits."""

    def __init__(self) -> None:
        self.readings: list[tuple[str, int, tuple[Reading, ...]]] = []
        self.forecasts: list[Forecast] = []
        self.called = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def keep_readings(self, board: str, first: int, readings: tuple[Reading, ...]) -> None:
        await self._enter()
        self.readings.append((board, first, readings))

    async def keep_forecast(self, board: str, forecast: Forecast) -> None:
        await self._enter()
        self.forecasts.append(forecast)

    async def _enter(self) -> None:
        self.called += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error


class ConnectedTwin:
    """One connection; leaving the block ends it."""

    def __init__(self, port: int, board: BoardTwin | None = None) -> None:
        self.board = BoardTwin() if board is None else board
        self.damage = 0
        self.port = port

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=4096)
        self.changed = asyncio.Condition()
        self.task = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()  # before anything is awaited, where who is cancelled would leave it open
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def opened(self) -> None:
        """The hub has said welcome."""
        await self.wait(lambda board: board.time_ms != 0)

    async def send(self, kind: int, message: bytes, times: int = 1) -> None:
        """Send a frame; of many, the later ones wait for room in the connection."""
        for _ in range(times):
            self.board.send(kind, message)
            await self.flush()

    async def flush(self) -> None:
        self.writer.write(self.board.output())
        await self.writer.drain()

    async def wait(self, condition: Callable[[BoardTwin], bool]) -> None:
        async with asyncio.timeout(SECONDS), self.changed:
            await self.changed.wait_for(lambda: condition(self.board))

    async def ended(self) -> bool:
        """Whether the hub ends the connection."""
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(self.task, return_exceptions=True)
        return True

    def cut(self) -> None:
        self.writer.transport.abort()

    def stop_listening(self) -> None:
        """The kernel's buffers are small, so that the hub soon notices."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        self.writer.transport.pause_reading()

    async def _serve(self) -> None:
        await self.flush()
        while data := await self.reader.read(4096):
            if self.damage and self.board.session_key:
                self.damage -= 1
                data = data[:-1] + bytes([data[-1] ^ 1])
            self.board.receive(data)
            await self.flush()
            async with self.changed:
                self.changed.notify_all()
