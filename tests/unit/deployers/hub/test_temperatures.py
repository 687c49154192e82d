"""Readings by REST, against a real store: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployers.exceptions import InputError
from deployers.hub import problems
from deployers.hub.auth import PRINCIPAL, Principal, Role
from deployers.hub.metrics import Metrics
from deployers.hub.routes import forecasts, temperatures
from deployers.hub.routes.temperatures import time_ms
from deployers.hub.store import Filter, Store, StoredForecast
from deployers.protocol.messages import Reading
from forecaster.sources import Selection, read_readings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

FIRST = {"time_point": "2024-01-31T08:00:00", "value": 19.2, "user": "living_room", "tag": "indoor"}
SERIES = "living_room/indoor"
TIME_MS = 1_706_688_000_000
URL_INJECTIONS = ["' OR 1=1 --", "a'; DROP TABLE reading; --", "%", "a\x00b", "../../etc/passwd"]


class Watch:
    """Stands in for the hub's own forecasts: what they were told."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.forecast_at: list[tuple[str, tuple[Reading, ...]]] = []

    def forget(self, series: str) -> None:
        self.forgotten.append(series)

    async def forecast(self, series: str, readings: tuple[Reading, ...]) -> None:
        self.forecast_at.append((series, readings))


class Client(httpx.AsyncClient):
    """Asks the routes without a network; `store`, `watch` and `metrics` are behind them."""

    store: Store
    watch: Watch
    metrics: Metrics

    async def keep(self, *values: float, user: str = "living_room", tag: str = "indoor") -> list[int]:
        """Store readings a minute apart, and give their ids."""
        ids = []
        for minute, value in enumerate(values):
            body = {**FIRST, "time_point": f"2024-01-31T08:{minute:02}:00", "value": value, "user": user, "tag": tag}
            ids.append((await self.post("/temperatures", json=body)).json()["id"])
        return ids


@asynccontextmanager
async def serving(path: Path, role: Role = "write") -> AsyncIterator[Client]:
    async with Store(f"sqlite:///{path / 'hub.db'}") as store:
        app, watch, metrics = FastAPI(), Watch(), Metrics()
        app.state.hub = SimpleNamespace(store=store, live=watch, sink=watch, metrics=metrics)
        problems.install(app)
        app.include_router(temperatures.router)
        app.include_router(forecasts.router)

        async def known(scope: Any, receive: Any, send: Any) -> None:
            scope[PRINCIPAL] = Principal("test", role)
            await app(scope, receive, send)

        async with Client(transport=httpx.ASGITransport(known), base_url="http://hub") as client:
            client.store, client.watch, client.metrics = store, watch, metrics
            yield client


def asked(path: Path, work: Callable[[Client], Awaitable[Any]], role: Role = "write") -> Any:
    async def run() -> Any:
        async with serving(path, role) as client:
            return await work(client)

    return asyncio.run(run())


