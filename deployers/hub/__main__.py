"""Command line of the hub.

Exit codes are those of `python -m deployers`.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from deployers.__main__ import run
from deployers.exceptions import InputError
from deployers.hub.private import write_private
from deployers.hub.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EXAMPLES = """\b
Examples:
  python -m deployers.hub token --config config/hub.toml --name ctl --role deploy
  python -m deployers.hub serve --config config/hub.toml
  python -m deployers.hub supervise --config config/hub.toml
  python -m deployers.hub export --config config/hub.toml --series board-1 --out readings.csv
  python -m deployers.hub ctl --config config/hub.toml status

\b
Exit codes:
  0 done             4 a library is missing         9 refused by the board
  1 internal error   5 the hub, its store or a      10 rolled back
  2 bad input          board does not answer        11 another one runs
  3 failed gate"""

config_option = click.option(
    "--config",
    required=True,
    type=click.Path(path_type=Path),
    help="The hub.toml; other paths are relative to its root.",
)


@contextmanager
def _whole(out: Path) -> Iterator[BinaryIO]:
    """A file that appears when all of it is written."""
    part = out.with_name(f".{out.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(out)
    except OSError as error:
        msg = f"{str(out)!r} cannot be written ({error.strerror}), expected a file in a folder with room: give another"
        raise InputError(msg) from None
    finally:
        with suppress(OSError):
            part.unlink()


class Commands(click.Group):
    """Imports `ctl` when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names."""
        return [*super().list_commands(ctx), "ctl"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command."""
        if cmd_name == "ctl":
            command = import_module("deployers.hub.ctl").ctl
            return command if isinstance(command, click.Command) else None
        return super().get_command(ctx, cmd_name)


@click.group(cls=Commands, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
def cli(*, debug: bool) -> None:
    """The service on the Jetson."""


@cli.command()
@config_option
def serve(config: Path) -> None:
    """Serve until SIGTERM."""
    from deployers.hub.logs import start_logging  # noqa: PLC0415 - only this command logs
    from deployers.hub.server import serve as serve_settings  # noqa: PLC0415 - with all that serving needs

    start_logging()
    serve_settings(Settings.load(config))


@cli.command()
@config_option
def supervise(config: Path) -> int:
    """Serve, and serve again whenever that ends; where no systemd does it."""
    from deployers.hub.supervise import supervise as supervise_settings  # noqa: PLC0415 - only here

    return supervise_settings(Settings.load(config), config)


@cli.command()
@config_option
def migrate(config: Path) -> None:
    """Make or update the tables of the store; `serve` does it too."""
    from deployers.hub.store import Store  # noqa: PLC0415 - SQLAlchemy takes a while

    settings = Settings.load(config)

    async def open_and_close() -> None:
        async with Store(settings.store_url):
            pass

    asyncio.run(open_and_close())
    click.echo(f"the store of {str(config)!r} is up to date")


@cli.command()
@config_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The CSV file to write.")
@click.option("--series", help="Only this series.")
@click.option("--user", help="Only series of this user.")
@click.option("--tag", help="Only series with this tag.")
def export(config: Path, out: Path, series: str | None, user: str | None, tag: str | None) -> None:
    """Write stored readings as the CSV that the data pipeline reads."""
    from deployers.hub.export import export_csv  # noqa: PLC0415 - SQLAlchemy takes a while
    from deployers.hub.store import Filter, Store  # noqa: PLC0415

    settings, wanted = Settings.load(config), Filter(series=series, user=user, tag=tag)

    async def write() -> int:
        async with Store(settings.store_url) as store:
            with _whole(out) as file:
                return await export_csv(store, wanted, file)

    click.echo(f"{asyncio.run(write())} readings in {str(out)!r}")


@cli.command()
@config_option
@click.option("--name", required=True, help="Whose it is; one of this name is replaced.")
@click.option("--role", required=True, type=click.Choice(["read", "write", "deploy"]), help="What it may do.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write it to this file (0600, relative to root), print nothing."
)
def token(config: Path, name: str, role: str, out: Path | None) -> None:
    """Make a token and print it, once: only its SHA-256 is kept."""
    from deployers.hub.auth import add_token  # noqa: PLC0415 - with FastAPI

    settings = Settings.load(config)
    made = add_token(settings.path(settings.auth.tokens), name, role)  # type: ignore[arg-type] # one of the choices
    if out is None:
        click.echo(made)
    else:
        write_private(settings.path(out), made.encode() + b"\n")


@cli.command()
@click.option("--config", type=click.Path(path_type=Path), help="The hub.toml; the defaults if not given.")
def settings(config: Path | None) -> None:
    """Print every setting as the hub understands it."""
    click.echo((Settings.load(config) if config else Settings()).model_dump_json(indent=1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; every error is one line and an exit code."""
    return run(cli, "python -m deployers.hub", arguments)


if __name__ == "__main__":
    sys.exit(main())
