"""Gate."""

from typing import Any

from zenml import step

from forecaster.conversion import fidelity_condition
from forecaster.evaluation import Evaluation, GateConfig, gate_conditions
from forecaster.gate import require
from steps.caching import PURE


@step(cache_policy=PURE)
def gate(evaluation: dict[str, Any], fidelity: dict[str, Any], config: GateConfig) -> None:
    """Refuse a model that does not beat persistence and ridge, or that loses too much in every type it converts to.

    Args:
        evaluation: metrics of model and baselines.
        fidelity: figures of the conversion, with its budget.
        config: what must be beaten, and by which margin.

    Raises:
        GateFailed: a condition is not met; each is told with its value.
    """
    conditions = gate_conditions(Evaluation.from_dict(evaluation["evaluation"]), config)
    require("model gate", [*conditions, fidelity_condition(fidelity)])