def refusal(answer: httpx.Response, status: int) -> str:
    """The detail of a problem, which must be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert told["code"]
    assert "\n" not in told["detail"]
    return str(told["detail"])


def test_a_reading_goes_in_and_comes_out(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        answer = await client.post("/temperatures", json=FIRST)
        assert answer.status_code == 201
        stored = answer.json()
        assert stored == {**FIRST, "id": stored["id"], "series": SERIES, "time_ms": TIME_MS}
        assert answer.headers["location"] == f"/temperatures/{stored['id']}"
        assert (await client.get(answer.headers["location"])).json() == stored
        assert (await client.get("/temperatures")).json() == {"temperatures": [stored], "next": None}
        assert await client.store.readings(SERIES) == [Reading(TIME_MS, 19_200_000)]

    asked(tmp_path, work)


def test_sent_again_it_changes_nothing_and_another_value_is_a_conflict(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        first = await client.post("/temperatures", json=FIRST)
        again = await client.post("/temperatures", json=FIRST)
        assert (again.status_code, again.json()) == (200, first.json())
        detail = refusal(await client.post("/temperatures", json={**FIRST, "value": 20.0}), 409)
        assert "has 19.2 at '2024-01-31T08:00:00', not 20.0" in detail
        assert f"PATCH /temperatures/{first.json()['id']}" in detail
        assert (await client.get("/temperatures/series")).json()["series"][0]["different"] == 1

    asked(tmp_path, work)


def test_what_is_new_is_counted_once(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        rows = [{**FIRST, "time_point": f"2024-01-31T09:0{minute}:00"} for minute in range(3)]
        for _ in range(2):
            await client.post("/temperatures", json=FIRST)
            await client.post("/temperatures/bulk", json=rows)
        counted = client.metrics.registry.get_sample_value("edgeloop_readings_total", {"source": "rest"})
        assert counted == 4

    asked(tmp_path, work)


def test_the_hubs_own_forecasts_hear_of_every_change(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        (number,) = await client.keep(19.2)
        assert client.watch.forecast_at == [(SERIES, (Reading(TIME_MS, 19_200_000),))]
        await client.post("/temperatures", json=FIRST)
        assert len(client.watch.forecast_at) == 1, "nothing new, nothing to forecast"
        assert client.watch.forgotten == []
        await client.patch(f"/temperatures/{number}", json={"value": 1})
        await client.delete(f"/temperatures/{number}")
        bulk = [{**FIRST, "user": user} for user in ("a", "a", "b")]
        await client.post("/temperatures/bulk", json=bulk)
        await client.post("/temperatures/bulk", json=bulk)
        assert sorted(client.watch.forgotten) == ["a/indoor", "b/indoor", SERIES, SERIES]

    asked(tmp_path, work)


def test_a_late_reading_has_the_state_made_anew_and_not_begun_with_it(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        await client.keep(19.2)
        before = {**FIRST, "time_point": "2023-01-31T08:00:00"}
        assert (await client.post("/temperatures", json=before)).status_code == 201
        assert (client.watch.forgotten, len(client.watch.forecast_at)) == ([SERIES], 1)

    asked(tmp_path, work)


def test_a_reading_takes_its_forecasts_with_it(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        (number,) = await client.keep(19.2)
        times = (("board", TIME_MS), ("hub", TIME_MS), ("hub", TIME_MS + 60_000))
        made = [StoredForecast(SERIES, source, time, 3, 2, (1.5,), 9) for source, time in times]
        other = StoredForecast("other", "hub", TIME_MS, 3, 2, (1.5,), 9)
        await client.store.keep_forecasts([*made, other])
        await client.delete(f"/temperatures/{number}")
        assert [each.time_ms for each in await client.store.forecasts(SERIES)] == [TIME_MS + 60_000]
        assert len(await client.store.forecasts("other")) == 1

    asked(tmp_path, work)


def test_many_at_once(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        await client.keep(19.2, 20.0)
        bulk = [{**FIRST, "time_point": f"2024-01-31 08:0{at}:00Z", "value": 20} for at in range(5)]
        answer = await client.post("/temperatures/bulk", json=bulk)
        assert answer.json() == {"new": 3, "already": 1, "different": 1}
        detail = refusal(await client.post("/temperatures/bulk", json=[*bulk, {**FIRST, "user": "a/b"}]), 422)
        assert "'a/b/indoor'" in detail
        assert len(await client.store.readings(SERIES)) == 5

    asked(tmp_path, work)


@pytest.mark.parametrize("count", [0, 10_001])
def test_bulk_of_nothing_or_too_much(tmp_path: Path, count: int) -> None:
    async def work(client: Client) -> None:
        assert "body" in refusal(await client.post("/temperatures/bulk", json=[FIRST] * count), 422)

    asked(tmp_path, work)


def test_correct_and_remove(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        (number,) = await client.keep(19.2)
        corrected = await client.patch(f"/temperatures/{number}", json={"value": 21.25})
        assert corrected.json()["value"] == 21.25
        assert (await client.get("/temperatures/series")).json()["series"][0]["revision"] == 1
        removed = await client.delete(f"/temperatures/{number}")
        assert (removed.status_code, removed.content) == (204, b"")
        for answer in (
            await client.get(f"/temperatures/{number}"),
            await client.patch(f"/temperatures/{number}", json={"value": 1}),
            await client.delete(f"/temperatures/{number}"),
        ):
            assert f"reading {number} is not there" in refusal(answer, 404)

    asked(tmp_path, work)


def test_pages_by_link_and_by_cursor(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        await client.keep(1, 2, 3)
        await client.keep(4, 5, user="garden", tag="")
        found, link = [], "/temperatures?limit=2&order=desc"
        while link:
            answer = await client.get(link)
            page = answer.json()
            assert len(page["temperatures"]) <= 2
            found += [(item["series"], item["value"]) for item in page["temperatures"]]
            assert (page["next"] is None) == ("next" not in answer.links)
            link = answer.links.get("next", {}).get("url", "")
        assert found == [(SERIES, 3), (SERIES, 2), (SERIES, 1), ("garden", 5), ("garden", 4)]
        only = await client.get("/temperatures", params={"user": "garden", "since": "2024-01-31T08:01:00"})
        assert [item["value"] for item in only.json()["temperatures"]] == [5]
        until = await client.get("/temperatures", params={"series": SERIES, "until": "2024-01-31T09:01:00+01:00"})
        assert [item["value"] for item in until.json()["temperatures"]] == [1]

    asked(tmp_path, work)


def test_the_exported_file_is_a_source_of_the_data_pipeline(tmp_path: Path) -> None:
    async def work(client: Client) -> bytes:
        await client.keep(19.2, -0.000001, 21.0625)
        await client.keep(4, user="Küche 2", tag="")
        await client.store.keep_readings(SERIES, [Reading(TIME_MS + 61_500, 5)])
        answer = await client.get("/temperatures/export.csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert "temperatures.csv" in answer.headers["content-disposition"]
        none = await client.get("/temperatures/export.csv", params={"user": "nobody"})
        assert none.text == "time_point,user,value,tag,id\n"
        newer = await client.get("/temperatures/export.csv", params={"series": SERIES, "after_id": 1, "upto_id": 2})
        assert newer.text == "time_point,user,value,tag,id\n2024-01-31T08:01:00,living_room,-1e-06,indoor,2\n"
        return answer.content

    file = tmp_path / "export.csv"
    file.write_bytes(asked(tmp_path, work))
    frame = read_readings(str(file), Selection("living_room", "indoor"))
    times = ["2024-01-31T08:00:00", "2024-01-31T08:01:00", "2024-01-31T08:01:01.500000", "2024-01-31T08:02:00"]
    assert [time.isoformat() for time in frame["time"]] == times
    assert list(frame["value"]) == [19.2, -0.000001, 0.000005, 21.0625]
    assert list(read_readings(str(file), Selection("Küche 2"))["value"]) == [4.0]


def test_stored_forecasts_are_listed(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        made = [StoredForecast("b", source, at, 3, 2, (1.5,), 9) for at in (1, 2) for source in ("board", "hub")]
        await client.store.keep_forecasts(made)
        found = (await client.get("/forecasts", params={"series": "b", "source": "hub", "limit": 1})).json()[
            "forecasts"
        ]
        assert found == [
            {
                "series": "b", "source": "hub", "time_point": "1970-01-01T00:00:00.002000", "time_ms": 2,
                "version": 3, "slot_state": 2, "celsius": [1.5], "received_ms": 9,
            }
        ]  # fmt: skip
        for chosen in ({"since": "1970-01-01T00:00:00.002"}, {"until": "1970-01-01T00:00:00.002"}, {"source": "hub"}):
            assert len((await client.get("/forecasts", params={"series": "b", **chosen})).json()["forecasts"]) == 2
        for version, count in ((3, 4), (4, 0)):
            chosen = {"series": "b", "version": version}
            assert len((await client.get("/forecasts", params=chosen)).json()["forecasts"]) == count
        refusal(await client.get("/forecasts"), 422)
        refusal(await client.get("/forecasts", params={"series": "b", "source": "moon"}), 422)

    asked(tmp_path, work)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"value": 200.01}, "less than or equal to 200"),
        ({"value": -100.01}, "greater than or equal to -100"),
        ({"value": 293.15}, "200"),
        ({"value": "19.2"}, "valid number"),
        ({"value": True}, "valid number"),
        ({"value": None}, "valid number"),
        ({"value": 10**400}, "value"),
        ({"time_point": "yesterday"}, "'yesterday' is not a time"),
        ({"time_point": "2024-02-30T08:00:00"}, "not a time"),
        ({"time_point": "2024"}, "not a time"),
        ({"time_point": 1_706_688_000}, "valid string"),
        ({"time_point": "1969-12-31T23:59:59"}, "between 1970 and 2199"),
        ({"time_point": "2199-12-31T23:59:59-01:00"}, "between 1970 and 2199"),
        ({"time_point": "0001-01-01T00:00:00+23:00"}, "between 1970 and 2199"),
        ({"time_point": "2024-01-31T08:00:00+99:00"}, "not a time"),
        ({"time_point": "2" * 65}, "at most 64"),
        ({"user": ""}, "user or user/tag"),
        ({"user": "a/b", "tag": ""}, "'a/b'"),
        ({"user": "=1+1"}, "'=1+1/indoor'"),
        ({"user": "a", "tag": "b\r\nx"}, "expected user"),
        ({"user": "a", "tag": "b,c"}, "expected user"),
        ({"colour": "red"}, "colour"),
        ({"id": 7}, "id"),
    ],
)
def test_a_reading_that_none_is(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    async def work(client: Client) -> None:
        assert words in refusal(await client.post("/temperatures", json={**FIRST, **changed}), 422)
        assert words in refusal(await client.post("/temperatures/bulk", json=[{**FIRST, **changed}]), 422)
        assert await client.store.series() == []

    asked(tmp_path, work)


@pytest.mark.parametrize("body", [b"", b"{", b'{"value": NaN}', b"[]", b"null", b"\xff\xfe", b"[" * 3000])
def test_a_body_that_is_no_reading(tmp_path: Path, body: bytes) -> None:
    async def work(client: Client) -> None:
        answer = await client.post("/temperatures", content=body, headers={"content-type": "application/json"})
        refusal(answer, answer.status_code)
        assert answer.status_code in {400, 422}

    asked(tmp_path, work)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_value_that_is_not_finite(tmp_path: Path, text: str) -> None:
    async def work(client: Client) -> None:
        body = json.dumps(FIRST).replace("19.2", text).encode()
        refusal(await client.post("/temperatures", content=body, headers={"content-type": "application/json"}), 422)
        refusal(await client.patch("/temperatures/1", content=f'{{"value": {text}}}'.encode()), 422)

    asked(tmp_path, work)


@pytest.mark.parametrize(
    "query",
    [
        "colour=red", "limit=0", "limit=1001", "limit=x", "order=up", "cursor=x", "cursor=1-2-3", "cursor=-1-5",
        "cursor=1-9999999999999999", "since=yesterday", "until=2024", "since=1900-01-01", "series=" + "x" * 200,
        "cursor=1-1' OR '1'='1", "order=asc; DROP TABLE reading",
    ],
)  # fmt: skip
def test_a_query_that_none_is(tmp_path: Path, query: str) -> None:
    async def work(client: Client) -> None:
        refusal(await client.get(f"/temperatures?{query}"), 422)

    asked(tmp_path, work)


@pytest.mark.parametrize("path", ["0", "-1", "x", str(2**63), "1 OR 1=1", "1;DROP TABLE reading"])
def test_an_id_that_none_is(tmp_path: Path, path: str) -> None:
    async def work(client: Client) -> None:
        refusal(await client.get(f"/temperatures/{path}"), 422)
        refusal(await client.delete(f"/temperatures/{path}"), 422)

    asked(tmp_path, work)


@pytest.mark.parametrize("text", URL_INJECTIONS)
def test_sql_in_a_query_is_a_name_that_nobody_has(tmp_path: Path, text: str) -> None:
    async def work(client: Client) -> None:
        await client.keep(19.2)
        for name in ("series", "user", "tag"):
            for path in ("/temperatures", "/temperatures/series"):
                answer = await client.get(path, params={name: text})
                assert answer.status_code == 200
                assert next(iter(answer.json().values())) == []
            export = await client.get("/temperatures/export.csv", params={name: text})
            assert export.text.count("\n") == 1
        assert (await client.get("/forecasts", params={"series": text})).json() == {"forecasts": []}
        assert len(await client.store.readings(SERIES)) == 1

    asked(tmp_path, work)


@pytest.mark.parametrize("query", ["after_id=-1", f"upto_id={2**63}", "after_id=x", "limit=5", "since=x"])
def test_an_export_that_none_is(tmp_path: Path, query: str) -> None:
    async def work(client: Client) -> None:
        refusal(await client.get(f"/temperatures/export.csv?{query}"), 422)

    asked(tmp_path, work)


def test_a_store_that_does_not_answer_is_503_before_anything_was_sent(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        await client.store.close()
        for path in ("/temperatures", "/temperatures/1", "/temperatures/series", "/temperatures/export.csv"):
            assert "is not open" in refusal(await client.get(path), 503)
        refusal(await client.post("/temperatures", json=FIRST), 503)

    asked(tmp_path, work)


def test_roles(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        await client.store.keep_readings("a", [Reading(1, 1)])
        for path in ("", "/1", "/series", "/export.csv"):
            assert (await client.get(f"/temperatures{path}")).status_code == 200
        assert (await client.get("/forecasts?series=a")).status_code == 200
        refusal(await client.post("/temperatures", json=FIRST), 403)
        refusal(await client.post("/temperatures/bulk", json=[FIRST]), 403)
        refusal(await client.patch("/temperatures/1", json={"value": 1}), 403)
        refusal(await client.delete("/temperatures/1"), 403)

    asked(tmp_path, work, role="read")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda deeper: st.dictionaries(st.sampled_from([*FIRST, "x"]), deeper) | st.lists(deeper), max_leaves=6))  # fmt: skip  # noqa: E501
def test_whatever_is_sent_is_stored_or_refused(tmp_path: Path, body: Any) -> None:
    async def work(client: Client) -> None:
        for path in ("/temperatures", "/temperatures/bulk"):
            content = json.dumps(body).encode()
            answer = await client.post(path, content=content, headers={"content-type": "application/json"})
            assert answer.status_code in {200, 201} or refusal(answer, answer.status_code)
            assert answer.status_code < 500

    asked(tmp_path, work)


SPAN = (datetime(1970, 1, 1), datetime(2199, 12, 31))  # noqa: DTZ001 - times without offset
NAME = st.from_regex(r"\A\w[\w .:@+-]{0,20}\Z")
READING = st.fixed_dictionaries(
    {
        "time_point": st.datetimes(*SPAN).map(datetime.isoformat),
        "value": st.floats(-100, 200),
        "user": NAME,
        "tag": NAME | st.just(""),
    }
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(readings=st.lists(READING, min_size=1, max_size=20))
def test_what_is_stored_is_exported_and_parsed_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, readings: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("store")

    async def work(client: Client) -> bytes:
        answer = await client.post("/temperatures/bulk", json=readings)
        assert answer.status_code == 200, answer.text
        assert sum(answer.json().values()) == len(readings)
        return (await client.get("/temperatures/export.csv")).content

    file = path / "export.csv"
    file.write_bytes(asked(path, work))
    first = readings[0]
    frame = read_readings(str(file), Selection(first["user"], first["tag"]))
    by_time = dict(zip((round(time.timestamp() * 1000) for time in frame["time"]), frame["value"], strict=True))
    assert by_time[time_ms(first["time_point"])] == round(first["value"] * 1e6) / 1e6


@given(st.text(max_size=70))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with suppress(InputError):
        assert 0 <= time_ms(text) < 7_258_118_400_000


def test_times_with_and_without_offset() -> None:
    assert (
        time_ms("2024-01-31T08:00:00")
        == time_ms("2024-01-31 08:00Z")
        == time_ms("2024-01-31T09:00:00.0+01:00")
        == TIME_MS
    )
    assert time_ms("2024-01-31") == TIME_MS - 8 * 3_600_000
    assert time_ms("2024-01-31T08:00:00.0015") == TIME_MS + 1


def test_an_export_into_a_file_counts_its_rows(tmp_path: Path) -> None:
    from deployers.hub import export

    async def work(client: Client) -> None:
        await client.store.keep_readings("a", [Reading(1000 * at, at) for at in range(2 * export.ROWS + 1)])
        file = io.BytesIO()
        assert await export.export_csv(client.store, Filter(), file) == 2 * export.ROWS + 1
        assert len(set(file.getvalue().splitlines())) == 2 * export.ROWS + 2
        assert await export.export_csv(client.store, Filter(series="b"), io.BytesIO()) == 0

    asked(tmp_path, work)
