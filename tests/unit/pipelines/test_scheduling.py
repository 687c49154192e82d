"""Who schedules: the stack's orchestrator or this machine; and what neither takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from forecaster.errors import ConfigError, StackError
from pipelines import scheduling
from pipelines.config import load_config
from pipelines.home import CHECKOUT
from pipelines.scheduling import SCHEDULABLE, orchestrator, schedule
from stacks import loader

WITHOUT_CHOICE = {"stack": "local", "cron": "0 3 * * *", "name": None, "kind": None, "output": None}
ASK_ZENML = """
import json
from zenml.enums import StackComponentType
from zenml.stack.flavor_registry import FlavorRegistry
registry = FlavorRegistry()
flavors = [f for f in (*registry.builtin_flavors, *registry.integration_flavors)
           if f().type == StackComponentType.ORCHESTRATOR]
print("ANSWER" + json.dumps({f().name: f().config_class.model_construct().is_schedulable for f in flavors}))
"""


def scheduled(tmp_path: Path, *overrides: str, words: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
    """The answer for a run of both pipelines, from a home of its own."""
    config = load_config([], overrides)
    return schedule("all", words, {**WITHOUT_CHOICE, **options}, config, tmp_path)


def test_the_flavors_with_schedules_are_those_of_zenml(tmp_path: Path) -> None:
    environment = {**os.environ, "ZENML_CONFIG_PATH": str(tmp_path), "ZENML_ANALYTICS_OPT_IN": "false"}
    done = subprocess.run(
        [sys.executable, "-c", ASK_ZENML], check=True, capture_output=True, text=True, env=environment, timeout=240
    )
    answer = json.loads(done.stdout.partition("ANSWER")[2])
    assert {"local", "local_docker", "ssh", "modal"} <= set(answer) - set(SCHEDULABLE)
    assert sorted(name for name, schedulable in answer.items() if schedulable) == sorted(SCHEDULABLE)


def test_stack_files_say_what_their_flavor_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in loader.available():
        stack, missing = loader.read_with_gaps(name, tmp_path)
        for variable in missing:
            monkeypatch.setenv(variable, "http://127.0.0.1:1")
        if missing:
            stack = loader.read_stack(name, tmp_path)
        assert stack is not None
        assert stack.schedules == (stack.components["orchestrator"].flavor in SCHEDULABLE), name


@pytest.mark.parametrize("kind", ["systemd", "cron"])
def test_this_machine_runs_what_the_stack_cannot_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    made = scheduled(tmp_path, words=("--stack=local", "--seed=2"), kind=kind)
    assert (made["schedule"], made["by"], made["cron"]) == ("edgeloop-all-local", kind, "0 3 * * *")
    text = "".join(made["files"].values())
    assert f"{sys.executable} {CHECKOUT}/run.py all --stack=local --seed=2" in text
    assert f"EDGELOOP_HOME={tmp_path}" in text
    assert made["states"] == {}
    assert len(made["next"]) == 3
    assert all(datetime.fromisoformat(at).hour == 3 for at in made["next"])
    assert made["variables"] == ["MLFLOW_TRACKING_URI"]
    assert sorted(path.name for path in tmp_path.iterdir()) == []


def test_files_go_into_the_folder_and_a_second_time_nothing_changes(tmp_path: Path) -> None:
    first = scheduled(tmp_path, kind="systemd", output=tmp_path / "units", name="nightly")
    assert set(first["states"].values()) == {"created"}
    assert set(first["files"]) == {str(tmp_path / "units" / f"nightly.{kind}") for kind in ("service", "timer")}
    assert all(Path(path).read_text() == text for path, text in first["files"].items())
    again = scheduled(tmp_path, kind="systemd", output=tmp_path / "units", name="nightly")
    assert set(again["states"].values()) == {"unchanged"}


def test_the_users_folder_may_be_written_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    made = scheduled(tmp_path, kind="systemd", output=Path("~/.config/systemd/user"))
    assert (tmp_path / ".config/systemd/user/edgeloop-all-local.timer").is_file()
    assert made["commands"][0] == "systemctl --user daemon-reload"


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "a.b", "ä", "x" * 101, "a\n"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    if not name:
        assert scheduled(tmp_path, name=name)["schedule"] == "edgeloop-all-local"
        return
    with pytest.raises(ConfigError, match=r"schedule name .* is not 1 to 100 letters, digits, - and _"):
        scheduled(tmp_path, name=name)


def test_a_password_does_not_go_into_a_schedule(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="password in the URL, which a schedule would keep in plain text") as caught:
        scheduled(tmp_path, 'data.source="postgresql://reader:s3cret@localhost/house"')
    assert "s3cret" not in str(caught.value)
    assert str(tmp_path / "schedule.env") in str(caught.value)


def test_a_wrong_expression_is_refused_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cron expression '61 \\* \\* \\* \\*' is refused: minute '61'"):
        scheduled(tmp_path, cron="61 * * * *", stack="nowhere")


def test_an_unknown_stack_is_refused_with_the_near_one(tmp_path: Path) -> None:
    (tmp_path / "zenml").mkdir()
    with pytest.raises(StackError, match="stack 'lokal' is unknown, did you mean 'local'"):
        run_apart(tmp_path, "lokal")


def run_apart(home: Path, stack: str) -> None:
    """ZenML is asked in a process of its own; its error comes back as itself."""
    program = (
        "import sys; from pathlib import Path; from pipelines.home import Home; home = Home(Path(sys.argv[1]))\n"
        "home.prepare()\n"
        "from pipelines.scheduling import orchestrator; from forecaster.errors import StackError\n"
        "try: orchestrator(sys.argv[2], home.root)\n"
        "except StackError as error: sys.exit(str(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, home, stack],
        check=False,
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, "ZENML_CONFIG_PATH": str(home / "zenml")},
        timeout=240,
    )
    if done.returncode:
        raise StackError(done.stderr.strip().splitlines()[-1])


def test_the_orchestrator_is_read_from_the_stacks_file_also_while_its_variables_are_not_set(tmp_path: Path) -> None:
    assert orchestrator("local", tmp_path) == "local"
    assert orchestrator("docker", tmp_path) == "local_docker"
    assert "local_docker" not in SCHEDULABLE


def test_the_options_of_timers_are_refused_where_the_stack_schedules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "orchestrator", lambda *_: "vertex")
    with pytest.raises(
        ConfigError, match="stack 'cloud' schedules by vertex, --output is for --format systemd or cron"
    ):
        scheduled(tmp_path, stack="cloud", output=tmp_path)
    made = scheduled(tmp_path, stack="cloud", kind="cron")
    assert (made["by"], made["schedule"]) == ("cron", "edgeloop-all-cloud")


@pytest.mark.parametrize("source", ["readings.csv", "sqlite:///readings.db"])
def test_a_file_of_this_machine_is_no_source_of_a_schedule_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setattr(scheduling, "orchestrator", lambda *_: "vertex")
    with pytest.raises(ConfigError, match=f"source '{source}' of schedule 'edgeloop-all-cloud' is a file"):
        schedule("all", (), {**WITHOUT_CHOICE, "stack": "cloud"}, load_config([], [f"data.source={source}"]), tmp_path)
