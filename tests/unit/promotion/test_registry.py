"""Versions in a real MLflow: what registering writes, how aliases move, and what an outage becomes."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException
from sqlalchemy.exc import OperationalError

from deployers.protocol.manifest import verify_manifest
from forecaster.errors import InputError, ServiceUnavailable
from forecaster.genome import Candidate
from forecaster.gru.architecture import Recipe
from forecaster.model import train
from forecaster.release import write_release
from steps.promotion.registry import CHALLENGER, CHAMPION, DIGEST_TAG, Registration, Registry, TrackedRun, local_copy
from tests.synthetic import dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODEL = "living room"
TAGS = {"dataset_version": "readings:3", "code_revision": "abc1234"}
RECORDS = [
    {
        "index": index,
        "generation": index // 2,
        "parents": [0] * index,
        "candidate": {"network": "gru", "units": 4 + index},
        "validation_rmse": 0.5 - 0.1 * index,
        "fitness": 0.6 - 0.1 * index,
        "parameters": 100 + index,
        "macs": 1000 + index,
        "cpu_seconds": 1.5 + index,
        "best_update": 20,
        "updates": 30,
        "finished": 1_700_000_000.25 + 60 * index,
    }
    for index in range(3)
]
RUN = TrackedRun(
    name="nightly",
    params={"network": "gru", "seed": 7},
    metrics={"rmse": 0.25, "parameters": 123},
    tags=TAGS,
    evaluations=RECORDS,
    pages={"data-quality.html": "<p>20 °C</p>", "evaluation.html": "<p>good</p>"},
    note="Made by [nightly](http://127.0.0.1:8237/runs/1b2c).",
)
BARE = TrackedRun("bare", {}, {}, {}, [], {})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose path has a space, a percent sign and letters beyond ASCII."""
    home = tmp_path_factory.mktemp("home") / "Küche 50% 温度"
    home.mkdir()
    return home


@pytest.fixture(scope="module")
def release(place: Path) -> Path:
    data = dataset(600)
    candidate = Candidate(("difference:1",), "gru", 4, Recipe(updates=2, batch=2, steps=32, burn_in=4))
    write_release(place / "release", train(data, candidate, 2, 1, refit=False), data, {}, {})
    return place / "release"


@pytest.fixture(scope="module")
def registry(place: Path) -> Iterator[Registry]:
    before = mlflow.get_tracking_uri()
    yield Registry(f"sqlite:///{place}/mlflow.db", place / "artifacts")
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def first(registry: Registry, release: Path) -> Registration:
    made = registry.register(MODEL, release, "digest-1", RUN)
    assert registry.alias(MODEL, CHALLENGER) == Registration(**{**made.as_dict(), "created": False})
    return made


@pytest.fixture(scope="module")
def second(registry: Registry, first: Registration, release: Path) -> Registration:
    return registry.register(MODEL, release, "digest-2", BARE)


@pytest.fixture
def aliases(registry: Registry, second: Registration) -> Iterator[Callable[..., None]]:
    """Sets aliases by name; none are set before and after."""

    def clear() -> None:
        for alias in registry.client.get_registered_model(MODEL).aliases:
            registry.client.delete_registered_model_alias(MODEL, alias)

    def given(**wanted: str) -> None:
        for alias, version in wanted.items():
            registry.client.set_registered_model_alias(MODEL, alias, version)

    clear()
    yield given
    clear()


def holders(registry: Registry) -> dict[str, str]:
    return {name: str(version) for name, version in registry.client.get_registered_model(MODEL).aliases.items()}


def nested(registry: Registry, first: Registration) -> list[Any]:
    experiment = registry.client.get_run(first.run_id).info.experiment_id
    found = registry.client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{first.run_id}'")
    return sorted(found, key=lambda run: run.info.start_time)


# What registering writes


def test_a_first_release_is_version_one(first: Registration) -> None:
    assert (first.model, first.version, first.created) == (MODEL, "1", True)
    assert first.model_uri == f"models:/{MODEL}/1"
    assert first.release.endswith("/data/release")


