"""What a channel is, and what every channel needs: its secret, and TLS."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from functools import cache
from typing import TYPE_CHECKING

from deployers.exceptions import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deployers.hub.alerts.ledger import Change
    from deployers.hub.monitor.told import Seen

# For one answer of a server; a whole message has `sender.SEND_SECONDS`.
ANSWER_SECONDS = 15.0


class Channel(ABC):
    """A way to tell people or programs.

    Attributes:
        name: of its kind; what has been told is kept under it.
        server: where it leads to, without anything secret.
        gather_seconds: changes wait until no other has come for so long.
    """

    name: str
    server: str
    gather_seconds: float = 0.0

    @abstractmethod
    async def send(self, changes: Sequence[Change]) -> str:
        """Tell; returns when the server has taken it.

        Returns:
            What is to be known though it was sent, such as an address that was refused.

        Raises:
            ServiceUnavailable: it has not; all of it may be sent again.
        """

    def show(self, _seen: Sequence[Seen]) -> bool:
        """Note the states of some series; whether `send` is wanted because of them alone."""
        return False

    async def close(self) -> None:  # noqa: B027 - most hold nothing open
        """Let go of the server."""


@cache
def tls() -> ssl.SSLContext:
    """TLS as a client, with the authorities of the system or those that SSL_CERT_FILE names."""
    return ssl.create_default_context()


def secret(environment: Mapping[str, str], variable: str, what: str) -> str:
    """A password or token.

    Raises:
        ServiceUnavailable: it is not in the environment.
    """
    found = environment.get(variable, "")
    if not found:
        msg = f"environment variable {variable!r} is empty, expected {what}: set it where the hub is started"
        raise ServiceUnavailable(msg)
    return found
