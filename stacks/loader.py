"""Registers a stack from its YAML where ZenML does not have it yet, and uses it for one run only."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forecaster.errors import StackError

if TYPE_CHECKING:
    from zenml.client import Client

STACKS = Path(__file__).resolve().parent
ACTIVE = "ZENML_ACTIVE_STACK_ID"
_REFERENCE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class Component(BaseModel):
    """One component of a stack."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name in ZenML; components of the same name are shared between stacks")
    flavor: str = Field(description="ZenML's flavor")
    configuration: dict[str, Any] = Field(default_factory=dict, description="the flavor's settings")


class Stack(BaseModel):
    """A stack file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name in ZenML")
    description: str = Field("", description="what this stack is for")
    components: dict[str, Component] = Field(description="component type to component")


def available() -> list[str]:
    """Names of the stack files."""
    return sorted(path.stem for path in STACKS.glob("*.yaml"))


def read_stack(name: str, home: Path) -> Stack:
    """Read `stacks/NAME.yaml` with `{home}` and `${VARIABLE:-default}` put in.

    Raises:
        StackError: no such file, a file against the schema, or an unset variable without a default.
    """
    path = STACKS / f"{name}.yaml"
    if name not in available():
        raise _unknown(name)
    try:
        return Stack.model_validate(_resolved(yaml.safe_load(path.read_text(encoding="utf-8")), home))
    except (ValidationError, yaml.YAMLError) as error:
        msg = f"stack file {path.name!r} is not valid: {' '.join(str(error).split())}"
        raise StackError(msg) from None


def use_stack(name: str, home: Path) -> str:
    """Make a stack the one of this process; the user's active stack in ZenML stays.

    Args:
        name: a stack file's name, or a stack that ZenML already knows.
        home: the project's home folder.

    Returns:
        The stack's name in ZenML.

    Raises:
        StackError: neither a file nor ZenML knows the stack, or it cannot be registered here.
    """
    from zenml.client import Client  # noqa: PLC0415 - reads the environment that the caller prepared

    os.environ.pop(ACTIVE, None)
    client = Client()
    if name in available():
        stack_id, stack_name = _registered(client, read_stack(name, home))
    else:
        stack_id, stack_name = _known(client, name)
    os.environ[ACTIVE] = stack_id
    return stack_name


def _unknown(name: str) -> StackError:
    known = ", ".join(available())
    return StackError(
        f"stack {name!r} is unknown, choose one of {known}, or register it in the ZenML that ZENML_CONFIG_PATH names"
    )


def _known(client: Client, name: str) -> tuple[str, str]:
    found = client.list_stacks(name=name)
    if not found.items:
        raise _unknown(name)
    return str(found.items[0].id), found.items[0].name


def _registered(client: Client, stack: Stack) -> tuple[str, str]:
    """Create what is missing and update what differs; the same call again changes nothing."""
    from zenml.enums import StackComponentType  # noqa: PLC0415 - as above

    try:
        components = {
            StackComponentType(kind): _component(client, StackComponentType(kind), component)
            for kind, component in stack.components.items()
        }
        found = client.list_stacks(name=stack.name)
        if not found.items:
            created = client.create_stack(name=stack.name, components=components)
            return str(created.id), created.name
        known = found.items[0]
        present = {kind: str(items[0].id) for kind, items in known.components.items()}
        if present != {kind: str(identifier) for kind, identifier in components.items()}:
            client.update_stack(known.id, component_updates={k: [v] for k, v in components.items()})
        return str(known.id), known.name
    except (ImportError, KeyError, ValueError, RuntimeError) as error:
        msg = f"stack {stack.name!r} cannot be registered here: {' '.join(str(error).split())}"
        raise StackError(msg) from error


def _component(client: Client, kind: Any, component: Component) -> Any:
    found = client.list_stack_components(type=kind, name=component.name)
    if not found.items:
        return client.create_stack_component(component.name, component.flavor, kind, component.configuration).id
    known = found.items[0]
    changed = {k: v for k, v in component.configuration.items() if known.configuration.get(k) != v}
    if changed:
        client.update_stack_component(known.id, kind, configuration=changed)
    return known.id


def _resolved(value: Any, home: Path) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(item, home) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, home) for item in value]
    if isinstance(value, str):
        return _REFERENCE.sub(_variable, value.replace("{home}", str(home)))
    return value


def _variable(match: re.Match[str]) -> str:
    name = match.group(1)
    value: str | None = os.environ.get(name, match.group(2))
    if value is None:
        msg = f"environment variable {name!r} is not set, the stack file needs it"
        raise StackError(msg)
    return value
