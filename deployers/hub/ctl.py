"""`ctl`: what the deployer runs on the Jetson; speaks REST to the hub there and prints one JSON object."""

from __future__ import annotations

import functools
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import click

from deployers.exceptions import DeployerError, InputError, ServiceUnavailable
from deployers.hub.client import HubClient, JobFailed
from deployers.hub.codes import code_of
from deployers.hub.private import require_private
from deployers.hub.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound=click.Command)

START_SECONDS = 15.0
PAUSE_SECONDS = 0.3
INPUT_BYTES_MAX = 8 << 20

EXAMPLES = """\b
Examples:
  python -m deployers.hub ctl --config config/hub.toml status
  python -m deployers.hub ctl --config config/hub.toml install incoming/7f3a
  python -m deployers.hub ctl --config config/hub.toml forward 3 --board board-1
  python -m deployers.hub ctl --config config/hub.toml confirm 3 --board board-1 --seconds 60"""

version_argument = click.argument("version", type=click.IntRange(1, 0xFFFFFFFF))
board_option = click.option("--board", required=True, help="Which board.")
boards_option = click.option("--board", "boards", multiple=True, help="Which boards; all that are online if not given.")
seconds_option = click.option(
    "--seconds", type=click.FloatRange(0, 86_400, min_open=True), help="How long each stage may take."
)


@click.group(epilog=EXAMPLES)
@click.option("--config", required=True, type=click.Path(path_type=Path), help="The hub.toml of the hub.")
@click.option("--wait", default=START_SECONDS, show_default=True, help="Seconds to wait for a hub that starts.")
@click.pass_context
def ctl(context: click.Context, config: Path, wait: float) -> None:
    """Ask the hub on this machine; prints one JSON object, progress on standard error."""
    context.obj = functools.partial(open_client, config, wait)


def open_client(config: Path, wait: float = START_SECONDS) -> HubClient:
    """A client of the hub on this machine, once that has started.

    Raises:
        InputError: the settings or the token cannot be read.
        Unreachable: the hub does not answer in time.
    """
    settings = Settings.load(config)
    path = settings.path(settings.auth.ctl_token)
    require_private(path)
    certificate = settings.rest.tls_certificate
    trusted = str(settings.path(certificate)) if certificate else None
    client = HubClient(settings.url, path.read_text(encoding="utf-8").strip(), certificate=trusted)
    end = time.monotonic() + wait
    while not _is_up(client):
        if time.monotonic() > end:
            client.get("/jobs", limit=1)  # says why
            break
        time.sleep(PAUSE_SECONDS)
    return client


def _is_up(client: HubClient) -> bool:
    """Whether requests are let in: every part is up, with or without a model.

    Raises:
        DeployerError: the hub does not take the token.
    """
    try:
        client.get("/jobs", limit=1)
    except ServiceUnavailable:
        return False
    return True


def printed(command: Callable[..., dict[str, Any]]) -> Callable[..., int]:
    """Print what a command returns, or the error that it ends with, as one JSON object."""

    @functools.wraps(command)
    @click.pass_obj
    def run(connect: Callable[[], HubClient], /, **given: Any) -> int:
        try:
            with connect() as client:
                found, code = command(client, **given), 0
        except JobFailed as error:
            found, code = {**(error.job.get("result") or {}), **_failure(error, error.code)}, error.exit_code
        except DeployerError as error:
            found, code = _failure(error, code_of(error)[1]), error.exit_code
        click.echo(json.dumps(found))
        if code:
            click.echo(f"error: {found['error']}", err=True)
        return code

    return run


def _failure(error: DeployerError, code: str) -> dict[str, Any]:
    return {"error": " ".join(str(error).split()), "code": code, "exit_code": error.exit_code}


def told(line: str) -> None:
    """A line of progress."""
    click.echo(line, err=True)


@ctl.command()
@printed
def status(client: HubClient) -> dict[str, Any]:
    """Everything about hub, models and boards."""
    health, models, boards = client.get("/health"), client.get("/models"), client.get("/devices")
    active = next((model for model in models["models"] if model["version"] == models["active"]), None)
    return {
        "hub": {"revision": health["revision"], "started_ms": health["started_ms"]},
        "active": models["active"],
        "active_since_ms": active["activated_ms"] if active else None,
        "models": models["models"],
        "boards": boards["devices"],
    }


@ctl.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--way-back-for", type=click.IntRange(1, 0xFFFFFFFF), help="The version that this one is the way back of."
)
@printed
def install(client: HubClient, folder: Path, way_back_for: int | None) -> dict[str, Any]:
    """Verify a conversion with its image in R/incoming, and move it to the models."""
    body: dict[str, Any] = {"folder": str(folder)}
    if way_back_for is not None:
        body["way_back_for"] = way_back_for
    view = client.post("/models", body)
    return {**view, "state": "installed"}


@ctl.command()
@version_argument
@printed
def activate(client: HubClient, version: int) -> dict[str, Any]:
    """Have the hub's own forecasts made by a version."""
    return client.post(f"/models/{version}/activate")


