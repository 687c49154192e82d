"""Schedules that ZenML keeps and a stack's orchestrator runs."""

from __future__ import annotations

import difflib
import hashlib
import json
from typing import TYPE_CHECKING, Any

from zenml.client import Client
from zenml.config.schedule import Schedule
from zenml.io import fileio

from forecaster.errors import ConfigError, ForecasterError, StackError
from pipelines.data import data_pipeline
from pipelines.runs import code_revision
from stacks import loader
from steps.caching import code_digest

if TYPE_CHECKING:
    from zenml.models import ComponentResponse, ScheduleResponse

    from pipelines.config import Config
    from pipelines.cron import Cron

DIGEST = "edgeloop_schedule"
KUBERNETES, AIRFLOW = "kubernetes", "airflow"
# What the orchestrator keeps of a schedule and ZenML cannot take from it.
BY_HAND = {
    "kubeflow": "delete the recurring run {name!r} in the Kubeflow Pipelines page",
    "sagemaker": "delete the schedule in EventBridge: aws scheduler list-schedules, aws scheduler delete-schedule",
    "vertex": "delete the schedule {name!r} in the Vertex AI page, Pipelines, Schedules",
}
ELSEWHERE = "delete the schedule {name!r} on the platform itself"


def put(name: str, pipeline: str, cron: Cron, flavor: str, config: Config) -> dict[str, Any]:
    """Make a schedule, or make the one of this name what is asked for; the stack is the active one.

    Raises:
        ConfigError: the orchestrator cannot take this expression, or cannot change what it has of the schedule.
        StackError: the orchestrator refuses.
    """
    written = expression(cron, flavor)
    digest = _digest(pipeline, written, config)
    known = _named(name)
    made = {"by": "zenml", "orchestrator": flavor, "expression": written}
    if known is not None and _kept_digest(known) == digest:
        return {**made, "state": "unchanged"}
    if known is not None:
        _make_way(known)
    options = _options(name, flavor, {DIGEST: digest})
    with_schedule = {**options, "schedule": Schedule(name=name, cron_expression=written)}
    try:
        with loader.zenml_errors(f"schedule {name!r} was not taken by {flavor}"):
            _start(pipeline, config, with_schedule)
    except ForecasterError:
        raise
    except Exception as error:
        msg = f"schedule {name!r} was not taken by {flavor}: {' '.join(str(error).split()) or type(error).__name__}"
        raise StackError(msg) from error
    return {**made, "state": "created" if known is None else "updated"}


def expression(cron: Cron, flavor: str) -> str:
    """A cron expression as an orchestrator reads it.

    Raises:
        ConfigError: the orchestrator cannot take it.
    """
    return {"kubeflow": cron.six_fields, "sagemaker": cron.eventbridge}.get(flavor, cron.five_fields)()


def listed() -> dict[str, Any]:
    """All schedules of ZenML's active project: name, pipeline, orchestrator, cron, active, created."""
    return {"schedules": [_row(schedule) for schedule in _all()]}


def remove(name: str) -> dict[str, Any]:
    """Remove a schedule from ZenML, and from its orchestrator where ZenML can.

    Returns:
        removed, and by_hand: what is left to do, if anything.

    Raises:
        ConfigError: there is none of this name.
    """
    known = _named(name)
    if known is None:
        names = [schedule.name for schedule in _all()]
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        there = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(names)) or 'none'}"
        msg = f"schedule {name!r} does not exist, {there} (python run.py schedule list)"
        raise ConfigError(msg)
    component = _orchestrator(known)
    if component is not None and component.flavor_name == AIRFLOW:
        _remove_dag(component, name)
    _delete(known, component)
    return {"removed": name, "by_hand": _by_hand(known, component)}


def _start(pipeline: str, config: Config, options: dict[str, Any]) -> None:
    provenance = {"code_revision": code_revision()}
    if pipeline == "data":
        data_pipeline.with_options(**options)(config.data, scheduled=True)
        return
    from pipelines.scheduled import all_pipeline  # noqa: PLC0415 - the data pipeline does without its imports
    from pipelines.training import training_pipeline  # noqa: PLC0415

    if pipeline == "train":
        training_pipeline.with_options(**options)(config.training, provenance)
        return
    all_pipeline.with_options(**options)(config.data, config.training, provenance)


