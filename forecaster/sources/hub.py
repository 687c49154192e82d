"""Readings from a hub by its REST interface: `hub://host:port/series?since=…&until=…`, or `hub+https://…`.

The series is a board's id, or user/tag as readings were sent; without it, user and tag select as in any other source.
Only what is new is fetched. What was fetched before lies in `EDGELOOP_HOME/hub/`, one file for each hub and series,
together with the marker that the hub gave for it:

    store        random name of the hub's database: another database, another series
    revision     raised by each correction and each removal: what was fetched before may be wrong
    last_id      the highest id among the readings; ids rise as readings arrive, whatever their time

As long as store and revision stay, higher ids are all there is to fetch; else the whole series is fetched again. The
marker is asked for before the readings, so that what changes in between is seen the next time. Readings that the hub
lets go because of their age stay in the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from forecaster.errors import ServiceUnavailable, SourceError
from forecaster.sources.csv import parse_times, readings_frame
from forecaster.sources.hub_rest import HubRest
from forecaster.sources.selection import TIME, VALUE, choose, quoted

if TYPE_CHECKING:
    from forecaster.sources.selection import Selection

CHECKOUT = Path(__file__).resolve().parents[2]
PARAMETERS = ("since", "until")
EXAMPLE = "hub://127.0.0.1:8484/living_room/indoor?since=2024-01-31T08:00:00"


@dataclass(frozen=True)
class Address:
    """What a source names.

    Attributes:
        hub: scheme, host and port of the REST interface.
        series: its name, None if it is selected by user and tag.
        since: not before this time, as text; None for all.
        until: before this time.
    """

    hub: str
    series: str | None
    since: str | None
    until: str | None


@dataclass(frozen=True)
class Marker:
    """How far a series had come, and whether what came before is still right."""

    store: str
    revision: int
    last_id: int

    def continues(self, before: Marker) -> bool:
        """Whether what was fetched at that marker still holds."""
        same = (self.store, self.revision) == (before.store, before.revision)
        return same and self.last_id >= before.last_id


def read(source: str, selection: Selection) -> pd.DataFrame:
    """The readings of one series that a hub has, or had when they were fetched.

    Returns:
        Readings frame in the order of time.

    Raises:
        SourceError: not such a source, no such series or several, a token that is wrong or may not read.
        ReadingError: times or values that are none.
        ServiceUnavailable: the hub does not answer.
    """
    address = parse(source)
    with HubRest(address.hub) as hub:
        series, marker = _chosen(hub, address, selection, source)
        readings = _up_to_date(hub, series, marker)
    return _within(readings, address)


def fingerprint(source: str, selection: Selection) -> str:
    """SHA-256 of the marker of the series (one small request) and of what is selected.

    It changes with each new, corrected or removed reading of the series, also of one outside `since` and `until`.

    Raises:
        SourceError, ServiceUnavailable: as `read` does.
    """
    address = parse(source)
    with HubRest(address.hub) as hub:
        series, marker = _chosen(hub, address, selection, source)
    key = (series, marker, address.since, address.until)
    return hashlib.sha256(repr(key).encode()).hexdigest()


def parse(source: str) -> Address:
    """The parts of a source.

    Raises:
        SourceError: a scheme, host, port or parameter that it cannot have.
    """
    try:
        parts = urlsplit(source)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or "@" in parts.netloc or parts.fragment:
        message = f"source names no hub: expected {EXAMPLE!r}, the token in the environment variable EDGELOOP_HUB_TOKEN"
        raise SourceError(message)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(given.keys() - set(PARAMETERS))
    if unknown:
        message = f"source has the unknown parameter {unknown[0]!r}: expected {' or '.join(PARAMETERS)}"
        raise SourceError(message)
    for text in given.values():
        parse_times(pd.Series([text]))
    shown = f"[{host}]" if ":" in host else host
    scheme = "https" if parts.scheme == "hub+https" else "http"
    return Address(f"{scheme}://{shown}:{port}", unquote(parts.path.strip("/")) or None, *map(given.get, PARAMETERS))


def _chosen(hub: HubRest, address: Address, selection: Selection, source: str) -> tuple[str, Marker]:
    """The only series that is meant, and its marker now."""
    found = hub.series(**({} if address.series is None else {"series": address.series}))
    if not found and address.series is not None:
        known = [str(item.get("series")) for item in hub.series()]
        message = f"hub {address.hub!r} has no series {address.series!r}: it has {quoted(known) or 'none'}"
        raise SourceError(message)
    try:
        pairs = {(str(item["user"]), str(item["tag"])): item for item in found if item["readings"] or item["last_id"]}
        item = pairs[choose(pairs, selection, source)]
        return str(item["series"]), Marker(str(item["store"]), int(item["revision"]), int(item["last_id"]))
    except (KeyError, TypeError, ValueError):
        message = f"hub {address.hub!r} describes its series in another way than expected: update the older of the two"
        raise SourceError(message) from None


def _up_to_date(hub: HubRest, series: str, marker: Marker) -> pd.DataFrame:
    """The readings at the marker: from the file and from the hub, which then are in the file."""
    file = _file(hub.url, series)
    before, kept = _load(file)
    if before == marker:
        return kept
    if before is None or not marker.continues(before):
        before, kept = Marker(marker.store, marker.revision, 0), kept.iloc[:0]
    wanted: dict[str, str | int] = {"series": series, "after_id": before.last_id, "upto_id": marker.last_id}
    new = _parsed(hub.get("/temperatures/export.csv", wanted), hub.url)
    # The same time twice: the hub had let the reading go, and was sent it again.
    readings = pd.concat([kept, new]).drop_duplicates("time", keep="last").sort_values("time", ignore_index=True)
    _save(file, marker, readings)
    return readings


def _parsed(content: bytes, hub: str) -> pd.DataFrame:
    try:
        table = pd.read_csv(io.BytesIO(content), dtype=str, na_filter=False)
    except ValueError:  # pandas' own errors are such, and text that is not UTF-8
        message = f"hub {hub!r} sent no CSV but {content[:60]!r}: update it"
        raise SourceError(message) from None
    if not {TIME, VALUE} <= set(table.columns):
        message = f"hub {hub!r} sent the columns {quoted(table.columns)}: expected {TIME!r} and {VALUE!r}, update it"
        raise SourceError(message)
    return readings_frame(table[TIME], table[VALUE])


def _within(readings: pd.DataFrame, address: Address) -> pd.DataFrame:
    wanted = pd.Series(data=True, index=readings.index)
    if address.since is not None:
        wanted &= readings["time"] >= _time(address.since)
    if address.until is not None:
        wanted &= readings["time"] < _time(address.until)
    return readings[wanted].reset_index(drop=True)


def _time(text: str) -> Any:
    return parse_times(pd.Series([text])).iloc[0]


def _file(hub: str, series: str) -> Path:
    home = Path(os.environ.get("EDGELOOP_HOME") or CHECKOUT / ".edgeloop").expanduser().resolve()
    return home / "hub" / f"{hashlib.sha256(f'{hub} {series}'.encode()).hexdigest()[:32]}.npz"


def _load(file: Path) -> tuple[Marker | None, pd.DataFrame]:
    """What was fetched before; nothing if there is no file, or one that is damaged: it can be fetched again."""
    empty = readings_frame(pd.Series([], dtype=str), pd.Series([], dtype=str))
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as arrays:
            marker = Marker(**json.loads(str(arrays["marker"])))
            return marker, pd.DataFrame({"time": arrays["time"], "value": arrays["value"]})
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
        return None, empty


def _save(file: Path, marker: Marker, readings: pd.DataFrame) -> None:
    """Whole or not at all; another run may do the same."""
    part = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as opened:
            arrays = {"time": readings["time"].to_numpy(), "value": readings["value"].to_numpy()}
            np.savez(opened, marker=np.array(json.dumps(asdict(marker))), **arrays)
        part.replace(file)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        message = (
            f"{str(file)!r} cannot be written ({error.strerror}): free space, or set EDGELOOP_HOME to another folder"
        )
        raise ServiceUnavailable(message) from None
