"""A hub as a source: only what is new is fetched, nothing that changed is missed."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.hub.store import Filter
from deployers.protocol.messages import Reading
from forecaster.errors import InputError, ReadingError, ServiceUnavailable, SourceError
from forecaster.sources import Selection, fingerprint, masked, read_readings
from forecaster.sources.hub import parse
from tests.certificate import certificate
from tests.store_hub import TOKEN, StoreHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANY = Selection()
SERIES = "living_room/indoor"
T0 = 1_706_688_000_000
FROM_1970 = "1970-01-01T00:00:00"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EDGELOOP_HUB_TOKEN", TOKEN)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # nobody there: the token goes to the hub alone
    return tmp_path / "home"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StoreHub]:
    with StoreHub(f"sqlite:///{tmp_path / 'hub.db'}") as running:
        yield running


def keep(hub: StoreHub, *minutes: int, series: str = SERIES, value: int = 20) -> None:
    readings = [Reading(T0 + 60_000 * minute, 1_000_000 * value + minute) for minute in minutes]
    hub.do(hub.store.keep_readings(series, readings))


def number_at(hub: StoreHub, minute: int) -> int:
    return int(hub.do(hub.store.reading_at(SERIES, T0 + 60_000 * minute)).id)


def minutes(frame: pd.DataFrame) -> list[int]:
    assert list(frame.columns) == ["time", "value"]
    assert list(map(str, frame.dtypes)) == ["datetime64[us]", "float64"]
    since = frame["time"] - pd.Timestamp(T0, unit="ms")
    return [int(minute) for minute in since / pd.Timedelta(minutes=1)]


def source(hub: StoreHub, rest: str = f"/{SERIES}") -> str:
    return f"hub://127.0.0.1:{hub.port}{rest}"


def exports(hub: StoreHub) -> list[str]:
    return [asked for asked in hub.asked if "export" in asked]


def test_a_series_as_the_hub_has_it(hub: StoreHub) -> None:
    keep(hub, 2, 0, 1)
    frame = read_readings(source(hub), ANY)
    assert minutes(frame) == [0, 1, 2]
    assert list(frame["value"]) == [20.0, 20.000001, 20.000002]


def test_only_what_is_new_is_fetched(hub: StoreHub) -> None:
    keep(hub, 0, 1, 5)
    first = fingerprint(source(hub), ANY)
    assert minutes(read_readings(source(hub), ANY)) == [0, 1, 5]
    assert minutes(read_readings(source(hub), ANY)) == [0, 1, 5]
    assert len(exports(hub)) == 1, "nothing new, nothing fetched"
    assert fingerprint(source(hub), ANY) == first
    keep(hub, 3, 6)  # one of them late
    assert fingerprint(source(hub), ANY) != first
    assert minutes(read_readings(source(hub), ANY)) == [0, 1, 3, 5, 6]
    assert "after_id=3&upto_id=5" in exports(hub)[1]


def test_another_series_of_the_same_hub_changes_nothing(hub: StoreHub) -> None:
    keep(hub, 0, 1)
    before = fingerprint(source(hub), ANY)
    keep(hub, 0, 1, series="garden")
    assert fingerprint(source(hub), ANY) == before
    assert minutes(read_readings(source(hub, "/garden"), ANY)) == [0, 1]
    assert minutes(read_readings(source(hub), ANY)) == [0, 1]


@pytest.mark.parametrize("change", ["correct", "remove", "remove the last"])
def test_what_was_corrected_or_removed_is_not_missed(hub: StoreHub, change: str) -> None:
    keep(hub, 0, 1, 2)
    before = fingerprint(source(hub), ANY)
    read_readings(source(hub), ANY)
    if change == "correct":
        hub.do(hub.store.correct(number_at(hub, 1), 7_000_000))
    else:
        hub.do(hub.store.remove(number_at(hub, 2 if change.endswith("last") else 1)))
    assert fingerprint(source(hub), ANY) != before
    frame = read_readings(source(hub), ANY)
    assert {"correct": [20.0, 7.0, 20.000002], "remove": [20.0, 20.000002]}.get(change, [20.0, 20.000001]) == list(
        frame["value"]
    )


def test_what_changes_while_it_is_fetched_is_seen_the_next_time(hub: StoreHub, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(hub, 0, 1, 2)
    page, changed = hub.store.page, []

    async def between(*arguments: Any, **options: Any) -> Any:
        if not changed:
            changed.append(await hub.store.correct(1, 7_000_000))
            await hub.store.keep_readings(SERIES, [Reading(T0 + 30_000, 1), Reading(T0 + 600_000, 1)])
        return await page(*arguments, **options)

    monkeypatch.setattr(hub.store, "page", between)
    assert minutes(read_readings(source(hub), ANY)) == [0, 1, 2], "nothing above the marker: some of it may be missing"
    frame = read_readings(source(hub), ANY)
    assert minutes(frame) == [0, 0, 1, 2, 10]
    assert frame["value"][0] == 7.0


def test_another_database_at_the_same_address_is_another_series(hub: StoreHub, tmp_path: Path) -> None:
    keep(hub, 0, 1)
    read_readings(source(hub), ANY)
    port = hub.port
    hub.__exit__()
    with StoreHub(f"sqlite:///{tmp_path / 'other.db'}", port) as other:
        keep(other, 5, 6, 7)
        assert minutes(read_readings(source(other), ANY)) == [5, 6, 7]
    with StoreHub(f"sqlite:///{tmp_path / 'hub.db'}", port) as again:
        assert minutes(read_readings(source(again), ANY)) == [0, 1]


def test_what_the_hub_let_go_because_of_its_age_stays_here(hub: StoreHub) -> None:
    from deployers.hub.store import Retention

    keep(hub, 0, 1)
    read_readings(source(hub), ANY)
    assert hub.do(hub.store.expire(Retention(-1.0))).readings == 2
    keep(hub, 1, 2)  # one of them sent again, with a new id
    assert minutes(read_readings(source(hub), ANY)) == [0, 1, 2]


def test_a_part_of_the_time(hub: StoreHub) -> None:
    keep(hub, *range(10))
    part = source(hub, f"/{SERIES}?since=2024-01-31T08:03:00&until=2024-01-31T09:06:00%2B01:00")
    assert minutes(read_readings(part, ANY)) == [3, 4, 5]
    assert fingerprint(part, ANY) != fingerprint(source(hub), ANY)
    assert minutes(read_readings(source(hub), ANY)) == list(range(10))
    assert len(exports(hub)) == 1, "both are parts of one copy"


def test_the_series_is_chosen_as_in_any_other_source(hub: StoreHub) -> None:
    keep(hub, 0)
    keep(hub, 1, series="garden")
    assert minutes(read_readings(source(hub, ""), Selection("garden"))) == [1]
    assert minutes(read_readings(source(hub, "/"), Selection(tag="indoor"))) == [0]
    with pytest.raises(SourceError, match=r"holds 2 series.*choose one with --user and --tag"):
        read_readings(source(hub, "/"), ANY)
    with pytest.raises(SourceError, match="did you mean 'garden'"):
        fingerprint(source(hub, "/"), Selection("gardn"))
    with pytest.raises(SourceError, match=r"has no series 'attic': it has 'garden', 'living_room/indoor'"):
        read_readings(source(hub, "/attic"), ANY)
    with pytest.raises(SourceError, match="no rows for user 'garden'"):
        read_readings(source(hub), Selection("garden"))


def test_a_hub_without_readings(hub: StoreHub) -> None:
    with pytest.raises(SourceError, match="holds no rows"):
        read_readings(source(hub, "/"), ANY)
    with pytest.raises(SourceError, match="it has none"):
        read_readings(source(hub), ANY)


def test_a_name_with_signs_of_its_own(hub: StoreHub) -> None:
    keep(hub, 0, series="Küche 2/1.5 m+")
    assert minutes(read_readings(source(hub, "/K%C3%BCche%202/1.5%20m+"), ANY)) == [0]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"not an archive"])
def test_a_damaged_copy_is_fetched_again(hub: StoreHub, home: Path, content: bytes) -> None:
    keep(hub, 0, 1)
    read_readings(source(hub), ANY)
    (file,) = (home / "hub").iterdir()
    file.write_bytes(content)
    assert minutes(read_readings(source(hub), ANY)) == [0, 1]
    assert len(exports(hub)) == 2
    assert [path.name for path in (home / "hub").iterdir()] == [file.name], "no part of a file is left"


def test_a_home_that_cannot_be_written(hub: StoreHub, home: Path) -> None:
    keep(hub, 0)
    home.write_text("a file")
    with pytest.raises(ServiceUnavailable, match="set EDGELOOP_HOME to another folder"):
        read_readings(source(hub), ANY)


def test_the_token_is_told_to_nobody(hub: StoreHub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(hub, 0)
    read_readings(source(hub), ANY)
    assert TOKEN not in "".join(hub.asked)
    assert not [path for path in home.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    for token in ("wrong", ""):
        monkeypatch.setenv("EDGELOOP_HUB_TOKEN", token)
        with pytest.raises(SourceError, match=r"401.*set EDGELOOP_HUB_TOKEN"):
            read_readings(source(hub), ANY)
    for token in ("two words", "line\r\nbreak", "žeton"):
        monkeypatch.setenv("EDGELOOP_HUB_TOKEN", token)
        with pytest.raises(SourceError, match="no token") as refused:
            read_readings(source(hub), ANY)
        assert token not in str(refused.value)


@pytest.mark.parametrize("host", ["hub.example.org", "192.168.1.7", "[fe80::1]"])
def test_the_token_does_not_travel_in_the_clear(host: str) -> None:
    with pytest.raises(SourceError, match=r"in the clear: use hub\+https://"):
        read_readings(f"hub://{host}:8484/a", ANY)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("hub://", "names no hub"),
        ("hub:///series", "names no hub"),
        ("hub://127.0.0.1/series", "names no hub"),
        ("hub://127.0.0.1:x/series", "names no hub"),
        ("hub://127.0.0.1:99999/series", "names no hub"),
        ("hub://[::1/series", "names no hub"),
        ("hub://reader:hunter2@127.0.0.1:8484/series", "EDGELOOP_HUB_TOKEN"),
        ("hub://127.0.0.1:8484/series?token=hunter2", "unknown parameter 'token'"),
        ("hub://127.0.0.1:8484/series?since=", "''"),
    ],
)
def test_a_source_that_names_no_series(wrong: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        read_readings(wrong, ANY)
    assert "hunter2" not in str(refused.value)


def test_a_time_that_none_is() -> None:
    with pytest.raises(ReadingError, match="'yesterday'"):
        fingerprint("hub://127.0.0.1:1/a?since=yesterday", ANY)


def test_a_hub_that_is_not_there() -> None:
    with pytest.raises(ServiceUnavailable, match=r"'http://127\.0\.0\.1:1' does not answer \(Connection refused\)"):
        read_readings("hub://127.0.0.1:1/a", ANY)
    with pytest.raises(ServiceUnavailable, match=r"'https://127\.0\.0\.1:1' does not answer"):
        read_readings("hub+https://127.0.0.1:1/a", ANY)


def test_a_hub_with_tls_must_show_a_certificate_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, secret = map(str, certificate(tmp_path))
    with StoreHub(f"sqlite:///{tmp_path / 'hub.db'}", ssl_certfile=shown, ssl_keyfile=secret) as hub:
        keep(hub, 0, 1)
        secure = f"hub+https://127.0.0.1:{hub.port}/{SERIES}"
        with pytest.raises(ServiceUnavailable, match=r"does not answer.*CERTIFICATE_VERIFY_FAILED"):
            read_readings(secure, ANY)
        assert hub.asked == [], "the token stayed here"
        monkeypatch.setenv("SSL_CERT_FILE", shown)
        assert minutes(read_readings(secure, ANY)) == [0, 1]


@given(st.text(max_size=40), st.sampled_from(["hub://", "hub+https://"]))
def test_any_text_is_an_address_or_refused(text: str, scheme: str) -> None:
    try:
        address = parse(scheme + text)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either is right
    else:
        assert address.hub.startswith("http")


def test_a_password_in_the_source_is_masked() -> None:
    assert masked("hub://reader:hunter2@host:1/a") == "hub://reader:***@host:1/a"


@contextmanager
def answering(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[str]:
    """Something that gives these answers in turn, whatever it is asked."""
    left = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = left.pop(0)
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = not left or "Content-Length" in headers

        def log_message(self, *_: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"hub://127.0.0.1:{server.server_port}/a"
        finally:
            server.shutdown()
            thread.join()


VIEW = {"series": "a", "user": "a", "tag": "", "readings": 1, "last_id": 1, "revision": 0, "store": "s"}
LISTED = (200, {}, json.dumps({"series": [VIEW]}).encode())


@pytest.mark.parametrize(
    ("answers", "error", "words"),
    [
        ([(302, {"Location": "http://127.0.0.1:1/"}, b"")], SourceError, "refused the request .302"),
        ([(404, {}, b"<html>no such page</html>")], SourceError, "404, <html>"),
        ([(403, {}, b'{"detail": "role read wanted"}')], SourceError, "403, role read wanted"),
        ([(429, {}, b"{}")], ServiceUnavailable, "not answer now .429"),
        ([(503, {}, b'{"detail": "starting"}')], ServiceUnavailable, "503, starting"),
        ([(200, {}, b"<html>")], SourceError, "not as a hub does"),
        ([(200, {}, b'{"series": 5}')], SourceError, "not as a hub does"),
        ([(200, {}, b'{"series": [{"series": "a"}]}')], SourceError, "update the older"),
        ([(200, {}, json.dumps({"series": [{**VIEW, "last_id": None}]}).encode())], SourceError, "update the older"),
        ([LISTED, (200, {}, b"x,y\n1,2\n")], SourceError, "columns 'x', 'y'"),
        ([LISTED, (200, {}, b"time_point,value\nyesterday,2\n")], ReadingError, "'yesterday'"),
        ([LISTED, (200, {}, b"")], SourceError, "sent no CSV"),
        ([LISTED, (200, {}, b"\xff\xfe\x00")], SourceError, "sent no CSV"),
        ([LISTED, (200, {"Content-Length": "99"}, b"time_point,value\n")], ServiceUnavailable, "does not answer"),
    ],
)
def test_answers_that_no_hub_gives(answers: Any, error: type[Exception], words: str, home: Path) -> None:
    with answering(*answers) as address, pytest.raises(error, match=words):
        read_readings(address, ANY)
    assert not list(home.rglob("*.npz")), "nothing of it is kept"


def test_a_copy_holds_what_was_read_exactly(hub: StoreHub) -> None:
    values = np.random.default_rng(1).integers(-(2**31) + 1, 2**31, 500)
    hub.do(hub.store.keep_readings(SERIES, [Reading(T0 + at, int(value)) for at, value in enumerate(values)]))
    first, again = read_readings(source(hub), ANY), read_readings(source(hub), ANY)
    pd.testing.assert_frame_equal(first, again)
    rows, _ = hub.do(hub.store.page(Filter(series=SERIES), 1000))
    assert list(first["value"]) == [row.celsius for row in rows]
