"""What apply does to ZenML: only what differs, and nothing the second time."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.changes import Change

STACK = """
name: made-here
description: of this test
components:
  orchestrator: {name: made-here, flavor: local_docker, configuration: {run_args: {network_mode: host}}}
  artifact_store: {name: made-here, flavor: local, configuration: {path: "{home}/zenml/local_stores/one"}}
  image_builder: {name: made-here, flavor: local}
  experiment_tracker:
    name: made-here
    flavor: mlflow
    configuration: {tracking_uri: "http://one", tracking_token: "${TOKEN}", tracking_insecure_tls: true}
    secret: ${SECRET:-}
"""
SECOND = """
name: second
components:
  orchestrator: {name: made-here, flavor: local_docker, configuration: {run_args: {network_mode: host}}}
  artifact_store: {name: second, flavor: local}
  image_builder: {name: made-here, flavor: local}
"""
SCRIPT = """
from zenml import load_artifact, save_artifact
file, text = folder / "one.yaml", (folder / "one.yaml").read_text()
os.environ["TOKEN"] = "very-secret"

def made(changed=None):
    file.write_text(changed or text)
    stack = loader.read_stack("one", home.root)
    planned = [change.sentence() for change in loader.plan(client, stack)]
    applied = [change.sentence() for change in loader.apply(client, stack)]
    assert planned == applied and not loader.apply(client, stack), (planned, applied)
    return applied

def component(kind, name="made-here"):
    return client.list_stack_components(type=kind, name=name).items[0]

answer["first"] = made()
answer["description"] = client.get_stack("made-here").description
answer["second stack"] = [c.sentence() for c in loader.apply(client, loader.read_stack("second", home.root))]

tracker = component("experiment_tracker")
answer["removed"] = made(text.replace(", tracking_insecure_tls: true", "").replace("http://one", "http://two"))
answer["left"] = component("experiment_tracker").configuration
answer["same tracker"] = component("experiment_tracker").id == tracker.id
os.environ["TOKEN"] = "newer-secret"
answer["token"] = made()

client.create_secret("keys", {"MLFLOW_TRACKING_TOKEN": "x"})
os.environ["SECRET"] = "keys"
answer["secret"] = made()
answer["given"] = len(component("experiment_tracker").secrets)
del os.environ["SECRET"]
answer["no secret"] = made()
answer["taken"] = len(component("experiment_tracker").secrets)
os.environ["SECRET"] = "nowhere"
answer["absent secret"] = refused(made)
del os.environ["SECRET"]

old = component("orchestrator")
local = text.replace("flavor: local_docker, configuration: {run_args: {network_mode: host}}", "flavor: local")
answer["flavor"] = made(local)
both = [client.get_stack(name) for name in ("made-here", "second")]
answer["flavors"] = [stack.components["orchestrator"][0].flavor_name for stack in both]
answer["old gone"] = old.id not in [c.id for c in client.list_stack_components(type="orchestrator").items]
answer["back"] = made()

answer["detached"] = made(local.replace("  image_builder: {name: made-here, flavor: local}\\n", ""))
answer["kinds"] = sorted(client.get_stack("made-here").components)
made()

os.environ[loader.ACTIVE] = str(client.get_stack("made-here").id)
save_artifact([1, 2, 3], "numbers")
store = component("artifact_store")
moved = text.replace("local_stores/one", "local_stores/two")
answer["path"] = made(moved)
answer["other store"] = component("artifact_store").id != store.id
answer["still read"] = load_artifact("numbers")
answer["old store"] = client.get_stack_component("artifact_store", store.id).name == f"made-here-{store.id.hex[:8]}"
answer["described"] = made(moved.replace("of this test", "of another test"))
answer["chosen"] = os.environ.pop(loader.ACTIVE) == str(client.get_stack("made-here").id)
answer["active"] = GlobalConfiguration().get_active_stack_id() == client.get_stack("default").id

