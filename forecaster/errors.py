"""Every error the forecaster raises on purpose.

ForecasterError
├── InputError            what the user gave cannot be used (exit code 2)
│   ├── SourceError       the source of readings: missing, unreadable, wrong columns, no rows
│   ├── ReadingError      the readings themselves: times, values, too few of them
│   └── ConfigError       a setting: unknown key, wrong type, outside its range
├── GateFailed            conditions that a dataset or a model had to meet (exit code 3)
├── StackError            the named stack is unknown or cannot be used (exit code 4)
├── ServiceUnavailable    a database, registry or disk that should answer does not (exit code 5)
├── Busy                  another run holds the project's home folder (exit code 6)
└── ConversionError       the converter crashed, took too long, or made another function (exit code 7)

Each message has the offending value, what was expected and what to do, on one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Unmet(Protocol):
    """A condition that was not met, as far as its error needs to know it; this module imports nothing of ours."""

    def sentence(self) -> str:
        """The condition in words: name, value, limit."""
        ...


class ForecasterError(Exception):
    """Root of all deliberate errors; `exit_code` is what the command line returns."""

    exit_code = 1


class InputError(ForecasterError):
    """What the user gave cannot be used."""

    exit_code = 2


class SourceError(InputError):
    """The source of readings is missing, unreadable or lacks what was selected."""


class ReadingError(InputError):
    """The readings cannot become a series: bad times, bad values, or too few."""


class ConfigError(InputError):
    """A setting is unknown, of the wrong type or outside its range."""


class GateFailed(ForecasterError):  # noqa: N818 - the field says "the gate failed"
    """One or more conditions were not met; `failed` holds each of them."""

    exit_code = 3

    def __init__(self, gate: str, failed: Sequence[Unmet]) -> None:
        self.gate = gate
        self.failed = tuple(failed)
        listed = "; ".join(condition.sentence() for condition in self.failed)
        super().__init__(f"{gate}: {len(self.failed)} condition(s) failed: {listed}")


class StackError(ForecasterError):
    """The named stack is unknown or cannot be used on this machine."""

    exit_code = 4


class ServiceUnavailable(ForecasterError):  # noqa: N818 - a state of the service, not of ours
    """A database, registry or disk that should answer does not."""

    exit_code = 5


class Busy(ForecasterError):  # noqa: N818 - a state, named as the exit code is
    """Another run holds the project's home folder."""

    exit_code = 6


class ConversionError(ForecasterError):
    """TensorFlow's converter crashed, took too long, or made another function of the model."""

    exit_code = 7


def restored(source: str, message: str) -> ForecasterError | None:
    """One of our errors again, from what an orchestrator kept of it.

    Args:
        source: dotted path of its class, e.g. `forecaster.errors.SourceError`.
        message: its message.

    Returns:
        The error, or None if the class is not one of these.
    """
    kind = globals().get(source.rpartition(".")[2])
    if not (isinstance(kind, type) and issubclass(kind, ForecasterError)):
        return None
    error = kind.__new__(kind)
    error.args = (message,)
    return error
