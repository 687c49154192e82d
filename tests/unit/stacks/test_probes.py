"""Looking at services: each one answers, refuses or is away, and that is what is said."""

from __future__ import annotations

import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from stacks import clouds, probes
from stacks.schema import Component

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPERIMENTS = "/api/2.0/mlflow/experiments/search?max_results=1"


@pytest.fixture
def server() -> Iterator[SimpleNamespace]:
    """A server that answers each path with the status it is told (404 otherwise) and keeps what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization"), self.headers.get("Accept")))
            status = statuses.get((self.path, self.headers.get("Authorization")), statuses.get(self.path, 404))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing is told to standard error."""

    statuses: dict[Any, int] = {}
    asked: list[tuple[str, str | None, str | None]] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        place = f"127.0.0.1:{running.server_port}"
        yield SimpleNamespace(url=f"http://{place}", place=place, statuses=statuses, asked=asked)
        running.shutdown()


@pytest.fixture
def nobody() -> str:
    """An address at which nothing listens."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{tried.getsockname()[1]}"


@pytest.mark.parametrize("status", [200, 404, 401, 500])
def test_whatever_is_answered_is_an_answer(server: SimpleNamespace, status: int) -> None:
    server.statuses["/"] = status
    assert probes.http(f"{server.url}/")[0] is True


def test_a_server_that_is_away_does_not_answer(nobody: str) -> None:
    ok, found = probes.http(f"http://{nobody}/")
    assert ok is False
    assert "does not answer" in found
    assert "refused" in found


@pytest.mark.parametrize("url", ["ftp://host/", "file:///etc/passwd", "host:80", ""])
def test_what_is_no_web_address_is_refused(url: str) -> None:
    assert probes.http(url) == (False, f"{url!r} is no address, expected http:// or https://")


def test_an_address_takes_connections_or_not(server: SimpleNamespace, nobody: str) -> None:
    assert probes.connection(server.place) == (True, f"{server.place} takes connections")
    assert probes.connection(f"tcp://{server.place}")[0] is True
    ok, found = probes.connection(nobody)
    assert ok is False
    assert "takes no connection" in found


@pytest.mark.parametrize("address", ["host", "host:port", ":22", "host:99999", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    assert probes.connection(address) == (False, f"{address!r} is no address, expected HOST:PORT or unix:///PATH")


def test_a_unix_socket_takes_connections_or_not(tmp_path: Path) -> None:
    place = tmp_path / "s"
    assert probes.connection(f"unix://{place}") == (
        False, f"'unix://{place}' takes no connection (No such file or directory)",
    )  # fmt: skip
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        listening.listen()
        assert probes.connection(f"unix://{place}")[0] is True


def test_mlflow_answers(server: SimpleNamespace) -> None:
    server.statuses[EXPERIMENTS] = 200
    assert probes.mlflow(f"{server.url}/", {}) == (True, f"{server.url}/ answers as MLflow")


def test_another_server_is_not_taken_for_mlflow(server: SimpleNamespace) -> None:
    assert probes.mlflow(server.url, {}) == (False, f"{server.url}{EXPERIMENTS} answers with 404")


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        ({"MLFLOW_TRACKING_TOKEN": "t"}, "Bearer t"),
        ({"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "pw"}, "Basic bWU6cHc="),
        ({"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_TOKEN": "t"}, "Basic bWU6"),
    ],
)
def test_credentials_of_mlflow_are_shown_to_it(server: SimpleNamespace, credentials: dict, header: str) -> None:
    server.statuses |= {EXPERIMENTS: 401, (EXPERIMENTS, header): 200}
    assert probes.mlflow(server.url, credentials)[0] is True


@pytest.mark.parametrize(
    ("credentials", "told"),
    [({}, "to answer without credentials"), ({"MLFLOW_TRACKING_TOKEN": "expired"}, "these credentials")],
)
def test_an_expired_token_is_refused_and_not_told(server: SimpleNamespace, credentials: dict, told: str) -> None:
    server.statuses[EXPERIMENTS] = 401
    assert probes.mlflow(server.url, credentials) == (False, f"{server.url} refuses {told} (401)")


@pytest.mark.parametrize(
    ("name", "path"),
    [("a/b:1", "/v2/a/b/manifests/1"), ("b", "/v2/b/manifests/latest"), ("a/b", "/v2/a/b/manifests/latest")],
)
def test_an_image_is_looked_for_in_its_registry(server: SimpleNamespace, name: str, path: str) -> None:
    image = f"{server.place}/{name}"
    assert probes.image(image)[0] is False
    server.statuses[path] = 200
    assert probes.image(image) == (True, f"{image} is in its registry")
    assert "application/vnd.oci.image.index.v1+json" in (server.asked[-1][2] or "")


def test_a_registry_that_asks_for_credentials_leaves_it_open(server: SimpleNamespace) -> None:
    server.statuses["/v2/b/manifests/1"] = 401
    ok, found = probes.image(f"{server.place}/b:1")
    assert ok is None
    assert f"docker pull {server.place}/b:1" in found


def test_a_registry_that_is_away_has_no_image(nobody: str) -> None:
    ok, found = probes.image(f"{nobody}/b:1")
    assert ok is False
    assert "does not answer" in found


def test_without_docker_nothing_is_known_of_an_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing")
    ok, found = probes.image("edgeloop-pipelines:1")
    assert ok is None
    assert found.startswith("Docker does not answer")


KUBE = """
contexts: [{name: there, context: {cluster: c}}, {name: away, context: {cluster: d}}]
clusters: [{name: c, cluster: {server: "https://%s"}}, {name: d, cluster: {server: "https://%s"}}]
"""


def test_a_kubernetes_context_leads_to_a_server(
    server: SimpleNamespace, nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config"
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/nothing:{file}")
    file.write_text(KUBE % (server.place, nobody))
    assert probes.kubernetes_context("there") == (True, f"{server.place} takes connections")
    assert probes.kubernetes_context("away")[0] is False
    assert probes.kubernetes_context("ther") == (
        False, f"no context 'ther' in {tmp_path}/nothing:{file}, did you mean 'there'?",
    )  # fmt: skip


@pytest.mark.parametrize("text", ["- a list", "contexts: [{}]", "contexts: 3", "a: [", "contexts: [{name: a}]"])
def test_a_kubernetes_configuration_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    ok, found = probes.kubernetes_context("a")
    assert ok is False
    assert "is no Kubernetes configuration" in found


class Store:
    """An artifact store on a folder; may refuse to be written."""

    def __init__(self, path: Path, refusal: Exception | None = None) -> None:
        self.path, self.refusal = f"{path}/", refusal

    def open(self, place: str, mode: str) -> Any:
        if self.refusal:
            raise self.refusal
        return Path(place).open(mode)

    def remove(self, place: str) -> None:
        Path(place).unlink()


def look(monkeypatch: pytest.MonkeyPatch, store: Any, **configuration: Any) -> probes.Answer:
    def made(client: Any, component: Component) -> Any:
        if isinstance(store, Exception):
            raise store
        return store

    monkeypatch.setattr(probes, "_store", made)
    component = Component(name="a", flavor="s3", configuration=configuration)
    return probes.artifact_store(SimpleNamespace(), component)  # type: ignore[arg-type]


def test_a_store_that_can_be_written_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert look(monkeypatch, Store(tmp_path)) == (True, f"{tmp_path}/ can be written")
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_without_permission_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer = look(monkeypatch, Store(tmp_path, PermissionError("Access\nDenied")))
    assert answer == (False, f"{tmp_path}/ cannot be written (PermissionError: Access Denied)")


def test_a_store_without_its_library_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = look(monkeypatch, ModuleNotFoundError("No module named 's3fs'", name="s3fs"))
    assert answer == (None, "cannot be looked at without s3fs")


def test_an_endpoint_that_is_away_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, nobody: str) -> None:
    refusal = AssertionError("the store is not asked")
    ok, found = look(monkeypatch, refusal, client_kwargs={"endpoint_url": f"http://{nobody}"})
    assert ok is False
    assert f"{nobody!r} takes no connection" in found


def test_whether_an_endpoints_certificate_is_trusted_is_for_the_stores_client_to_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It has settings of its own for that: AWS_CA_BUNDLE."""
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections, and speaks no TLS
        endpoint = {"endpoint_url": f"https://127.0.0.1:{server.getsockname()[1]}"}
        assert look(monkeypatch, Store(tmp_path), client_kwargs=endpoint)[0] is True


