"""Series as the monitor sees them, changes to tell, and servers that are told, for tests of alerts."""

from __future__ import annotations

import asyncio
import getpass
import shutil
import socket
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, AuthResult

from deployers.hub.alerts.ledger import Change
from deployers.hub.alerts.wording import Wording
from deployers.hub.monitor.levels import Finding
from deployers.hub.monitor.told import Seen
from tests.programs import free_port, running

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from deployers.hub.alerts.ledger import Kind
    from deployers.hub.monitor.levels import Level

WORDS = Wording("jetson-1", "https://jetson-1.example/")
START_MS = 1_714_564_800_000  # 2024-05-01T12:00:00Z
HOUR_MS = 3_600_000
MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"  # where Debian has it, off the path of most users
HOSTILE = "<b>attic\r\nBcc: all@example.org</b>/#+\x00é"


def seen(series: str = "board-1", level: Level = "ok", *, test: str = "stuck", heard_ms: int | None = 1) -> Seen:
    """A series of which one test says something."""
    reason = f"stuck at 21 °C, {series}" if level != "ok" else ""
    finding = Finding(test, "sensor", level, START_MS, reason, {"readings": 12, "longest_hours": 1.5})
    row = {
        "series": series,
        "state": level,
        "test": test if level != "ok" else None,
        "since_ms": START_MS if level != "ok" else None,
        "reason": reason,
        "skill": 0.25,
    }
    return Seen(row, [finding], heard_ms, 21.5)


def change(series: str = "board-1", kind: Kind = "raised", level: Level = "alarm", **more: Any) -> Change:
    """Something to tell."""
    fields: dict[str, Any] = {
        "test": "stuck",
        "since_ms": START_MS,
        "reason": "stuck at 21 °C for 70 readings",
        "numbers": {"readings": 70},
        "at_ms": START_MS + HOUR_MS,
        "heard_ms": 1,
    }
    return Change(kind, series, level=level, **{**fields, **more})


@dataclass
class Mails:
    """A mail server on loopback that keeps what it is given.

    Attributes:
        port: where it listens.
        kept: mails as they came, with who they were for.
        refused: addresses that it takes nothing for.
        logins: users that proved who they are.
    """

    port: int
    kept: list[tuple[tuple[str, ...], bytes]] = field(default_factory=list)
    refused: tuple[str, ...] = ()
    logins: list[str] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - the library names it
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - likewise
        self.kept.append((tuple(envelope.rcpt_tos), envelope.content))
        return "250 taken"

    def login(self, server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        is_right = (given.login, given.password) == (b"hub", b"s3cret")
        if is_right:
            self.logins.append("hub")
        return AuthResult(success=is_right, handled=False)


@asynccontextmanager
async def mail_server(
    port: int = 0, tls: ssl.SSLContext | None = None, *, implicit: bool = False
) -> AsyncIterator[Mails]:
    """Serve mail in this event loop.

    Args:
        port: a free one if not given.
        tls: asked for before anything else, and a login then; without it neither is.
        implicit: TLS from the first byte instead of STARTTLS.
    """
    mails = Mails(port or free_port())
    loop = asyncio.get_running_loop()
    inner = None if implicit else tls

    def connection() -> SMTP:
        return SMTP(
            mails,
            hostname="mail.example.org",
            loop=loop,
            tls_context=inner,
            require_starttls=inner is not None,
            auth_required=tls is not None,
            auth_require_tls=inner is not None,
            authenticator=mails.login,
        )

    server = await loop.create_server(connection, "127.0.0.1", mails.port, ssl=tls if implicit else None)
    try:
        yield mails
    finally:
        server.close()
        await server.wait_closed()


@dataclass(frozen=True)
class Broker:
    """A broker on loopback, and what is kept of it from one start to the next."""

    folder: Path
    port: int

    @contextmanager
    def started(self, *lines: str) -> Iterator[None]:
        """Run it; further lines of its configuration are given."""
        # Started by root it would become another user, who reads none of these files.
        said = [f"user {getpass.getuser()}", f"listener {self.port} 127.0.0.1", *(lines or ("allow_anonymous true",))]
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join(said) + "\n")
        with running([MOSQUITTO, "-c", str(path)], self.folder / "mosquitto.log", self._answers, seconds=60):
            yield

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
