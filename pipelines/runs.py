"""Runs the pipelines on a stack and collects what they made."""

from __future__ import annotations

import os
import subprocess
import uuid
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from zenml.client import Client
from zenml.enums import ExecutionStatus

from forecaster.errors import ConfigError, ForecasterError, InputError, restored
from forecaster.sources import without_password
from pipelines.data import data_pipeline
from pipelines.home import CHECKOUT
from pipelines.reasons import reason
from pipelines.review import describe_data_run
from pipelines.waiting import ended
from stacks.following import followed
from stacks.hosts import refusal
from stacks.loader import run_settings, used_stack
from stacks.refusals import require_image, require_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from zenml.models import PipelineRunResponse

    from forecaster.dataset import Dataset
    from forecaster.model import Forecaster
    from pipelines.config import Config

PGPASSWORD = "PGPASSWORD"
# As a hub gives them to the command that trains (docs/retraining.md).
CAUSE = {
    "series": "EDGELOOP_RETRAIN_SERIES",
    "reason": "EDGELOOP_RETRAIN_REASON",
    "request": "EDGELOOP_RETRAIN_REQUEST",
}


def run_data(config: Config) -> dict[str, Any]:
    """Run the data pipeline.

    Returns:
        dataset_version, zenml_run, cached (step names taken from the cache), rows, parts, conditions.

    Raises:
        ForecasterError: whatever stopped a step.
    """
    source, password = without_password(config.data.source)  # ZenML stores what a pipeline is given
    data = config.data.model_copy(update={"source": source})
    with _password(password):
        run = _launch(data_pipeline, "data", data)
    dataset = run.steps["store"].outputs[data.dataset][0]
    counts = _output(run, "clean", "cleaning_report")
    conditions = _output(run, "validate", "validation")["conditions"]
    describe_data_run(run, dataset, counts, conditions)
    return {
        "dataset_version": f"{dataset.name}:{dataset.version}",
        "zenml_run": run.name,
        "cached": [name for name, step in run.steps.items() if step.status == ExecutionStatus.CACHED],
        "source": data.source,
        "user": data.user,
        "tag": data.tag,
        "cleaning": counts,
        "conditions": conditions,
        "dataset": {key: _plain(value) for key, value in dataset.run_metadata.items()},
    }


def run_training(config: Config) -> dict[str, Any]:
    """Run the training pipeline.

    Returns:
        model_name, model_version, alias, release_dir, test, baselines, cpu_seconds, parameters,
        macs_per_forecast, dataset_version, zenml_run and what explains them.

    Raises:
        ForecasterError: whatever stopped a step.
    """
    from pipelines.training import training_pipeline  # noqa: PLC0415 - the data pipeline does without its imports
    from steps.promotion.active import active_registry  # noqa: PLC0415
    from steps.promotion.registry import Registration, local_copy  # noqa: PLC0415

    training = config.training
    dataset = dataset_version(training.dataset, training.dataset_version)
    provenance = {"dataset_version": dataset, "code_revision": code_revision()}
    run = _launch(training_pipeline, "training", training, provenance, None, retraining_cause(os.environ))
    registration = Registration(**_output(run, "register", "registration"))
    promotion = _output(run, "promote", "promotion")
    search = _output(run, "search", "search_result")
    forecaster = run.steps["train"].outputs["forecaster"][0].load()
    evaluation = _output(run, "evaluate", "evaluation")["evaluation"]
    fidelity = _output(run, "convert", "fidelity")
    return {
        "model_name": registration.model,
        "model_version": registration.version,
        "alias": promotion["alias"],
        "release_dir": local_copy(registration),
        "test": evaluation["model"],
        "baselines": evaluation["baselines"],
        "cpu_seconds": round(search["cpu_seconds"] + forecaster.training["cpu_seconds"], 2),
        "parameters": forecaster.architecture.parameters,
        "macs_per_forecast": forecaster.architecture.macs_per_forecast,
        "dataset_version": dataset,
        "zenml_run": run.name,
        "mlflow_run": registration.run_id,
        "mlflow_uri": active_registry().uri,
        "cached": [name for name, step in run.steps.items() if step.status == ExecutionStatus.CACHED],
        "already_registered": not registration.created,
        "promotion": promotion,
        "network": {**forecaster.architecture.as_dict(), "features": list(forecaster.program.names)},
        "search": {"evaluations": len(search["records"]), **{key: search[key] for key in ("stopped", "peak_bytes")}},
        "conversion": {"chosen": fidelity["chosen"], "types": _costs(fidelity)},
        "forecast": _last_forecast(forecaster, run.steps["load"].inputs["dataset"][0].load()),
        "evaluation": {key: value for key, value in evaluation.items() if key not in ("model", "baselines")},
    }


def retraining_cause(environment: Mapping[str, str]) -> dict[str, str]:
    """What the hub that asked for this training says of it, by its variables; empty if none asked."""
    return {name: environment[variable] for name, variable in CAUSE.items() if environment.get(variable)}


def _costs(fidelity: dict[str, Any]) -> dict[str, Any]:
    """What each type costs, in accuracy and on the board."""
    names = ("mae_growth", "instructions", "file_bytes", "arena_bytes")
    return {kind: {name: found[name] for name in names} for kind, found in fidelity["types"].items()}


