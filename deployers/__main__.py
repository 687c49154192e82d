"""Command line of everything that runs outside ZenML: from a registered model to microcontrollers that forecast.

Exit codes: 0 done; 1 internal error; 2 bad input; 3 a gate failed, or runtimes do not agree; 4 a tool is not on this
machine or the Jetson; 5 a registry, Jetson, board or disk does not answer; 7 the model cannot be converted; 8 the
Jetson's host key is unknown or changed; 9 a board refused the image; 10 rolled back; 11 another deployment runs; 130
interrupted by Ctrl-C; 143 ended by SIGTERM, 129 by SIGHUP.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from deployers.environment import enter

if __name__ == "__main__":  # before the imports that another Python may not have
    enter("deployers")

import click

from deployers.exceptions import DeployerError
from deployers.processes import interruptible

if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence

INTERNAL_ERROR, INTERRUPTED = 1, 130
SIGNALLED = 128  # and the signal's number, as shells have it
COMMANDS = ("setup", "plan", "deploy", "status", "monitor", "rollback", "fleet", "logs", "convert", "check", "image")
EXIT_CODES = """\b
Exit codes:
  0 done             7 the model cannot be converted
  1 internal error   8 a Jetson's host key is unknown or changed
  2 bad input        9 a board refused the image
  3 failed gate      10 rolled back: what ran before runs again
  4 missing tool     11 another deployment runs
  5 no answer        130 interrupted; 143 ended by SIGTERM, 129 by SIGHUP"""


class Commands(click.Group):
    """Imports a command when it is asked for: the registry and the runtimes take seconds each."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of a deployment."""
        return [name for name in COMMANDS if find_spec(f"deployers.commands.{name}")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command = getattr(import_module(f"deployers.commands.{cmd_name}"), cmd_name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show a traceback with an error, and the converter's last lines.")
@click.pass_context
def cli(context: click.Context, *, debug: bool) -> None:
    """A registered forecaster becomes what a microcontroller runs."""
    context.obj = debug
    if debug:
        import logging  # noqa: PLC0415

        logging.basicConfig()
        logging.getLogger("deployers").setLevel(logging.DEBUG)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; every error is one line and an exit code."""
    return run(cli, "python -m deployers", arguments)


def run(group: click.Group, name: str, arguments: Sequence[str] | None = None) -> int:
    """Run a group of commands.

    Args:
        group: the commands.
        name: how it is called.
        arguments: those of the process if not given.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    came: list[signal.Signals] = []
    try:
        with interruptible(came):
            code = group.main(given, prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _interrupted(came)
    except Exception as error:  # noqa: BLE001 - the command line is where everything ends
        return _failed(error, debug="--debug" in given)
    return code if isinstance(code, int) else 0


def _interrupted(came: list[signal.Signals]) -> int:
    if came:
        click.echo(f"error: ended by {came[0].name}", err=True)
        return SIGNALLED + came[0]
    click.echo("error: interrupted", err=True)
    return INTERRUPTED


def _failed(error: Exception, *, debug: bool) -> int:
    if debug:
        import traceback  # noqa: PLC0415

        traceback.print_exception(error, file=sys.stderr)
    message = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, DeployerError):
        click.echo(f"error: {message}", err=True)
        return error.exit_code
    click.echo(
        f"error: internal error, {type(error).__name__}: {message} (run with --debug for the traceback)", err=True
    )
    return INTERNAL_ERROR


if __name__ == "__main__":
    sys.exit(main())