def _options(name: str, flavor: str, extra: dict[str, Any]) -> dict[str, Any]:
    """What the stack asks for, and for Airflow one DAG a schedule, so that the next one takes its place."""
    options: dict[str, Any] = {**loader.run_settings(loader.used_stack()), "extra": extra}
    if flavor == AIRFLOW:
        key = f"orchestrator.{AIRFLOW}"
        settings = options.get("settings", {})
        options["settings"] = {**settings, key: {**settings.get(key, {}), "dag_id": name}}
    return options


def _digest(pipeline: str, written: str, config: Config) -> str:
    """Over everything that a run of the schedule depends on."""
    parts = [pipeline, written, config.model_dump(mode="json"), code_digest(), code_revision()]
    stack = Client().active_stack_model
    return hashlib.sha256(json.dumps([*parts, str(stack.id)], sort_keys=True).encode()).hexdigest()


def _all() -> list[ScheduleResponse]:
    return list(Client().list_schedules(size=1000, hydrate=True).items)


def _named(name: str) -> ScheduleResponse | None:
    found = Client().list_schedules(name=name, hydrate=True).items
    return found[0] if found else None


def _kept_digest(schedule: ScheduleResponse) -> str | None:
    snapshots = Client().list_snapshots(schedule_id=schedule.id, named_only=False, hydrate=True).items
    return snapshots[0].pipeline_configuration.extra.get(DIGEST) if snapshots else None


def _orchestrator(schedule: ScheduleResponse) -> ComponentResponse | None:
    found = Client().list_stack_components(type="orchestrator", id=schedule.orchestrator_id, hydrate=True).items
    return found[0] if found else None


def _by_hand(schedule: ScheduleResponse, component: ComponentResponse | None) -> str | None:
    flavor = component.flavor_name if component is not None else ""
    if flavor in (KUBERNETES, AIRFLOW):
        return None
    return BY_HAND.get(flavor, ELSEWHERE).format(name=schedule.name)


def _make_way(schedule: ScheduleResponse) -> None:
    """Remove a schedule that another one of its name replaces.

    Raises:
        ConfigError: its orchestrator would run both.
    """
    component = _orchestrator(schedule)
    by_hand = _by_hand(schedule, component)
    if by_hand is not None:
        msg = (
            f"schedule {schedule.name!r} exists and ZenML cannot change it on its platform: {by_hand}, "
            f"then python run.py schedule remove {schedule.name}, and repeat"
        )
        raise ConfigError(msg)
    _delete(schedule, component)


def _delete(schedule: ScheduleResponse, component: ComponentResponse | None) -> None:
    """Take a schedule from ZenML, and with it from Kubernetes; the libraries of the other platforms are not needed."""
    if component is None or component.flavor_name != KUBERNETES:
        Client().zen_store.delete_schedule(schedule.id, soft=True)
        return
    with loader.zenml_errors(f"schedule {schedule.name!r} cannot be removed"):
        Client().delete_schedule(schedule.id)


def _remove_dag(component: ComponentResponse, name: str) -> None:
    folder = component.configuration.get("dag_output_dir")
    path = f"{str(folder).rstrip('/')}/{name}.zip"
    if folder and fileio.exists(path):
        fileio.remove(path)


def _row(schedule: ScheduleResponse) -> dict[str, Any]:
    component = _orchestrator(schedule)
    return {
        "schedule": schedule.name,
        "pipeline": _pipeline(schedule),
        "orchestrator": component.name if component else None,
        "cron": schedule.cron_expression,
        "active": schedule.active,
        "created": schedule.created.isoformat(timespec="seconds"),
    }


def _pipeline(schedule: ScheduleResponse) -> str | None:
    return Client().get_pipeline(schedule.pipeline_id).name if schedule.pipeline_id else None
