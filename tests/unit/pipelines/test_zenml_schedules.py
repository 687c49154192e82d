"""What each orchestrator is given for an expression, and what it leaves to do by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from forecaster.errors import ConfigError
from pipelines import zenml_schedules
from pipelines.cron import parse
from pipelines.scheduling import SCHEDULABLE
from pipelines.zenml_schedules import expression


@pytest.mark.parametrize(
    ("flavor", "written"),
    [
        ("airflow", "0,30 3 * * 0"),
        ("kubernetes", "0,30 3 * * 0"),
        ("vertex", "0,30 3 * * 0"),
        ("kubeflow", "0 0,30 3 * * 0"),
        ("sagemaker", "0,30 3 ? * SUN *"),
    ],
)
def test_each_orchestrator_gets_the_fields_it_reads(flavor: str, written: str) -> None:
    assert flavor in SCHEDULABLE
    assert expression(parse("*/30 3 * * 7"), flavor) == written


def test_sagemaker_is_not_given_what_eventbridge_cannot_take() -> None:
    either = parse("0 3 1 * mon")
    assert expression(either, "vertex") == "0 3 1 * 1"
    with pytest.raises(ConfigError, match="which EventBridge cannot: make two schedules"):
        expression(either, "sagemaker")


@pytest.mark.parametrize("flavor", SCHEDULABLE)
def test_what_is_left_to_do_is_told_where_zenml_cannot(flavor: str) -> None:
    schedule: Any = SimpleNamespace(name="nightly")
    component: Any = SimpleNamespace(flavor_name=flavor)
    left = zenml_schedules._by_hand(schedule, component)  # noqa: SLF001 - the way in removes a schedule of ZenML
    if flavor in ("airflow", "kubernetes"):
        assert left is None
    else:
        assert left is not None
        assert "delete the" in left


def test_an_orchestrator_that_is_gone_is_told_as_well() -> None:
    schedule: Any = SimpleNamespace(name="nightly")
    told = zenml_schedules._by_hand(schedule, None)  # noqa: SLF001
    assert told == "delete the schedule 'nightly' on the platform itself"
