"""Commands for another machine as words, never as text put together: each word is quoted once, secrets are not shown.

Command(("install", "-m", "0600", path))
Command(("sh", "-c", 'echo "$1" > "$2"', "sh", Secret(token), path))
script('test -d "$1" && du -s "$1"', folder)
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import PurePath

from deployers.exceptions import InputError

MASK = "***"
TIMEOUT = 60.0  # seconds


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A word that nobody is shown: what prints it prints `***`."""

    value: str

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"


Word = str | PurePath | Secret


@dataclass(frozen=True, slots=True)
class Command:
    """A program and its arguments.

    Args:
        words: each becomes one argument, whatever it holds.
        timeout: seconds until it counts as hanging.
        accepted: exit codes that are no failure.
        input: what it reads; not shown.

    Raises:
        InputError: there is no word, or one that no program can be given.
    """

    words: tuple[Word, ...]
    timeout: float = TIMEOUT
    accepted: tuple[int, ...] = (0,)
    input: bytes = b""

    def __post_init__(self) -> None:
        if not self.words:
            msg = "command () has no program, expected at least one word: this is a fault in the plan"
            raise InputError(msg)
        if any("\0" in word for word in self.plain()):
            msg = f"command {self.shown()!r} holds a zero byte, which no argument can: take it out"
            raise InputError(msg)

    def plain(self) -> tuple[str, ...]:
        """The arguments as the program gets them, secrets and all; for connectors only."""
        return tuple(word.value if isinstance(word, Secret) else str(word) for word in self.words)

    def line(self) -> str:
        """One line for a shell of the POSIX kind, secrets and all; for connectors only."""
        return shlex.join(self.plain())

    def shown(self) -> str:
        """The line that people, plans and logs get."""
        return " ".join(MASK if isinstance(word, Secret) else shlex.quote(str(word)) for word in self.words)

    def masked(self, text: str) -> str:
        """A text, such as what the program printed, without the command's secrets."""
        for word in self.words:
            if isinstance(word, Secret) and word.value:
                text = text.replace(word.value, MASK)
        return text

    def after(self, *words: Word) -> Command:
        """The same command behind others: `sudo -n`, `env NAME=value`."""
        return Command((*words, *self.words), self.timeout, self.accepted, self.input)


def script(text: str, *arguments: Word, timeout: float = TIMEOUT, accepted: tuple[int, ...] = (0,)) -> Command:
    """A constant shell script that gets its arguments as `$1`, `$2`: none is ever part of its text."""
    return Command(("sh", "-c", text, "sh", *arguments), timeout, accepted)
