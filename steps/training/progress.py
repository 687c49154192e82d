"""Shows how a search goes: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from types import TracebackType

    from forecaster.records import Record

LINE_EVERY = 5


class SearchProgress:
    """A context that draws on standard error.

    Args:
        total: evaluations at most.
    """

    def __init__(self, total: int) -> None:
        console = Console(file=sys.__stderr__)
        self.terminal = console.is_terminal
        self.progress = Progress(
            TextColumn("search"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[best]}"),
            console=console,
            disable=not self.terminal,
        )
        self.done = 0
        self.task = self.progress.add_task("search", total=total, best="")

    def show(self, _: Record, best: Record) -> None:
        """Called when a candidate has come to its end, which is not the order in which they began."""
        text = f"best: validation RMSE {best.validation_rmse:.4f} °C, {best.parameters:,} parameters"
        self.done += 1
        self.progress.update(self.task, completed=self.done, best=text)
        if not self.terminal and (self.done == 1 or self.done % LINE_EVERY == 0):
            print(f"search: {self.done} evaluations, {text}", file=sys.__stderr__, flush=True)

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()