parts = ("orchestrator", "artifact_store", "image_builder")
client.create_stack("by-hand", dict.fromkeys(parts, "made-here"))
tracked = moved.replace("tracker:\\n    name: made-here", "tracker:\\n    name: by-hand")
answer["half done"] = made(tracked.replace("name: made-here\\ndescription", "name: by-hand\\ndescription"))
"""
CREATED = ["orchestrator 'made-here', flavor local_docker", "artifact_store 'made-here', flavor local",
           "image_builder 'made-here', flavor local", "experiment_tracker 'made-here', flavor mlflow",
           "stack 'made-here'"]  # fmt: skip


@pytest.fixture(scope="module")
def told(zenml: Any) -> dict[str, Any]:
    """What ZenML had and was told, in one process; each time the plan was what was applied, and applied once."""
    return dict(zenml(SCRIPT, one=STACK, second=SECOND))


def test_a_new_stack_is_created_with_its_components(told: dict[str, Any]) -> None:
    assert told["first"] == [f"create {what}" for what in CREATED]
    assert told["description"] == "of this test"


def test_components_of_the_same_name_are_shared(told: dict[str, Any]) -> None:
    assert told["second stack"] == ["create artifact_store 'second', flavor local", "create stack 'second'"]


def test_a_key_that_left_the_file_leaves_the_component(told: dict[str, Any]) -> None:
    assert told["removed"] == [
        "update experiment_tracker 'made-here': remove tracking_insecure_tls True",
        "update experiment_tracker 'made-here': tracking_uri 'http://one' → 'http://two'",
    ]
    assert told["left"] == {"tracking_uri": "http://two", "tracking_token": "very-secret"}
    assert told["same tracker"]


def test_a_secret_is_compared_and_never_told(told: dict[str, Any]) -> None:
    assert "update experiment_tracker 'made-here': tracking_token '***' → '***'" in told["token"]
    assert "-secret" not in " ".join(told["token"])


def test_a_secret_of_zenml_is_given_to_a_component_and_taken_from_it(told: dict[str, Any]) -> None:
    assert told["secret"] == ["update experiment_tracker 'made-here': give it secret 'keys'"]
    assert told["given"] == 1
    assert told["no secret"] == ["update experiment_tracker 'made-here': take secret 'keys' from it"]
    assert told["taken"] == 0


def test_a_secret_that_zenml_does_not_have_is_refused(told: dict[str, Any]) -> None:
    assert told["absent secret"].startswith(
        "ZenML has no secret 'nowhere', the stack file needs it: zenml secret create"
    )


def test_another_flavor_is_another_component_in_every_stack_that_has_it(told: dict[str, Any]) -> None:
    assert told["flavor"] == [
        "replace orchestrator 'made-here': flavor 'local_docker' → 'local'",
        "attach orchestrator 'made-here' to stack 'made-here'",
    ]
    assert told["flavors"] == ["local", "local"]
    assert told["old gone"]
    assert told["back"][0] == "replace orchestrator 'made-here': flavor 'local' → 'local_docker'"


def test_a_component_that_left_the_file_leaves_the_stack(told: dict[str, Any]) -> None:
    assert "detach image_builder 'made-here' from stack 'made-here'" in told["detached"]
    assert told["kinds"] == ["artifact_store", "experiment_tracker", "orchestrator"]


def test_artifacts_stay_readable_when_their_store_gets_another_path(told: dict[str, Any]) -> None:
    [replaced, attached] = told["path"]
    assert replaced.startswith("replace artifact_store 'made-here': path '")
    assert replaced.endswith("/two' (what lies in the old one stays readable)")
    assert attached == "attach artifact_store 'made-here' to stack 'made-here'"
    assert told["other store"]
    assert told["still read"] == [1, 2, 3]
    assert told["old store"]


def test_another_description_is_an_update_of_the_stack(told: dict[str, Any]) -> None:
    assert told["described"] == ["update stack 'made-here': description 'of this test' → 'of another test'"]


def test_the_choice_of_the_process_and_that_of_the_user_stay(told: dict[str, Any]) -> None:
    assert told["chosen"]
    assert told["active"]


def test_what_was_begun_is_finished(told: dict[str, Any]) -> None:
    assert "create experiment_tracker 'by-hand', flavor mlflow" in told["half done"]
    assert "attach experiment_tracker 'by-hand' to stack 'by-hand'" in told["half done"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            Change("attach", "orchestrator", "new", "s", before="old"),
            "attach orchestrator 'new' to stack 's' instead of 'old'",
        ),
        (Change("update", "stack", "s", "description", "", "x"), "update stack 's': description '' → 'x'"),
        (Change("replace", "orchestrator", "o", "flavor", "a", "b"), "replace orchestrator 'o': flavor 'a' → 'b'"),
    ],
)
def test_a_change_says_what_it_is(change: Change, sentence: str) -> None:
    assert change.sentence() == sentence
    assert change.as_dict()["sentence"] == sentence


def test_a_change_as_json_has_what_it_has() -> None:
    assert Change("create", "stack", "s").as_dict() == {
        "action": "create", "kind": "stack", "name": "s", "sentence": "create stack 's'",
    }  # fmt: skip
