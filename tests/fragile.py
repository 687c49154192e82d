"""A fold whose trainings end their process, fail or take time on request; workers import it by its name."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forecaster.genome import Candidate
from forecaster.gru.architecture import Recipe
from forecaster.tasks import Task
from forecaster.trials import Trial

if TYPE_CHECKING:
    from forecaster.arrays import Floats

CANDIDATE = Candidate(("difference:1",), "gru", 8, Recipe())


class NotTrainedError(Exception):
    """Stands for whatever a training may raise."""


@dataclass
class Fragile:
    """Stands for a fold; the seed of a task says what its training does.

    Attributes:
        folder: where it notes every process that it was sent to, and every training.
        deaths: how many processes a seed ends before it succeeds.
        seconds: how long a seed's training takes; another's takes none.
        errors: seeds whose training raises.
    """

    folder: Path
    deaths: dict[int, int] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    errors: tuple[int, ...] = ()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.note("sent")

    def note(self, what: str) -> None:
        with (self.folder / what).open("a") as file:
            file.write(f"{os.getpid()}\n")

    def noted(self, what: str) -> list[int]:
        """The processes that noted it, once for each time."""
        path = self.folder / what
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def trained(self, _candidate: Candidate, seed: int, _initial: Floats | None) -> tuple[Trial, Floats]:
        self.note(f"trained {seed}")
        if len(self.noted(f"trained {seed}")) <= self.deaths.get(seed, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if seed in self.errors:
            msg = f"seed {seed}"
            raise NotTrainedError(msg)
        time.sleep(self.seconds.get(seed, 0.0))
        return Trial(0, float(seed), 1.0, np.ones(1), 1), np.full(3, seed, np.float32)


def task(seed: int) -> Task:
    """The task of a seed; it has the seed's number."""
    return Task(seed, CANDIDATE, 0, 1, seed)
