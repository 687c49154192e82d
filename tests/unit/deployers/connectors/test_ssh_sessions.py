"""A server that takes no more commands over a connection, which others go on with."""

from __future__ import annotations

from typing import Any

import paramiko
import pytest

from deployers.connectors.command import Command
from deployers.connectors.ssh import SshConnector
from deployers.exceptions import Unreachable
from deployers.inventory import Jetson


class Client:
    """A connection on which no further channel is opened."""

    def __init__(self, error: Exception) -> None:
        self.error, self.closed = error, False

    def get_transport(self) -> Client:
        return self

    def is_active(self) -> bool:
        return not self.closed

    def open_session(self, **_: Any) -> None:
        raise self.error

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("error", "closed", "told"),
    [
        (paramiko.ChannelException(1, "Administratively prohibited"), False, "no more commands at once .* --parallel"),
        (paramiko.SSHException("went"), True, "the connection to h:22 went while"),
    ],
)
def test_a_refused_command_does_not_end_the_others(
    monkeypatch: pytest.MonkeyPatch, error: Exception, closed: bool, told: str
) -> None:
    client, connector = Client(error), SshConnector(Jetson(name="kitchen", host="h", user="me"))
    monkeypatch.setattr("deployers.connectors.ssh._connected", lambda _: client)
    with pytest.raises(Unreachable, match=told):
        connector.run(Command(("true",)))
    assert client.closed is closed
