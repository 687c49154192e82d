"""Gate."""

from typing import Any

from zenml import step

from forecaster.evaluation import Evaluation, GateConfig, gate_conditions
from forecaster.gate import require
from steps.caching import PURE


@step(cache_policy=PURE)
def gate(evaluation: dict[str, Any], config: GateConfig) -> None:
    """Refuse a model that does not beat persistence and ridge, and say by how much.

    Args:
        evaluation: metrics of model and baselines.
        config: what must be beaten, and by which margin.

    Raises:
        GateFailed: a condition is not met.
    """
    require("model gate", gate_conditions(Evaluation.from_dict(evaluation["evaluation"]), config))
