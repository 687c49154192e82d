"""Each platform is asked about its own runs; of the others nothing is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import zenml.client
from zenml.enums import ExecutionStatus

from stacks import airflow, following, hosts
from stacks.schema import Component, Stack

OPTIONS = {"settings": {"docker": {"skip_build": True}}}
RUNNING, COMPLETED = ExecutionStatus.RUNNING, ExecutionStatus.COMPLETED


def stack(flavor: str) -> Stack:
    parts = {"orchestrator": Component(name="o", flavor=flavor), "artifact_store": Component(name="a", flavor="local")}
    return Stack(name="s", components=parts)


@pytest.mark.parametrize("of", [stack("local"), stack("kubernetes"), None], ids=["local", "kubernetes", "no file"])
def test_of_platforms_that_cannot_be_asked_nothing_is_known(of: Stack | None) -> None:
    options, lost = following.followed(of, "data-1", OPTIONS)
    assert options == OPTIONS
    assert lost() is None


def test_airflow_is_asked_about_its_own_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    told = ({**OPTIONS, "tags": ["dag"]}, lambda: "failed in Airflow")
    monkeypatch.setattr(airflow, "followed", lambda of, name, options: told if name == "data-1" else None)
    assert following.followed(stack("airflow"), "data-1", OPTIONS) is told


@pytest.mark.parametrize(
    ("why", "steps", "expected"),
    [
        (None, {"clean": RUNNING}, None),
        ("is gone", {"clean": COMPLETED, "split": RUNNING}, "step 'split' is gone"),
        ("is gone", {"split": RUNNING, "scale": RUNNING}, "step 'split' and 'scale' is gone"),
        ("is gone", {"clean": COMPLETED}, "step to come is gone"),
    ],
)
def test_the_host_is_asked_about_a_run_over_ssh(
    monkeypatch: pytest.MonkeyPatch, why: str | None, steps: dict[str, ExecutionStatus], expected: str | None
) -> None:
    asked: list[Any] = []
    found = SimpleNamespace(id=7, steps={name: SimpleNamespace(status=status) for name, status in steps.items()})
    client = SimpleNamespace(get_pipeline_run=lambda name: (asked.append(name), found)[1])
    monkeypatch.setattr(zenml.client, "Client", lambda: client)
    monkeypatch.setattr(hosts, "lost", lambda orchestrator, run: (asked.append((orchestrator.flavor, run)), why)[1])
    options, lost = following.followed(stack("ssh"), "data-1", OPTIONS)
    assert (options, asked) == (OPTIONS, [])
    assert lost() == expected
    assert asked == ["data-1", ("ssh", "7")]
