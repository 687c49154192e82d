"""An image's way over one link, in chunks of which most are not answered: the link carries little beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployers.link import LinkLostError, LinkRefusedError
from deployers.protocol import messages
from deployers.protocol.messages import Message
from deployers.protocol.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.link import BoardLink

# Chunks up to an answer, that one included; they fit what the kernel keeps for a connection (`link.py`).
WINDOW = 8
REFUSALS_MAX = 3
# A board whose power was cut goes back by a sector of its flash at most; one that goes back forever is given up.
SENT_AGAIN = 4


async def transfer(link: BoardLink, image: bytes, progress: Callable[[int, int], None] = lambda *_: None) -> int:
    """Bring an image into the board's other slot, from where an earlier transfer of the same image was cut.

    Args:
        link: of the board.
        image: the whole image.
        progress: called with the bytes in place and the bytes of the image.

    Returns:
        The offset at which this transfer began.

    Raises:
        LinkLostError: the connection ended, or the board did not answer, or goes back again and again.
        LinkRefusedError: the board refused.
    """
    begun = await link.request(Message.TRANSFER_BEGIN, messages.encode_transfer_begin(image))
    resume = offset = messages.decode_u32(begun, "offset")
    progress(offset, len(image))
    refusals = windows = 0
    while offset < len(image):
        windows += 1
        if windows > SENT_AGAIN * (len(image) // messages.CHUNK_MAX + SENT_AGAIN):
            msg = f"the board asks for offset {offset!r} again and again: look at its flash"
            raise LinkLostError(msg)
        try:
            # One chunk alone after a refusal: its answer says what is wrong with it.
            body, refusals = await _send_window(link, image, offset, 1 if refusals else WINDOW), 0
        except LinkRefusedError as refusal:
            # The answer names the offset that is due: before the one asked for, if a chunk was damaged on the way.
            refusals += 1
            if refusals > REFUSALS_MAX or refusal.status != Status.SLOT_OFFSET:
                raise
            body = refusal.body
        offset = messages.decode_u32(body, "offset")
        progress(offset, len(image))
    return resume


async def _send_window(link: BoardLink, image: bytes, offset: int, chunks: int) -> bytes:
    """Some chunks, of which the last is answered; returns the body of the answer."""
    end = min(offset + chunks * messages.CHUNK_MAX, len(image))
    parts = [
        messages.encode_u32(at) + image[at : at + messages.CHUNK_MAX] for at in range(offset, end, messages.CHUNK_MAX)
    ]
    for part in parts[:-1]:
        await link.tell(Message.TRANSFER_MORE, part)
    return await link.request(Message.TRANSFER_CHUNK, parts[-1])
