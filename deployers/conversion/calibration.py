"""What the converter sees of a cell in use: features and states on their true trajectories, with a margin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from deployers.conversion.runtimes import Interpreter

    Floats = NDArray[np.float32]

# Features of the largest steps are also shown this much larger: a test part goes beyond its training part.
# int16 has room to spare. In int8 it would cost every ordinary step: a quarter more room makes the forecasts of the
# calibration sequences differ from float by 4 to 21 % more, where larger features than any seen merely saturate.
MARGIN = {"float32": 1.0, "int8": 1.0, "int16x8": 4.0}
LARGEST = 32


def calibration_steps(
    runtime: Interpreter, states: Iterable[str], features: Floats, kind: str
) -> Iterator[list[Floats]]:
    """Inputs of single steps: x and the states that the float cell has reached.

    Args:
        runtime: the float cell.
        states: names of its states.
        features: scaled features of sequences that each begin with a zero state, `(sequences, steps, inputs)`.
        kind: type that is calibrated.

    Yields:
        x and the states; after the trajectories the steps with the largest features, enlarged, and one step each
        with every state at −1 and at +1, so that no state a GRU can have is outside.
    """
    steps = list(trajectories(runtime, features))
    yield from steps
    largest = sorted(steps, key=lambda step: -float(np.abs(step[0]).max()))[:LARGEST]
    for x, *reached in largest:
        yield [x * np.float32(MARGIN[kind]), *reached]
    x, *reached = largest[-1]
    for bound in (-1, 1):
        yield [x, *(h if name == "w" else np.full_like(h, bound) for name, h in zip(states, reached, strict=True))]


def trajectories(runtime: Interpreter, features: Floats) -> Iterator[list[Floats]]:
    """X and the states before every step of every sequence."""
    for sequence in features.astype(np.float32):
        runtime.reset()
        for row in range(len(sequence)):
            yield [sequence[row : row + 1], *runtime.state]
            runtime.step(sequence[row : row + 1])
