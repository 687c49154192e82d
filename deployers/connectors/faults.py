"""A connector that breaks on purpose: the connection goes before, in the middle of, or after call number n."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from deployers.connectors.base import Completed, Source, Transferred, unseen
from deployers.exceptions import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path, PurePosixPath

    from deployers.connectors.base import Connector
    from deployers.connectors.command import Command

When = Literal["before", "middle", "after"]
MOMENTS: tuple[When, ...] = ("before", "middle", "after")


class FaultyConnector:
    """Passes calls on to another connector, until the one that breaks; from then on none.

    In the middle of a transfer means when half of the bytes are there. A command has no middle that is known here: the
    connection goes when it has run and before its answer arrives, as after it.

    Args:
        inner: does the work.
        at: number of the call that breaks, from 1; none if 0.
        when: before the call, in its middle, or after it.
    """

    def __init__(self, inner: Connector, at: int = 0, when: When = "before") -> None:
        self._inner, self._at, self._when = inner, at, when
        self.name = inner.name
        self.calls = 0

    def is_broken(self) -> bool:
        """Whether the call that breaks has come."""
        return self._at > 0 and self.calls >= self._at

    def run(self, command: Command) -> Completed:
        """Run a command, or break."""
        breaks = self._begin()
        done = self._inner.run(command)
        self._end(breaks)
        return done

    def upload(
        self,
        source: Source,
        remote: PurePosixPath,
        mode: int = 0o644,
        progress: Callable[[int, int], None] = unseen,
    ) -> Transferred:
        """Upload a file, or break."""
        breaks = self._begin()
        moved = self._inner.upload(source, remote, mode, self._cutting(progress) if breaks else progress)
        self._end(breaks)
        return moved

    def download(
        self, remote: PurePosixPath, local: Path, progress: Callable[[int, int], None] = unseen
    ) -> Transferred:
        """Download a file, or break."""
        breaks = self._begin()
        moved = self._inner.download(remote, local, self._cutting(progress) if breaks else progress)
        self._end(breaks)
        return moved

    def sha256(self, remote: PurePosixPath) -> str | None:
        """Hash a file, or break."""
        breaks = self._begin()
        found = self._inner.sha256(remote)
        self._end(breaks)
        return found

    def close(self) -> None:
        """End the connection."""
        self._inner.close()

    def _begin(self) -> bool:
        """Count the call; whether it is the one that breaks."""
        if self.is_broken():
            raise Unreachable(self._cut())
        self.calls += 1
        if self.is_broken() and self._when == "before":
            raise Unreachable(self._cut())
        return self.is_broken()

    def _end(self, breaks: bool) -> None:  # noqa: FBT001 - what _begin said
        if breaks:
            raise Unreachable(self._cut())

    def _cutting(self, progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
        """Progress that ends the connection half-way."""

        def cut(done: int, total: int) -> None:
            if self._when == "middle" and 2 * done >= total:
                raise Unreachable(self._cut())
            progress(done, total)

        return cut

    def _cut(self) -> str:
        return f"{self.name}: the connection was cut {self._when} call {self._at} on purpose: run this again"
