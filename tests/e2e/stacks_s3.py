"""Both pipelines with their artifacts in a bucket of a real S3 server: `make test-stacks`; named, or not collected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stacks_docker import DATA_STEPS, DIGESTS, TRAINING_STEPS
from tests.programs import free_port
from tests.s3_server import S3Server, s3_server
from tests.workplace import SMOKE, Workplace

BUCKET = "edgeloop-artifacts"
PATH = f"s3://{BUCKET}/house"
STACK = ("--stack", "s3")
URIS = """
runs = [client.get_pipeline_run(name) for name in sys.argv[1:]]
answer = [made.uri for run in runs for step in run.steps.values() for found in step.outputs.values() for made in found]
"""
SECONDS = 1000  # on a machine that may be busy

pytestmark = pytest.mark.timeout(3 * SECONDS)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture(scope="module")
def owner(server: S3Server) -> dict[str, str]:
    """Who owns the bucket."""
    user = server.user("owner")
    server.client(user).create_bucket(Bucket=BUCKET)
    return user


@pytest.fixture(scope="module")
def settings(server: S3Server, owner: dict[str, str]) -> dict[str, str]:
    """What the stack file wants from the environment."""
    return {**owner, "EDGELOOP_ARTIFACTS": PATH, "EDGELOOP_S3_ENDPOINT": server.endpoint}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace.under(tmp_path_factory.mktemp("s3"), SECONDS)


@pytest.fixture(scope="module")
def first(place: Workplace, settings: dict[str, str]) -> dict[str, Any]:
    return place.succeed("all", *SMOKE, *STACK, env=settings).result


def keys(server: S3Server, user: dict[str, str]) -> list[str]:
    """Every object of the bucket."""
    pages = server.client(user).get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def test_every_artifact_is_in_the_bucket_and_none_on_the_disk(
    place: Workplace, server: S3Server, owner: dict[str, str], first: dict[str, Any]
) -> None:
    uris = place.ask(URIS, first["data"]["zenml_run"], first["zenml_run"])
    assert len(uris) >= len(DATA_STEPS) + len(TRAINING_STEPS)
    present = keys(server, owner)
    for uri in uris:
        assert uri.startswith(f"{PATH}/")
        assert any(key.startswith(uri.removeprefix(f"s3://{BUCKET}/")) for key in present), uri
    stored = [path for path in (place.home / "zenml" / "local_stores").rglob("*") if path.is_file()]
    assert [path.name for path in stored if path.suffix not in (".db", ".db-wal", ".db-shm")] == []


def test_dataset_and_model_are_those_of_the_local_stack(
    place: Workplace, first: dict[str, Any], tmp_path: Path
) -> None:
    local = Workplace.under(tmp_path, SECONDS)
    here = local.succeed("all", *SMOKE).result
    digests = [
        where.ask(DIGESTS, told["zenml_run"], told["data"]["zenml_run"])
        for where, told in ((local, here), (place, first))
    ]
    assert digests[0] == digests[1]
    assert here["test"] == first["test"]


def test_again_everything_comes_from_the_cache(
    place: Workplace, settings: dict[str, str], first: dict[str, Any]
) -> None:
    again = place.succeed("all", *SMOKE, *STACK, env=settings).result
    assert again["data"]["cached"] == DATA_STEPS
    assert again["cached"] == TRAINING_STEPS
    assert again["already_registered"] is True


def test_a_bucket_without_permission_is_told(place: Workplace, server: S3Server, settings: dict[str, str]) -> None:
    stranger = server.user("stranger")
    message = place.refuse(5, "data", *SMOKE, *STACK, env={**settings, **stranger})
    assert PATH in message
    assert "PermissionError" in message


def test_a_bucket_that_does_not_exist_is_told(place: Workplace, settings: dict[str, str]) -> None:
    nowhere = {**settings, "EDGELOOP_ARTIFACTS": "s3://edgeloop-nowhere/house"}
    message = place.refuse(5, "data", *SMOKE, *STACK, env=nowhere)
    assert "s3://edgeloop-nowhere/house" in message


def test_a_server_that_does_not_answer_is_told(place: Workplace, settings: dict[str, str]) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    message = place.refuse(5, "data", *SMOKE, *STACK, env={**settings, "EDGELOOP_S3_ENDPOINT": f"http://{nobody}"})
    assert nobody in message
