"""Looks at what a stack needs: each probe returns whether it is there (None: cannot be known) and what was found."""

from __future__ import annotations

import base64
import os
import socket
import urllib.error
import urllib.request
import uuid
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from stacks.flavors import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zenml.client import Client

    from stacks.schema import Component

Answer = tuple[bool | None, str]
SECONDS = 20  # a busy server takes its time; nobody there is known at once
MANIFESTS = ", ".join(
    f"application/vnd.{kind}"
    for kind in (
        "oci.image.index.v1+json",
        "oci.image.manifest.v1+json",
        "docker.distribution.manifest.list.v2+json",
        "docker.distribution.manifest.v2+json",
    )
)


def http(url: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Whether something answers at a URL; what it answers does not matter."""
    status, found = _status(url, headers)
    return status is not None, found


def connection(address: str) -> Answer:
    """Whether `HOST:PORT`, `tcp://HOST:PORT` or `unix:///PATH` takes a connection."""
    if address.startswith("unix://"):
        return _connected(socket.AF_UNIX, address.removeprefix("unix://"), address)
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        return False, f"{address!r} is no address, expected HOST:PORT or unix:///PATH"
    try:
        with socket.create_connection((host, port), timeout=SECONDS):
            return True, f"{address} takes connections"
    except OSError as error:
        return False, f"{address!r} takes no connection ({error.strerror or error})"


def mlflow(uri: str, credentials: Mapping[str, str]) -> Answer:
    """Whether an MLflow server answers and takes the credentials it is given."""
    headers = {}
    if credentials.get("MLFLOW_TRACKING_USERNAME"):
        pair = f"{credentials['MLFLOW_TRACKING_USERNAME']}:{credentials.get('MLFLOW_TRACKING_PASSWORD', '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    elif credentials.get("MLFLOW_TRACKING_TOKEN"):
        headers["Authorization"] = f"Bearer {credentials['MLFLOW_TRACKING_TOKEN']}"
    status, found = _status(f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1", headers)
    if status in (401, 403):
        return False, f"{uri} refuses {'these credentials' if headers else 'to answer without credentials'} ({status})"
    return status == 200, f"{uri} answers as MLflow" if status == 200 else found


def image(name: str) -> Answer:
    """Whether the image is in the registry that its name begins with, else in this machine's Docker."""
    first, _, rest = name.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        return _in_registry(first, rest, name)
    return _in_docker(name)


def kubernetes_context(name: str) -> Answer:
    """Whether KUBECONFIG has a context, and its API server takes connections."""
    files = (os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")).split(os.pathsep)
    contexts: dict[str, str] = {}
    servers: dict[str, str] = {}
    for file in files:
        try:
            read = yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}
            contexts |= {one["name"]: one["context"]["cluster"] for one in read.get("contexts") or []}
            servers |= {one["name"]: one["cluster"]["server"] for one in read.get("clusters") or []}
        except FileNotFoundError:
            continue
        except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            return False, f"{file!r} is no Kubernetes configuration ({type(error).__name__})"
    if name not in contexts:
        return False, f"no context {name!r} in {os.pathsep.join(files)}{nearest(name, contexts)}"
    return connection(_address(servers.get(contexts[name], "")))


def artifact_store(client: Client, component: Component) -> Answer:
    """Whether one may write and delete in an artifact store; what is written is gone afterwards."""
    endpoint = (component.configuration.get("client_kwargs") or {}).get("endpoint_url")
    if endpoint:  # S3's client would try for minutes; whether its certificate is trusted is for the client to say
        there, found = connection(_address(endpoint))
        if not there:
            return False, found
    try:
        store = _store(client, component)
    except ImportError as error:
        return None, f"cannot be looked at without {error.name or error}"
    place = f"{store.path.rstrip('/')}/edgeloop-check-{uuid.uuid4().hex}"
    try:
        with store.open(place, "wb") as file:
            file.write(b"check")
        store.remove(place)
    except Exception as error:  # noqa: BLE001 - every storage library has exceptions of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        return False, f"{store.path} cannot be written ({type(error).__name__}: {reason})"
    return True, f"{store.path} can be written"


def _address(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (80 if parts.scheme == 'http' else 443)}"


def _store(client: Client, component: Component) -> Any:
    """The store as ZenML would make it, without registering it."""
    from zenml.enums import StackComponentType  # noqa: PLC0415 - reads the prepared environment
    from zenml.stack.flavor import Flavor  # noqa: PLC0415

    kind = StackComponentType.ARTIFACT_STORE
    flavor = Flavor.from_model(client.get_flavor_by_name_and_type(name=component.flavor, component_type=kind))
    now = datetime.now(UTC)
    return flavor.implementation_class(
        name=component.name,
        id=uuid.uuid4(),
        config=flavor.config_class(**component.configuration),
        flavor=component.flavor,
        type=kind,
        user=None,
        created=now,
        updated=now,
    )


def _connected(family: int, place: str, address: str) -> Answer:
    with socket.socket(family) as tried:
        tried.settimeout(SECONDS)
        try:
            tried.connect(place)
        except OSError as error:
            return False, f"{address!r} takes no connection ({error.strerror or error})"
    return True, f"{address} takes connections"


def _status(url: str, headers: Mapping[str, str] | None = None) -> tuple[int | None, str]:
    """HTTP status of a GET, None if nothing answers."""
    if urlsplit(url).scheme not in ("http", "https"):
        return None, f"{url!r} is no address, expected http:// or https://"
    try:
        request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - http and https only
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return answer.status, f"{url} answers"
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, f"{url} answers with {error.code}"
    except (OSError, ValueError) as error:
        return None, f"{url} does not answer ({getattr(error, 'reason', error)})"


def _in_registry(host: str, rest: str, name: str) -> Answer:
    repository, _, tag = rest.rpartition(":") if ":" in rest else (rest, "", "latest")
    plain = host.partition(":")[0] in ("localhost", "127.0.0.1", "[")
    url = f"{'http' if plain else 'https'}://{host}/v2/{repository}/manifests/{tag}"
    status, found = _status(url, {"Accept": MANIFESTS})
    if status in (401, 403):
        return None, f"{host} asks for credentials: docker pull {name} shows whether it is there"
    return status == 200, f"{name} is in its registry" if status == 200 else found


def _in_docker(name: str) -> Answer:
    import docker  # noqa: PLC0415 - only stacks with an image need it

    there, found = connection(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    if not there:  # the library would leave a socket open
        return None, f"Docker does not answer: {found}"
    try:
        with closing(docker.from_env(timeout=SECONDS)) as daemon:
            identity = daemon.images.get(name).short_id
    except docker.errors.ImageNotFound:
        return False, f"Docker has no image {name!r}"
    except docker.errors.DockerException as error:
        return None, f"Docker does not answer ({' '.join(str(error).split())})"
    return True, f"{name} ({identity})"
