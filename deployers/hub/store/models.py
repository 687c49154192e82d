"""The tables; migrations/versions makes them, and a test compares the two.

Times are milliseconds since 1970 and values micro-degrees Celsius, as on the board link: integers compare and travel
without rounding.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Integer, LargeBinary, MetaData, SmallInteger, Table, Text
from sqlalchemy import UniqueConstraint as Unique

# SQLite gives out its own row numbers only for a column of exactly this type.
BIG = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# One row: the random name by which a copy of readings knows where it was taken from.
identity = Table("identity", metadata, Column("store", Text, primary_key=True))

series = Table(
    "series",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("name", Text, nullable=False),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Column("different", BigInteger, nullable=False, server_default="0"),
    Unique("name"),
)

# AUTOINCREMENT: an id that was removed is never given out again, or a copy that has seen it would miss the new reading.
reading = Table(
    "reading",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("series_id", BigInteger, ForeignKey("series.id"), nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("microcelsius", Integer, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Unique("series_id", "time_ms"),
    sqlite_autoincrement=True,
)

# Values as little-endian float64, one a step of the horizon.
forecast = Table(
    "forecast",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("series_id", BigInteger, ForeignKey("series.id"), nullable=False),
    Column("source", SmallInteger, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("slot_state", SmallInteger, nullable=False),
    Column("celsius", LargeBinary, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Unique("series_id", "source", "time_ms", "version"),
    sqlite_autoincrement=True,
)

# What the monitor remembers: of each series the state of its tests as JSON, its errors by day, and the last reading and
# forecast that it has looked at.
watch = Table(
    "watch",
    metadata,
    Column("series_id", BigInteger, ForeignKey("series.id"), primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),
)

# Of one step ahead each, little-endian float64: pairs, and the sums of the model's and of persistence's errors in °C.
watch_day = Table(
    "watch_day",
    metadata,
    Column("series_id", BigInteger, ForeignKey("series.id"), primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("source", SmallInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("is_masked", SmallInteger, nullable=False),
    Column("sums", LargeBinary, nullable=False),
)

watch_cursor = Table(
    "watch_cursor",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("reading_id", BigInteger, nullable=False),
    Column("forecast_id", BigInteger, nullable=False),
)

# What each channel of alerts has told of a test that is not well, as its last message had it; a test that is well, or
# of which nothing was told, has no row. Level as LEVELS of the monitor numbers it, told_ms by the hub's clock; heard_ms
# is the time of the series' newest reading then.
alert_told = Table(
    "alert_told",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("series_id", BigInteger, ForeignKey("series.id"), primary_key=True, autoincrement=False),
    Column("test", Text, primary_key=True),
    Column("level", SmallInteger, nullable=False),
    Column("told_ms", BigInteger, nullable=False),
    Column("heard_ms", BigInteger, nullable=True),
)

# What was asked of the training side, by whom and why, and what came of it. `numbers` and `answer` are JSON; `cause`
# names what asked, so that one alarm is not answered twice; `reading_id` is the last reading there was at the start.
retraining = Table(
    "retraining",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("series_id", BigInteger, ForeignKey("series.id"), nullable=False, index=True),
    Column("trigger", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("numbers", Text, nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("state", Text, nullable=False),
    Column("job", Text),
    Column("reading_id", BigInteger),
    Column("answer", Text),
    sqlite_autoincrement=True,
)

# Challengers, one row a version: the last comparison of each. Days as JSON, [day, champion's skill, its own, series].
challenge = Table(
    "challenge",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("champion", BigInteger, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("days", Text, nullable=False),
    Column("passed", Text, nullable=False),
    Column("better", Double, nullable=False),
    Column("worse", Double, nullable=False),
    Column("promotion", Text, nullable=False),
)
