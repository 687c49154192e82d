"""The firmware's application in this process: flash, link, sensor and clock are memory that a test moves itself."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

from deployers.protocol.messages import Answer, Forecast, Message, Reading, SlotState
from deployers.protocol.session import Arrived, Event, HubSession, Refusal

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "build" / "firmware" / "libedgeloop-board.so"
KEY = bytes(range(32))


def load() -> ctypes.CDLL:
    """The library, built if it is not up to date."""
    subprocess.run(["make", "-C", str(ROOT / "firmware"), "memory"], check=True, capture_output=True, timeout=300)
    library = ctypes.CDLL(str(LIBRARY))
    library.memory_board_write.restype = ctypes.c_size_t
    library.memory_board_read.restype = ctypes.c_size_t
    return library


class MemoryBoard:
    """The board and a hub's session with it, byte by byte."""

    def __init__(self, library: ctypes.CDLL, folder: Path, public_key: bytes = b"", test_ms: int = 60_000) -> None:
        self.library = library
        (folder / "key.bin").write_bytes(KEY)
        (folder / "public_key.bin").write_bytes(public_key)
        assert library.memory_board_start(str(folder).encode(), ctypes.c_int64(test_ms)) == 0
        library.memory_board_wipe()
        self._buffer = ctypes.create_string_buffer(1 << 16)
        self._nonces = 0
        self.restarts = 0
        self.to_board: int | None = None
        self.from_board: int | None = None
        self.damage: int | None = None
        self.key = KEY
        self.refusals: list[Refusal] = []
        self.readings: dict[int, Reading] = {}
        self.forecasts: dict[int, Forecast] = {}
        self.shadows: dict[int, Forecast] = {}
        self.new_session()

    def new_session(self) -> None:
        """What a hub begins with at each connection."""
        self._nonces += 1
        self.session = HubSession(
            {"board-1": self.key}.get, self._nonces.to_bytes(16, "big"), lambda: 1_700_000_000_000
        )
        self.answers: dict[int, Answer] = {}
        self.is_linked = False

    def cut_after(self, to_board: int | None = None, from_board: int | None = None) -> None:
        """Lose the link once so many more bytes went in this direction."""
        self.to_board, self.from_board = to_board, from_board

    def reach(self, is_reachable: bool) -> None:
        self.library.memory_board_reach(int(is_reachable))
        if not is_reachable:
            self.new_session()

    def sense(self, reading: Reading) -> None:
        """One reading, and turns of the main loop until it was taken."""
        while self.library.memory_board_sense(ctypes.c_int64(reading.time_ms), reading.microcelsius) != 0:
            self.step()
        self.step()

    def step(self, advance_ms: int = 1) -> bool:
        """One turn of the board's main loop and of the hub; True while anything moved."""
        if not self.library.memory_board_step(ctypes.c_int64(advance_ms)):
            self.restarts += 1
        linked = bool(self.library.memory_board_is_connected())
        came = self._carry_to_hub()  # also what was sent before the board closed the link
        if self.is_linked and not linked:
            self.new_session()
        self.is_linked = linked
        return linked and (self._carry_to_board() or came)

    def settle(self) -> None:
        """Turn until nothing moves."""
        quiet = 0
        while quiet < 3:
            quiet = 0 if self.step() else quiet + 1

    def connect(self) -> None:
        """Turn until the session is open."""
        for _ in range(100):
            if self.session.is_open:
                return
            self.step(100)
        msg = "the board did not open a session"
        raise AssertionError(msg)

    def request(self, kind: Message, message: bytes = b"") -> Answer | None:
        """The board's answer, or None if the link was lost on the way."""
        session, answers = self.session, self.answers
        sequence = session.request(kind, message)
        while sequence not in answers:
            if not self.is_linked or session is not self.session:
                return None
            self.step()
        return answers[sequence]

    def reset(self) -> None:
        """Power off and on."""
        self.library.memory_board_reset()
        self.new_session()

    def _carry_to_hub(self) -> bool:
        count = self.library.memory_board_read(self._buffer, len(self._buffer))
        data = self._damaged(self._buffer.raw[: self._let_through("from_board", count)])
        for event in self.session.receive(data):
            self._on_event(event)
        return bool(data)

    def _damaged(self, data: bytes) -> bytes:
        """With the one bit turned that `damage` counts off, if it is among these bytes."""
        if self.damage is None or not data:
            return data
        place, turned = self.damage // 8, bytearray(data)
        if place < len(data):
            turned[place] ^= 1 << self.damage % 8
        self.damage = None if place < len(data) else self.damage - 8 * len(data)
        return bytes(turned)

    def _carry_to_board(self) -> bool:
        data = self.session.output()
        passed = self._let_through("to_board", len(data))
        if passed:
            self.library.memory_board_write(data[:passed], ctypes.c_size_t(passed))
        self._lose_link_if_cut()
        return bool(data)

    def _let_through(self, direction: str, count: int) -> int:
        left = getattr(self, direction)
        if left is None:
            return count
        setattr(self, direction, left - min(left, count))
        return min(left, count)

    def _lose_link_if_cut(self) -> None:
        if self.to_board == 0 or self.from_board == 0:
            for _ in range(4):  # what was let through arrives first
                self.library.memory_board_step(ctypes.c_int64(0))
            self.cut_after()
            self.reach(False)
            self.library.memory_board_step(ctypes.c_int64(0))
            self.reach(True)

    def _on_event(self, event: Event) -> None:
        match event:
            case Arrived(first, readings):
                self.readings.update(enumerate(readings, first))
                self.session.acknowledge(first + len(readings))
            case Forecast():
                of_challenger = event.slot_state is SlotState.SHADOW
                (self.shadows if of_challenger else self.forecasts)[event.reading] = event
            case Answer():
                self.answers[event.request] = event
            case Refusal():
                self.refusals.append(event)
            case _:
                pass
