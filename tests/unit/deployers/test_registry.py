"""Releases in a real MLflow: what a reference means, what is downloaded, and what an outage or a wrong name becomes."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pytest

from deployers import registry
from deployers.exceptions import InputError, MissingTool, ReleaseError, ServiceUnavailable
from deployers.protocol.manifest import verify_manifest
from deployers.registry import fetch_release, open_release, tracking_uri
from steps.promotion.registry import Registry, TrackedRun

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "living room"
RUN = TrackedRun("bare", {}, {}, {}, [], {})


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, release: Path) -> Iterator[Registry]:
    """Versions 1, challenger, and 2, champion, as the training pipeline registers them."""
    home = tmp_path_factory.mktemp("home") / "Küche 50%"
    (home / "mlflow").mkdir(parents=True)
    before = mlflow.get_tracking_uri()
    made = Registry(f"sqlite:///{home}/mlflow/mlflow.db", home / "mlflow" / "artifacts")
    made.register(MODEL, release, "digest-2", RUN)
    made.register(MODEL, release, "digest-1", RUN)
    made.client.set_registered_model_alias(MODEL, "champion", "2")
    made.client.set_registered_model_alias(MODEL, "challenger", "1")
    mlflow.set_tracking_uri(before)
    yield made
    mlflow.set_tracking_uri(before)


# What a reference means


@pytest.mark.parametrize(("reference", "version"), [("1", "1"), ("2", "2"), ("champion", "2"), ("challenger", "1")])
def test_a_number_or_an_alias_is_fetched_and_verified(
    registered, release: Path, tmp_path: Path, reference: str, version: str
) -> None:
    found = fetch_release(reference, tmp_path, MODEL, registered.uri)
    assert (found.version, found.model, found.name) == (version, MODEL, f"{MODEL} {version}")
    assert found.manifest == verify_manifest(release)
    assert found.path.is_relative_to(tmp_path)
    assert (found.path / "model.keras").read_bytes() == (release / "model.keras").read_bytes()


def test_the_facts_say_what_was_converted(registered, tmp_path: Path, release: Path) -> None:
    facts = fetch_release("2", tmp_path, MODEL, registered.uri).facts
    sha256 = hashlib.sha256((release / "manifest.json").read_bytes()).hexdigest()
    assert facts == {"release_sha256": sha256, "model": MODEL, "version": "2"}


def test_the_process_wide_tracking_uri_stays(registered, tmp_path: Path) -> None:
    before = mlflow.get_tracking_uri()
    fetch_release("1", tmp_path, MODEL, registered.uri)
    assert mlflow.get_tracking_uri() == before


@pytest.mark.parametrize("reference", ["3", "0", "99999999999999999999"])
def test_a_version_that_is_not_there_names_those_that_are(registered, tmp_path: Path, reference: str) -> None:
    expected = (
        rf"^version '{reference}' of model 'living room' is not registered, expected one of versions 1, 2 "
        "and aliases challenger, champion: give another --version$"
    )
    with pytest.raises(InputError, match=expected):
        fetch_release(reference, tmp_path, MODEL, registered.uri)


@pytest.mark.parametrize("reference", ["winner", "-1", "v2", "1.0"])
def test_an_alias_that_is_not_there_names_those_that_are(registered, tmp_path: Path, reference: str) -> None:
    with pytest.raises(InputError, match=f"^alias '{reference}' of model .* aliases challenger, champion"):
        fetch_release(reference, tmp_path, MODEL, registered.uri)


@pytest.mark.parametrize("reference", ["1", "champion"])
def test_a_model_that_is_not_there_names_those_that_are(registered, tmp_path: Path, reference: str) -> None:
    with pytest.raises(InputError, match=r"^model 'attic' is not registered at 'sqlite:.*', which has 'living room'"):
        fetch_release(reference, tmp_path, "attic", registered.uri)


# What is downloaded


@pytest.fixture
def spoiled(registered, tmp_path: Path) -> Iterator[Path]:
    """The stored release of version 1, put back after the test."""
    source = Path(registered.version(MODEL, "1").release.removeprefix("file://"))
    stored = Path(registry_path(source))
    shutil.copytree(stored, tmp_path / "kept")
    yield stored
    shutil.rmtree(stored, ignore_errors=True)
    shutil.copytree(tmp_path / "kept", stored)


def registry_path(source: Path) -> str:
    from urllib.parse import unquote

    return unquote(str(source))


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def test_a_tampered_release_is_refused_by_name(registered, spoiled: Path, into: Path) -> None:
    (spoiled / "model.keras").write_bytes(b"other weights")
    with pytest.raises(ReleaseError, match=r"does not match its manifest: model\.keras differs: fetch it again"):
        fetch_release("1", into, MODEL, registered.uri)


def test_a_release_without_a_manifest_is_refused(registered, spoiled: Path, into: Path) -> None:
    (spoiled / "manifest.json").unlink()
    with pytest.raises(ReleaseError, match=r"has no manifest\.json"):
        fetch_release("1", into, MODEL, registered.uri)


def test_a_version_whose_files_are_gone_says_so(registered, spoiled: Path, into: Path) -> None:
    shutil.rmtree(spoiled)
    expected = r"^the release's files are not at 'file:.*/data/release', .*: put the artifacts back, or give another"
    with pytest.raises(ReleaseError, match=expected):
        fetch_release("1", into, MODEL, registered.uri)


# Where it is asked


@pytest.fixture
def elsewhere(monkeypatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path))
    return tmp_path


def test_an_option_goes_before_the_environment_and_that_before_the_home(monkeypatch, elsewhere: Path) -> None:
    (elsewhere / "mlflow").mkdir()
    (elsewhere / "mlflow" / "mlflow.db").touch()
    assert tracking_uri() == f"sqlite:///{elsewhere}/mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    assert tracking_uri() == "http://mlflow.example:5000"
    assert tracking_uri("http://other.example") == "http://other.example"


def test_the_home_is_where_the_pipelines_have_it(monkeypatch, elsewhere: Path) -> None:
    from pipelines.home import Home

    (elsewhere / "mlflow").mkdir()
    (elsewhere / "mlflow" / "mlflow.db").touch()
    assert tracking_uri() == Home.from_environment().mlflow_uri
    monkeypatch.delenv("EDGELOOP_HOME")
    monkeypatch.setattr(Path, "exists", lambda _: True)
    monkeypatch.setattr(registry, "_is_database", lambda _: True)
    assert tracking_uri() == Home.from_environment().mlflow_uri


def test_a_database_that_is_not_there_is_not_created(elsewhere: Path) -> None:
    with pytest.raises(
        InputError, match=r"^there is no registry at 'sqlite:.*mlflow\.db', expected what .*train first"
    ):
        fetch_release("1", elsewhere, MODEL)
    assert list(elsewhere.iterdir()) == []


def test_a_server_that_is_down_is_told_without_its_password(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ServiceUnavailable) as caught:
        fetch_release("champion", tmp_path, MODEL, f"http://bob:s3cret@127.0.0.1:{port}")
    assert "s3cret" not in str(caught.value)
    assert str(caught.value).endswith(": start it and run the same command again")
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("content", [b"no database at all" * 100, None])
def test_what_is_no_database_is_told_before_mlflow_waits_for_it(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "mlflow.db"
    file.mkdir() if content is None else file.write_bytes(content)
    with pytest.raises(InputError, match=r"^'sqlite:.*' is no SQLite database, expected the one of MLflow: "):
        fetch_release("1", tmp_path, MODEL, f"sqlite:///{file}")


def test_a_database_whose_driver_is_missing_names_it_without_the_password(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg2", None)
    with pytest.raises(MissingTool, match="needs the Python module 'psycopg2', which is not installed: install it"):
        fetch_release("1", tmp_path, MODEL, "postgresql://bob:***@db/x")


def test_a_long_reason_is_cut_between_words() -> None:
    told = registry._outage("http://x", OSError(f"{'word ' * 38}https://host.example/path"), "wait")  # noqa: SLF001
    assert "https" not in told
    assert told.endswith("word …): wait")


def test_an_address_that_mlflow_does_not_know_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^MLflow at 'gopher://x' does not give the release"):
        fetch_release("1", tmp_path, MODEL, "gopher://x")


def test_without_mlflow_a_folder_can_be_given(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(MissingTool, match=r"mlflow is not installed.*make setup, or give --release FOLDER"):
        fetch_release("1", tmp_path, MODEL, "http://mlflow.example")


def test_settings_of_the_user_stay(monkeypatch, registered, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    fetch_release("1", tmp_path, MODEL, registered.uri)
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"


# A folder on disk


def test_a_folder_is_verified_and_has_no_version(release: Path) -> None:
    found = open_release(release)
    assert (found.path, found.model, found.version, found.name) == (release, "", "", str(release))
    assert found.manifest == verify_manifest(release)


def test_a_folder_that_is_none_is_refused(tmp_path: Path, copied_release: Path) -> None:
    with pytest.raises(ReleaseError, match=r"is no folder, expected one with a manifest\.json: give another --release"):
        open_release(tmp_path / "nowhere")
    (copied_release / "golden.json").write_text("{}")
    with pytest.raises(ReleaseError, match=r"golden\.json differs"):
        open_release(copied_release)


def test_the_credentials_of_any_address_are_masked() -> None:
    assert registry._shown("postgresql://bob:pa%20ss@db/x") == "postgresql://bob:***@db/x"  # noqa: SLF001
