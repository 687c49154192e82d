"""What a stack needs and does not find on this machine."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement

from forecaster.errors import ForecasterError, StackError
from stacks import airflow, clouds, hosts, probes
from stacks.flavors import Flavors, nearest
from stacks.loader import connected, read_with_gaps, zenml_errors
from stacks.references import secret_references

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zenml.client import Client

    from stacks.schema import Component, Stack

PLATFORMS = Path(__file__).resolve().parents[1] / "locks" / "stacks.txt"
_MARKER = re.compile(r"<(\w+)>")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        what: the thing.
        ok: whether it is there; None if that could not be found out.
        found: what was found, or why it could not be found out.
        how: how to get it.
    """

    what: str
    ok: bool | None
    found: str
    how: str = ""


def check_stack(name: str, home: Path) -> dict[str, Any]:
    """Look for everything a stack needs.

    Returns:
        `findings`, each with what, ok, found, how; `missing`, how many are; `exit_code`, 4 if any is.

    Raises:
        StackError: there is no such file, or it is not valid.
    """
    stack, unset = read_with_gaps(name, home)
    findings = [
        Finding(f"variable {variable}", ok=False, found="not set", how=_meaning(stack, variable)) for variable in unset
    ]
    if stack is not None:
        findings += _needs(stack, unset)
    missing = sum(finding.ok is False for finding in findings)
    answer = {"file": name, "stack": stack.name if stack else None, "missing": missing}
    return {
        **answer,
        "findings": [asdict(finding) for finding in findings],
        **({"exit_code": StackError.exit_code} if missing else {}),
    }


def _meaning(stack: Stack | None, variable: str) -> str:
    words = stack.requires.variables.get(variable) if stack else None
    return f"export {variable}=…" + (f"  ({words})" if words else "")


def _needs(stack: Stack, unset: list[str]) -> Iterator[Finding]:
    for variable in stack.requires.variables:
        if variable not in unset:
            value = os.environ.get(variable)
            yield Finding(f"variable {variable}", ok=bool(value), found="set" if value else "not set",
                          how=_meaning(stack, variable))  # fmt: skip
    yield from (_package(name) for name in stack.requires.packages)
    yield from _in_zenml(stack)
    for service in stack.requires.services:
        place = service.url or service.address or ""
        yield _probed(service.name, service.how, place, probes.http if service.url else probes.connection)
    if stack.components["orchestrator"].flavor == airflow.FLAVOR:
        ok, found = airflow.at_work(stack)
        yield Finding("Airflow's scheduler", ok=ok, found=found, how=airflow.START)
    elsewhere = list(_elsewhere(stack))
    yield from elsewhere
    if stack.requires.image and not elsewhere:
        yield _probed("image", "make image, and push it where the stack has a registry", stack.requires.image,
                      probes.image)  # fmt: skip
    context = stack.components["orchestrator"].configuration.get("kubernetes_context")
    if context:
        how = "kubectl config get-contexts shows those there are; KUBECONFIG names the file"
        yield _probed("Kubernetes context", how, str(context), probes.kubernetes_context)
    yield from (Finding(*found) for found in clouds.identities(stack.requires.integrations))


def _elsewhere(stack: Stack) -> Iterator[Finding]:
    """What the host of a stack over SSH has, the image among it; nothing where it is not known which host."""
    orchestrator = hosts.over_ssh(stack)
    if orchestrator and not _MARKER.search(f"{orchestrator.configuration} {stack.requires.image}"):
        yield from (Finding(*found) for found in hosts.findings(stack))


def _in_zenml(stack: Stack) -> Iterator[Finding]:
    """What ZenML says about the stack; without ZenML nothing else can be found out."""
    try:
        client = connected()
    except ForecasterError as error:
        yield Finding("ZenML", ok=False, found=str(error), how="zenml login URL, or unset ZENML_STORE_URL")
        return
    with zenml_errors(f"stack {stack.name!r} cannot be checked"):
        flavors = Flavors(client)
        yield _server(client, flavors, stack)
        yield from (_integration(flavors, stack, name) for name in stack.requires.integrations)
        for kind, component in stack.components.items():
            yield _configuration(flavors, kind, component)
        yield _found("settings", "correct the stack file", "every key is known", lambda: flavors.verify(stack))
        yield from (_secret(client, name, keys) for name, keys in sorted(_secrets(stack).items()))
        tracker, store = stack.components.get("experiment_tracker"), stack.components["artifact_store"]
        uri = str(tracker.configuration.get("tracking_uri", "")) if tracker else ""
        if tracker and uri.startswith("http"):
            how = "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, to valid ones"
            yield _probed("MLflow", how, uri, lambda address: probes.mlflow(address, _credentials(client, tracker)))
        if store.flavor != "local":
            how = "see that the bucket exists and that the credentials may read, write and delete in it"
            path = str(store.configuration.get("path", ""))
            look = lambda _path: probes.artifact_store(client, store)  # noqa: E731 - a probe takes its place
            yield _probed("artifact store", how, path, look)


