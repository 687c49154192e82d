"""Which of several points no other point beats in every respect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from forecaster.arrays import Bools


def pareto_front(points: ArrayLike) -> Bools:
    """Mask of the points that no other dominates, `(points,)`; less is better in every column.

    A point dominates another if it is nowhere larger and somewhere smaller (Pareto 1896), so equal points are
    on the front together. A point with a value that is not finite is never on it.

    Args:
        points: `(points, objectives)`.
    """
    table = np.asarray(points, np.float64)
    usable = np.isfinite(table).all(axis=1)
    front = usable.copy()
    for at in np.flatnonzero(usable):
        rivals = table[usable]
        dominating = (rivals <= table[at]).all(axis=1) & (rivals < table[at]).any(axis=1)
        front[at] = not dominating.any()
    return np.asarray(front)
