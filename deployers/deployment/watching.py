"""Who is told how far a deployment is: bars on a terminal, or nobody."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.deployment.waves import Device


class Watcher(Protocol):
    """Told of the progress, by several threads."""

    def begin(self, jetson: str, step: str, device: Device | None) -> None:
        """A step begins."""
        ...

    def end(self, name: str, result: str) -> None:
        """A device, or a machine, is done."""
        ...

    def bytes_of(self, jetson: str) -> Callable[[int, int], None]:
        """Who is told of the bytes of the file that goes to a Jetson now."""
        ...


def _unseen(_done: int, _total: int) -> None:
    """Bytes that nobody watches."""


class Nobody:
    """Watches nothing."""

    def begin(self, jetson: str, step: str, device: Device | None) -> None:
        """A step begins."""

    def end(self, name: str, result: str) -> None:
        """A device is done."""

    def bytes_of(self, jetson: str) -> Callable[[int, int], None]:  # noqa: ARG002 - the protocol's signature
        """Nobody is told."""
        return _unseen


class Bars:
    """A bar for each device and machine on standard error, while somebody looks; gone when the work is done."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - --help must not wait
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        console = Console(file=sys.stderr)
        columns = (SpinnerColumn(), TextColumn("{task.fields[who]}"), BarColumn(20), TextColumn("{task.description}"))
        self._progress = Progress(
            *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
        )
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, jetson: str, step: str, device: Device | None) -> None:
        """Show the step; how long it will take is not known, so the bar moves."""
        self._progress.update(self._task(device.name if device else jetson), description=step, total=None)  # type: ignore[arg-type]

    def end(self, name: str, result: str) -> None:
        """Show how it ended."""
        self._progress.update(self._task(name), description=result, total=1, completed=1)  # type: ignore[arg-type]

    def bytes_of(self, jetson: str) -> Callable[[int, int], None]:
        """Fill the Jetson's bar."""
        task = self._task(jetson)
        return lambda done, total: self._progress.update(task, completed=done, total=total)  # type: ignore[arg-type]

    def _task(self, who: str) -> int:
        if who not in self._tasks:
            self._tasks[who] = self._progress.add_task("", who=who, total=None)
        return self._tasks[who]
