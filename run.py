"""Command line of the project: data, train, all, promote, show, schedule, stacks.

Exit codes: 0 done; 1 internal error; 2 bad input; 3 failed gate; 4 stack missing or lacking something; 5 a service
(database, MLflow, disk) does not answer; 6 another run holds the home folder; 7 the model cannot be converted;
130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
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
from pipelines.options import common, sources, workers
from pipelines.schedule_commands import schedule_group
from stacks.commands import stacks

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.config import Config

INTERNAL_ERROR, INTERRUPTED = 1, 130
EXIT_CODES = """\b
Exit codes:
  0 done             4 stack missing, or lacking something
  1 internal error   5 a database, MLflow or the disk does not answer
  2 bad input        6 another run holds the home folder
  3 failed gate      7 the model cannot be converted
  130 interrupted"""


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def cli(context: click.Context) -> None:
    """Readings in, a registered streaming GRU forecaster out."""
    context.obj = _on_home


cli.add_command(stacks)


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
    """Run the work on its stack and print its result."""

    def show(result: dict[str, Any], output: Any) -> None:
        from pipelines.summary import print_summary  # noqa: PLC0415 - rich and nothing before it is wanted

        print_summary(click.get_current_context().command.name or "", result, output)

    _answered(options, lambda _tell: _run(section, options, work, writes=writes), show)


def _on_home(
    options: dict[str, Any],
    work: Callable[[Path, Callable[[str], None]], dict[str, Any]],
    show: Callable[[dict[str, Any], Any], None],
    *,
    writes: bool,
) -> None:
    """Run work that wants the home folder and nothing else; it may tell what it is about to do."""

    def prepared(tell: Callable[[str], None]) -> dict[str, Any]:
        home = Home.from_environment()
        home.prepare(debug=options["debug"])
        with home.held() if writes else nullcontext():
            return work(home.root, tell)

    _answered(options, prepared, show)


def _answered(
    options: dict[str, Any],
    work: Callable[[Callable[[str], None]], dict[str, Any]],
    show: Callable[[dict[str, Any], Any], None],
) -> None:
    """Print what the work returns, or its error on one line, and leave with the right exit code."""
    output = _reserve_output()

    def tell(line: str) -> None:
        if not options["as_json"]:
            click.echo(line, file=output)

    try:
        result = work(tell)
    except ForecasterError as error:
        _fail(output, options, error, error.exit_code)
    except KeyboardInterrupt as error:
        _fail(output, options, error, INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the command line is where everything else ends
        _fail(output, options, error, INTERNAL_ERROR)
    if options["as_json"]:
        click.echo(json.dumps(result), file=output)
    else:
        show(result, output)
    output.flush()
    if result.get("exit_code"):
        sys.exit(result["exit_code"])


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


cli.add_command(schedule_group({name: cli.commands[name] for name in ("data", "train", "all")}, _overrides))


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
