"""Stages of a command that takes a while, as one line on standard error."""

from __future__ import annotations

import sys
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Stages:
    """A bar with the name of what is going on; gone when the work is done, and nothing where nobody looks.

    Args:
        count: stages in all.
        title: what is worked on.
        shown: whether to show it.
    """

    def __init__(self, count: int, title: str, *, shown: bool) -> None:
        console = Console(file=sys.stderr)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not (shown and console.is_terminal)
        )
        self._title, self._begun = title, 0
        self._task = self._progress.add_task(title, total=count)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, stage: str) -> None:
        """The name of the stage that begins; the one before it is done."""
        self._progress.update(self._task, completed=self._begun, description=f"{self._title}: {stage}")
        self._begun += 1
