"""A run whose containers could not start, or whose artifacts could not be kept, is refused before its first step."""

from __future__ import annotations

from typing import Any

import pytest

from forecaster.errors import ServiceUnavailable, StackError
from stacks import refusals
from stacks.schema import Stack


def stack(flavor: str = "local_docker", image: str | None = "edgeloop-pipelines:abc", store: str = "local") -> Stack:
    parts = {"orchestrator": {"name": "o", "flavor": flavor}, "artifact_store": {"name": "a", "flavor": store}}
    return Stack.model_validate({"name": "s", "components": parts, "requires": {"image": image}})


def found(monkeypatch: pytest.MonkeyPatch, there: bool | None, words: str = "words") -> list[str]:
    """Docker answers this; gives the images that were asked for."""
    asked: list[str] = []

    def probe(name: str) -> tuple[Any, str]:
        asked.append(name)
        return there, words

    monkeypatch.setattr(refusals.probes, "image", probe)
    return asked


def test_an_image_that_is_there_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = found(monkeypatch, True)
    refusals.require_image(stack())
    assert asked == ["edgeloop-pipelines:abc"]


@pytest.mark.parametrize("flavor", ["local_docker", "airflow"])
def test_a_missing_image_is_a_matter_of_make_image(monkeypatch: pytest.MonkeyPatch, flavor: str) -> None:
    found(monkeypatch, False, "Docker has no image 'edgeloop-pipelines:abc'")
    with pytest.raises(
        StackError, match=r"^Docker has no image 'edgeloop-pipelines:abc'.*'s'.*make image.*EDGELOOP_IMAGE$"
    ):
        refusals.require_image(stack(flavor))


def test_a_daemon_that_does_not_answer_is_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, None, "Docker does not answer (no such file)")
    with pytest.raises(
        ServiceUnavailable, match=r"^Docker does not answer \(no such file\).*'s'.*start it.*DOCKER_HOST$"
    ):
        refusals.require_image(stack())


@pytest.mark.parametrize("other", [None, stack("kubernetes"), stack("local"), stack(image=None)])
def test_other_stacks_are_not_looked_at(monkeypatch: pytest.MonkeyPatch, other: Stack | None) -> None:
    asked = found(monkeypatch, False)
    refusals.require_image(other)
    assert asked == []


def kept(monkeypatch: pytest.MonkeyPatch, there: bool | None) -> list[str]:
    """The artifact store answers this; gives the stores that were asked for."""
    asked: list[str] = []

    def probe(client: str, component: Any) -> tuple[Any, str]:
        asked.append(component.name)
        return there, f"s3://bucket cannot be written (PermissionError: {client})"

    monkeypatch.setattr(refusals.probes, "artifact_store", probe)
    return asked


def test_a_bucket_that_may_not_be_written_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kept(monkeypatch, False)
    with pytest.raises(
        ServiceUnavailable, match=r"'s': s3://bucket.*PermissionError: denied.*run the same command again$"
    ):
        refusals.require_store("denied", stack(store="s3"))  # type: ignore[arg-type]


@pytest.mark.parametrize("there", [True, None])
def test_a_bucket_that_takes_files_or_is_unknown_is_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, there: bool | None
) -> None:
    asked = kept(monkeypatch, there)
    refusals.require_store("client", stack(store="s3"))  # type: ignore[arg-type]
    assert asked == ["a"]


@pytest.mark.parametrize("other", [None, stack()])
def test_files_of_this_machine_are_not_looked_at(monkeypatch: pytest.MonkeyPatch, other: Stack | None) -> None:
    asked = kept(monkeypatch, False)
    refusals.require_store("client", other)  # type: ignore[arg-type]
    assert asked == []