def _last_forecast(forecaster: Forecaster, dataset: Dataset) -> dict[str, Any]:
    """What the new model says after the dataset's last reading."""
    last = dataset.grid.iloc[-1]
    steps = range(1, forecaster.program.horizon + 1)
    times = [last["time"] + timedelta(seconds=step * forecaster.program.cadence_seconds) for step in steps]
    return {
        "made_at": last["time"].isoformat(),
        "reading": float(last["value"]),
        "times": [time.isoformat() for time in times],
        "values": [round(float(value), 3) for value in forecaster.forecasts(dataset.grid)[-1]],
    }


def run_promotion(config: Config, version: str, *, force: bool) -> dict[str, Any]:
    """Promote a registered version.

    Raises:
        ForecasterError: no such version, or whatever stopped the step.
    """
    from pipelines.promotion import promotion_pipeline  # noqa: PLC0415
    from steps.promotion.active import active_registry  # noqa: PLC0415

    training = config.training
    registration = active_registry().version(training.model, version)
    dataset = dataset_version(training.dataset, training.dataset_version)
    run = _launch(promotion_pipeline, "promotion", training, registration.as_dict(), dataset, force)
    outcome = _output(run, "promote", "promotion")
    return {
        "model_name": training.model,
        "model_version": version,
        **outcome,
        "dataset_version": dataset,
        "zenml_run": run.name,
    }


def show(config: Config) -> dict[str, Any]:
    """What there is: datasets, registered versions with their aliases, the last runs. Reads only."""
    from steps.promotion.active import active_registry  # noqa: PLC0415
    from steps.promotion.registry import CHALLENGER, CHAMPION, local_copy  # noqa: PLC0415

    client, model = Client(), config.training.model
    registry = active_registry()
    datasets = client.list_artifact_versions(tags=["dataset"], sort_by="desc:created", size=10).items
    runs = client.list_pipeline_runs(sort_by="desc:created", size=10).items
    champion, challenger = registry.alias(model, CHAMPION), registry.alias(model, CHALLENGER)
    return {
        "stack": client.active_stack_model.name,
        "mlflow_uri": registry.uri,
        "model_name": model,
        "champion": champion.version if champion else None,
        "challenger": challenger.version if challenger else None,
        "release_dir": local_copy(champion) if champion else None,
        "versions": registry.versions(model) if champion or challenger else [],
        "datasets": [{"dataset_version": f"{d.name}:{d.version}", "created": d.created.isoformat()} for d in datasets],
        "runs": [{"zenml_run": r.name, "status": str(r.status), "created": r.created.isoformat()} for r in runs],
    }


def dataset_version(name: str, version: str | None) -> str:
    """`name:version` of a stored dataset, the newest if no version is given.

    Raises:
        InputError: there is no such dataset.
    """
    try:
        found = Client().get_artifact_version(name, version)
    except KeyError:
        wanted = f"{name}:{version}" if version else name
        msg = (
            f"dataset {wanted!r} does not exist, run python run.py data first (python run.py show lists what there is)"
        )
        raise InputError(msg) from None
    return f"{found.name}:{found.version}"


def code_revision() -> str:
    """Git's revision of the checkout, with `+changes` where it differs; `unknown` outside a checkout."""
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=CHECKOUT, check=True, capture_output=True, text=True)  # noqa: S603, S607
    return done.stdout.strip()


@contextmanager
def _password(password: str | None) -> Iterator[None]:
    """Give PostgreSQL's client library a password for a while; None leaves what the user has set."""
    before = os.environ.get(PGPASSWORD)
    if password is not None:
        os.environ[PGPASSWORD] = password
    try:
        yield
    finally:
        os.environ.pop(PGPASSWORD, None)
        if before is not None:
            os.environ[PGPASSWORD] = before


def _launch(pipeline: Callable[..., Any], name: str, *arguments: Any) -> PipelineRunResponse:
    """Run a pipeline to its end; an error of ours inside a step comes out as itself, wherever the step ran."""
    stack, run_name = used_stack(), f"{name}-{uuid.uuid4().hex[:8]}"
    require_image(stack)
    require_store(Client(), stack)
    try:
        options, lost = followed(stack, run_name, run_settings(stack))
        pipeline.with_options(run_name=run_name, **options)(*arguments)  # type: ignore[attr-defined]
    except ForecasterError:
        raise
    except Exception as error:
        raise _failure(run_name) or reason(run_name, error) or refusal(stack, error) or error from error
    run = ended(run_name, lost)
    if run.status != ExecutionStatus.COMPLETED:
        msg = f"run {run_name!r} is {run.status.value!r} on this stack, see it on the ZenML dashboard"
        raise _failure(run_name) or reason(run_name) or ForecasterError(msg)
    return run


def _failure(run_name: str) -> ForecasterError | None:
    """Our own error that a failed run ended with, if it was one."""
    for run in Client().list_pipeline_runs(name=run_name).items:
        for step in Client().list_run_steps(pipeline_run_id=run.id, status=ExecutionStatus.FAILED, hydrate=True).items:
            info = step.exception_info
            error = restored(info.source, info.message or "") if info is not None and info.source else None
            if error is not None:
                return error
    return None


def _output(run: PipelineRunResponse, step: str, name: str) -> dict[str, Any]:
    value = run.steps[step].outputs[name][0].load()
    if not isinstance(value, dict):
        msg = f"artifact {name!r} of step {step!r} is {type(value).__name__!r}, expected a dict"
        raise ConfigError(msg)
    return value


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | list | bool) else str(value)