def test_the_experiment_keeps_its_artifacts_under_the_given_root(registry: Registry, first: Registration) -> None:
    experiment = registry.client.get_experiment_by_name(MODEL)
    assert experiment is not None
    assert experiment.artifact_location == (registry.artifacts / MODEL).as_uri()
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert Path(local_copy(first)).is_relative_to(registry.artifacts / MODEL)


def test_the_run_has_parameters_metrics_and_tags(registry: Registry, first: Registration) -> None:
    run = registry.client.get_run(first.run_id)
    assert (run.info.run_name, run.info.status) == ("nightly", "FINISHED")
    assert run.data.params == {"network": "gru", "seed": "7"}
    assert run.data.metrics == {"rmse": 0.25, "parameters": 123}
    assert run.data.tags.items() >= {**TAGS, DIGEST_TAG: "digest-1"}.items()


def test_the_version_has_the_tags_of_the_run(registry: Registry, first: Registration) -> None:
    assert registry.client.get_model_version(MODEL, "1").tags == {**TAGS, DIGEST_TAG: "digest-1"}


def test_run_and_version_say_where_they_come_from(registry: Registry, first: Registration) -> None:
    assert registry.client.get_run(first.run_id).data.tags["mlflow.note.content"] == RUN.note
    assert registry.client.get_model_version(MODEL, "1").description == RUN.note


def test_each_evaluation_is_a_nested_run_at_its_own_time(registry: Registry, first: Registration) -> None:
    runs = nested(registry, first)
    assert [run.info.run_name for run in runs] == ["evaluation 0", "evaluation 1", "evaluation 2"]
    assert [run.info.end_time for run in runs] == [1_700_000_000_250 + 60_000 * i for i in range(3)]
    assert [run.info.end_time - run.info.start_time for run in runs] == [1500, 2500, 3500]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_an_evaluation_has_its_candidate_figures_and_parents(registry: Registry, first: Registration) -> None:
    run = nested(registry, first)[2]
    assert run.data.params == {"network": "gru", "units": "6"}
    figures = (
        "validation_rmse",
        "fitness",
        "updates",
        "parameters",
        "macs",
        "cpu_seconds",
        "generation",
        "best_update",
    )
    assert run.data.metrics == pytest.approx({name: RECORDS[2][name] for name in figures})
    assert run.data.tags["parents"] == "[0, 0]"


@pytest.mark.parametrize("name", sorted(RUN.pages))
def test_reports_lie_beside_the_run(first: Registration, name: str) -> None:
    assert mlflow.artifacts.load_text(f"runs:/{first.run_id}/reports/{name}") == RUN.pages[name]


def test_the_model_says_what_it_takes_and_gives(first: Registration) -> None:
    signature = mlflow.models.get_model_info(first.model_uri).signature
    assert signature.inputs.input_names() == ["time_point", "value"]
    assert signature.outputs.input_names() == ["made_at", "time", "step", "forecast"]
    assert [(param.name, param.default) for param in signature.params] == [("every_reading", False)]


def test_the_model_has_an_example_its_code_and_pinned_packages(first: Registration) -> None:
    folder = Path(local_copy(first)).parents[1]
    assert mlflow.models.Model.load(folder).load_input_example(folder).columns.tolist() == ["time_point", "value"]
    assert {path.name for path in (folder / "code").iterdir()} == {"forecaster", "deployers"}
    pinned = [line.partition("==")[0] for line in (folder / "requirements.txt").read_text().split()]
    assert {"numpy", "onnxruntime", "pandas"} <= set(pinned)


def test_the_release_lies_in_the_model_and_verifies(first: Registration, release: Path) -> None:
    assert verify_manifest(Path(local_copy(first))) == verify_manifest(release)


# The same release again


def test_the_same_identity_makes_nothing_new(
    registry: Registry, first: Registration, aliases: Any, tmp_path: Path
) -> None:
    experiment = registry.client.get_experiment_by_name(MODEL).experiment_id
    before = {run.info.run_id for run in registry.client.search_runs([experiment])}
    again = registry.register(MODEL, tmp_path / "unread", "digest-1", RUN)
    assert again == Registration(**{**first.as_dict(), "created": False})
    assert {run.info.run_id for run in registry.client.search_runs([experiment])} == before
    assert len(registry.versions(MODEL)) == 2


