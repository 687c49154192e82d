"""A Jetson that is not there: it remembers what it was asked, has files in memory, and answers as it was told."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployers.connectors.base import Completed, Source, Transferred, unseen
from deployers.exceptions import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path, PurePosixPath

    from deployers.connectors.command import Command


@dataclass
class FakeConnector:
    """A connector for tests of plans.

    Attributes:
        name: of the machine.
        answer: what a command ends with; nothing printed and 0 if not given.
        commands: what was run, as people are shown it.
        files: what is there: content and mode.
        parts: what arrived of files that are not whole.
        closed: how often the connection was ended.
    """

    name: str = "kitchen"
    answer: Callable[[Command], Completed] = lambda _command: Completed(0)
    commands: list[str] = field(default_factory=list)
    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    parts: dict[str, bytes] = field(default_factory=dict)
    closed: int = 0

    def run(self, command: Command) -> Completed:
        """Remember it, and answer."""
        self.commands.append(command.shown())
        return self.answer(command)

    def upload(
        self,
        source: Source,
        remote: PurePosixPath,
        mode: int = 0o644,
        progress: Callable[[int, int], None] = unseen,
    ) -> Transferred:
        """Keep a file, in two halves, from where an earlier try ended."""
        data = source if isinstance(source, bytes) else source.read_bytes()
        path, digest = str(remote), hashlib.sha256(data).hexdigest()
        if self.files.get(path) == (data, mode):
            return Transferred(len(data), 0, digest)
        have = self.parts.get(path, b"")
        start = len(have) if data.startswith(have) else 0
        for end in (max(start, len(data) // 2), len(data)):
            self.parts[path] = data[:end]
            progress(end, len(data))
        self.files[path] = (self.parts.pop(path), mode)
        return Transferred(len(data), len(data) - start, digest)

    def download(
        self, remote: PurePosixPath, local: Path, progress: Callable[[int, int], None] = unseen
    ) -> Transferred:
        """Write a file that is kept."""
        if str(remote) not in self.files:
            msg = f"{self.name}: no file {str(remote)!r}, expected it there: check the path"
            raise NotFound(msg)
        data = self.files[str(remote)][0]
        progress(len(data) // 2, len(data))
        local.write_bytes(data)
        progress(len(data), len(data))
        return Transferred(len(data), len(data), hashlib.sha256(data).hexdigest())

    def sha256(self, remote: PurePosixPath) -> str | None:
        """Hash of a file that is kept."""
        found = self.files.get(str(remote))
        return None if found is None else hashlib.sha256(found[0]).hexdigest()

    def close(self) -> None:
        """Count it."""
        self.closed += 1
