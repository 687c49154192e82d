"""A certificate that clients trust, and servers' side of it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployers.hub.alerts.channel import tls
from tests.alerting import Broker
from tests.certificate import certificate
from tests.programs import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop that the hub runs in: the libraries' sockets are watched by it."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def pem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path]]:
    """Certificate and key, trusted as SSL_CERT_FILE has it."""
    files = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    tls.cache_clear()
    yield files
    tls.cache_clear()


@pytest.fixture
def server_tls(pem: tuple[Path, Path]) -> ssl.SSLContext:
    """What a server with it needs."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*pem)
    return context


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    """A broker that is not started."""
    folder = tmp_path / "broker"
    folder.mkdir()
    return Broker(folder, free_port())