def test_the_same_identity_is_the_challenger_again(registry: Registry, aliases: Any, release: Path) -> None:
    aliases(challenger="2")
    registry.register(MODEL, release, "digest-1", RUN)
    assert holders(registry) == {CHALLENGER: "1"}


def test_it_challenges_the_champion_that_is_another(registry: Registry, aliases: Any, release: Path) -> None:
    aliases(champion="2")
    registry.register(MODEL, release, "digest-1", RUN)
    assert holders(registry) == {CHAMPION: "2", CHALLENGER: "1"}


def test_the_champion_does_not_challenge_itself(registry: Registry, aliases: Any, release: Path) -> None:
    aliases(champion="1", challenger="2")
    assert not registry.register(MODEL, release, "digest-1", RUN).created
    assert holders(registry) == {CHAMPION: "1", CHALLENGER: "2"}


# Finding versions


@pytest.mark.parametrize(
    ("model", "digest", "version"),
    [(MODEL, "digest-1", "1"), (MODEL, "digest-2", "2"), (MODEL, "digest", None), ("other", "digest-1", None)],
)
def test_a_version_is_found_by_model_and_digest(
    registry: Registry, second: Registration, model: str, digest: str, version: str | None
) -> None:
    found = registry.find(model, digest)
    assert (found and str(found.version)) == version


@pytest.mark.parametrize("model", [MODEL, "never registered"])
def test_an_alias_nobody_holds_is_none(registry: Registry, aliases: Any, model: str) -> None:
    assert registry.alias(model, CHAMPION) is None


def test_an_alias_gives_its_version(registry: Registry, second: Registration, aliases: Any) -> None:
    aliases(champion="2")
    assert registry.alias(MODEL, CHAMPION) == registry.version(MODEL, "2")
    assert registry.version(MODEL, "2").run_id == second.run_id


@pytest.mark.parametrize(("model", "version"), [(MODEL, "99"), (MODEL, "newest"), ("never registered", "1")])
def test_a_version_that_is_not_registered_is_named(registry: Registry, second: Any, model: str, version: str) -> None:
    with pytest.raises(InputError, match=f"version '{version}' of model '{model}' is not registered"):
        registry.version(model, version)


def test_versions_are_listed_newest_first_with_aliases_and_tags(registry: Registry, aliases: Any) -> None:
    aliases(champion="1", challenger="1")
    newest, oldest = registry.versions(MODEL)
    assert (newest["version"], newest["aliases"], newest["tags"][DIGEST_TAG]) == ("2", [], "digest-2")
    assert (oldest["version"], sorted(oldest["aliases"])) == ("1", [CHALLENGER, CHAMPION])


def test_newest_is_by_number_and_not_by_letter(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [mlflow.entities.model_registry.ModelVersion(MODEL, number, 0) for number in ("9", "10", "2")]
    monkeypatch.setattr(registry, "_aliases", lambda model: {})
    monkeypatch.setattr(registry.client, "search_model_versions", lambda query: numbers)
    assert [row["version"] for row in registry.versions(MODEL)] == ["10", "9", "2"]


def test_tags_are_added_to_a_version(registry: Registry, second: Registration) -> None:
    registry.tag(second, {"device": "board", "flash": "64 kB"})
    tags = registry.client.get_model_version(MODEL, "2").tags
    assert tags == {DIGEST_TAG: "digest-2", "device": "board", "flash": "64 kB"}


# Promotion and fetching


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {CHAMPION: "2"}),
        ({CHALLENGER: "2"}, {CHAMPION: "2"}),
        ({CHAMPION: "1", CHALLENGER: "2"}, {CHAMPION: "2"}),
        ({CHAMPION: "2", CHALLENGER: "2"}, {CHAMPION: "2"}),
        ({CHAMPION: "2", CHALLENGER: "1"}, {CHAMPION: "2", CHALLENGER: "1"}),
    ],
)
def test_promotion_moves_champion_and_clears_only_its_own_challenger(
    registry: Registry, aliases: Any, before: dict[str, str], after: dict[str, str]
) -> None:
    aliases(**before)
    registry.promote(MODEL, "2")
    assert holders(registry) == after


