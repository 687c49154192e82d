"""Command line of the project: data, train, all, promote, show.

Exit codes: 0 done; 1 internal error; 2 bad input; 3 failed gate; 4 stack missing; 5 a service (database,
MLflow, disk) does not answer; 6 another run holds the home folder; 7 the model cannot be converted;
130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if find_spec("zenml") is None:  # not the project's environment: go on in it, or say how to make it
    interpreter = Path(__file__).resolve().parent / ".venv" / "bin" / "python"
    if os.environ.get("EDGELOOP_REENTERED") or not interpreter.exists():
        sys.exit("error: the project's environment is not there or not whole, run: make setup")
    os.environ["EDGELOOP_REENTERED"] = "1"
    os.execv(interpreter, [str(interpreter), *sys.argv])  # noqa: S606 - no shell is wanted

import click

from forecaster.errors import ForecasterError
from pipelines.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.config import Config

INTERNAL_ERROR, INTERRUPTED = 1, 130
EXIT_CODES = """\b
Exit codes:
  0 done             4 stack missing
  1 internal error   5 a database, MLflow or the disk does not answer
  2 bad input        6 another run holds the home folder
  3 failed gate      7 the model cannot be converted
  130 interrupted"""


def _help_config(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:  # noqa: FBT001
    if not wanted or context.resilient_parsing:
        return
    from pipelines.config import describe  # noqa: PLC0415

    section = {"data": "data", "train": "training", "promote": "training", "show": "training"}.get(
        context.command.name or ""
    )
    click.echo("\n".join(describe(section)))
    context.exit()


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that every command has."""
    options = [
        click.option("--stack", default="local", show_default=True, help="File in stacks/, or a stack ZenML knows."),
        click.option(
            "--config", "configs", multiple=True, type=click.Path(path_type=Path),
            help="YAML file, may be repeated; replaces the defaults in pipelines/configs/.",
        ),
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting, may be repeated."),
        click.option("--seed", type=click.IntRange(min=0), help="Seed of search, training and bootstrap."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else."),
        click.option("--debug", is_flag=True, help="Show logs of ZenML and a traceback with an error."),
        click.option(
            "--help-config", is_flag=True, is_eager=True, expose_value=False, callback=_help_config,
            help="List every setting with its default.",
        ),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def sources(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that choose the readings."""
    options = [
        click.option(
            "--source",
            help="CSV or CSV.gz file, SQLAlchemy URL, hub://host:port/series, or simulated://lab?days=120&seed=1.",
        ),
        click.option("--user", help="Only this user's readings."),
        click.option("--tag", help="Only readings with this tag."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def workers(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option that says who trains."""
    return click.option(
        "--workers",
        metavar="N|tcp://HOST:PORT",
        help="Train in up to N processes, one a core, or on the workers of a Dask scheduler (docs/cluster.md).",
    )(function)


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Readings in, a registered streaming GRU forecaster out."""


@cli.command(
    epilog="""\b
Examples:
  python run.py data
  python run.py data --source readings.csv.gz --user living_room
  python run.py data --source postgresql://reader@localhost/house --tag indoor --json
  python run.py data --source 'simulated://lab?days=60&seed=3&gaps=4' --set cleaning.max_hold_steps=3
"""
)
@sources
@common
def data(**options: Any) -> None:
    """Readings become a versioned dataset."""

    def work(config: Config) -> dict[str, Any]:
        from pipelines.runs import run_data  # noqa: PLC0415 - seconds to import; --help must not wait

        return run_data(config)

    _command("data", options, work)


@cli.command(
    epilog="""\b
Examples:
  python run.py train
  python run.py train --dataset temperature:3 --seed 2 --json
  python run.py train --set search.max_evaluations=12 --set refit=false
  python run.py train --workers 4
  python run.py train --workers tcp://192.0.2.10:8786
"""
)
@click.option("--dataset", help="Dataset artifact, NAME or NAME:VERSION; the newest version if none is given.")
@workers
@common
def train(**options: Any) -> None:
    """A dataset becomes a registered model version."""

    def work(config: Config) -> dict[str, Any]:
        from pipelines.runs import run_training  # noqa: PLC0415

        return run_training(config)

    _command("training", options, work)


@cli.command(
    name="all",
    epilog="""\b
Examples:
  python run.py all
  python run.py all --config pipelines/configs/smoke.yaml --json
  python run.py all --source readings.csv --user bedroom --seed 3
""",
)
@sources
@workers
@common
def everything(**options: Any) -> None:
    """Both pipelines, one after the other."""

    def work(config: Config) -> dict[str, Any]:
        from pipelines.runs import run_data, run_training  # noqa: PLC0415

        made = run_data(config)
        name, _, version = made["dataset_version"].partition(":")
        fixed = config.training.model_copy(update={"dataset": name, "dataset_version": version})
        return {**run_training(config.model_copy(update={"training": fixed})), "data": made}

    _command(None, options, work)


@cli.command(
    epilog="""\b
Examples:
  python run.py promote --version 3
  python run.py promote --version 2 --force --json
"""
)
@click.option("--version", required=True, help="Registered version that becomes champion.")
@click.option("--dataset", help="Dataset both are compared on, NAME or NAME:VERSION.")
@click.option("--force", is_flag=True, help="Promote whatever the comparison says.")
@common
def promote(version: str, *, force: bool, **options: Any) -> None:
    """A registered version becomes champion, if it beats the present one."""

    def work(config: Config) -> dict[str, Any]:
        from pipelines.runs import run_promotion  # noqa: PLC0415

        return run_promotion(config, version, force=force)

    _command("training", options, work)


@cli.command(
    epilog="""\b
Examples:
  python run.py show
  python run.py show --set training.model=smoke-forecaster --json
"""
)
@common
def show(**options: Any) -> None:
    """Datasets, registered versions with their aliases, the last runs."""

    def work(config: Config) -> dict[str, Any]:
        from pipelines.runs import show as look  # noqa: PLC0415

        return look(config)

    _command("training", options, work, writes=False)


def _command(
    section: str | None, options: dict[str, Any], work: Callable[[Config], dict[str, Any]], *, writes: bool = True
) -> None:
    """Prepare the home, run the work, print its result, and leave with the right exit code."""
    output = _reserve_output()
    try:
        result = _run(section, options, work, writes=writes)
    except ForecasterError as error:
        _fail(output, options, error, error.exit_code)
    except KeyboardInterrupt as error:
        _fail(output, options, error, INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the command line is where everything else ends
        _fail(output, options, error, INTERNAL_ERROR)
    if options["as_json"]:
        click.echo(json.dumps(result), file=output)
        return
    from pipelines.summary import print_summary  # noqa: PLC0415 - rich and nothing before it is wanted

    print_summary(click.get_current_context().command.name or "", result, output)


def _run(
    section: str | None, options: dict[str, Any], work: Callable[[Config], dict[str, Any]], *, writes: bool
) -> dict[str, Any]:
    home = Home.from_environment()
    home.prepare(debug=options["debug"])
    from pipelines.config import load_config  # noqa: PLC0415 - imports what reads the environment

    config = load_config(options["configs"], _overrides(options), section)
    if not writes:
        return _on_stack(options["stack"], home, config, work)
    with home.held():
        return _on_stack(options["stack"], home, config, work)


def _on_stack(stack: str, home: Home, config: Config, work: Callable[[Config], dict[str, Any]]) -> dict[str, Any]:
    from stacks.loader import use_stack  # noqa: PLC0415 - imports ZenML

    use_stack(stack, home.root)
    return work(config)


def _overrides(options: dict[str, Any]) -> list[str]:
    """The command's own options as overrides, behind those given with --set."""
    named = {f"data.{name}": options.get(name) for name in ("source", "user", "tag")}
    named |= {"training.seed": options.get("seed"), "training.search.workers": options.get("workers")}
    name, _, version = (options.get("dataset") or "").partition(":")
    named |= {"training.dataset": name or None, "training.dataset_version": version or None}
    given = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in named.items() if value is not None]
    return [*options["overrides"], *given]


def _reserve_output() -> Any:
    """Keep standard output for the result: whatever libraries print goes to standard error."""
    sys.stdout.flush()
    kept = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return kept


def _fail(output: Any, options: dict[str, Any], error: BaseException, code: int) -> None:
    if options["debug"]:
        import traceback  # noqa: PLC0415

        traceback.print_exception(error, file=sys.stderr)
    kind = type(error).__name__
    message = " ".join(str(error).split()) or kind
    if code == INTERNAL_ERROR:
        message = f"internal error, {kind}: {message} (run again with --debug for the traceback)"
    if options["as_json"]:
        click.echo(_as_json(kind, message, code), file=output)
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


def _as_json(kind: str, message: str, code: int) -> str:
    return json.dumps({"error": {"kind": kind, "message": message, "exit_code": code}})


def main() -> None:
    """Run the command line; with --json also a wrong option is one JSON object."""
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        if "--json" in sys.argv:
            click.echo(_as_json(type(error).__name__, error.format_message(), error.exit_code))
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
