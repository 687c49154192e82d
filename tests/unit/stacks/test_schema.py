"""What a stack file may hold: each thing that does not belong there is refused by name."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from pydantic import ValidationError

from stacks.schema import Stack

WHOLE: dict[str, Any] = {
    "name": "made-here",
    "description": "for tests",
    "components": {
        "orchestrator": {"name": "o", "flavor": "local"},
        "artifact_store": {"name": "a", "flavor": "s3", "configuration": {"path": "s3://b"}, "secret": "keys"},
        "step_operator": {"name": "gpu", "flavor": "kubernetes"},
    },
    "requires": {
        "integrations": ["s3"],
        "packages": ["docker"],
        "variables": {"PLACE": "where it lies"},
        "services": [
            {"name": "web", "url": "http://h", "how": "start it"},
            {"name": "s", "address": "h:1", "how": "x"},
        ],
        "image": "i:1",
    },
    "settings": {"docker": {"parent_image": "i:1"}},
    "steps": {"train": {"settings": {"docker": {}}, "step_operator": "gpu", "resources": {"cpu_count": "2"}}},
    "schedules": True,
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The whole file with one place changed; None takes the place away."""
    file = deepcopy(WHOLE)
    *parents, last = path.split(".")
    place: Any = file
    for parent in parents:
        place = place[int(parent) if isinstance(place, list) else parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return file


def test_everything_a_file_may_hold_is_read() -> None:
    stack = Stack.model_validate(WHOLE)
    assert stack.components["artifact_store"].secret == "keys"  # noqa: S105 - a name
    assert stack.steps["train"].resources.cpu_count == 2.0
    assert stack.requires.variables == {"PLACE": "where it lies"}
    assert stack.schedules


def test_most_of_it_may_be_left_out() -> None:
    components = {kind: WHOLE["components"][kind] for kind in ("orchestrator", "artifact_store")}
    stack = Stack.model_validate({"name": "n", "components": components})
    assert (stack.description, stack.settings, stack.steps, stack.schedules) == ("", {}, {}, False)
    assert stack.requires.integrations == ()


def test_variables_may_be_named_without_words() -> None:
    assert Stack.model_validate(changed("requires.variables", ["A", "B"])).requires.variables == {"A": "", "B": ""}


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("colour", "red", "colour"),
        ("components.orchestrator.colour", "red", "components.orchestrator.colour"),
        ("requires.services.0.port", 1, "requires.services.0.port"),
        ("steps.train.cpus", 1, "steps.train.cpus"),
        ("steps.train.resources.cpus", 1, "steps.train.resources.cpus"),
        ("requires.extra", [], "requires.extra"),
        ("name", None, "name"),
        ("name", "two words", "name"),
        ("name", "", "name"),
        ("name", "-begins-with-a-dash", "name"),
        ("components", {}, "components lack orchestrator and artifact_store"),
        ("components.orchestrator", None, "components lack orchestrator"),
        ("components.artifact_store", None, "components lack artifact_store"),
        ("components.orchestra", {"name": "o", "flavor": "local"}, "components.orchestra"),
        ("components.orchestrator.flavor", None, "components.orchestrator.flavor"),
        ("components.orchestrator.flavor", "../local", "components.orchestrator.flavor"),
        ("components.orchestrator.configuration", ["a"], "components.orchestrator.configuration"),
        ("components.artifact_store.secret", "{{a.b}}", "components.artifact_store.secret"),
        ("requires.integrations", "s3", "requires.integrations"),
        ("requires.variables", {"NOT A NAME": ""}, "requires.variables"),
        ("requires.services.0.how", None, "requires.services.0.how"),
        ("requires.services.0.how", "", "requires.services.0.how"),
        ("requires.services.0.url", None, "service 'web' needs either url or address"),
        ("requires.services.0.address", "h:1", "service 'web' needs either url or address"),
        ("settings.docker", "image", "settings.docker"),
        ("steps.train.resources.cpu_count", 0, "steps.train.resources.cpu_count"),
        ("steps.train.resources.memory", "4 GB", "steps.train.resources.memory"),
        ("steps.train.resources.memory", "4G", "steps.train.resources.memory"),
        ("steps.train.resources.gpu_count", -1, "steps.train.resources.gpu_count"),
        (
            "steps.train.step_operator",
            "cpu",
            "step 'train' asks for step operator 'cpu' on a stack whose step operator is",
        ),
        ("components.step_operator", None, "asks for step operator 'gpu' on a stack that has no step operator"),
        ("schedules", "perhaps", "schedules"),
    ],
)
def test_what_does_not_belong_there_is_refused(path: str, value: Any, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Stack.model_validate(changed(path, value))
    places = "; ".join(f"{'.'.join(map(str, one['loc']))} {one['msg']}" for one in caught.value.errors())
    assert told in places


def test_a_stack_that_was_read_stays_as_it_is() -> None:
    stack = Stack.model_validate(WHOLE)
    with pytest.raises(ValidationError, match="frozen"):
        stack.name = "other"
