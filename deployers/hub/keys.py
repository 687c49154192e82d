"""The keys of the boards that may connect to this hub."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Protocol

from deployers.protocol.messages import KEY_BYTES

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)

# The id stands in file names, in addresses of the REST interface and on the page; SPEC.md gives it 16 bytes.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}")


class Keys(Protocol):
    """The boards that may connect, by their keys."""

    def __call__(self, board: str) -> bytes | None:
        """The 32-byte key of a board, or None."""
        ...

    def ids(self) -> frozenset[str]:
        """All boards that have a key."""
        ...


class KeyFolder:
    """Keys as files `<board>.key` of 32 bytes that only the hub may read; each is read anew for each connection."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, board: str) -> bytes | None:
        """The key of a board, or None if it has no usable file."""
        if not is_board_id(board):
            return None
        path = self._folder / f"{board}.key"
        try:
            key, mode = path.read_bytes(), path.stat().st_mode
        except FileNotFoundError:
            return None
        if len(key) != KEY_BYTES or mode & 0o077:
            _log.error(
                "key %s: %d bytes, mode %03o; expected %d bytes, mode 600: provision it again",
                path, len(key), mode & 0o777, KEY_BYTES,
            )  # fmt: skip
            return None
        return key

    def ids(self) -> frozenset[str]:
        """Names of the key files."""
        return frozenset(path.stem for path in self._folder.glob("*.key") if is_board_id(path.stem))


def is_board_id(name: str) -> bool:
    """1 to 16 letters, digits, dots, dashes and underscores, beginning with a letter or a digit."""
    return _ID.fullmatch(name) is not None
