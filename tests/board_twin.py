"""The board's side of a session in Python: what the hub's side is tested against without firmware."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from deployers.protocol import messages
from deployers.protocol.frame import TAGGED, Frame, FrameReader
from deployers.protocol.messages import Answer, BoardState, Hello, Label, Message, Shadow, SlotState
from deployers.protocol.status import Status

KEY = bytes(range(32))
NO_CHALLENGER = Shadow(0, 0)
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


@dataclass
class SecondSlot:
    """The slot that does not run; it outlives a connection where twins share it.

    Attributes:
        sha256: of the image that is on its way into it, or there; none where no twin has seen its beginning.
        challenger: forecasts beside the running model.
        knows_challengers: whether the firmware does.
        refuses: status of a challenger's verification.
        version_of: reads the version in an image; None where any is right.
    """

    image: bytearray = field(default_factory=bytearray)
    sha256: bytes = b""
    challenger: Shadow = NO_CHALLENGER
    knows_challengers: bool = True
    refuses: int = 0
    version_of: Callable[[bytes], int] | None = None

    def begin(self, sha256: bytes) -> None:
        """Another image than the one that is there takes its place, and that of the challenger in it."""
        if self.sha256 not in (b"", sha256):
            self.image.clear()
            self.challenger = NO_CHALLENGER
        self.sha256 = sha256

    def shadow(self, version: int, state: SlotState) -> int:
        """The status of the answer to SHADOW."""
        if version in (0, self.challenger.version):
            return Status.OK
        status = self._refusal(version, state)
        if status:
            self.image.clear()
            self.sha256 = b""
        self.challenger = NO_CHALLENGER if status else Shadow(version, Status.OK)
        return status

    def revert(self, version: int) -> bool:
        """Whether REVERT ended a challenger, so that no restart follows."""
        if version != self.challenger.version:
            return False
        self.challenger = NO_CHALLENGER
        return True

    def _refusal(self, version: int, state: SlotState) -> int:
        if state is not SlotState.CONFIRMED:
            return Status.SLOT_EMPTY
        if not self.image:
            return Status.SLOT_NO_TRANSFER
        if hashlib.sha256(self.image).digest() != self.sha256:
            return Status.SLOT_INCOMPLETE
        if not self.refuses and self.version_of is not None and self.version_of(bytes(self.image)) != version:
            return Status.SESSION_VERSION
        return self.refuses


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
        self.second = SecondSlot()
        self.received = 0
        self.worn_out: int | None = None  # offset at which the flash cannot be written
        self.session_key = b""
        self.time_ms = 0
        self.sequence = 0
        self._reader = FrameReader()
        self._output = bytearray()
        self.send(Message.HELLO, self.hello)

    @property
    def image(self) -> bytearray:
        return self.second.image

    @image.setter
    def image(self, value: bytearray) -> None:
        self.second.image = value

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
        if frame.type == Message.SHADOW and not self.second.knows_challengers:
            self.send(Message.REFUSED, Answer(frame.sequence, Status.SESSION_TYPE).encode())
            return
        status, body = self.answers.get(frame.type, (0, b""))
        if frame.type == Message.STATUS:
            body = self.state.encode()
        if frame.type == Message.TRANSFER_BEGIN and not status:
            self.second.begin(message[4:])
            body = len(self.image).to_bytes(4, "little")
        if frame.type == Message.SHADOW and not status:
            status = self.second.shadow(messages.decode_u32(message, "shadow"), self.state.slot_state)
            body = self.second.challenger.encode()
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
        return bytes(self.image) == image and self.second.sha256 == hashlib.sha256(image).digest()
