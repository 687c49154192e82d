"""How much each gene mattered, told from the candidates of one search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from forecaster.arrays import Doubles, Rows

SHUFFLES = 200
CHANCE = 0.95
# A few candidates can be shuffled in so few ways that chance does the very same.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Importance:
    """What one gene explains.

    Attributes:
        gene: its name.
        share: of the variance of log fitness, by its value alone, 0 to 1.
        chance: the share that as many values without any meaning stay below in 95 of 100 cases.
    """

    gene: str
    share: float
    chance: float

    @property
    def is_clear(self) -> bool:
        """Whether chance hardly explains it."""
        return self.share > self.chance + ROUNDING


def importance(genes: Mapping[str, Sequence[Any]], fitness: ArrayLike, seed: int = 0) -> list[Importance]:
    """The main effect of each gene (one-way analysis of variance), the greatest first.

    The share is epsilon squared (Kelley 1935): the share of the variance between values, less what as many values
    explain of noise. A gene that acts only together with another is not seen, and a search that follows what is good
    has few candidates left of what is bad.

    Args:
        genes: a value for each candidate, by gene.
        fitness: of each candidate, `(candidates,)`, above 0; those that are not finite are left out.
        seed: of the shuffles that say what chance does.
    """
    found = np.asarray(fitness, np.float64)
    finite = np.isfinite(found) & (found > 0)
    log, rng = np.log(found[finite]), np.random.default_rng(seed)
    shuffled = [rng.permutation(log) for _ in range(SHUFFLES)]
    rows = []
    for name, values in genes.items():
        groups = _groups([value for value, is_finite in zip(values, finite, strict=True) if is_finite])
        chance = float(np.quantile([_share(groups, each) for each in shuffled], CHANCE))
        rows.append(Importance(name, _share(groups, log), chance))
    return sorted(rows, key=lambda row: row.share, reverse=True)


def _groups(values: Sequence[Any]) -> Rows:
    """A number for each value, the same for the same."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(repr(value), len(known)) for value in values], np.int64)


def _share(groups: Rows, log: Doubles) -> float:
    """Epsilon squared; 0 where there is nothing to explain or nothing left to judge it by."""
    count, total = len(np.unique(groups)), float(np.square(log - log.mean()).sum()) if len(log) else 0.0
    if total == 0 or not 1 < count < len(log):
        return 0.0
    sizes, sums = np.bincount(groups), np.bincount(groups, weights=log)
    between = float((np.square(sums) / sizes).sum() - log.sum() ** 2 / len(log))
    noise = (total - between) / (len(log) - count)
    return min(max(0.0, (between - (count - 1) * noise) / total), 1.0)
