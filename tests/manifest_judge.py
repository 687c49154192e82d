"""What does not fit in what a platform is sent, by that platform's own published rules.

Run as a program in the environment with the platforms' SDKs: each line of standard input is a JSON list of a kind and a
document, each line of output the JSON list of complaints about it.

kubernetes  the OpenAPI schemas of the API, as `kubernetes-validate` has them, nothing unknown allowed
kubeflow    KFP's protocol buffer of a pipeline specification, its own loader, and the references inside
sagemaker   botocore's model of the API (`service-2.json`), and the rules of the pipeline definition's page
vertex      the API's protocol buffers, and for the pipeline inside as for Kubeflow
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VERSION = "2020-12-01"
STEP_NAME = r"[A-Za-z0-9\-_]{1,64}"
STEP_KEYS = {"Name", "Type", "Arguments", "DependsOn", "DisplayName", "Description", "CacheConfig", "RetryPolicies"}
# What SageMaker itself puts in when the step begins.
JOBS = {
    "Training": ("CreateTrainingJob", {"TrainingJobName"}),
    "Processing": ("CreateProcessingJob", {"ProcessingJobName"}),
}
# AWS writes Unicode classes, which Python's expressions lack; what is sent here is ASCII.
CLASSES = {
    r"\p{L}": "A-Za-z",
    r"\p{M}": "",
    r"\p{Z}": " ",
    r"\p{S}": "+=<>",
    r"\p{N}": "0-9",
    r"\p{P}": r"!-/:-@\[-`{-~",
}


def kubernetes(document: dict[str, Any]) -> Iterator[str]:
    """Complaints about one object of the API."""
    import kubernetes_validate

    try:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{'.'.join(str(part) for part in error.path)}: {error.message}"


def kubeflow(document: dict[str, Any]) -> Iterator[str]:
    """Complaints about a pipeline's specification."""
    import yaml
    from google.protobuf import json_format
    from kfp import components
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec = document.get("pipeline_spec", document)
    try:
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    except json_format.ParseError as error:
        yield str(error)
        return
    yield from _references(spec)
    try:
        components.load_component_from_text(yaml.safe_dump(spec))
    except (ValueError, KeyError, TypeError) as error:
        yield f"KFP does not load it: {error!r}"


def _references(spec: dict[str, Any]) -> Iterator[str]:
    """What tasks and components name has to be there: the loader does not look."""
    tasks = spec["root"]["dag"]["tasks"]
    executors = spec["deploymentSpec"]["executors"]
    for name, task in tasks.items():
        for other in task.get("dependentTasks", []):
            if other not in tasks:
                yield f"task {name!r} waits for task {other!r}, which is missing"
        component = spec["components"].get(task["componentRef"]["name"])
        if component is None:
            yield f"task {name!r} is of component {task['componentRef']['name']!r}, which is missing"
        elif "executorLabel" in component and component["executorLabel"] not in executors:
            yield f"task {name!r} is run by executor {component['executorLabel']!r}, which is missing"


def vertex(document: dict[str, Any]) -> Iterator[str]:
    """Complaints about a request for a pipeline job."""
    from google.cloud.aiplatform_v1 import types
    from google.protobuf import json_format

    try:
        json_format.ParseDict(document, types.CreatePipelineJobRequest.pb()())
    except json_format.ParseError as error:
        yield str(error)
        return
    yield from kubeflow(document["pipelineJob"]["pipelineSpec"])


def sagemaker(document: dict[str, Any]) -> Iterator[str]:
    """Complaints about a request for a pipeline whose definition is parsed."""
    model = _service()
    definition = document["PipelineDefinition"]
    body = {**document, "PipelineDefinition": json.dumps(definition)}
    yield from misfits(model.operation_model("CreatePipeline").input_shape, body, "")
    if definition.get("Version") != VERSION:
        yield f"Version: {definition.get('Version')!r} is not {VERSION!r}"
    names = [step.get("Name") for step in definition["Steps"]]
    if len(set(names)) < len(names):
        yield f"Steps: a name comes twice in {names!r}"
    for step in definition["Steps"]:
        yield from _step(step, names, model)
    yield from _published_schema(definition)


