"""The challenger of a board over one link: whether there is one, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployers.link import LinkRefusedError
from deployers.protocol.status import Status

if TYPE_CHECKING:
    from deployers.link import BoardLink
    from deployers.protocol.messages import Shadow


async def carries(link: BoardLink) -> bool:
    """Whether the board carries one; firmware that knows of none does not.

    Raises:
        LinkLostError, LinkRefusedError: as `BoardLink.shadow`.
    """
    try:
        return (await link.shadow(0)).version != 0
    except LinkRefusedError as error:
        if error.status != Status.SESSION_TYPE:
            raise
        return False


async def leave(link: BoardLink, version: int) -> Shadow:
    """End it, if it is this version; what the board carries then.

    Raises:
        LinkLostError, LinkRefusedError: as `BoardLink.shadow`.
    """
    carried = await link.shadow(0)
    if carried.version != version:
        return carried
    try:
        await link.revert(version)
    except LinkRefusedError:
        # Of a request that was repeated, the second is refused where the first was done.
        if (await link.shadow(0)).version == version:
            raise
    return await link.shadow(0)