@pytest.mark.parametrize(
    ("url", "address"),
    [("https://s3.example", "s3.example:443"), ("http://s3.example", "s3.example:80"), ("https://s3:9000", "s3:9000")],
)
def test_an_endpoints_port_is_that_of_its_scheme(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, address: str
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(probes, "connection", lambda place: (asked.append(place), (True, ""))[1])
    look(monkeypatch, Store(tmp_path), client_kwargs={"endpoint_url": url})
    assert asked == [address]


def module(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    """A library of a cloud, as far as it is used."""
    made = ModuleType(name)
    vars(made).update(members, __path__=[], __spec__=SimpleNamespace(name=name))
    monkeypatch.setitem(sys.modules, name, made)


class Expired(Exception):  # noqa: N818 - a stand-in for what a cloud raises
    pass


def aws(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    def asked() -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = lambda service, config: SimpleNamespace(get_caller_identity=asked)  # noqa: E731
    module(monkeypatch, "boto3", client=client)
    module(monkeypatch, "botocore")
    module(monkeypatch, "botocore.config", Config=dict)
    module(monkeypatch, "botocore.exceptions", BotoCoreError=ValueError, ClientError=Expired)


def test_amazon_says_who_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    aws(monkeypatch, {"Arn": "arn:aws:iam::1:user/me"})
    assert list(clouds.identities(["s3", "aws"])) == [
        ("AWS credentials", True, "arn:aws:iam::1:user/me", clouds.AWS_HOW)
    ]


def test_an_expired_token_of_amazon_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    aws(monkeypatch, Expired("ExpiredToken: the token\nhas expired"))
    [(_, ok, found, how)] = clouds.identities(["aws"])
    assert (ok, found) == (False, "refused (ExpiredToken: the token has expired)")
    assert "aws sso login" in how


def google(monkeypatch: pytest.MonkeyPatch, refusal: Exception | None) -> None:
    def refresh(request: Any) -> None:
        if refusal:
            raise refusal

    default = lambda scopes: (SimpleNamespace(refresh=refresh), "project-1")  # noqa: E731
    module(monkeypatch, "google.auth", default=default)
    module(monkeypatch, "google.auth.exceptions", GoogleAuthError=Expired)
    module(monkeypatch, "google.auth.transport")
    module(monkeypatch, "google.auth.transport.requests", Request=object)
    google_package = sys.modules.get("google") or ModuleType("google")
    monkeypatch.setitem(sys.modules, "google", google_package)
    monkeypatch.setattr(google_package, "auth", sys.modules["google.auth"], raising=False)


def test_google_says_whose_project_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    google(monkeypatch, None)
    assert list(clouds.identities(["gcp"])) == [("Google credentials", True, "project project-1", clouds.GCP_HOW)]


def test_expired_credentials_of_google_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    google(monkeypatch, Expired("reauthentication needed"))
    [(_, ok, found, _)] = clouds.identities(["gcp"])
    assert (ok, found) == (False, "refused (reauthentication needed)")


def test_without_its_library_a_cloud_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clouds, "find_spec", lambda name: None)
    [(_, ok, found, _)] = clouds.identities(["aws"])
    assert (ok, found) == (None, "cannot be looked at without boto3")


def test_a_library_whose_parent_is_absent_is_absent() -> None:
    assert not clouds._there("no_such_parent.child")  # noqa: SLF001


def test_no_cloud_is_asked_that_a_stack_does_not_use() -> None:
    assert list(clouds.identities(["mlflow", "s3"])) == []
