"""Services that do not answer, and runs that are killed: nothing is lost, nothing is half done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deployers.protocol.manifest import verify_manifest
from tests.programs import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable

SMOKE = ("--config", "pipelines/configs/smoke.yaml")
LENIENT = ("--set", "gate.ridge_margin=-0.99", "--set", "gate.persistence_margin=-0.99")
QUICK = ("--set", "search.max_evaluations=2", "--set", "search.updates=40", *LENIENT)
MANY = (
    *SMOKE, "--seed", "5", "--set", "model=killed", "--set", "search.population=3", "--set", "search.generations=9",
    "--set", "search.max_evaluations=12", "--set", "search.elite=1", "--set", "search.updates=80",
    "--set", "search.max_cpu_seconds=1e6", *LENIENT,
)  # fmt: skip
UNKILLED = """
import logging
from pathlib import Path
from forecaster import model
from forecaster.search import chosen, search
from forecaster.search_config import SearchConfig
from pipelines.config import load_config
config = load_config([Path(sys.argv[1])], sys.argv[2:], "training").training
dataset = client.get_artifact_version("smoke").load()
found = search(dataset, config.search, 5)
picked, updates = chosen(found, config.search, dataset)
made = model.train(dataset, picked, updates, 5, refit=True, seeds=config.seeds)
answer = {"digest": made.digest, "evaluations": len(found.records)}
"""


@pytest.fixture
def elsewhere(workplace: Any, smoke: Any, free_port: Callable[[], int]) -> tuple[str, dict[str, str], int]:
    """A model whose MLflow is to answer on a port of its own."""
    port = free_port()
    return "elsewhere", {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}, port


def test_a_registry_that_is_down_costs_no_training(workplace: Any, elsewhere: Any) -> None:
    model, there, port = elsewhere
    command = ("train", *SMOKE, *QUICK, "--set", f"model={model}")
    message = workplace.refuse(5, *command, env=there)
    assert f"MLflow at 'http://127.0.0.1:{port}' does not answer" in message
    assert message.endswith("start it and run the same command again; what was trained is kept")

    store, files = workplace.outside / "mlflow.db", workplace.outside / "mlflow-files"
    serve = [
        str(Path(sys.executable).with_name("mlflow")), "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--backend-store-uri", f"sqlite:///{store}", "--artifacts-destination", str(files),
    ]  # fmt: skip
    with workplace.serving(*serve, port=port, path="/health"):
        result = workplace.succeed(*command, env=there).result
    assert {"search", "train", "evaluate", "package"} <= set(result["cached"])
    assert (result["model_version"], result["alias"]) == ("1", "champion")
    assert not result["already_registered"]
    assert list(files.rglob("manifest.json"))
    assert workplace.versions(model) == 0, "it must be in the server, not in the home"


def test_a_database_that_is_down_is_a_service_that_does_not_answer(workplace: Any) -> None:
    message = workplace.refuse(5, "data", "--source", "postgresql://reader:hunter2@127.0.0.1:1/x")
    assert "127.0.0.1:1" in message
    assert "does not answer" in message
    assert "hunter2" not in message


def test_a_killed_search_leaves_nothing_half_registered_and_resumes_to_the_same_model(
    workplace: Any, smoke: Any
) -> None:
    command = [sys.executable, "run.py", "train", *MANY, "--json"]
    log = workplace.outside / "killed.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=CHECKOUT, env=workplace.environment(), stdout=file, stderr=file)
    try:
        checkpoint = _wait_for_checkpoint(workplace.home / "cache" / "search", process)
    finally:
        process.kill()
        process.wait(30)
    assert checkpoint.exists(), log.read_text()
    _spend(checkpoint, 5000)
    assert workplace.versions("killed") == 0
    assert "killed" not in [name for (name,) in workplace.mlflow("select name from registered_models")]

    resumed = workplace.succeed("train", *MANY)
    assert "search: 10 evaluations" in resumed.stderr
    assert resumed.result["cpu_seconds"] > 5000, "what was trained before was trained again"
    assert resumed.result["search"]["evaluations"] == 12
    assert workplace.versions("killed") == 1
    assert list((workplace.home / "cache" / "search").iterdir()) == []

    settings = [override for word, override in pairwise(MANY) if word == "--set"]
    unkilled = workplace.ask(UNKILLED, SMOKE[1], *settings)
    assert unkilled["evaluations"] == 12
    assert verify_manifest(Path(resumed.result["release_dir"]))["facts"]["digest"] == unkilled["digest"]


def _spend(checkpoint: Path, cpu_seconds: int) -> None:
    """Say that the first training took so long, by which it is known again."""
    header, first, *rest = checkpoint.read_text(encoding="utf-8").splitlines(keepends=True)
    spent = json.dumps({**json.loads(first), "cpu_seconds": cpu_seconds}) + "\n"
    checkpoint.write_text("".join([header, spent, *rest]), encoding="utf-8")


def _wait_for_checkpoint(folder: Path, process: subprocess.Popen[bytes]) -> Path:
    """The file of the search when a few trainings are in it."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        found = [path for path in folder.glob("*.jsonl") if path.read_bytes().count(b"\n") > 4]
        if found:
            return found[0]
        time.sleep(0.01)
    return folder / "no checkpoint"


def test_a_second_run_at_once_is_refused_and_names_the_first_while_show_still_works(workplace: Any, smoke: Any) -> None:
    from pipelines.home import Home

    with Home(workplace.home).held():
        message = workplace.refuse(6, "data", *SMOKE)
        shown = workplace.succeed("show", *SMOKE).result
    assert f"another run (process '{os.getpid()}')" in message
    assert "wait for it or set another EDGELOOP_HOME" in message
    assert shown["champion"] is not None
