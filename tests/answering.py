"""An HTTP server on loopback that answers as a platform would, and keeps what it was sent."""

from __future__ import annotations

import json
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import Message
    from pathlib import Path


@dataclass(frozen=True)
class Request:
    """One request: method, path without query, query, headers, and body, parsed where it is JSON."""

    method: str
    path: str
    query: dict[str, str]
    headers: Message
    body: Any


@dataclass
class Answering:
    """Where the server listens, and every request in the order of arrival."""

    url: str
    requests: list[Request] = field(default_factory=list)

    def bodies(self, method: str, ending: str) -> list[Any]:
        """Bodies of the requests of a method whose path ends so."""
        return [each.body for each in self.requests if each.method == method and each.path.endswith(ending)]


@contextmanager
def answering(
    answer: Callable[[Request], tuple[int, Any]], certificate: tuple[Path, Path] | None = None
) -> Iterator[Answering]:
    """Serve on a free loopback port.

    Args:
        answer: status and JSON object for a request; called in the request's own thread.
        certificate: PEM files of a certificate and of its key, for TLS.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self) -> None:
            parts, sent = urlsplit(self.path), self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(sent) if sent[:1] in (b"{", b"[") else sent.decode(errors="replace") or None
            request = Request(self.command, parts.path, dict(parse_qsl(parts.query)), self.headers, body)
            known.requests.append(request)
            status, found = answer(request)
            told = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = reply  # noqa: N815 - the base class names them

        def log_message(self, format: str, *words: Any) -> None:  # noqa: A002 - the base class names it
            """Keep standard error for what goes wrong."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    known = Answering(f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
