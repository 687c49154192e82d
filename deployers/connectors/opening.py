"""The connector for an entry of the inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployers.connectors.base import Connector
    from deployers.inventory import Jetson


def connect(jetson: Jetson) -> Connector:
    """What reaches a Jetson; nothing is sent before its first use."""
    if jetson.connection == "local":
        from deployers.connectors.local import LocalConnector  # noqa: PLC0415 - one of the two is enough

        return LocalConnector()
    from deployers.connectors.ssh import SshConnector  # noqa: PLC0415

    return SshConnector(jetson)
