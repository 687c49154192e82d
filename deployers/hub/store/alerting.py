"""What alerts have told, by channel: read once when the hub starts, written after each message that was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import bindparam, delete, insert, select

from deployers.hub.store import models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

series, alert_told = models.series, models.alert_told


class Key(NamedTuple):
    """One test of one series."""

    series: str
    test: str


class Told(NamedTuple):
    """What was told last.

    Attributes:
        level: as `LEVELS` of the monitor numbers it.
        told_ms: when, by the hub's clock.
        heard_ms: time of the series' newest reading then; None before its first.
    """

    level: int
    told_ms: int
    heard_ms: int | None


def told(connection: Connection, channel: str) -> dict[Key, Told]:
    """What a channel has told."""
    columns = (series.c.name, alert_told.c.test, alert_told.c.level, alert_told.c.told_ms, alert_told.c.heard_ms)
    rows = connection.execute(select(*columns).join_from(alert_told, series).where(alert_told.c.channel == channel))
    return {Key(row[0], row[1]): Told(*row[2:]) for row in rows}


def keep(connection: Connection, channel: str, changed: Mapping[Key, Told | None]) -> None:
    """Keep what a channel has told; None of what it has told to be well again."""
    names = sorted({key.series for key in changed})
    found = connection.execute(select(series.c.name, series.c.id).where(series.c.name.in_(names)))
    ids = {row.name: row.id for row in found}
    keys = [key for key in changed if key.series in ids]
    if not keys:
        return
    there = delete(alert_told).where(
        alert_told.c.channel == channel,
        alert_told.c.series_id == bindparam("b_series"),
        alert_told.c.test == bindparam("b_test"),
    )
    connection.execute(there, [{"b_series": ids[key.series], "b_test": key.test} for key in keys])
    rows = [
        {"channel": channel, "series_id": ids[key.series], "test": key.test, **now._asdict()}
        for key in keys
        if (now := changed[key]) is not None
    ]
    if rows:
        connection.execute(insert(alert_told), rows)
