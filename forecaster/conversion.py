"""The dry run of a release's conversion: the deployers' own code, before anything is promoted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deployers.conversion.budget import ConversionConfig
from deployers.conversion.conditions import Condition, finite, number
from deployers.exceptions import ConversionError as Unconvertible
from deployers.exceptions import DeployerError, InputError, MissingTool
from forecaster import errors

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ConversionConfig", "dry_run", "fidelity_condition", "growths", "headline", "percent"]

COSTS = ("instructions", "file_bytes", "arena_bytes")


def dry_run(release: Path, config: ConversionConfig) -> tuple[dict[str, Any], str]:
    """Convert a release as `python -m deployers convert` does, and keep the report alone.

    Args:
        release: release folder.
        config: types and budget.

    Returns:
        The figures of the fidelity report as plain values, None for what is not finite, and the report as a page.
        Nothing within budget is no error here: see `fidelity_condition`.

    Raises:
        InputError: the release has no test part, or is not what its manifest says.
        ConversionError: the converter crashed, took too long, or made another function of the model.
        StackError: LiteRT is not installed.
    """
    # The configuration's schema imports this module, and no command should wait for matplotlib.
    from deployers.conversion.proof import prove  # noqa: PLC0415

    try:
        proof = prove(release, config, build_engine=False)  # it would write into the checkout, and fetch sources
    except DeployerError as error:
        raise _as_ours(error) from error
    return finite(proof.figures), proof.page


def fidelity_condition(figures: dict[str, Any]) -> Condition:
    """What a conversion must meet: one type at least within budget.

    Args:
        figures: as `dry_run` gives them.
    """
    found = growths(figures)
    least = min((100 * value for value in found.values() if value is not None), default=math.nan)
    listed = ", ".join(f"{kind} {percent(value)}" for kind, value in found.items())
    return Condition(
        "least MAE growth of a converted type", least, "at most", 100 * figures["budget"]["mae_growth"], "%", listed
    )


def growths(figures: dict[str, Any]) -> dict[str, float | None]:
    """Share by which the MAE of each type is larger than that of float Keras; None where nothing was measured."""
    return {kind: found["mae_growth"] for kind, found in figures["types"].items()}


def percent(growth: float | None) -> str:
    """A growth for readers."""
    return "not measured" if growth is None else f"{number(round(100 * growth, 4))} %"


def headline(figures: dict[str, Any]) -> dict[str, float]:
    """The numbers a tracker lists, by type: MAE growth, instructions of a forecast, bytes of file and arena."""
    listed = {
        f"{kind}_{name}": found[name] for kind, found in figures["types"].items() for name in ("mae_growth", *COSTS)
    }
    return {name: value for name, value in listed.items() if value is not None}


def _as_ours(error: DeployerError) -> errors.ForecasterError:
    """The same message in the tree of errors that crosses the orchestrator."""
    pairs = {
        InputError: errors.InputError,
        MissingTool: errors.StackError,
        Unconvertible: errors.ConversionError,
    }
    kind = next((ours for theirs, ours in pairs.items() if isinstance(error, theirs)), errors.ForecasterError)
    return kind(str(error))