@ctl.command()
@version_argument
@board_option
@seconds_option
@printed
def forward(client: HubClient, version: int, board: str, seconds: float | None) -> dict[str, Any]:
    """Bring a version to a board and start it in test."""
    return client.follow(f"/devices/{board}/forward", _body(version, seconds), told)


@ctl.command()
@version_argument
@board_option
@seconds_option
@printed
def confirm(client: HubClient, version: int, board: str, seconds: float | None) -> dict[str, Any]:
    """Compare a forecast of the version in test with the hub's own, then keep it; else the board goes back (10)."""
    return client.follow(f"/devices/{board}/confirm", _body(version, seconds), told)


@ctl.command()
@version_argument
@board_option
@printed
def revert(client: HubClient, version: int, board: str) -> dict[str, Any]:
    """Have a board go back from a version in test."""
    return client.follow(f"/devices/{board}/revert", _body(version, None), told)


@ctl.command()
@version_argument
@boards_option
@click.option("--failures-max", default=1, show_default=True, help="Boards that may fail before it stops.")
@printed
def deploy(client: HubClient, version: int, boards: tuple[str, ...], failures_max: int) -> dict[str, Any]:
    """Activate a version and bring it to boards, one after the other, as POST /deploy does."""
    body = {"version": version, "boards": list(boards) or None, "failures_max": failures_max}
    return client.follow("/deploy", body, told)


@ctl.command()
@boards_option
@printed
def rollback(client: HubClient, boards: tuple[str, ...]) -> dict[str, Any]:
    """Have hub and boards run the model before the active one."""
    return client.follow("/rollback", {"boards": list(boards) or None}, told)


@ctl.command()
@board_option
@printed
def log(client: HubClient, board: str) -> dict[str, Any]:
    """What a board has logged."""
    return client.get(f"/devices/{board}/log")


@ctl.command()
@click.option("--series", default="", help="One series with its days; all of them without, those in trouble first.")
@printed
def monitor(client: HubClient, series: str) -> dict[str, Any]:
    """What the monitor says."""
    return client.get(f"/monitor/{quote(series)}" if series else "/monitor")


@ctl.command()
@printed
def alerts(client: HubClient) -> dict[str, Any]:
    """What is told to whom, and how each channel is."""
    return client.get("/alerts")


@ctl.command("test-alert")
@printed
def test_alert(client: HubClient) -> dict[str, Any]:
    """Send a message over every channel of alerts; exit code 5 if one of them does not take it."""
    found = client.post("/alerts/test")
    failed = [f"{each['channel']}: {each['error']}" for each in found["channels"] if not each["ok"]]
    if failed:
        error = {"code": "unavailable", "detail": "; ".join(failed), "exit_code": ServiceUnavailable.exit_code}
        raise JobFailed({"result": found, "error": error})
    return found


@ctl.command()
@printed
def retraining(client: HubClient) -> dict[str, Any]:
    """What is allowed, and the last requests for retraining."""
    return client.get("/retraining")


@ctl.command()
@click.argument("series")
@click.option("--because", required=True, help="Why, in one line.")
@click.option("--force", is_flag=True, help="Although it cools down, or its sensor is at fault.")
@printed
def retrain(client: HubClient, series: str, because: str, *, force: bool) -> dict[str, Any]:
    """Have the model of a series trained again; it may have to wait for another one."""
    return client.post("/retraining", {"series": series, "reason": because, "force": force})


@ctl.command()
@printed
def shadow(client: HubClient) -> dict[str, Any]:
    """Challengers, and how they stand beside the active version."""
    return client.get("/shadow")


@ctl.command()
@version_argument
@click.option("--end", is_flag=True, help="Have it forecast in the shadow no more.")
@printed
def challenge(client: HubClient, version: int, *, end: bool) -> dict[str, Any]:
    """Have a version forecast in the shadow of the active one, to be compared with it."""
    path = f"/models/{version}/shadow"
    return client.delete(path) if end else client.post(path)


@ctl.command()
@printed
def fleet(client: HubClient) -> dict[str, Any]:
    """Where rollouts over the fleet stand, as the deployer told this hub."""
    return client.get("/fleet")


@ctl.command("tell-fleet")
@printed
def tell_fleet(client: HubClient) -> dict[str, Any]:
    """Take where a rollout over the fleet stands, for the page: a JSON object on standard input."""
    with click.open_file("-", "rb") as file:
        return client.put("/fleet", _given(file.read(INPUT_BYTES_MAX)))


@ctl.command()
@click.argument("job")
@printed
def job(client: HubClient, job: str) -> dict[str, Any]:
    """A job, with the end of its log."""
    return client.get(f"/jobs/{job}")


def _body(version: int, seconds: float | None) -> dict[str, Any]:
    return {"version": version, "seconds": seconds}


def _given(content: bytes) -> dict[str, Any]:
    """The object in an input.

    Raises:
        InputError: it holds something else.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        msg = (
            f"standard input has {len(content)} bytes that are no JSON object, expected the map of a rollout: send one"
        )
        raise InputError(msg)
    return found
