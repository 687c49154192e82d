"""What a search leaves behind: one record a candidate, and the result."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from forecaster.arrays import Floats


def packed(weights: Floats) -> str:
    """Weights as text: base64 of little-endian 32-bit floats."""
    return base64.b64encode(weights.astype("<f4").tobytes()).decode()


def unpacked(text: str) -> Floats:
    """The inverse of `packed`."""
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)


@dataclass(frozen=True)
class Record:
    """One candidate that was trained.

    Attributes:
        index: number in the order of training.
        generation: generation it was born in, from 0.
        parents: indices of its parents.
        genome: its genes, as indices.
        candidate: what they mean.
        validation_rmse: °C, of the best checkpoint on the validation part.
        fold_ratios: RMSE over persistence's for each fold, the validation part first.
        fitness: mean of the ratios with the penalty for size; what the search lowers.
        rung_fitness: the same at each rung that it came to; the first can be compared between all candidates.
        best_update: update of the best checkpoint.
        updates: of its training on the validation part; fewer than others where it was given up before.
        parameters, macs: size of the network, multiply-accumulates of a forecast.
        cpu_seconds: cost of the training.
        finished: Unix time of its end.
        inherited: index of the parent whose weights its training began with; None if they were drawn.
    """

    index: int
    generation: int
    parents: tuple[int, ...]
    genome: tuple[int, ...]
    candidate: dict[str, Any]
    validation_rmse: float
    fold_ratios: tuple[float, ...]
    fitness: float
    rung_fitness: tuple[float, ...]
    best_update: int
    updates: int
    parameters: int
    macs: int
    cpu_seconds: float
    finished: float
    inherited: int | None = None

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Record:
        """The inverse of `dataclasses.asdict`, also from JSON."""
        lists = {name: tuple(fields[name]) for name in ("parents", "genome", "fold_ratios", "rung_fitness")}
        return cls(**{**fields, **lists})


@dataclass(frozen=True)
class SearchResult:
    """What the search found.

    Attributes:
        records: every candidate trained, in order.
        winner: index of the chosen one.
        finals: for each finalist its index, its fitness over all seeds and folds, its `margin` behind the best
            and the `standard_error` of that margin, both as mean squared ratios to persistence, and the median
            `best_update` of its trainings.
        stopped: why the search ended.
        cpu_seconds: of all its trainings, kept over a resume.
        weights: of the winner as the search leaves it, `packed`: the checkpoint with the lowest error on the validation
            part in any of its trainings, which learned from the training part alone. Results of before they were kept
            have none.
        peak_bytes: most memory that each process of the search has had, added up; what they share counts in each.
    """

    records: tuple[Record, ...]
    winner: int
    finals: tuple[dict[str, Any], ...]
    stopped: str
    cpu_seconds: float
    peak_bytes: int = 0
    weights: str = ""

    @property
    def best_update(self) -> int:
        """The winner's."""
        return int(next(final["best_update"] for final in self.finals if final["index"] == self.winner))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def summary(self) -> dict[str, Any]:
        """Figures a reviewer wants to see."""
        best = self.records[self.winner]
        return {
            "evaluations": len(self.records),
            "winner": self.winner,
            "validation_rmse": best.validation_rmse,
            "fitness": best.fitness,
            "parameters": best.parameters,
            "macs": best.macs,
            "stopped": self.stopped,
            "cpu_seconds": self.cpu_seconds,
            "peak_bytes": self.peak_bytes,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> SearchResult:
        """The inverse of `as_dict`."""
        return cls(
            **{
                **fields,
                "records": tuple(Record.from_dict(r) for r in fields["records"]),
                "finals": tuple(fields["finals"]),
            }
        )
