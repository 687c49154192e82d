"""The stack files of the project: each can be read, says what it needs, and leaves the others alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks import loader
from stacks.schema import Stack

FILES = sorted(loader.STACKS.glob("*.yaml"))
NEEDED = re.compile(r"\$\{(\w+)\}")
SERVERS = {"EDGELOOP_ARTIFACTS": "s3://bucket/edgeloop"}
READ_BY_CODE = {"EDGELOOP_AIRFLOW_LOGIN"}  # stays out of what ZenML keeps of a stack


def names(file: Path) -> list[str]:
    """Variables that a file needs; comments may speak of others."""
    lines = (f" {line}".partition(" #")[0] for line in file.read_text().splitlines())
    return sorted(set(NEEDED.findall("\n".join(lines))))


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def file(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One stack file, with what it needs set."""
    prepare(monkeypatch, request.param)
    return Path(request.param)


def prepare(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    for name in names(file):
        bucket = "gs://bucket/edgeloop" if "flavor: gcp" in file.read_text() else SERVERS["EDGELOOP_ARTIFACTS"]
        value = bucket if name == "EDGELOOP_ARTIFACTS" else "http://there:5000" if name.endswith("_URI") else "there"
        monkeypatch.setenv(name, value)


def test_the_files_are_found() -> None:
    assert {"local", "docker", "airflow", "ssh"} <= set(loader.available())


def test_a_file_is_a_stack_that_tracks_and_registers(file: Path, tmp_path: Path) -> None:
    stack = loader.read_stack(file.stem, tmp_path)
    assert stack.name == f"edgeloop-{file.stem}"
    assert {"experiment_tracker", "model_registry"} <= set(stack.components)
    assert stack.description.endswith(".")
    assert "mlflow" in stack.requires.integrations


def test_a_file_begins_with_what_it_is_for_and_how_to_run_it(file: Path) -> None:
    head = file.read_text().partition("\nname:")[0].splitlines()
    assert len(head) >= 5
    assert all(line.startswith("#") for line in head)
    stack = "" if file.stem == "local" else f" --stack {file.stem}"
    assert any(f"run.py all{stack}" in line for line in head)


def test_each_variable_a_file_needs_is_explained(file: Path, tmp_path: Path) -> None:
    variables = loader.read_stack(file.stem, tmp_path).requires.variables
    assert set(names(file)) == set(variables) - READ_BY_CODE
    assert all(variables.values())


def test_without_them_they_are_what_is_missing(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in names(file):
        monkeypatch.delenv(name, raising=False)
    stack, missing = loader.read_with_gaps(file.stem, tmp_path)
    assert set(missing) == set(names(file))
    assert isinstance(stack, Stack)


def test_no_run_builds_an_image_and_the_one_it_uses_is_checked(file: Path, tmp_path: Path) -> None:
    stack = loader.read_stack(file.stem, tmp_path)
    if stack.components["orchestrator"].flavor != "local":
        assert stack.settings["docker"]["skip_build"] is True
        assert stack.settings["docker"]["parent_image"] == stack.requires.image


def test_steps_elsewhere_track_on_a_server(file: Path, tmp_path: Path) -> None:
    stack = loader.read_stack(file.stem, tmp_path)
    uri = stack.components["experiment_tracker"].configuration["tracking_uri"]
    assert uri.startswith("sqlite:" if stack.components["orchestrator"].flavor == "local" else "http://there")


def test_files_share_no_component_but_with_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[tuple[str, str], Any] = {}
    for file in FILES:
        prepare(monkeypatch, file)
        for kind, component in loader.read_stack(file.stem, tmp_path).components.items():
            assert seen.setdefault((kind, component.name), component) == component, f"{file.stem}: {component.name}"


def test_no_file_holds_a_literal_where_the_word_says_secret() -> None:
    for file in FILES:
        for component in yaml.safe_load(file.read_text())["components"].values():
            given = component.get("configuration", {})
            secrets = {given.get(name) for name in ("key", "secret", "tracking_token", "tracking_password")}
            assert all(value is None or value == "unauthenticated" or value[:2] in ("{{", "${") for value in secrets)
