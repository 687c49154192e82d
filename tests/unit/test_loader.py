"""Stack files: what they may hold, and what becomes of them in ZenML."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forecaster.errors import StackError
from stacks import loader

CHECKOUT = Path(__file__).resolve().parents[2]
STACK = """
name: made-here
components:
  orchestrator: {name: made-here, flavor: local}
  artifact_store: {name: made-here, flavor: local}
  experiment_tracker:
    name: made-here
    flavor: mlflow
    configuration: {tracking_uri: "sqlite:///{home}/mlflow.db"}
"""


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of stack files."""
    monkeypatch.setattr(loader, "STACKS", tmp_path)
    return tmp_path


def test_the_home_is_put_in(stacks: Path) -> None:
    (stacks / "one.yaml").write_text(STACK)
    read = loader.read_stack("one", Path("/srv/home"))
    assert read.components["experiment_tracker"].configuration == {"tracking_uri": "sqlite:////srv/home/mlflow.db"}


@pytest.mark.parametrize(("value", "expected"), [(None, "fallback"), ("", ""), ("told", "told")])
def test_a_variable_goes_before_its_default(
    stacks: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, expected: str
) -> None:
    monkeypatch.delenv("OF_THIS_TEST", raising=False)
    if value is not None:
        monkeypatch.setenv("OF_THIS_TEST", value)
    (stacks / "one.yaml").write_text(STACK + "description: ${OF_THIS_TEST:-fallback}")
    assert loader.read_stack("one", stacks).description == expected


def test_lists_and_other_values_are_kept(stacks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THIS_TEST", "told")
    more = '    configuration: {many: ["${OF_THIS_TEST}", 3, true, null]}\n'
    (stacks / "one.yaml").write_text("name: a\ncomponents:\n  orchestrator:\n    name: a\n    flavor: local\n" + more)
    configuration = loader.read_stack("one", stacks).components["orchestrator"].configuration
    assert configuration == {"many": ["told", 3, True, None]}


def test_a_variable_without_a_default_must_be_set(stacks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OF_THIS_TEST", raising=False)
    (stacks / "one.yaml").write_text(STACK + "description: ${OF_THIS_TEST}")
    with pytest.raises(StackError, match="environment variable 'OF_THIS_TEST' is not set"):
        loader.read_stack("one", stacks)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (STACK + "colour: red", "colour"),
        (STACK.replace("flavor: local}", "flavour: local}", 1), "flavour"),
        ("name: only", "components"),
        ("- a list", "valid"),
        ("", "valid"),
        ("name: [unclosed", "not valid"),
    ],
)
def test_a_file_against_the_schema_is_refused_on_one_line(stacks: Path, text: str, told: str) -> None:
    (stacks / "one.yaml").write_text(text)
    with pytest.raises(StackError, match=r"stack file 'one\.yaml' is not valid") as caught:
        loader.read_stack("one", stacks)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_refused_with_those_there_are(stacks: Path) -> None:
    (stacks / "one.yaml").write_text(STACK)
    (stacks / "two.yaml").write_text(STACK)
    with pytest.raises(StackError, match="stack 'three' is unknown, choose one of one, two"):
        loader.read_stack("three", stacks)


def test_a_name_cannot_leave_the_folder(stacks: Path) -> None:
    (stacks / "inner").mkdir()
    (stacks / "one.yaml").write_text(STACK)
    with pytest.raises(StackError, match="is unknown"):
        loader.read_stack("inner/../one", stacks)


def test_every_stack_file_of_the_project_can_be_read(tmp_path: Path) -> None:
    assert "local" in loader.available()
    local = loader.read_stack("local", tmp_path)
    assert {"orchestrator", "artifact_store", "experiment_tracker", "model_registry"} == set(local.components)


SCRIPT = """
import __main__, json, os, sys
__main__.__file__ = os.path.abspath("run.py")  # where ZenML looks for our classes
from pathlib import Path
from pipelines.home import Home
from forecaster.errors import StackError
home = Home.from_environment()
home.prepare()
from zenml.client import Client
from zenml.config.global_config import GlobalConfiguration
from stacks import loader

folder = loader.STACKS = Path(sys.argv[1])
file, text = folder / "one.yaml", (folder / "one.yaml").read_text()
client, answer, calls = Client(), {}, []
answer["active before"] = str(GlobalConfiguration().get_active_stack_id())
for name in ("create_stack", "update_stack", "create_stack_component", "update_stack_component"):
    def counted(self, *arguments, _name=name, _real=getattr(Client, name), **named):
        calls.append(_name)
        return _real(self, *arguments, **named)
    setattr(Client, name, counted)

def use(name="one"):
    calls.clear()
    answer["name"] = loader.use_stack(name, home.root)
    return sorted(calls)

def tracker():
    return client.list_stack_components(type="experiment_tracker", name="made-here").items[0]

answer["first"] = use()
answer["active in this process"] = client.active_stack_model.name
identity = tracker().id
answer["second"] = use()
file.write_text(text.replace("mlflow.db", "edited.db"))
answer["edited"] = use()
answer["uri"] = tracker().configuration["tracking_uri"]
answer["same component"] = tracker().id == identity
file.write_text(text.replace("mlflow.db", "edited.db").replace("orchestrator: {name: made-here",
                                                                "orchestrator: {name: other"))
answer["other component"] = use()
answer["orchestrator"] = client.list_stacks(name="made-here").items[0].components["orchestrator"][0].name
answer["known to ZenML"] = (use("default"), answer["name"])
file.write_text(text.replace("flavor: mlflow", "flavor: no-such-flavor").replace("made-here", "broken"))
for name in ("one", "nowhere"):
    try:
        use(name)
    except StackError as error:
        answer[f"refused {name}"] = str(error)
os.environ.pop(loader.ACTIVE, None)
answer["active after"] = str(GlobalConfiguration().get_active_stack_id())
answer["home"] = str(home.root)
print("ANSWER" + json.dumps(answer))
"""


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ZenML did with a stack file, used and edited in one process of its own."""
    folder, home = tmp_path_factory.mktemp("stacks"), tmp_path_factory.mktemp("home")
    (folder / "one.yaml").write_text(STACK)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "EDGELOOP_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.rpartition("ANSWER")[2]))


def test_the_first_use_registers_stack_and_components(used: dict[str, Any]) -> None:
    assert used["first"] == ["create_stack", *["create_stack_component"] * 3]
    assert used["active in this process"] == "made-here"


def test_a_second_use_changes_nothing(used: dict[str, Any]) -> None:
    assert used["second"] == []


def test_an_edited_file_updates_the_component_it_is_about(used: dict[str, Any]) -> None:
    assert used["edited"] == ["update_stack_component"]
    assert used["uri"] == f"sqlite:///{used['home']}/edited.db"
    assert used["same component"]


def test_another_component_is_put_into_the_stack(used: dict[str, Any]) -> None:
    assert used["other component"] == ["create_stack_component", "update_stack"]
    assert used["orchestrator"] == "other"


def test_a_stack_that_only_zenml_knows_is_used_as_it_is(used: dict[str, Any]) -> None:
    assert used["known to ZenML"] == [[], "default"]


def test_the_active_stack_of_the_user_stays(used: dict[str, Any]) -> None:
    assert used["active before"] == used["active after"]


def test_what_cannot_be_registered_or_found_is_a_stack_error(used: dict[str, Any]) -> None:
    assert used["refused one"].startswith("stack 'broken' cannot be registered here: ")
    assert "no-such-flavor" in used["refused one"]
    assert "stack 'nowhere' is unknown, choose one of one, or register it in the ZenML" in used["refused nowhere"]
