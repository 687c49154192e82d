"""ZenML's dashboard over the project's home, with MLflow's pages beside it: both on loopback, both end together."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import click

from forecaster.errors import ConfigError, ForecasterError
from pipelines.home import Home
from steps.promotion.links import LOOPBACK, MLFLOW_PORT, ZENML_PORT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS_TO_END = 10
# The dashboard asks nobody but its own server. Fonts and pictures of a page may be part of it; the logos of stack
# components come from ZenML's site.
LOGOS = "https://public-flavor-logos.s3.eu-central-1.amazonaws.com"
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; "
    f"img-src 'self' data: {LOGOS}; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "base-uri 'self'; form-action 'self'; frame-src 'self'"
)


def listen(port: int, option: str) -> socket.socket:
    """A listening socket on loopback.

    Args:
        port: 0 for a free one.
        option: where the user gives it, for the message.

    Raises:
        ConfigError: something else listens there.
    """
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((LOOPBACK, port))
        found.listen()
    except OSError as error:
        found.close()
        reason = f"port {port!r} of {LOOPBACK} cannot be used ({error.strerror})"
        msg = f"{reason}: end what listens there, or give another one with {option}, 0 for a free one"
        raise ConfigError(msg) from error
    return found


def server_environment(address: str) -> dict[str, str]:
    """What makes ZenML's server serve this home to this machine, without login."""
    return {
        "ZENML_SERVER": "true",
        "ZENML_SERVER_ALLOW_LOCAL_FILE_ACCESS": "true",  # the artifacts lie in the home
        "ZENML_SERVER_AUTH_SCHEME": "NO_AUTH",
        "ZENML_SERVER_AUTO_ACTIVATE": "true",
        "ZENML_SERVER_CORS_ALLOW_ORIGINS": address,  # without it, pages of any site
        "ZENML_SERVER_DEPLOYMENT_TYPE": "local",
        "ZENML_SERVER_DISPLAY_ANNOUNCEMENTS": "false",
        "ZENML_SERVER_DISPLAY_UPDATES": "false",
        "ZENML_SERVER_SECURE_HEADERS_CSP": "off",  # ZenML takes the quotes off a policy of ours, so `Guard` sends it
    }


def welcome() -> str | None:
    """Have ZenML ask its user nothing on the first visit; gives the address if this home's ZenML is a server."""
    from zenml.client import Client  # noqa: PLC0415 - reads the environment
    from zenml.enums import StoreType  # noqa: PLC0415

    client = Client()
    if client.zen_store.type == StoreType.REST:
        return str(client.zen_store.url)
    user = client.active_user
    asked = user.user_metadata | {"finished_onboarding_survey": True}
    if user.email_opted_in is None or user.user_metadata != asked:
        client.update_user(user.id, updated_email_opt_in=bool(user.email_opted_in), updated_metadata=asked)
    return None


@contextlib.contextmanager
def mlflow_pages(home: Home, port: int) -> Iterator[str]:
    """MLflow's pages over the tracking database, which are there some seconds later; a server's own stay its own.

    Raises:
        ConfigError: the port is taken.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or home.mlflow_uri
    if uri.startswith(("http://", "https://")):
        yield uri
        return
    with listen(port, "MLFLOW_PORT=, or --mlflow-port") as probe:
        port = probe.getsockname()[1]
    log = home.root / "mlflow" / f"server-{port}.log"  # two of them may serve one home
    with log.open("wb") as file:
        # A session of its own: Ctrl-C reaches this process alone, which ends it with its workers.
        server = subprocess.Popen(  # noqa: S603 - no shell, and our own words
            mlflow_command(uri, port, home.mlflow_artifacts), cwd=log.parent, stdin=subprocess.DEVNULL, stdout=file,
            stderr=file, start_new_session=True, env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )  # fmt: skip
    threading.Thread(target=_tell_early_end, args=(server, log), daemon=True).start()
    try:
        yield f"http://{LOOPBACK}:{port}"
    finally:
        end(server)
        log.unlink()


def mlflow_command(uri: str, port: int, artifacts: Path) -> list[str]:
    """What starts MLflow's server; runs keep their artifacts where they are, `artifacts` is for new experiments."""
    return [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--workers", "1", "--host", LOOPBACK,
        "--port", str(port), "--artifacts-destination", str(artifacts),
    ]  # fmt: skip


def _tell_early_end(server: subprocess.Popen[bytes], log: Path) -> None:
    code = server.wait()
    if code > 0:  # below zero it was a signal, ours
        said = log.read_text(errors="replace").strip().splitlines()
        click.echo(f"MLflow ended with code {code}: {said[-1] if said else 'it said nothing'}", err=True)


def end(server: subprocess.Popen[bytes]) -> None:
    """End a process and all of its session."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(SECONDS_TO_END)


class Guard:
    """Sends the policy with every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, guarded)


def serve(listening: socket.socket, announce: list[str]) -> None:
    """Run ZenML's server until a signal; prints the lines once it answers."""
    import uvicorn  # noqa: PLC0415
    from starlette.middleware.trustedhost import TrustedHostMiddleware  # noqa: PLC0415

    address = f"http://{LOOPBACK}:{listening.getsockname()[1]}"
    os.environ.update(server_environment(address))
    from zenml.zen_server.zen_server_api import app  # noqa: PLC0415 - reads the environment

    # No login: a name that a stranger's DNS points to this machine must not lead here.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK, "localhost"])
    app.add_middleware(Guard)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                click.echo("\n".join([f"ZenML   {address}", *announce, "Ctrl-C ends it."]))

    Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listening])


def _interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


@click.command()
@click.option("--port", default=ZENML_PORT, show_default=True, type=click.IntRange(0, 65535), help="0 for a free one.")
@click.option("--mlflow-port", default=MLFLOW_PORT, show_default=True, type=click.IntRange(0, 65535))
@click.option("--mlflow/--no-mlflow", "with_mlflow", default=True, help="MLflow's pages as well.")
def main(port: int, mlflow_port: int, *, with_mlflow: bool) -> None:
    """Serve ZenML's dashboard and MLflow's pages of this home on loopback, until Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    home = Home.from_environment()
    try:
        home.prepare()
        with listen(port, "PORT=, or --port") as listening, contextlib.ExitStack() as stack:
            if (server := welcome()) is not None:
                click.echo(f"ZenML   {server}\nThis home's ZenML is a server, nothing is started.")
                return
            pages = [f"MLflow  {stack.enter_context(mlflow_pages(home, mlflow_port))}"] if with_mlflow else []
            serve(listening, pages)
    except ForecasterError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
