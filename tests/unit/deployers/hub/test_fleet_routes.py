"""Maps of rollouts by REST and by `ctl`: who may tell and look, what is refused, and what outlives a restart."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from deployers.hub import ctl as module
from deployers.hub import fleet as maps_module
from deployers.hub.app import create_app
from deployers.hub.client import HubClient
from deployers.hub.ctl import ctl
from deployers.hub.examples import ANSWERS
from deployers.hub.fleet import DEVICES_MAX, EXAMPLE, PARTITIONS_MAX, WAVES_MAX, Map, Maps
from tests.hub_client import TestClient
from tests.hub_parts import Parts, headers, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ, WRITE, DEPLOY = headers("read"), headers("write"), headers("deploy")
FILE = "data/fleet.json"


def client(folder: Path) -> TestClient:
    return TestClient(create_app(settings(folder), **Parts(1, active=1).given()), base_url="http://hub")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[TestClient]:
    with client(tmp_path) as found:
        yield found


def rollouts(hub: TestClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = hub.get("/fleet", headers=READ).json()["rollouts"]
    return found


def changed(**fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(EXAMPLE), **fields}


def test_what_was_told_is_answered_with_when(hub: TestClient) -> None:
    assert hub.get("/fleet", headers=READ).json()["rollouts"] == []
    kept = hub.put("/fleet", json=EXAMPLE, headers=DEPLOY)
    assert (kept.status_code, kept.json().keys()) == (200, ANSWERS["/fleet", "put"].keys())
    found = hub.get("/fleet", headers=READ).json()
    assert found["rollouts"] == [{**EXAMPLE, "told_ms": kept.json()["told_ms"]}]
    assert 0 <= found["now_ms"] - kept.json()["told_ms"] < 60_000
    assert found.keys() == ANSWERS["/fleet", "get"].keys()
    assert found["rollouts"][0].keys() == ANSWERS["/fleet", "get"]["rollouts"][0].keys()


def test_the_newest_map_of_a_partition_takes_the_place_of_the_one_before(hub: TestClient) -> None:
    for body in (EXAMPLE, changed(partition="south"), changed(state="confirmed", rollout="another")):
        assert hub.put("/fleet", json=body, headers=DEPLOY).status_code == 200
    assert [(each["partition"], each["state"]) for each in rollouts(hub)] == [
        ("north", "confirmed"),
        ("south", "waits"),
    ]


def test_only_so_many_partitions_are_kept_and_the_last_told_stay(hub: TestClient) -> None:
    for number in range(PARTITIONS_MAX + 2):
        assert hub.put("/fleet", json=changed(partition=f"p{number}"), headers=DEPLOY).status_code == 200
    names = [each["partition"] for each in rollouts(hub)]
    assert names == [f"p{number}" for number in range(PARTITIONS_MAX + 1, 1, -1)]


def test_only_who_deploys_tells_and_who_reads_looks(hub: TestClient) -> None:
    for role, status in ((READ, 403), (WRITE, 403), ({}, 401)):
        assert hub.put("/fleet", json=EXAMPLE, headers=role).status_code == status
    assert hub.get("/fleet").status_code == 401
    assert rollouts(hub) == []


WAVE: dict[str, Any] = EXAMPLE["waves"][0]


@pytest.mark.parametrize(
    "wrong",
    [
        changed(other=1),
        changed(waves=[{**WAVE, "other": 1}]),
        changed(partition=""),
        changed(partition="x" * 301),
        changed(version=4),
        changed(state="x" * 41),
        changed(reason="x" * 1001),
        changed(reason=None),
        changed(since="x" * 41),
        changed(left_out={"a": "x" * 1001}),
        changed(left_out={"": "why"}),
        changed(back={"a": 1}),
        changed(waves=[{**WAVE, "devices": {"a": ""}}]),
        changed(waves=[{**WAVE, "devices": {"a" * 301: "runs it"}}]),
        changed(waves=[{**WAVE, "devices": ["a"]}]),
        changed(waves=[WAVE] * (WAVES_MAX + 1)),
        changed(numbers={str(number): 1 for number in range(51)}),
        changed(numbers={"pairs": [[1]]}),
        changed(numbers={"skill": True}),
        changed(numbers={"skill": 10**400}),
        {name: value for name, value in EXAMPLE.items() if name != "waves"},
    ],
)
def test_what_is_no_map_is_refused_and_changes_nothing(hub: TestClient, wrong: dict[str, Any]) -> None:
    hub.put("/fleet", json=EXAMPLE, headers=DEPLOY)
    answer = hub.put("/fleet", json=wrong, headers=DEPLOY)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert [{**each, "told_ms": 0} for each in rollouts(hub)] == [{**EXAMPLE, "told_ms": 0}]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_number_that_is_none_is_refused(hub: TestClient, number: str) -> None:
    body = json.dumps(changed(numbers={"skill": 4711.5})).replace("4711.5", number)
    given = {**DEPLOY, "Content-Type": "application/json"}
    assert hub.put("/fleet", content=body, headers=given).status_code == 422


def test_more_devices_than_a_page_can_bear_are_refused_in_whatever_waves(hub: TestClient) -> None:
    half = {f"jetson-{number}": "to come" for number in range(DEVICES_MAX // 2)}
    waves = [{**WAVE, "devices": half}, {**WAVE, "name": "50%", "devices": half}]
    assert hub.put("/fleet", json=changed(waves=waves), headers=DEPLOY).status_code == 200
    answer = hub.put("/fleet", json=changed(waves=[WAVE, *waves]), headers=DEPLOY)
    assert (answer.status_code, f"expected {DEVICES_MAX} at most" in answer.json()["detail"]) == (422, True)


def test_a_restart_loses_nothing(tmp_path: Path) -> None:
    with client(tmp_path) as before:
        before.put("/fleet", json=EXAMPLE, headers=DEPLOY)
        before.put("/fleet", json=changed(partition="south"), headers=DEPLOY)
        was = rollouts(before)
    with client(tmp_path) as after:
        assert rollouts(after) == was
        after.put("/fleet", json=EXAMPLE, headers=DEPLOY)
        assert [each["partition"] for each in rollouts(after)] == ["north", "south"]
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    assert [path.name for path in (tmp_path / "data").glob("*fleet*")] == ["fleet.json"]


@pytest.mark.parametrize("content", [b"", b"{}", b'[{"partition": "north"}]', b"\xff", b"[" * 100_000])
def test_a_file_that_is_none_of_this_hub_begins_anew_and_is_told(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / FILE).write_bytes(content)
    with client(tmp_path) as hub:
        assert rollouts(hub) == []
        assert "is not what this hub writes" in caplog.text
        assert hub.put("/fleet", json=EXAMPLE, headers=DEPLOY).status_code == 200
        assert len(rollouts(hub)) == 1


def test_a_disk_that_does_not_take_a_map_is_a_problem_and_the_one_before_stays(
    hub: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.put("/fleet", json=EXAMPLE, headers=DEPLOY)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(maps_module, "write_private", full)
    answer = hub.put("/fleet", json=changed(state="confirmed"), headers=DEPLOY)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "No space left on device" in answer.json()["detail"]
    assert [each["state"] for each in rollouts(hub)] == ["waits"]


def test_a_file_that_cannot_be_read_is_a_problem_and_not_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir(parents=True)
    with client(tmp_path) as hub:
        answer = hub.get("/fleet", headers=READ)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "cannot be read (Is a directory)" in answer.json()["detail"]


def test_ctl_tells_and_shows(hub: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = hub._transport  # noqa: SLF001 - it has no other name
    monkeypatch.setattr(module, "open_client", lambda *_: HubClient("http://hub", "deploy", transport=transport))

    def run(word: str, given: str | bytes = b"") -> tuple[int, dict[str, Any]]:
        found = CliRunner().invoke(ctl, ["--config", "x", word], input=given, standalone_mode=False)
        assert found.exception is None, found.exception
        return found.return_value, json.loads(found.stdout)

    assert run("tell-fleet", json.dumps(EXAMPLE))[1]["partition"] == "north"
    assert run("fleet")[1]["rollouts"] == rollouts(hub)
    for given in (b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000):
        code, found = run("tell-fleet", given)
        assert (code, found["error"][:14]) == (2, "standard input")
    code, found = run("tell-fleet", json.dumps(changed(other=1)))
    assert (code, "body.other" in found["error"]) == (2, True)
    assert len(rollouts(hub)) == 1


def test_maps_that_are_told_at_once_are_all_kept(tmp_path: Path) -> None:
    async def tell() -> list[str]:
        maps = Maps(tmp_path / FILE)
        await asyncio.gather(*(maps.keep(Map(**changed(partition=f"p{number}"))) for number in range(8)))
        return sorted(each["partition"] for each in (await Maps(tmp_path / FILE).view())["rollouts"])

    assert asyncio.run(tell()) == [f"p{number}" for number in range(8)]


def test_when_a_map_was_told_is_by_the_clock_of_the_hub(tmp_path: Path) -> None:
    async def tell() -> dict[str, Any]:
        maps = Maps(tmp_path / FILE, clock=lambda: 1234)
        await maps.keep(Map(**EXAMPLE))
        return await maps.view()

    found = asyncio.run(tell())
    assert (found["now_ms"], found["rollouts"][0]["told_ms"]) == (1234, 1234)
