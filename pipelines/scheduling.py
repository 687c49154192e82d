"""A pipeline at set times: by the stack's orchestrator where it has schedules, else by this machine."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from forecaster.errors import ConfigError
from forecaster.sources import is_on_disk, without_password
from pipelines import timers
from pipelines.cron import parse
from pipelines.home import CHECKOUT
from stacks import loader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelines.config import Config

# Orchestrator flavors of ZenML whose configuration says `is_schedulable`; a test asks ZenML for each of them.
SCHEDULABLE = ("airflow", "azureml", "databricks", "hyperai", "kubeflow", "kubernetes", "sagemaker", "vertex")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_VARIABLE = re.compile(r"\$\{(\w+)")


def schedule(
    pipeline: str, words: Sequence[str], options: Mapping[str, Any], config: Config, home: Path
) -> dict[str, Any]:
    """Schedule a pipeline.

    Args:
        pipeline: data, train or all.
        words: the command's options as they are written.
        options: `stack`, `cron`, `name`, `kind`, `output`, see `pipelines.schedule_commands`.
        config: the settings of the run, already checked.
        home: the home folder.

    Returns:
        schedule, pipeline, stack, cron, by (zenml, systemd or cron), next, and what was made.

    Raises:
        ConfigError: expression, name, a source that the stack cannot read, or a setting that a schedule cannot hold.
        StackError: the stack is unknown.
    """
    cron = parse(options["cron"])
    name = options["name"] or _default_name(pipeline, options["stack"])
    if not NAME.fullmatch(name):
        msg = f"schedule name {name!r} is not 1 to 100 letters, digits, - and _ beginning with a letter or digit"
        raise ConfigError(msg)
    if without_password(config.data.source)[1] is not None:
        msg = (
            f"the source of schedule {name!r} has its password in the URL, which a schedule would keep in plain text: "
            f"put PGPASSWORD into {str(home / timers.ENVIRONMENT_FILE)!r} or use a .pgpass file"
        )
        raise ConfigError(msg)
    found = {"schedule": name, "pipeline": pipeline, "stack": options["stack"], "cron": cron.five_fields()}
    flavor = orchestrator(options["stack"], home)
    if flavor in SCHEDULABLE and options["kind"] is None:
        if options["output"] is not None:
            msg = f"stack {options['stack']!r} schedules by {flavor}, --output is for --format systemd or cron: add one"
            raise ConfigError(msg)
        from pipelines.zenml_schedules import put  # noqa: PLC0415 - imports ZenML and both pipelines

        if is_on_disk(config.data.source):
            msg = (
                f"source {config.data.source!r} of schedule {name!r} is a file of this machine, and stack "
                f"{options['stack']!r} runs elsewhere by itself: name a database or a hub, or --format systemd or cron"
            )
            raise ConfigError(msg)
        loader.use_stack(options["stack"], home)
        return {**found, **put(name, pipeline, cron, flavor, config)}
    command = (sys.executable, str(CHECKOUT / "run.py"), pipeline, *words)
    job = timers.Job(name, command, Path.cwd(), home, cron)
    return {**found, **_here(job, options["kind"] or timers.default_format(), options)}


def orchestrator(stack: str, home: Path) -> str:
    """Flavor of a stack's orchestrator.

    Raises:
        StackError: neither a file nor ZenML knows the stack.
    """
    if stack in loader.available():
        found, _ = loader.read_with_gaps(stack, home)  # schedule.env may have what is not set here
        return (found or loader.read_stack(stack, home)).components["orchestrator"].flavor
    loader.use_stack(stack, home)
    from zenml.client import Client  # noqa: PLC0415 - reads the environment that the caller prepared
    from zenml.enums import StackComponentType  # noqa: PLC0415

    return str(Client().active_stack_model.components[StackComponentType.ORCHESTRATOR][0].flavor_name)


def _here(job: timers.Job, kind: timers.Format, options: Mapping[str, Any]) -> dict[str, Any]:
    texts = timers.files(job, kind)
    folder = options["output"] and options["output"].expanduser().resolve()
    states = timers.write(texts, folder) if folder else {}
    now = datetime.now().astimezone().replace(tzinfo=None)
    return {
        "by": kind,
        "files": {str(folder / name) if folder else name: text for name, text in texts.items()},
        "states": states,
        "next": [at.isoformat(timespec="minutes") for at in job.cron.upcoming(now, 3)],
        "commands": timers.install(job, kind, folder),
        "environment_file": str(job.home / timers.ENVIRONMENT_FILE),
        "variables": _variables(options["stack"]),
    }


def _default_name(pipeline: str, stack: str) -> str:
    return f"edgeloop-{pipeline}-{re.sub(r'[^A-Za-z0-9_-]', '-', stack)}"


def _variables(stack: str) -> list[str]:
    """Variables of the environment that the stack's file reads."""
    if stack not in loader.available():
        return []
    written = yaml.safe_load((loader.STACKS / f"{stack}.yaml").read_text(encoding="utf-8"))
    return sorted(set(_VARIABLE.findall(json.dumps(written))))
