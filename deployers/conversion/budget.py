"""Which type a model is deployed in: the cheapest whose forecasts are still good enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from deployers.conversion.conditions import Condition
from deployers.conversion.cost import TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping


class ConversionConfig(BaseModel):
    """Conversion for a microcontroller, and what it may cost in accuracy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    types: tuple[str, ...] = Field(TYPES, min_length=1, description="types that may be deployed")
    mae_growth: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)] = Field(
        0.01, description="largest share by which the test MAE may grow against float Keras"
    )
    timeout_seconds: float = Field(
        600.0, gt=0, allow_inf_nan=False, description="time that TensorFlow's converter may take"
    )

    @field_validator("types")
    @classmethod
    def _known(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [kind for kind in types if kind not in TYPES]
        if unknown:
            msg = f"type {unknown[0]!r} is unknown, choose from {', '.join(TYPES)}"
            raise ValueError(msg)
        return types


def conditions(figures: Mapping[str, Mapping[str, Any]], config: ConversionConfig) -> dict[str, Condition]:
    """The condition that each type has to meet.

    Args:
        figures: of each type, see `Fidelity.figures`.
        config: the budget.
    """
    return {
        kind: Condition(
            f"MAE growth of {kind}",
            100 * figures[kind]["mae_growth"],
            "at most",
            100 * config.mae_growth,
            "%",
        )
        for kind in config.types
    }


def choose(figures: Mapping[str, Mapping[str, Any]], config: ConversionConfig) -> str | None:
    """The cheapest type within budget, by its instructions for one forecast; None if there is none.

    Args:
        figures: of each type, with its instructions.
        config: the budget.
    """
    within = [kind for kind, condition in conditions(figures, config).items() if condition.passed]
    return min(within, key=lambda kind: (figures[kind]["instructions"], figures[kind]["file_bytes"]), default=None)
