"""What there is: stack files beside ZenML's stacks, and one stack in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forecaster.errors import StackError
from stacks.flavors import Flavors
from stacks.loader import available, connected, plan, read_with_gaps, zenml_errors
from stacks.references import masked

if TYPE_CHECKING:
    from pathlib import Path

    from zenml.client import Client

    from stacks.schema import Stack

READ_ONLY = "stacks cannot be listed"


def overview(home: Path) -> dict[str, Any]:
    """Every stack file with its state, and the stacks that only ZenML knows.

    Returns:
        `stacks`: file, stack, description, orchestrator, artifact_store, schedules, state, missing, changes;
        `active`: the name of the user's active stack.
    """
    client = connected()
    with zenml_errors(READ_ONLY):
        rows = [_row(client, name, home) for name in available()]
        named = {row["stack"] for row in rows}
        known = [_known_row(stack) for stack in client.list_stacks(size=1000).items if stack.name not in named]
        return {"stacks": rows + known, "active": client.active_stack_model.name}


def details(name: str, home: Path) -> dict[str, Any]:
    """One stack file with its references put in.

    Raises:
        StackError: the file cannot be used, or variables are unset that it cannot be shown without.
    """
    stack, missing = read_with_gaps(name, home)
    if stack is None:
        msg = f"stack {name!r} cannot be shown before these variables are set: {', '.join(missing)}"
        raise StackError(msg)
    client = connected()
    with zenml_errors(READ_ONLY):
        flavors = Flavors(client)
        shown = stack.model_dump(mode="json", exclude_defaults=True)
        for kind, component in stack.components.items():
            hidden = flavors.secret_keys(kind, component.flavor)
            shown["components"][kind]["configuration"] = masked(component.configuration, hidden)
        changes = None if missing else [change.as_dict() for change in plan(client, stack)]
    rest = {key: masked(value) for key, value in shown.items() if key != "components"}
    return {**rest, "components": shown["components"], "file": name, "missing": missing, "changes": changes}


def _row(client: Client, name: str, home: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"file": name, "stack": f"edgeloop-{name}", "missing": [], "changes": None}
    try:
        stack, row["missing"] = read_with_gaps(name, home)
    except StackError as error:
        return {**row, "state": "not valid", "reason": str(error)}
    if stack is None:
        return {**row, "state": "variables are unset"}
    row |= _described(stack)
    if row["missing"]:
        return {**row, "state": "variables are unset"}
    try:
        changes = plan(client, stack)
    except StackError as error:
        return {**row, "state": "cannot be used", "reason": str(error)}
    new = any(change.action == "create" and change.kind == "stack" for change in changes)
    state = "not registered" if new else "differs from its file" if changes else "registered"
    return {**row, "state": state, "changes": len(changes)}


def _described(stack: Stack) -> dict[str, Any]:
    flavors: dict[str, str] = {kind: component.flavor for kind, component in stack.components.items()}
    kinds = ("orchestrator", "artifact_store", "step_operator")
    return {
        "stack": stack.name,
        "description": stack.description,
        "schedules": stack.schedules,
        **{kind: flavors.get(kind) for kind in kinds},
    }


def _known_row(stack: Any) -> dict[str, Any]:
    return {"file": None, "stack": stack.name, "state": "known to ZenML only", "missing": [], "changes": None}
