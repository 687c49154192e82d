"""The gate that collects every condition that failed; what a condition is, reports and deployers share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployers.conversion.conditions import Condition, failures, number
from forecaster.errors import GateFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Condition", "failures", "number", "require"]


def require(gate: str, conditions: Iterable[Condition]) -> None:
    """Let a run pass, or stop it with every failed condition at once.

    Raises:
        GateFailed: at least one condition was not met.
    """
    failed = failures(conditions)
    if failed:
        raise GateFailed(gate, failed)
