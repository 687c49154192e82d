"""The process: uvicorn with what it lacks against slow clients, TLS, and an end within ten seconds.

uvicorn waits forever for the end of a request's headers, and takes headers of any length; `Patient` does not. The
body is watched by `deployers.hub.limits`, which knows what it is for.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import ssl
import sys
import threading
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from deployers.exceptions import InputError, ServiceUnavailable
from deployers.hub.app import create_app
from deployers.hub.private import require_private, write_private

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from fastapi import FastAPI

    from deployers.hub.settings import Rest, Settings

_log = logging.getLogger(__name__)

HEADER_SECONDS = 10.0
HEADER_BYTES = 32 * 1024
KEEP_ALIVE_SECONDS = 20
# For requests under way when the process is told to end; then the parts stop, then the process is ended regardless.
GRACE_SECONDS = 3
END_SECONDS = 9.0
# A thread that computes gives way to the event loop ten times sooner than by default: p99 of answers during a
# deployment depends on it.
SWITCH_SECONDS = 0.0005


class Patient(HttpToolsProtocol):
    """A connection that waits for headers as long as is reasonable, and no longer."""

    header_seconds = HEADER_SECONDS
    header_bytes = HEADER_BYTES
    connections_max = 512

    _headers_due: asyncio.TimerHandle | None = None
    _begun = False
    _in_headers = True
    _received = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        """A client is there; one too many is cut off at once."""
        super().connection_made(transport)
        if len(self.connections) > self.connections_max:
            transport.abort()
            return
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._headers_are_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes; headers may end in them, or have to end soon."""
        self._received += len(data)
        super().data_received(data)
        # Nothing is awaited while a request is under way and no other has begun. Otherwise these bytes have lifted
        # uvicorn's own limit between requests, be they only the empty lines that may come before one.
        if not self._in_headers or not (self._begun or self.cycle is None or self.cycle.response_complete):
            return
        if self._received > self.header_bytes and not self.transport.is_closing():
            self.send_400_response("Headers too large.")
        elif self._headers_due is None:
            self._wait_for_headers()

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._headers_are_there()
        self._begun = self._in_headers = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Called by the parser; what comes next is another request."""
        self._in_headers, self._received = True, 0
        super().on_message_complete()

    def _wait_for_headers(self) -> None:
        self._headers_due = self.loop.call_later(self.header_seconds, self._too_late)

    def _headers_are_there(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None

    def _too_late(self) -> None:
        self._headers_due = None
        if not self.transport.is_closing():
            self.transport.abort()


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        InputError: the settings cannot be used, or a file that they name.
        ServiceUnavailable: the address is taken.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    app = create_app(settings)
    server = make_server(app, settings)
    app.state.hub.give_up = lambda: setattr(server, "should_exit", True)
    listening = listen(settings.rest)
    try:
        _announce(settings, listening)
        _run(server, listening)
    finally:
        listening.close()
        (settings.root / "run" / "hub.url").unlink(missing_ok=True)
    if app.state.hub.fatal is not None:
        raise app.state.hub.fatal


def make_server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    """The server of an application.

    Raises:
        InputError: certificate or key cannot be used.
    """
    kind = type("Connection", (Patient,), {"connections_max": settings.rest.connections_max})
    given: dict[str, Any] = {
        "http": kind,
        "ws": "none",
        "loop": "uvloop",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": GRACE_SECONDS,
    }
    config = uvicorn.Config(app, **given)
    config.load()
    certificate, key = settings.rest.tls_certificate, settings.rest.tls_key
    if certificate is not None and key is not None:
        config.ssl = tls(settings.path(certificate), settings.path(key))
    return uvicorn.Server(config)


def tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """The TLS of the server: 1.2 at the least, with its certificate.

    Raises:
        InputError: certificate or key cannot be used, or others may read the key.
    """
    require_private(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        msg = f"rest.tls_certificate {str(certificate)!r} with its key cannot be used ({error}): expected two PEM files"
        raise InputError(msg) from None
    return context


def listen(rest: Rest) -> socket.socket:
    """The socket that REST is served on.

    Raises:
        ServiceUnavailable: the address is taken, or not of this machine.
    """
    family = socket.AF_INET6 if ":" in rest.host else socket.AF_INET
    try:
        return socket.create_server((rest.host, rest.port), family=family, backlog=512)
    except OSError as error:
        why = error.strerror or str(error)
        msg = f"cannot listen on {rest.host!r} port {rest.port} ({why}): give another rest.port, or end what uses it"
        raise ServiceUnavailable(msg) from None


def _announce(settings: Settings, listening: socket.socket) -> None:
    url = settings.rest.url(listening.getsockname()[1])
    write_private(settings.root / "run" / "hub.url", url.encode())
    _log.info("the hub answers at %s", url)


def _run(server: uvicorn.Server, listening: socket.socket) -> None:
    """Run it to its end.

    uvicorn sends itself the signal that ended it once more when it is done, to whoever handled it before; it has been
    handled by then.
    """
    handled = {each: signal.signal(each, _handled) for each in (signal.SIGTERM, signal.SIGINT)}
    handle = server.handle_exit
    last = threading.Timer(END_SECONDS, _end)
    last.daemon = True

    def exit_in_time(number: int, frame: Any) -> None:
        if not last.is_alive():
            last.start()
        handle(number, frame)

    server.handle_exit = exit_in_time  # type: ignore[method-assign, assignment] # uvicorn asks the instance
    try:
        server.run(sockets=[listening])
    finally:
        last.cancel()
        for number, before in handled.items():
            signal.signal(number, before)


def _handled(_number: int, _frame: Any) -> None: ...


def _end() -> None:
    _log.error("the hub did not stop within %g s and is ended; what it has acknowledged is stored", END_SECONDS)
    os._exit(1)
