"""Reads stack files and uses a stack for one run: ZenML gets what it lacks of it, the user's own choice stays."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from forecaster.errors import ServiceUnavailable, StackError
from stacks.changes import ACTIVE, Change, apply, plan
from stacks.flavors import nearest
from stacks.image import image_name
from stacks.references import References, in_words, is_reference, literal_credentials
from stacks.schema import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zenml.client import Client

__all__ = ["ACTIVE", "Change", "apply", "available", "plan", "read_stack", "run_settings", "use_stack", "used_stack"]

STACKS = Path(__file__).resolve().parent
_used: list[Stack] = []  # at most one: the stack of this process, as ACTIVE is its choice


def available() -> list[str]:
    """Names of the stack files."""
    return sorted(path.stem for path in STACKS.glob("*.yaml"))


def read_stack(name: str, home: Path) -> Stack:
    """Read `stacks/NAME.yaml` with `{home}`, `{image}` and `${VARIABLE:-default}` put in.

    Raises:
        StackError: no such file, a file against the schema, a credential in it, or unset variables without a default.
    """
    stack, missing = read_with_gaps(name, home)
    if missing or stack is None:
        raise _unset(missing)
    return stack


def read_with_gaps(name: str, home: Path) -> tuple[Stack | None, list[str]]:
    """As `read_stack`, for whoever wants to tell what is missing.

    Returns:
        The stack, with `<NAME>` where an unset variable would stand (None if that does not make a stack), and the
        names of these variables.

    Raises:
        StackError: as `read_stack`, but for the variables.
    """
    written = _written(name)
    places = {"home": str(home), "image": image_name(), "uid": str(os.getuid())}
    references = References(places, os.environ)
    try:
        text = references.put_in(written)
        stack = Stack.model_validate(text)
    except ValidationError as error:
        if references.missing:
            return None, references.missing
        msg = f"stack file {name + '.yaml'!r} is not valid: {in_words(error)}"
        raise StackError(msg) from None
    for kind, component in stack.components.items():
        values = (written["components"][kind].get("configuration") or {}).items()
        component._literal = frozenset(key for key, value in values if not is_reference(value))  # noqa: SLF001
    return stack, references.missing


def use_stack(name: str, home: Path) -> str:
    """Make a stack the one of this process; the user's active stack in ZenML stays.

    Args:
        name: a stack file's name, or a stack that ZenML already knows.
        home: the project's home folder.

    Returns:
        The stack's name in ZenML.

    Raises:
        StackError: neither a file nor ZenML knows the stack, or it cannot be registered here.
        ServiceUnavailable: the ZenML server does not answer.
    """
    os.environ.pop(ACTIVE, None)
    _used.clear()
    stack = read_stack(name, home) if name in available() else None
    client = connected()
    if stack is not None:
        register(client, stack)
        _used.append(stack)
    stack_id, stack_name = _known(client, stack.name if stack else name)
    os.environ[ACTIVE] = stack_id
    return stack_name


def used_stack() -> Stack | None:
    """The stack file that `use_stack` chose, if it was one."""
    return _used[0] if _used else None


def run_settings(stack: Stack | None) -> dict[str, Any]:
    """Arguments of a pipeline's `with_options` that make a run fit a stack.

    Settings of steps that a pipeline does not have are passed over by ZenML.
    """
    if stack is None:
        return {}
    steps = {}
    for name, step in stack.steps.items():
        resources = step.resources.model_dump(exclude_none=True)
        settings = {**step.settings, **({"resources": resources} if resources else {})}
        steps[name] = {
            **({"settings": settings} if settings else {}),
            **({"step_operator": step.step_operator} if step.step_operator else {}),
        }
    given = {"settings": stack.settings, "steps": {name: options for name, options in steps.items() if options}}
    return {name: options for name, options in given.items() if options}


def connected() -> Client:
    """ZenML's client.

    Raises:
        StackError: the server refuses the token.
        ServiceUnavailable: the server does not answer.
    """
    from zenml.client import Client  # noqa: PLC0415 - reads the environment that the caller prepared

    with zenml_errors("ZenML cannot be used"):
        client = Client()
        _ = client.zen_store.type
        return client


def register(client: Client, stack: Stack) -> list[Change]:
    """`apply`, with ZenML's errors as ours."""
    with zenml_errors(f"stack {stack.name!r} cannot be registered here"):
        return apply(client, stack)


@contextmanager
def zenml_errors(what: str) -> Iterator[None]:
    """ZenML's errors in our words and with our exit codes.

    Raises:
        StackError: ZenML refuses.
        ServiceUnavailable: the ZenML server does not answer.
    """
    from requests.exceptions import RequestException  # noqa: PLC0415 - ZenML brings it
    from zenml.exceptions import AuthorizationException, ZenMLBaseException  # noqa: PLC0415

    away = (RequestException, ConnectionError, TimeoutError)
    try:
        yield
    except AuthorizationException as error:
        msg = f"{what}: the ZenML server refuses the token ({_reason(error)}), log in again: zenml login URL"
        raise StackError(msg) from error
    except (ZenMLBaseException, *away, ImportError, KeyError, ValueError, RuntimeError) as error:
        if isinstance(error, away) or isinstance(error.__cause__, away):
            msg = f"{what}: the ZenML server does not answer ({_reason(error)})"
            raise ServiceUnavailable(msg) from error
        msg = f"{what}: {_reason(error)}"
        raise StackError(msg) from error


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return in_words(error)
    return " ".join(str(error).split()) or type(error).__name__


def unknown(name: str, known: list[str] | None = None) -> StackError:
    """The error for a name that is no stack."""
    files = available()
    near = nearest(name, [*files, *(known or [])])
    return StackError(
        f"stack {name!r} is unknown{near or ','} choose one of {', '.join(files)}, or register it in the ZenML that "
        "ZENML_CONFIG_PATH names"
    )


class _Once(yaml.SafeLoader):
    """YAML without the silence about a key that stands twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - as it is called
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} stands twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _written(name: str) -> Any:
    """A stack file's content, as it is written."""
    if name not in available():
        raise unknown(name)
    file = f"{name}.yaml"
    try:
        written = yaml.load((STACKS / file).read_text(encoding="utf-8"), _Once)  # noqa: S506 - a SafeLoader
        places = list(literal_credentials(written))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:  # PyYAML lets Python's own through
        msg = f"stack file {file!r} is not valid: {_place(error)}"
        raise StackError(msg) from None
    if places:
        msg = f"stack file {file!r} has a credential at {places[0]!r}: write {{{{name.key}}}} for a value in"
        msg += " ZenML's secret store, or ${VARIABLE}"
        raise StackError(msg)
    return written


def _place(error: Exception) -> str:
    """What is wrong and in which line, without the line itself: a secret may stand in it."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem} in line {error.problem_mark.line + 1}"
    return " ".join(str(error).split()) or type(error).__name__


def _unset(names: list[str]) -> StackError:
    what = ", ".join(repr(name) for name in names)
    is_not = "environment variable {} is not set" if len(names) == 1 else "environment variables {} are not set"
    return StackError(f"{is_not.format(what)}, the stack file needs {'it' if len(names) == 1 else 'them'}")


def _known(client: Client, name: str) -> tuple[str, str]:
    found = client.list_stacks(name=name)
    if not found.items:
        raise unknown(name, [stack.name for stack in client.list_stacks(size=1000).items])
    return str(found.items[0].id), found.items[0].name
