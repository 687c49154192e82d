"""Stack files: what they may hold, and what becomes of them in ZenML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from requests.exceptions import ConnectionError as NoConnection
from zenml.exceptions import AuthorizationException, CredentialsNotValid, IllegalOperationError

from forecaster.errors import ServiceUnavailable, StackError
from stacks import loader
from stacks.schema import Stack

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


@pytest.mark.parametrize(("value", "expected"), [(None, "fallback"), ("", "fallback"), ("told", "told")])
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
    (stacks / "one.yaml").write_text(
        "name: a\ncomponents:\n  artifact_store: {name: a, flavor: local}\n  orchestrator:\n    name: a\n"
        "    flavor: local\n" + more
    )
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
        ("name: [unclosed", "in line 1"),
        (STACK + "name: twice", "key 'name' stands twice in line"),
        (STACK + "description: ${", "reference in '${' is not understood"),
        (STACK + "schedules: 2020-13-45", "month must be in 1..12"),
    ],
)
def test_a_file_against_the_schema_is_refused_on_one_line(stacks: Path, text: str, told: str) -> None:
    (stacks / "one.yaml").write_text(text)
    with pytest.raises(StackError, match=r"stack file 'one\.yaml' is not valid|is not understood") as caught:
        loader.read_stack("one", stacks)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["token: abc", "uri: 'http://me:pw@host'"])
def test_a_credential_in_the_file_is_refused_and_not_told(stacks: Path, value: str) -> None:
    (stacks / "one.yaml").write_text(STACK.replace("{tracking_uri:", f"{{{value}, tracking_uri:"))
    with pytest.raises(StackError, match=r"has a credential at 'components.experiment_tracker.configuration") as caught:
        loader.read_stack("one", stacks)
    assert "abc" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_all_variables_that_are_missing_are_named(stacks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OF_THIS_TEST", "AND_THIS"):
        monkeypatch.delenv(name, raising=False)
    (stacks / "one.yaml").write_text(
        STACK.replace("\nname: made-here", "\nname: ${AND_THIS}") + "schedules: ${OF_THIS_TEST}"
    )
    told = "environment variables 'AND_THIS', 'OF_THIS_TEST' are not set, the stack file needs them"
    with pytest.raises(StackError, match=told):
        loader.read_stack("one", stacks)
    assert loader.read_with_gaps("one", stacks) == (None, ["AND_THIS", "OF_THIS_TEST"])


def test_a_near_name_is_named(stacks: Path) -> None:
    (stacks / "docker.yaml").write_text(STACK)
    (stacks / "kubernetes.yaml").write_text(STACK)
    for wrong, right in (("dokcer", "docker"), ("kube", "kubernetes"), ("Docker", "docker")):
        with pytest.raises(StackError, match=rf"stack '{wrong}' is unknown, did you mean '{right}'\?"):
            loader.read_stack(wrong, stacks)


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


SCRIPT = """
file, text = folder / "one.yaml", (folder / "one.yaml").read_text()
calls = []
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
answer["used"] = loader.used_stack().name
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
answer["known to ZenML"] = (use("default"), answer["name"], loader.used_stack())
file.write_text(text.replace("flavor: mlflow", "flavor: mlfow").replace("made-here", "broken"))
for name in ("one", "defautl"):
    answer[f"refused {name}"] = refused(use, name)
answer["none is left"] = (loader.used_stack(), os.environ.get(loader.ACTIVE))
answer["active after"] = str(GlobalConfiguration().get_active_stack_id())
"""


@pytest.fixture(scope="module")
def used(zenml: Any) -> dict[str, Any]:
    """What ZenML did with a stack file, used and edited in one process of its own."""
    return dict(zenml(SCRIPT, one=STACK))


def test_the_first_use_registers_stack_and_components(used: dict[str, Any]) -> None:
    assert used["first"] == ["create_stack", *["create_stack_component"] * 3, "update_stack"]
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
    assert used["known to ZenML"] == [[], "default", None]


def test_the_active_stack_of_the_user_stays(used: dict[str, Any]) -> None:
    assert used["used"] == "made-here"
    assert used["active before"] == used["active after"]


def test_what_cannot_be_registered_or_found_is_a_stack_error(used: dict[str, Any]) -> None:
    told = "ZenML has no flavor 'mlfow' for experiment_tracker, did you mean 'mlflow'? choose one of comet, "
    assert used["refused one"].startswith(told)
    assert used["refused defautl"].startswith(
        "stack 'defautl' is unknown, did you mean 'default'? choose one of one, or"
    )


def test_after_a_refusal_no_stack_is_in_use(used: dict[str, Any]) -> None:
    assert used["none is left"] == [None, None]


def test_without_a_stack_file_a_run_gets_nothing() -> None:
    assert loader.run_settings(None) == {}


def test_what_a_file_asks_for_goes_into_a_run() -> None:
    given = Stack.model_validate(yaml.safe_load(STACK) | {
        "settings": {"docker": {"parent_image": "i"}},
        "components": yaml.safe_load(STACK)["components"] | {"step_operator": {"name": "gpu", "flavor": "kubernetes"}},
        "steps": {
            "search": {"resources": {"cpu_count": 4, "memory": "8GB"}, "settings": {"docker": {"parent_image": "j"}}},
            "train": {"step_operator": "gpu"},
            "load": {},
        },
    })  # fmt: skip
    assert loader.run_settings(given) == {
        "settings": {"docker": {"parent_image": "i"}},
        "steps": {
            "search": {"settings": {"docker": {"parent_image": "j"}, "resources": {"cpu_count": 4.0, "memory": "8GB"}}},
            "train": {"step_operator": "gpu"},
        },
    }


def test_a_file_that_asks_for_nothing_leaves_a_run_alone() -> None:
    assert loader.run_settings(Stack.model_validate(yaml.safe_load(STACK.replace("{home}", "")))) == {}


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (
            CredentialsNotValid("token expired"),
            StackError,
            "the ZenML server refuses the token (token expired), log in",
        ),
        (AuthorizationException("not\nyours"), StackError, "the ZenML server refuses the token (not yours)"),
        (NoConnection("no route"), ServiceUnavailable, "the ZenML server does not answer (no route)"),
        (TimeoutError(), ServiceUnavailable, "the ZenML server does not answer (TimeoutError)"),
        (IllegalOperationError("the default stack"), StackError, "it: the default stack"),
        (KeyError("x"), StackError, "it: 'x'"),
        (StackError("ours"), StackError, "ours"),
    ],
)
def test_zenmls_errors_come_out_as_ours(error: Exception, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind) as caught, loader.zenml_errors("it"):
        raise error
    assert told in str(caught.value)


def test_a_server_that_is_away_is_told_however_zenml_wraps_it() -> None:
    wrapped = RuntimeError("Error connecting to URL")
    with pytest.raises(ServiceUnavailable, match="does not answer"), loader.zenml_errors("it"):
        raise wrapped from NoConnection("refused")


def test_an_error_of_the_programme_stays_one() -> None:
    with pytest.raises(AttributeError), loader.zenml_errors("it"):
        raise AttributeError


def test_a_value_that_does_not_fit_is_not_told() -> None:
    with pytest.raises(StackError) as caught, loader.zenml_errors("it"):
        Stack.model_validate({"name": 3, "password": "hunter2"})
    assert "password: Extra inputs are not permitted" in str(caught.value)
    assert "hunter2" not in str(caught.value)
