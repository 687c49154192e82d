"""An HTTP proxy on loopback that leads every CONNECT to one port of this machine, whatever host was asked for."""

from __future__ import annotations

import contextlib
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def connect_proxy(port: int) -> Iterator[str]:
    """The proxy's URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_accept, args=(listening, port))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listening: socket.socket, port: int) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:  # the proxy is closed
            return
        threading.Thread(target=_lead, args=(client, port), daemon=True).start()


def _lead(client: socket.socket, port: int) -> None:
    with client:
        asked = b""
        while b"\r\n\r\n" not in asked:
            got = client.recv(4096)
            if not got:
                return
            asked += got
        assert asked.startswith(b"CONNECT "), asked
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=_pipe, args=(server, client), daemon=True)
            back.start()
            _pipe(client, server)
            back.join()


def _pipe(source: socket.socket, sink: socket.socket) -> None:
    """Carry what comes until its end; where a side has gone, end the other direction, too."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