def _step(step: dict[str, Any], names: list[Any], model: Any) -> Iterator[str]:
    from sagemaker.workflow.steps import StepTypeEnum

    place = f"Steps.{step.get('Name')}"
    yield from (f"{place}: {key!r} is unknown" for key in sorted(set(step) - STEP_KEYS))
    if not re.fullmatch(STEP_NAME, str(step.get("Name"))):
        yield f"{place}: the name does not match {STEP_NAME!r}"
    yield from (
        f"{place}: waits for step {name!r}, which is missing" for name in step.get("DependsOn", []) if name not in names
    )
    if step.get("Type") not in {each.value for each in StepTypeEnum}:
        yield f"{place}: type {step.get('Type')!r} is unknown"
    elif step["Type"] in JOBS:
        operation, given = JOBS[step["Type"]]
        yield from misfits(model.operation_model(operation).input_shape, step["Arguments"], f"{place}.Arguments", given)


def _service() -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model("sagemaker")


def _published_schema(definition: dict[str, Any]) -> Iterator[str]:
    """AWS' JSON schema of the definition, where `EDGELOOP_SAGEMAKER_SCHEMA` names a copy of it."""
    path = os.environ.get("EDGELOOP_SAGEMAKER_SCHEMA")
    if path:
        import jsonschema

        checker = jsonschema.Draft7Validator(json.loads(Path(path).read_text(encoding="utf-8")))
        yield from (f"{error.json_path}: {error.message}" for error in checker.iter_errors(definition))


def misfits(shape: Any, value: Any, place: str, given: set[str] = frozenset()) -> Iterator[str]:  # type: ignore[assignment]
    """Where a value differs from a shape of botocore's.

    Args:
        shape: of the API's model.
        value: as JSON has it; what is known only at run time (`{"Get": …}`) fits everywhere.
        place: where it stands.
        given: members that may be absent although they are required.
    """
    if isinstance(value, dict) and set(value) in ({"Get"}, {"Std:Join"}):
        return
    kinds: dict[str, tuple[type, Callable[..., Iterator[str]]]] = {
        "structure": (dict, _structure), "map": (dict, _map), "list": (list, _list), "string": (str, _string),
        "integer": (int, _number), "long": (int, _number), "boolean": (bool, _nothing),
    }  # fmt: skip
    kind, check = kinds[shape.type_name]
    if not isinstance(value, kind):
        yield f"{place}: {value!r} is no {shape.type_name}"
    elif shape.type_name == "structure":
        yield from check(shape, value, place, given)
    else:
        yield from check(shape, value, place)


def _structure(shape: Any, value: dict[str, Any], place: str, given: set[str]) -> Iterator[str]:
    yield from (f"{place}.{name}: is unknown" for name in value if name not in shape.members)
    yield from (f"{place}.{name}: is missing" for name in shape.required_members if name not in {*value, *given})
    for name, member in shape.members.items():
        if name in value:
            yield from misfits(member, value[name], f"{place}.{name}")


def _map(shape: Any, value: dict[str, Any], place: str) -> Iterator[str]:
    yield from _number(shape, len(value), place)
    for key, item in value.items():
        yield from misfits(shape.key, key, f"{place}.{key}")
        yield from misfits(shape.value, item, f"{place}.{key}")


def _list(shape: Any, value: list[Any], place: str) -> Iterator[str]:
    yield from _number(shape, len(value), place)
    for index, item in enumerate(value):
        yield from misfits(shape.member, item, f"{place}[{index}]")


def _string(shape: Any, value: str, place: str) -> Iterator[str]:
    yield from _number(shape, len(value), place)
    pattern = shape.metadata.get("pattern", "(?s:.*)")
    for unicode, ascii_only in CLASSES.items():
        pattern = pattern.replace(unicode, ascii_only)
    if not re.fullmatch(pattern, value):
        yield f"{place}: {value!r} does not match {pattern!r}"
    if shape.enum and value not in shape.enum:
        yield f"{place}: {value!r} is none of the values that are allowed"


def _number(shape: Any, value: int, place: str) -> Iterator[str]:
    least, most = shape.metadata.get("min", float("-inf")), shape.metadata.get("max", float("inf"))
    if not least <= value <= most:
        yield f"{place}: {value} is not between {least} and {most}"


def _nothing(_shape: Any, _value: Any, _place: str) -> Iterator[str]:
    yield from ()


JUDGES = {"kubernetes": kubernetes, "kubeflow": kubeflow, "sagemaker": sagemaker, "vertex": vertex}


def main() -> None:
    """Judge until the end of standard input; what libraries print goes to standard error."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        kind, document = json.loads(line)
        print(json.dumps(list(JUDGES[kind](document))), file=output, flush=True)


if __name__ == "__main__":
    main()
