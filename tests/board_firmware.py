"""Boards in Python that lose their connections and restart: twins that share what their flash would hold."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from deployers.protocol import messages
from deployers.protocol.messages import Message, SlotState
from tests.board_twin import KEY, NO_CHALLENGER, STATE, BoardTwin, SecondSlot
from tests.connected_twin import ConnectedTwin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from deployers.hub.boards import Boards

TEST = replace(STATE, slot_state=SlotState.TEST, slot=1, model_version=5)
CONFIRMED = replace(STATE, slot_state=SlotState.CONFIRMED, slot=1, model_version=4)


class Firmware:
    """What outlives a connection of a board: twins of one firmware restart into its state."""

    def __init__(self, port: int, board: str = "board-1", key: bytes = KEY) -> None:
        self.port, self.board, self.key = port, board, key
        self.state = CONFIRMED
        self.second = SecondSlot()
        self.requests: list[int] = []
        self.after_restart = TEST
        self.answers: dict[int, tuple[int, bytes]] = {}
        self.lose: list[int] = []  # kinds of requests on which the connection is lost before the answer
        self.lose_before: list[int] = []  # likewise, before anything is done
        self.hears: Callable[[int, bytes], bool] = lambda *_: True  # what it does not hear is not answered
        self.connections = 0

    @property
    def image(self) -> bytearray:
        return self.second.image

    @image.setter
    def image(self, value: bytearray) -> None:
        self.second.image = value

    async def run(self) -> None:
        """Connect again and again."""
        while True:
            async with ConnectedTwin(self.port, self._twin()) as twin:
                self.connections += 1
                self.connected = twin
                await asyncio.gather(twin.task, return_exceptions=True)
            await asyncio.sleep(0.01)

    def _twin(self) -> BoardTwin:
        twin = BoardTwin(self.key, self.board, self.state)
        twin.second, twin.answers = self.second, self.answers
        answer = twin._answer  # noqa: SLF001 - what the board does with a request is changed here

        def on_request(frame, message: bytes) -> None:
            self.requests.append(frame.type)
            if not self.hears(frame.type, message):
                return
            if frame.type in self.lose_before:
                self.lose_before.remove(frame.type)
                self.connected.cut()
                return
            twin.state = self.state
            answer(frame, message)
            self._act(frame.type, message)

        twin._answer = on_request  # type: ignore[method-assign]  # noqa: SLF001
        return twin

    def _act(self, kind: int, message: bytes) -> None:
        restarts = kind in {Message.INSTALL, Message.REVERT} and not self.answers.get(kind, (0,))[0]
        if kind == Message.REVERT and self.second.revert(messages.decode_u32(message, "revert")):
            restarts = False
        if kind == Message.INSTALL:
            self.second.challenger = NO_CHALLENGER
        if restarts:
            self.state = self.after_restart if kind == Message.INSTALL else CONFIRMED
        if kind == Message.CONFIRM:
            self.state = replace(TEST, slot_state=SlotState.CONFIRMED)
        if kind in self.lose:
            self.lose.remove(kind)
            self.connected.cut()
        elif restarts:
            asyncio.get_running_loop().call_later(0.01, self.connected.cut)


@asynccontextmanager
async def powered(boards: Boards, board: str = "board-1", key: bytes = KEY) -> AsyncIterator[Firmware]:
    """A board that is connected, and connects again until the block is left."""
    firmware = Firmware(boards.port, board, key)
    task = asyncio.create_task(firmware.run())
    try:
        await boards.status(board)
        yield firmware
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
