"""What the hub's page shows of rollouts over the fleet, in a real browser."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from deployers.hub.fleet import EXAMPLE, Map, Maps
from tests.page_hub import HOSTILE, now_ms
from tests.page_visits import visit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser import Tab
    from tests.page_hub import FakeHub, Server

OPEN = "document.querySelector('#fleet-box').checkVisibility()"
CHIPS = "[...document.querySelectorAll('.chip')].map((chip) => [chip.className, chip.innerText.replace(/\\s+/g, ' ')])"
WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
STATES = {"attic/a1": "runs it", "attic/a2": "left out"}
TO_COME = {f"jetson-{number}/board-{number}": "to come" for number in range(100)}
ROLLOUT: dict[str, Any] = {
    **EXAMPLE,
    "jetson": "barn",
    "waves": [
        {"name": "canary", "state": "through", "devices": STATES},
        {
            "name": "50%",
            "state": "watched",
            "devices": {"cellar/c1": "runs it", "barn/b1": "runs it", "barn-2": "runs it"},
        },
        {"name": "100%", "state": "to come", "devices": TO_COME},
    ],
    "left_out": {"attic/a2": "board 'a2' did not connect"},
}
BACK: dict[str, Any] = {
    **ROLLOUT,
    "partition": "south",
    "state": "rolled back",
    "reason": f"attic/a1: {HOSTILE}",
    "waves": [{"name": "canary", "state": "failed", "devices": {f"attic/{HOSTILE}": "back", "barn": "going"}}],
    "left_out": {},
    "back": {"attic": f"version 3, {HOSTILE}"},
}


def tell(server: Server, *maps: dict[str, Any]) -> None:
    for each in maps:
        headers = {"Authorization": "Bearer deployer"}
        answer = httpx.put(f"http://127.0.0.1:{server.port}/fleet", json=each, headers=headers, trust_env=False)
        assert answer.status_code == 200, answer.text


@pytest.fixture(autouse=True)
def kept(hub: FakeHub, tmp_path: Path) -> None:
    hub.maps = Maps(tmp_path / "fleet.json")


def test_a_hub_that_was_told_of_no_rollout_shows_nothing_of_it(tab: Tab, server: Server) -> None:
    visit(tab, server, "reader")
    tab.wait("performance.getEntriesByType('resource').some(({ name }) => name.endsWith('/fleet'))")
    tab.wait("document.querySelector('#models tbody tr') !== null")
    assert not tab.run(OPEN)
    assert tab.complaints == []


def test_each_device_has_a_chip_with_its_state_and_those_of_this_hub_are_marked(tab: Tab, server: Server) -> None:
    tell(server, ROLLOUT)
    visit(tab, server, "reader")
    tab.wait(OPEN)
    text = tab.text("#fleet-box")
    for part in ("north: temperature-north version 4", "waits: 21.3 h more of 24", "Since 2024-05-01 09:18 UTC, told ",
                 "canary: through", "50%: watched", "attic/a2 was left out: board 'a2' did not connect",
                 "and 76 more: 76 to come"):  # fmt: skip
        assert part in text
    chips = tab.run(CHIPS)
    assert chips[:5] == [
        ["chip bad", "attic/a2 left out"],
        ["chip good", "attic/a1 runs it"],
        ["chip good own", "barn/b1 runs it this hub"],
        ["chip good", "cellar/c1 runs it"],
        ["chip good", "barn-2 runs it"],
    ]
    assert chips[5] == ["chip", "jetson-0/board-0 to come"]
    assert len(chips) == 5 + 24
    assert tab.complaints == []


def test_names_and_reasons_from_elsewhere_are_shown_as_text(tab: Tab, server: Server) -> None:
    tell(server, BACK, ROLLOUT)
    visit(tab, server, "reader")
    tab.wait(OPEN)
    assert tab.run("[...document.querySelectorAll('#fleet h3')].map((each) => each.innerText.split(':')[0])") == [
        "north", "south",
    ]  # fmt: skip
    text = tab.text("#fleet")
    for part in (f"rolled back: attic/a1: {HOSTILE}", f"attic went back: version 3, {HOSTILE}", f"attic/{HOSTILE}"):
        assert part in text
    assert tab.run("document.querySelector('#fleet img') === null && document.title === 'edgeloop hub'")
    assert ["chip own", "barn going this hub"] in tab.run(CHIPS)
    assert tab.complaints == []


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_it_fits_on_a_phone(tab: Tab, server: Server, width: int) -> None:
    tab.size(width, 740, mobile=width < 500)
    long = {**BACK["waves"][0], "devices": {"j" * 80: "to come"}}
    tell(server, {**ROLLOUT, "model": "m" * 120}, {**BACK, "waves": [long]})
    visit(tab, server, "reader")
    tab.wait(OPEN)
    assert not tab.run(WIDER)
    ends = tab.run("[...document.querySelectorAll('.chip')].map((each) => each.getBoundingClientRect().right)")
    assert 0 < max(ends) <= width
    assert tab.complaints == []


def test_a_map_that_is_old_says_so_and_a_rollout_that_ended_does_not(tab: Tab, server: Server, hub: FakeHub) -> None:
    long_ago = now_ms() - 5 * 3_600_000
    asyncio.run(Maps(hub.maps._path, lambda: long_ago).keep(Map(**ROLLOUT)))  # noqa: SLF001 - the file of the hub
    asyncio.run(Maps(hub.maps._path, lambda: long_ago).keep(Map(**BACK)))  # noqa: SLF001 - likewise
    visit(tab, server, "reader")
    tab.wait(OPEN)
    ended, going = tab.run("[...document.querySelectorAll('.told')].map((each) => each.innerText)")
    assert ended.startswith("told 5 h")
    assert "which is long" not in ended
    assert going.endswith("ago, which is long: it may stand elsewhere by now")


def test_a_newer_map_takes_the_place_of_the_one_before(tab: Tab, server: Server) -> None:
    tell(server, ROLLOUT)
    tab.call("Page.addScriptToEvaluateOnNewDocument", source="performance.now = () => Date.now() * 1e3")
    visit(tab, server, "reader")
    tab.wait(OPEN)
    tell(server, {**ROLLOUT, "state": "confirmed", "reason": ""})
    tab.wait("document.querySelector('#fleet p').innerText === 'confirmed'")
    assert tab.run("document.querySelectorAll('.rollout').length") == 1
