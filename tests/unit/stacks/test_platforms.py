"""What the platforms' stack files ask for a training step, and for a GPU only where one is wanted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from stacks import loader

NEEDED = re.compile(r"\$\{(\w+)\}")
PLATFORMS = ("kubernetes", "kubeflow", "sagemaker", "vertex")


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Gives the run settings of a stack whose variables are set."""

    def read(name: str, **variables: str) -> dict[str, Any]:
        for needed in NEEDED.findall((loader.STACKS / f"{name}.yaml").read_text()):
            monkeypatch.setenv(needed, "there")
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        return loader.run_settings(loader.read_stack(name, tmp_path))

    return read


def limits(settings: dict[str, Any], step: str) -> dict[str, str]:
    """Of the pod that does a step's work."""
    given = settings["steps"][step]["settings"]
    (key,) = given.keys() & {"orchestrator.kubernetes", "step_operator.kubernetes"}
    return dict(given[key]["pod_settings"]["resources"]["limits"])


@pytest.mark.parametrize("name", PLATFORMS)
def test_search_and_train_get_the_same(settings, name: str) -> None:
    steps = settings(name)["steps"]
    assert set(steps) == {"search", "train"}
    assert steps["search"] == steps["train"]


def test_no_gpu_unless_one_is_asked_for(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGELOOP_TRAIN_GPUS", raising=False)
    assert limits(settings("kubernetes"), "search") == limits(settings("kubeflow"), "search") == {"memory": "4Gi"}
    assert settings("vertex")["steps"]["train"]["settings"]["resources"]["gpu_count"] == 0


def test_a_gpu_where_one_is_asked_for(settings) -> None:
    for name in ("kubernetes", "kubeflow"):
        assert limits(settings(name, EDGELOOP_TRAIN_GPUS="2"), "train")["nvidia.com/gpu"] == "2"
    asked = settings("vertex", EDGELOOP_TRAIN_GPUS="2")["steps"]["search"]["settings"]
    assert asked["resources"]["gpu_count"] == 2
    chosen = settings("sagemaker", EDGELOOP_TRAIN_INSTANCE="ml.g4dn.xlarge")["steps"]["train"]["settings"]
    assert chosen["orchestrator.sagemaker"]["instance_type"] == "ml.g4dn.xlarge"


def test_kubeflow_is_asked_for_processors_only(settings) -> None:
    # A memory limit ends the submission there with a TypeError of KFP's.
    read = settings("kubeflow")
    assert set(read["settings"]["resources"]) == {"cpu_count"}
    assert set(read["steps"]["train"]["settings"]["resources"]) == {"cpu_count"}
    assert read["steps"]["train"]["settings"]["resources"]["cpu_count"] < read["settings"]["resources"]["cpu_count"]


def test_kubeflow_trains_by_a_step_operator_and_no_other_platform_does(settings) -> None:
    named = {name: settings(name)["steps"]["train"].get("step_operator") for name in PLATFORMS}
    assert named == {"kubernetes": None, "kubeflow": "edgeloop-kubeflow", "sagemaker": None, "vertex": None}


@pytest.mark.parametrize(
    ("variables", "namespace"),
    [
        ({}, "kubeflow"),
        ({"EDGELOOP_KUBEFLOW_NAMESPACE": "pipelines"}, "pipelines"),
        ({"EDGELOOP_KUBEFLOW_NAMESPACE": "pipelines", "EDGELOOP_KUBEFLOW_PROFILE": "team"}, "team"),
    ],
)
def test_the_operator_starts_its_jobs_where_the_tasks_run(
    settings, tmp_path: Path, variables: dict[str, str], namespace: str
) -> None:
    settings("kubeflow", **variables)
    operator = loader.read_stack("kubeflow", tmp_path).components["step_operator"]
    assert operator.configuration == {"incluster": True, "kubernetes_namespace": namespace}


def test_kubernetes_gives_its_token_as_a_secret(settings, tmp_path: Path) -> None:
    settings("kubernetes")
    orchestrator = loader.read_stack("kubernetes", tmp_path).components["orchestrator"]
    assert orchestrator.configuration["pass_zenml_token_as_secret"] is True
