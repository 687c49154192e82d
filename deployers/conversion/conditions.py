"""Conditions with a measured value and a limit, and numbers as reports write them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST_EXACT = 2.0**53  # whole numbers beyond it are not exact in a float
FOUR_DIGITS = 10_000.0  # from here on four significant digits would need an exponent

Bound = Literal["at most", "at least"]


@dataclass(frozen=True)
class Condition:
    """One measured value against one limit.

    Attributes:
        name: what was measured, in words a reviewer knows.
        value: the measured value; a value that is not finite never passes.
        bound: whether `limit` is the largest or the smallest value allowed.
        limit: the threshold, in the unit of `value`.
        unit: unit of both, e.g. "°C" or "share".
        detail: where or why, shown behind the numbers.
    """

    name: str
    value: float
    bound: Bound
    limit: float
    unit: str = ""
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether the value is finite and keeps the limit."""
        kept = self.value <= self.limit if self.bound == "at most" else self.value >= self.limit
        return kept and math.isfinite(self.value)

    def sentence(self) -> str:
        """The condition in words: name, value, limit, detail."""
        unit = f" {self.unit}" if self.unit else ""
        tail = f" ({self.detail})" if self.detail else ""
        return f"{self.name} is {number(self.value)}{unit}, must be {self.bound} {number(self.limit)}{unit}{tail}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the verdict."""
        return {**asdict(self), "passed": self.passed}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Condition:
        """The inverse of `as_dict`."""
        return cls(**{key: value for key, value in fields.items() if key != "passed"})


def failures(conditions: Iterable[Condition]) -> list[Condition]:
    """The conditions that were not met, in their order."""
    return [condition for condition in conditions if not condition.passed]


def finite(value: Any) -> Any:
    """Plain values as JSON has them: None for every number that is not finite."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(value: float) -> str:
    """A number for readers: whole numbers with thousands separators, others with four significant digits."""
    if not math.isfinite(value):
        return "not measured" if math.isnan(value) else str(value)
    if float(value).is_integer() and abs(value) < LARGEST_EXACT:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= FOUR_DIGITS else f"{value:.4g}"
