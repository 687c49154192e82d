"""What plan, deploy, status, rollback and logs have in common: options, and who is asked."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deployers.exceptions import DeployerError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from deployers.connectors.base import Connector
    from deployers.deployment.looking import Reach
    from deployers.deployment.preparing import Around, Request
    from deployers.deployment.selection import Selected
    from deployers.facts import Facts
    from deployers.inventory import Inventory, Jetson
    from deployers.registry import FetchedRelease

MODEL = "temperature-forecaster"
FILE = click.Path(path_type=Path)

INVENTORY = click.option(
    "--inventory", type=FILE,
    help="EDGELOOP_INVENTORY, ./inventory.toml or the running lab's if not given.",
)  # fmt: skip
LIMIT = click.option("--limit", multiple=True, metavar="NAME|GROUP", help="Only these Jetsons or boards; repeatable.")
TRACKING = click.option(
    "--tracking-uri", help="MLflow; MLFLOW_TRACKING_URI or the home folder's database if not given."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
WANTED = (
    click.option("--version", "reference", metavar="N|ALIAS", help="Registered version or alias.  [default: champion]"),
    click.option("--release", type=FILE, help="A release folder instead of a registered version."),
    click.option("--model", default=MODEL, show_default=True, help="Registered model's name."),
    TRACKING,
    click.option("--budget", type=click.FloatRange(-1, 1), default=0.01, show_default=True,
                 help="Largest share by which the test MAE may grow against float Keras."),
    click.option("--type", "types", multiple=True, help="Only this type; may be repeated."),
    INVENTORY,
    LIMIT,
    click.option("--shadow", is_flag=True,
                 help="Only to hubs, as a challenger in the shadow of what runs, which goes on; see monitor --shadow."),
    click.option("--waves", default="canary,100%", show_default=True, help="canary, then shares of all devices."),
    click.option("--max-failures", type=click.IntRange(0), default=0, show_default=True,
                 help="So many devices may fail; one more stops the rollout."),
    click.option("--parallel", type=click.IntRange(1, 64), default=4, show_default=True, help="Devices at a time."),
    click.option("--seconds", type=click.FloatRange(1, 86400), default=900.0, show_default=True,
                 help="How long to wait for a board's first forecast, which comes with its next reading."),
)  # fmt: skip


def wanted_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of plan and deploy."""
    for option in reversed(WANTED):
        command = option(command)
    return command


class Reached:
    """Jetsons as the inventory says how to reach them."""

    def connect(self, jetson: Jetson) -> Connector:
        """A connector."""
        from deployers.connectors.opening import connect  # noqa: PLC0415 - --help must not wait

        return connect(jetson)

    def gather(self, connector: Connector, jetson: Jetson) -> Facts:
        """Facts."""
        from deployers.facts import gather  # noqa: PLC0415

        return gather(connector, jetson)


def inventory_of(path: Path | None, limit: tuple[str, ...]) -> tuple[Inventory, tuple[Selected, ...]]:
    """The inventory, and what is chosen in it.

    Raises:
        InputError: there is none, it is wrong, or --limit fits nothing.
    """
    from deployers.deployment.selection import select  # noqa: PLC0415
    from deployers.inventory import Inventory, find_inventory  # noqa: PLC0415

    inventory = Inventory.load(find_inventory(path))
    return inventory, select(inventory, limit)


def asked(options: dict[str, Any]) -> tuple[Request, Around]:
    """What the options of plan and deploy mean.

    Raises:
        InputError: one of them cannot be used.
    """
    from deployers.commands.convert import require_one_source, settings  # noqa: PLC0415
    from deployers.deployment.plan import Patience  # noqa: PLC0415
    from deployers.deployment.preparing import Around, Request  # noqa: PLC0415
    from deployers.deployment.rollout import Limits  # noqa: PLC0415
    from deployers.deployment.wanted import options_of  # noqa: PLC0415
    from deployers.deployment.waves import parse_waves  # noqa: PLC0415
    from deployers.journal import deploy_home  # noqa: PLC0415

    release, reference = options["release"], options["reference"]
    if release is None and reference is None:
        reference = "champion"
    require_one_source(reference, release)
    request = Request(
        options_of(settings(_types(options["types"]), options["budget"])),
        parse_waves(options["waves"]),
        Limits(options["max_failures"], options["parallel"]),
        Patience(confirm=options["seconds"]),
        shadow=options["shadow"],
    )
    inventory, chosen = inventory_of(options["inventory"], options["limit"])
    uri = options["tracking_uri"]
    around = Around(
        deploy_home(), chosen, inventory.signing_key, reach(), fetcher(reference, release, options["model"], uri),
        lambda home: told(home, uri), here(),
    )  # fmt: skip
    return request, around


def reach() -> Reach:
    """How Jetsons are reached."""
    return Reached()


def here() -> Connector:
    """The machine that deploys."""
    from deployers.connectors.local import LocalConnector  # noqa: PLC0415

    return LocalConnector()


def fetcher(
    reference: str | None, release: Path | None, model: str, uri: str | None
) -> Callable[[Path], FetchedRelease]:
    """What puts the release into a folder: from the registry, or from the folder that was given."""

    def fetch(folder: Path) -> FetchedRelease:
        from deployers.registry import copy_release, fetch_release  # noqa: PLC0415

        return (
            copy_release(release, folder) if release is not None else fetch_release(str(reference), folder, model, uri)
        )

    return fetch


def told(home: Path, uri: str | None) -> int:
    """Tell MLflow what is pending.

    Raises:
        ServiceUnavailable: it does not answer; what is pending stays.
    """
    from deployers import tags  # noqa: PLC0415
    from deployers.registry import asking, is_gone  # noqa: PLC0415

    with asking(uri) as (client, _):
        return tags.tell(home, client, is_gone)


def _types(given: tuple[str, ...]) -> tuple[str, ...]:
    from deployers.conversion.cost import TYPES  # noqa: PLC0415

    unknown = [kind for kind in given if kind not in TYPES]
    if unknown:
        msg = f"--type {unknown[0]!r} is unknown, expected one of {', '.join(TYPES)}: give one of them"
        raise InputError(msg)
    return given


@contextmanager
def json_on_failure(fields: Iterable[str], *, as_json: bool) -> Iterator[None]:
    """Print the one object of `--json` also where nothing came about; the error goes on.

    Args:
        fields: that the object has beside schema, result, exit_code and error; they are null.
        as_json: whether it is asked for.
    """
    try:
        yield
    except DeployerError as error:
        if as_json:
            line = " ".join(str(error).split())
            told = {"schema": 1, "result": "failed", "exit_code": error.exit_code, "error": line}
            click.echo(json.dumps({**told, **dict.fromkeys(fields)}))
        raise
