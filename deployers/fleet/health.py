"""How the devices of a rollout are: whether they run the version, and what their hubs have seen of its forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployers.deployment.carry import answer_of
from deployers.deployment.looking import look
from deployers.exceptions import DeployerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deployers.deployment.looking import Reach, Seen
    from deployers.deployment.places import Target
    from deployers.deployment.selection import Selected
    from deployers.deployment.waves import Device

SECONDS = 60.0


@dataclass(frozen=True)
class Health:
    """One device.

    Attributes:
        device: it.
        lost: why it does not run the version; empty if it does.
        away: why that is not known; empty if it is.
        rows: what GET /monitor of its hub says of its series, those of this version only.
    """

    device: Device
    lost: str = ""
    away: str = ""
    rows: tuple[Mapping[str, Any], ...] = ()


def ask(chosen: Sequence[Selected], reach: Reach, versions: Mapping[str, int]) -> list[Health]:
    """Ask the hubs of devices.

    Args:
        chosen: the devices.
        reach: how their Jetsons are reached.
        versions: of the image that runs, by Jetson.
    """
    found = list[Health]()
    for seen in look(chosen, reach):
        try:
            found += _of(seen, versions[seen.chosen.jetson.name])
        finally:
            seen.connector.close()
    return found


def _of(seen: Seen, version: int) -> list[Health]:
    devices = seen.chosen.devices
    if seen.target is None:
        return [Health(device, away=str(seen.error)) for device in devices]
    try:
        command = seen.target.site.hub("ctl", "monitor", timeout=SECONDS)
        rows = answer_of(seen.connector.name, command, seen.connector.run(command))["devices"]
    except DeployerError as error:
        return [Health(device, away=str(error)) for device in devices]
    return [_device(device, seen.target, version, rows) for device in devices]


def _device(device: Device, target: Target, version: int, rows: Sequence[Mapping[str, Any]]) -> Health:
    own = tuple(row for row in rows if row["version"] == version and device.board in {"", row["series"]})
    return Health(device, _lost(device, target, version), rows=own)


def _lost(device: Device, target: Target, version: int) -> str:
    if not device.board:
        active = target.there.active
        return "" if active == version else f"its hub runs version {active!r} and not {version}"
    if target.is_confirmed(device.board, version):
        return ""
    return f"it runs version {target.there.board(device.board).confirmed} and not {version}"
