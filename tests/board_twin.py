"""The board's side of a session in Python: what the hub's side is tested against without firmware."""

from __future__ import annotations

import hashlib

from deployers.protocol import messages
from deployers.protocol.frame import TAGGED, Frame, FrameReader
from deployers.protocol.messages import Answer, BoardState, Hello, Label, Message, SlotState
from deployers.protocol.status import Status

KEY = bytes(range(32))
STATE = BoardState(
    slot_state=SlotState.NONE,
    slot=255,
    clock_set=False,
    forecast_made=False,
    model_version=0,
    lowest_version=0,
    model_status=0,
    ring_acknowledged=0,
    ring_next=0,
    ring_dropped=0,
    ring_capacity=100,
    transfer_offset=0,
    forecasts=0,
    forecasts_dropped=0,
    log_next=0,
    time_ms=0,
)


class BoardTwin:
    """Says hello, proves itself, answers requests; `answers` maps a message type to what it answers."""

    def __init__(self, key: bytes = KEY, name: str = "board-1", state: BoardState = STATE) -> None:
        self.key = key
        self.state = state
        self.hello = Hello((0, 1, 0), name, bytes(range(16)), state, 1040).encode()
        self.answers: dict[int, tuple[int, bytes]] = {}
        self.requests: list[tuple[int, bytes]] = []
        self.refusals: list[int] = []
        self.acknowledged = 0
        self.image = bytearray()
        self.received = 0
        self.worn_out: int | None = None  # offset at which the flash cannot be written
        self.session_key = b""
        self.time_ms = 0
        self.sequence = 0
        self._reader = FrameReader()
        self._output = bytearray()
        self.send(Message.HELLO, self.hello)

    def output(self) -> bytes:
        data = bytes(self._output)
        self._output.clear()
        return data

    def send(self, kind: int, message: bytes) -> None:
        if self.session_key and kind != Message.PROOF:
            header = Frame(kind, self.sequence, message + bytes(8), TAGGED).header
            message += messages.tag(self.session_key, b"B", header, message)
            self._output += Frame(kind, self.sequence, message, TAGGED).encode()
        else:
            self._output += Frame(kind, self.sequence, message).encode()
        self.sequence += 1

    def receive(self, data: bytes) -> None:
        for found in self._reader.read(data):
            if isinstance(found, Status):
                self.send(Message.REFUSED, Answer(messages.NO_SEQUENCE, found).encode())
            else:
                self._on_frame(found)

    def _on_frame(self, frame: Frame) -> None:
        if frame.type == Message.CHALLENGE:
            self._on_challenge(frame.payload)
            return
        message = frame.payload[: -messages.TAG_BYTES] if frame.flags == TAGGED else frame.payload
        if frame.flags == TAGGED:
            assert frame.payload.endswith(messages.tag(self.session_key, b"H", frame.header, message))
        match frame.type:
            case Message.WELCOME:
                self.time_ms = int.from_bytes(message, "little")
            case Message.REFUSED:
                self.refusals.append(Answer.decode(message).status)
            case Message.ACKNOWLEDGE:
                self.acknowledged = messages.decode_u32(message, "acknowledge")
            case Message.TRANSFER_MORE:
                self._take_chunk(message)
            case _:
                self._answer(frame, message)

    def _on_challenge(self, payload: bytes) -> None:
        nonce, proof = payload[:16], payload[16:]
        if proof != messages.prove(self.key, Label.HUB, nonce, self.hello):
            self.send(Message.REFUSED, Answer(0, Status.SESSION_PROOF).encode())
            return
        self.send(Message.PROOF, messages.prove(self.key, Label.BOARD, nonce, self.hello))
        self.session_key = messages.prove(self.key, Label.SESSION, nonce, self.hello)

    def _answer(self, frame: Frame, message: bytes) -> None:
        self.requests.append((frame.type, message))
        status, body = self.answers.get(frame.type, (0, b""))
        if frame.type == Message.STATUS:
            body = self.state.encode()
        if frame.type == Message.TRANSFER_BEGIN and not status:
            body = len(self.image).to_bytes(4, "little")
            self.sha256 = message[4:]
        if frame.type == Message.TRANSFER_CHUNK and not status:
            if not self._take_chunk(message):
                is_due = messages.decode_u32(message[:4], "chunk") == len(self.image)
                status = Status.SLOT_FLASH if is_due else Status.SLOT_OFFSET
            body = len(self.image).to_bytes(4, "little")
        self.send(Message.ANSWER, Answer(frame.sequence, status, body).encode())

    def _take_chunk(self, message: bytes) -> bool:
        """Bytes that came before are passed over; what does not follow on them is left out."""
        offset, chunk = messages.decode_u32(message[:4], "chunk"), message[4:]
        if offset > len(self.image) or offset == self.worn_out:
            return False
        self.image += chunk[len(self.image) - offset :]
        self.received += len(chunk)
        return True

    def holds(self, image: bytes) -> bool:
        return bytes(self.image) == image and self.sha256 == hashlib.sha256(image).digest()
