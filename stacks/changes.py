"""What ZenML would have to change so that a stack is as its file says, and making it so."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from forecaster.errors import StackError
from stacks.flavors import Flavors
from stacks.references import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zenml.client import Client

    from stacks.schema import Component, Stack

ACTIVE = "ZENML_ACTIVE_STACK_ID"
STACK = "stack"
Action = Literal["create", "update", "remove key", "replace", "add secret", "remove secret", "attach", "detach"]


@dataclass(frozen=True)
class Change:
    """One thing that differs between a stack's file and ZenML.

    Attributes:
        action: what is to be done.
        kind: a component type, or `stack`.
        name: whose.
        key: which setting; for `attach` and `detach` the stack.
        before: what ZenML has, `***` for a secret.
        after: what the file says, likewise.
    """

    action: Action
    kind: str
    name: str
    key: str = ""
    before: Any = None
    after: Any = None

    def sentence(self) -> str:
        """The change in words."""
        what = f"{self.kind} {self.name!r}"
        return {
            "create": f"create {what}" + (f", flavor {self.after}" if self.kind != STACK else ""),
            "update": f"update {what}: {self.key} {self.before!r} → {self.after!r}",
            "remove key": f"update {what}: remove {self.key} {self.before!r}",
            "replace": f"replace {what}: {self.key} {self.before!r} → {self.after!r}{self._kept()}",
            "add secret": f"update {what}: give it secret {self.after!r}",
            "remove secret": f"update {what}: take secret {self.before!r} from it",
            "attach": f"attach {what} to stack {self.key!r}" + (f" instead of {self.before!r}" if self.before else ""),
            "detach": f"detach {what} from stack {self.key!r}",
        }[self.action]

    def _kept(self) -> str:
        return " (what lies in the old one stays readable)" if self.kind == "artifact_store" else ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**{k: v for k, v in vars(self).items() if v not in (None, "")}, "sentence": self.sentence()}


def plan(client: Client, stack: Stack) -> list[Change]:
    """What differs between a stack's file and ZenML; nothing is changed.

    Raises:
        StackError: a flavor or a setting ZenML does not know, a secret that is absent or stands in the file.
    """
    return [change for changes in _plans(client, stack).values() for change in changes]


def apply(client: Client, stack: Stack) -> list[Change]:
    """Change what differs; the same call again changes nothing.

    Components first, then the stack: whoever is cut off in between repeats the call. The user's active stack stays.

    Returns:
        What was changed.

    Raises:
        StackError: as for `plan`, or ZenML refuses.
    """
    from zenml.enums import StackComponentType  # noqa: PLC0415 - reads the environment that the caller prepared

    plans = _plans(client, stack)
    if not any(plans.values()):
        return []
    with _without_choice():
        ids = {
            StackComponentType(kind): _apply_component(client, StackComponentType(kind), component, plans[kind])
            for kind, component in stack.components.items()
        }
        found = _stack(client, stack.name)
        identity = found.id if found else client.create_stack(name=stack.name, components=ids).id
        if found is None or any(change.kind == STACK or change.key == stack.name for change in plans[STACK]):
            gone: dict[Any, list[Any]] = {kind: [] for kind in (found.components if found else {}) if kind not in ids}
            updates = {**{kind: [value] for kind, value in ids.items()}, **gone}
            client.update_stack(identity, description=stack.description, component_updates=updates)
    return [change for changes in plans.values() for change in changes]


def _plans(client: Client, stack: Stack) -> dict[str, list[Change]]:
    """Changes by component type, and those of the stack itself."""
    flavors = Flavors(client)
    flavors.verify(stack)
    plans: dict[str, list[Change]] = {
        kind: _component_plan(client, flavors, kind, c) for kind, c in stack.components.items()
    }
    return {**plans, STACK: _stack_plan(client, stack, plans)}


def _component_plan(client: Client, flavors: Flavors, kind: str, component: Component) -> list[Change]:
    wanted, known = flavors.configuration(kind, component), _component(client, kind, component.name)
    secret = _secret(client, component.secret) if component.secret else None
    if known is None:
        return [Change("create", kind, component.name, after=component.flavor)]
    if known.flavor_name != component.flavor:
        return [Change("replace", kind, component.name, "flavor", known.flavor_name, component.flavor)]
    hidden = flavors.secret_keys(kind, component.flavor)
    changes = list(_configuration_plan(kind, component.name, known.configuration, wanted, hidden))
    for name, identity in _secrets(client, known.secrets).items():
        if identity != secret:
            changes.append(Change("remove secret", kind, component.name, before=name))
    if secret is not None and secret not in known.secrets:
        changes.append(Change("add secret", kind, component.name, after=component.secret))
    return changes


def _configuration_plan(
    kind: str, name: str, has: dict[str, Any], wanted: dict[str, Any], hidden: frozenset[str]
) -> Iterator[Change]:
    for key in sorted({*has, *wanted}):
        before, after = (masked({key: values.get(key)}, hidden)[key] for values in (has, wanted))
        if has.get(key) == wanted.get(key):
            continue
        if kind == "artifact_store" and key == "path":  # its artifacts could not be read under another path
            yield Change("replace", kind, name, key, before, after)
        elif key in wanted:
            yield Change("update", kind, name, key, before, after)
        else:
            yield Change("remove key", kind, name, key, before)


def _stack_plan(client: Client, stack: Stack, plans: dict[Any, list[Change]]) -> list[Change]:
    known = _stack(client, stack.name)
    if known is None:
        return [Change("create", STACK, stack.name)]
    changes = []
    for kind, component in stack.components.items():
        present = [item.name for item in known.components.get(kind, [])]
        made_anew = any(change.action in ("create", "replace") for change in plans[kind])
        if present != [component.name] or made_anew:
            before = ", ".join(name for name in present if name != component.name)
            changes.append(Change("attach", kind, component.name, stack.name, before=before))
    for kind, items in known.components.items():
        changes += [Change("detach", str(kind), i.name, stack.name) for i in items if kind not in stack.components]
    if stack.description and known.description != stack.description:
        changes.append(Change("update", STACK, stack.name, "description", known.description, stack.description))
    return changes


def _apply_component(client: Client, kind: Any, component: Component, changes: list[Change]) -> Any:
    """Make one component as its file says; returns its id."""
    configuration = {key: value for key, value in component.configuration.items() if value is not None}
    known = _component(client, kind, component.name)
    if known is None:
        secrets = [component.secret] if component.secret else None
        return client.create_stack_component(component.name, component.flavor, kind, configuration, secrets=secrets).id
    if any(change.action == "replace" for change in changes):
        return _replace(client, kind, component, known)
    edits = {c.key: configuration.get(c.key) for c in changes if c.action in ("update", "remove key")}
    if edits:  # a key that is None is removed
        client.update_stack_component(known.id, kind, configuration=edits)
    added = [c.after for c in changes if c.action == "add secret"]
    removed = [c.before for c in changes if c.action == "remove secret"]
    if added or removed:
        client.update_stack_component(known.id, kind, add_secrets=added, remove_secrets=removed)
    return known.id


def _replace(client: Client, kind: Any, component: Component, old: Any) -> Any:
    """Another component under the same name, in every stack that has the old one.

    A flavor cannot be changed in place. An old artifact store is kept under another name: artifacts
    refer to it, and ZenML can load them for as long as it is there.
    """
    client.update_stack_component(old.id, kind, name=f"{component.name}-{old.id.hex[:8]}")
    new = _apply_component(client, kind, component, [])
    for stack in client.list_stacks(component_id=old.id, size=1000).items:
        client.update_stack(stack.id, component_updates={kind: [new]})
    if kind != "artifact_store":
        client.delete_stack_component(old.id, kind)
    return new


@contextmanager
def _without_choice() -> Iterator[None]:
    """Hide this process' choice: ZenML saves the chosen stack as the user's own when that stack is updated."""
    chosen = os.environ.pop(ACTIVE, None)
    try:
        yield
    finally:
        if chosen is not None:
            os.environ[ACTIVE] = chosen


def _component(client: Client, kind: Any, name: str) -> Any:
    return next(iter(client.list_stack_components(type=kind, name=name).items), None)


def _stack(client: Client, name: str) -> Any:
    return next(iter(client.list_stacks(name=name, hydrate=True).items), None)


def _secret(client: Client, name: str) -> Any:
    try:
        return client.get_secret(name, allow_partial_name_match=False, allow_partial_id_match=False).id
    except KeyError:
        msg = f"ZenML has no secret {name!r}, the stack file needs it: zenml secret create {name} --KEY=VALUE"
        raise StackError(msg) from None


def _secrets(client: Client, identities: Any) -> dict[str, Any]:
    found = client.list_secrets(size=1000).items if identities else []
    return {secret.name: secret.id for secret in found if secret.id in identities}
