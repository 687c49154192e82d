"""What ZenML's flavors take: everything it would pass over in silence is refused."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.flavors import nearest

STACK = """
name: made-here
components:
  orchestrator: {name: o, flavor: local_docker, configuration: {run_args: {}}}
  artifact_store: {name: a, flavor: s3, configuration: {path: "s3://bucket/x", key: "{{keys.k}}", secret: "${SECRET}"}}
  image_builder: {name: i, flavor: local}
settings:
  docker: {parent_image: "i:1", skip_build: true}
  orchestrator.local_docker: {run_args: {network_mode: host}}
steps:
  train: {settings: {orchestrator: {run_args: {}}}}
"""
WRONG = {
    "flavor": ("flavor: s3,", "flavor: s4,"),
    "key": ("{run_args: {}}}\n  art", "{run_arg: {}}}\n  art"),
    "value": ("{run_args: {}}}\n  art", "{run_args: 3}}\n  art"),
    "value ZenML takes for granted": ('path: "s3://bucket/x"', "path: 3"),
    "scheme": ("s3://bucket/x", "gs://bucket/x"),
    "literal": ('secret: "${SECRET}"', "secret: in-plain-text"),
    "settings key": ("orchestrator.local_docker", "orchestrator.localdocker"),
    "settings of another flavor": ("orchestrator.local_docker", "orchestrator.kubernetes"),
    "setting": ("parent_image", "parentimage"),
    "setting of a step": ("{orchestrator: {run_args", "{orchestrator: {run_arguments"),
}
SCRIPT = """
from stacks.flavors import Flavors
file, text = folder / "one.yaml", (folder / "one.yaml").read_text()
os.environ["SECRET"] = "of-the-environment"
flavors = Flavors(client)

def looked(changed):
    file.write_text(changed)
    stack = loader.read_stack("one", home.root)
    flavors.verify(stack)
    return {kind: flavors.configuration(kind, c) for kind, c in stack.components.items()}

answer["stored"] = looked(text)
for name, (old, new) in json.loads(sys.argv[1] and (folder / "wrong.yaml").read_text()).items():
    assert old in text, old
    answer[name] = refused(looked, text.replace(old, new))
file.write_text(text)
stack = loader.read_stack("one", home.root)
answer["secret keys"] = sorted(flavors.secret_keys("artifact_store", "s3"))
answer["integration"] = [flavors.integration("artifact_store", "s3"), flavors.integration("orchestrator", "local")]
answer["obstacles"] = [flavors.obstacles("orchestrator", "local"), bool(flavors.obstacles("orchestrator", "vertex"))]
remote = stack.components["orchestrator"].model_copy(update={"flavor": "ssh", "configuration": {"hostname": "<HOST>"}})
answer["remote"] = [flavors.is_remote("orchestrator", c) for c in (stack.components["orchestrator"], remote)]
"""


@pytest.fixture(scope="module")
def told(zenml: Any) -> dict[str, Any]:
    """What the flavors said to each file."""
    import json

    return dict(zenml(SCRIPT, one=STACK, wrong=json.dumps(WRONG)))


def test_settings_are_given_as_zenml_stores_them(told: dict[str, Any]) -> None:
    assert told["stored"]["artifact_store"] == {
        "path": "s3://bucket/x", "key": "{{keys.k}}", "secret": "of-the-environment",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("flavor", "ZenML has no flavor 's4' for artifact_store: choose one of azure, "),
        ("key", "setting 'run_arg' of orchestrator 'o' of flavor 'local_docker' is unknown, did you mean 'run_args'?"),
        ("value", "orchestrator 'o' of flavor 'local_docker' refuses its configuration: run_args: Input should be"),
        ("value ZenML takes for granted", "artifact_store 'a' of flavor 's3' refuses its configuration: 'int' object"),
        ("scheme", "artifact_store 'a' of flavor 's3' refuses its configuration: "),
        ("literal", "artifact_store 'a' has its secret 'secret' in the stack file: write {{name.key}} for a value in"),
        ("settings key", "settings key 'orchestrator.localdocker' in settings is unknown, did you mean 'orchestrator."),
        ("settings of another flavor", "settings key 'orchestrator.kubernetes' in settings is unknown"),
        ("setting", "setting 'parentimage' in settings.docker is unknown, did you mean 'parent_image'?"),
        ("setting of a step", "setting 'run_arguments' in steps.train.settings.orchestrator is unknown"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(told: dict[str, Any], wrong: str, said: str) -> None:
    assert told[wrong] is not None
    assert said in told[wrong]
    assert "in-plain-text" not in told[wrong]


def test_a_flavor_says_what_is_secret_and_where_it_is_from(told: dict[str, Any]) -> None:
    assert {"key", "secret", "token"} <= set(told["secret keys"])
    assert told["integration"] == ["s3", "built-in"] or told["integration"] == ["s3", None]


def test_a_flavor_whose_library_is_absent_says_so(told: dict[str, Any]) -> None:
    assert told["obstacles"] == [[], True]


def test_a_remote_orchestrator_is_known_before_its_variables_are_set(told: dict[str, Any]) -> None:
    assert told["remote"] == [False, True]


@pytest.mark.parametrize(
    ("name", "said"),
    [("dokcer", "docker"), ("DOCKER", "docker"), ("kube", "kubeflow"), ("zz", ""), ("", ""), ("do", "")],
)
def test_a_near_name(name: str, said: str) -> None:
    assert nearest(name, ["docker", "kubeflow", "local"]) == (f", did you mean {said!r}?" if said else "")