def _integration(flavors: Flavors, stack: Stack, name: str) -> Finding:
    """Whether what the stack has of an integration can be imported.

    ZenML's own test wants every package of the integration in the versions that its developers know, and so refuses
    much that works.
    """
    from zenml.integrations.registry import integration_registry  # noqa: PLC0415 - reads the prepared environment

    what, known = f"integration {name}", integration_registry.integrations
    if name not in known:
        near = nearest(name, known)
        return Finding(what, ok=False, found=f"ZenML has none of this name{near}", how="correct the stack file")
    reasons = []
    for kind, component in stack.components.items():
        if flavors.integration(kind, component.flavor) == name:
            reasons += flavors.obstacles(kind, component.flavor)
    if not reasons:
        return Finding(what, ok=True, found="can be imported")
    wanted = [Requirement(text).name for text in known[name].get_requirements()]
    absent = [package for package in wanted if not _installed(package)]
    return Finding(what, ok=False, found="; ".join(sorted(set(reasons))), how=_how_to_install(name, absent))


def _how_to_install(integration: str, absent: list[str]) -> str:
    locked = PLATFORMS.read_text(encoding="utf-8") if PLATFORMS.exists() else ""
    if absent and all(re.search(rf"(?m)^{re.escape(name)}(\[[^]]*\])?==", locked) for name in absent):
        return "scripts/setup.sh .venv-stacks locks/stacks.txt, then .venv-stacks/bin/python run.py …"
    return f"zenml integration install {integration}"


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _package(name: str) -> Finding:
    there = find_spec(name.partition(".")[0]) is not None
    return Finding(f"package {name}", ok=there, found="installed" if there else "not installed", how="make setup")


def _configuration(flavors: Flavors, kind: str, component: Component) -> Finding:
    what = f"{kind} of flavor {component.flavor}"
    variables = _MARKER.findall(str(component.configuration))
    if variables:
        return Finding(what, ok=None, found=f"waits for {', '.join(variables)}")
    return _found(what, "correct the stack file", "configured", lambda: flavors.configuration(kind, component))


def _server(client: Client, flavors: Flavors, stack: Stack) -> Finding:
    """Steps on other machines report to ZenML, which a local database does not allow."""
    if not client.zen_store.is_local_store():
        return Finding("ZenML server", ok=True, found=f"{client.zen_store.url} answers and takes the token")
    remote = flavors.is_remote("orchestrator", stack.components["orchestrator"])
    found = "a local database, which the steps of this stack cannot reach" if remote else "a local database will do"
    return Finding("ZenML", ok=not remote, found=found, how="zenml login URL, of a server that the steps' hosts reach")


def _secrets(stack: Stack) -> dict[str, set[str]]:
    """ZenML's secrets that a stack refers to, each with the keys it reads."""
    wanted: dict[str, set[str]] = {c.secret: set() for c in stack.components.values() if c.secret}
    for component in stack.components.values():
        for name, key in secret_references(component.configuration):
            wanted.setdefault(name, set()).add(key)
    return wanted


def _secret(client: Client, name: str, keys: set[str]) -> Finding:
    what = f"secret {name}"
    how = f"zenml secret create {name} {' '.join(f'--{key}=…' for key in sorted(keys or {'KEY'}))}"
    try:
        values = client.get_secret(name, allow_partial_name_match=False, allow_partial_id_match=False).secret_values
    except KeyError:
        return Finding(what, ok=False, found="ZenML has no such secret", how=how)
    absent = sorted(keys - set(values))
    if absent:
        found = f"lacks {', '.join(absent)}"
        return Finding(what, ok=False, found=found, how=how.replace("create", "update", 1))
    return Finding(what, ok=True, found="in ZenML's secret store")


def _credentials(client: Client, tracker: Component) -> dict[str, str]:
    """MLflow's variables: those of the environment before those of the tracker's secret, as in a step."""
    given: dict[str, str] = {}
    if tracker.secret:
        with _nothing_if_absent():
            given = client.get_secret(tracker.secret, allow_partial_name_match=False).secret_values
    return {**given, **os.environ}


@contextmanager
def _nothing_if_absent() -> Iterator[None]:
    try:
        yield
    except KeyError:  # `_secret` has told it
        return


def _probed(what: str, how: str, place: str, probe: Callable[[str], probes.Answer]) -> Finding:
    variables = _MARKER.findall(place)
    if variables:
        return Finding(what, ok=None, found=f"waits for {', '.join(variables)}")
    ok, found = probe(place)
    return Finding(what, ok=ok, found=found, how=how)


def _found(what: str, how: str, good: str, look: Callable[[], object]) -> Finding:
    try:
        look()
    except StackError as error:
        return Finding(what, ok=False, found=str(error), how=how)
    return Finding(what, ok=True, found=good)