def test_a_fetched_release_verifies(registry: Registry, first: Registration, release: Path, tmp_path: Path) -> None:
    folder = registry.fetch_release(first, tmp_path / "hand over ü")
    assert folder.is_relative_to(tmp_path / "hand over ü")
    assert verify_manifest(folder) == verify_manifest(release)


@pytest.mark.parametrize("name", ["plain", "a b", "50%20", "Küche 温度", "a#b?c"])
def test_a_local_release_is_named_by_its_path(tmp_path: Path, name: str) -> None:
    made = Registration(MODEL, "1", "", "", (tmp_path / name).as_uri(), created=False)
    assert local_copy(made) == str(tmp_path / name)


def test_a_release_elsewhere_is_named_by_its_uri() -> None:
    made = Registration(MODEL, "1", "", "", "mlflow-artifacts:/1/a%20b/data/release", created=False)
    assert local_copy(made) == made.release


# Outages


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Registry]]:
    """A registry at another URI, asked once and without retries."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    before = mlflow.get_tracking_uri()
    yield Registry
    mlflow.set_tracking_uri(before)


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    "ask",
    [
        lambda registry: registry.alias(MODEL, CHAMPION),
        lambda registry: registry.versions(MODEL),
        lambda registry: registry.promote(MODEL, "1"),
        lambda registry: registry.register(MODEL, Path("unread"), "digest-1", BARE),
        lambda registry: registry.tag(Registration(MODEL, "1", "", "", "", created=False), {"a": "b"}),
    ],
)
def test_a_server_that_is_down_is_named_and_nothing_is_lost(
    elsewhere: Any, port: int, ask: Callable[[Registry], object]
) -> None:
    with pytest.raises(ServiceUnavailable) as caught:
        ask(elsewhere(f"http://127.0.0.1:{port}"))
    message = str(caught.value)
    assert f"MLflow at 'http://127.0.0.1:{port}' does not answer" in message
    assert message.endswith("start it and run the same command again; what was trained is kept")
    assert "\n" not in message


def test_a_password_in_the_address_is_not_told(elsewhere: Any, port: int) -> None:
    with pytest.raises(ServiceUnavailable, match=f"127.0.0.1:{port}") as caught:
        elsewhere(f"http://reader:s3cret@127.0.0.1:{port}").alias(MODEL, CHAMPION)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        RequestException("gone"),
        ConnectionRefusedError("gone"),
        OperationalError("SELECT 1", {}, Exception("gone")),
        MlflowException("API request to http://host failed with exception gone"),
        MlflowException("gone", error_code=mlflow.exceptions.TEMPORARILY_UNAVAILABLE),
    ],
)
def test_every_kind_of_outage_is_one_error(registry: Registry, error: Exception) -> None:
    with pytest.raises(ServiceUnavailable, match="gone") as caught, registry.answering():
        raise error
    assert caught.value.__cause__ is error


def test_wrong_credentials_are_no_outage(registry: Registry) -> None:
    refusal = "API request to endpoint /api failed with error code 401 != 200. Response body: 'Unauthorized'"
    with pytest.raises(MlflowException, match="401"), registry.answering():
        raise MlflowException(refusal)


def test_an_outage_behind_an_error_of_mlflow_is_an_outage(registry: Registry) -> None:
    wrapped = MlflowException("wrapped")
    with pytest.raises(ServiceUnavailable, match="wrapped"), registry.answering():
        raise wrapped from OperationalError("SELECT 1", {}, Exception("gone"))


def test_a_refusal_is_no_outage(registry: Registry) -> None:
    with pytest.raises(MlflowException, match="never registered"):
        registry.versions("never registered")


class Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"error_code": "PERMISSION_DENIED", "message": "not yours"}'
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""


@pytest.mark.parametrize("ask", [lambda r: r.alias(MODEL, CHAMPION), lambda r: r.version(MODEL, "1")])
def test_a_server_that_says_no_does_answer(elsewhere: Any, ask: Callable[[Registry], object]) -> None:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            with pytest.raises(MlflowException, match="not yours"):
                ask(elsewhere(f"http://127.0.0.1:{server.server_port}"))
        finally:
            server.shutdown()
            thread.join()
