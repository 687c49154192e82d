"""What a search has been told so far, a line a training, so that one that was killed goes on where it was.

The search itself is not kept: it is asked again from the beginning, and every training that stands here is answered
from here. A last line without its end was being written when the power went, and is cut off.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from forecaster.records import packed, unpacked
from forecaster.tasks import Outcome
from forecaster.trials import Trial

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from forecaster.tasks import Task

FORMAT = 2


class Journal:
    """The outcomes of one search, in memory, and in a file if there is one.

    Args:
        path: the file; made if it is not there, begun anew if it is of another search or damaged.
        key: what the outcomes depend on: data, settings, seed.
    """

    def __init__(self, path: Path | None, key: Mapping[str, Any]) -> None:
        self._path, self._file = path, -1
        self._known: dict[int, tuple[str, Outcome]] = {}
        if path is None:
            return
        header = json.dumps({"format": FORMAT, "key": key}, sort_keys=True).encode() + b"\n"
        kept = self._read(path.read_bytes() if path.is_file() else b"", header)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        os.ftruncate(self._file, kept)
        if not kept:
            self._append(header)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __len__(self) -> int:
        """Trainings that are known."""
        return len(self._known)

    def known(self, task: Task) -> Outcome | None:
        """What came of a task before, None if it was not done or another task had its number."""
        digest, outcome = self._known.get(task.number, ("", None))
        return outcome if digest == _digest(task) else None

    def write(self, task: Task, outcome: Outcome) -> None:
        """Keep an outcome; it is on the disk when this returns.

        Raises:
            OSError: the disk does not take it.
        """
        if self._file >= 0:
            self._append(_line(_digest(task), outcome))

    def remove(self) -> None:
        """The search has ended: nothing is left to be resumed."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _append(self, line: bytes) -> None:
        os.write(self._file, line)
        os.fsync(self._file)

    def _read(self, content: bytes, header: bytes) -> int:
        """Take the whole lines of this very search; how many bytes they are."""
        if not content.startswith(header):
            return 0
        end = len(header)
        for line in content[end:].splitlines(keepends=True):
            try:
                digest, outcome = _entry(line)
            except (ValueError, KeyError, TypeError):
                break  # what follows a damaged line costs time, never the result
            self._known[outcome.number] = digest, outcome
            end += len(line)
        return end


def _digest(task: Task) -> str:
    """Of all that the outcome depends on, beside the data."""
    recipe = {**task.candidate.recipe.as_dict(), "updates": task.updates}
    plain = [task.candidate.as_dict(), recipe, task.fold, task.seed]
    begun = task.initial.tobytes() if task.initial is not None else b""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode() + begun).hexdigest()


def _line(digest: str, outcome: Outcome) -> bytes:
    trial = {**asdict(outcome.trial), "blocks": outcome.trial.blocks.tolist()}
    fields = {"task": digest, "number": outcome.number, "trial": trial, "weights": packed(outcome.weights)}
    return json.dumps({**fields, "cpu_seconds": outcome.cpu_seconds}).encode() + b"\n"


def _entry(line: bytes) -> tuple[str, Outcome]:
    if not line.endswith(b"\n"):
        raise ValueError(line)
    fields = json.loads(line)
    trial = Trial(**{**fields["trial"], "blocks": np.array(fields["trial"]["blocks"])})
    return str(fields["task"]), Outcome(
        int(fields["number"]), trial, unpacked(fields["weights"]), float(fields["cpu_seconds"])
    )
