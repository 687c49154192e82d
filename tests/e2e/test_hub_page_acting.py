"""What is done from the hub's page in a real browser: deployments and rollbacks, by those who may, to their end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from deployers.hub.app import create_app
from deployers.hub.store import Store
from tests.hub_parts import Parts, headers, settings
from tests.page_hub import FakeHub, Server, model, now_ms, serving
from tests.page_visits import look, visit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser import Tab


def test_buttons_are_for_those_who_may(tab: Tab, server: Server) -> None:
    visible = (
        "[...document.querySelectorAll('#models button, #rollback')].filter((b) => b.checkVisibility())"
        ".map((b) => b.getAttribute('aria-label') ?? b.innerText)"
    )
    for token, buttons in (("deployer", ["Deploy version 9", "Roll back version 7"]), ("reader", []), ("writer", [])):
        visit(tab, server, token)
        tab.wait(f"document.querySelector('#role').textContent.startsWith('{token}')")
        assert tab.run(visible) == buttons


def test_the_active_version_can_be_brought_to_boards_that_lag(tab: Tab, server: Server, hub: FakeHub) -> None:
    hub.fleet[2].online = True
    visit(tab, server, "deployer")
    assert tab.run("document.querySelector('[aria-label=\"Deploy version 7\"]').checkVisibility()")


def test_a_deployment_is_asked_about_and_followed_to_its_end(tab: Tab, server: Server, hub: FakeHub) -> None:
    visit(tab, server, "deployer")
    tab.click("[aria-label='Deploy version 9']")
    assert tab.run("[document.querySelector('#confirm').open, document.activeElement.id]") == [True, "confirm-no"]
    assert "the 3 boards that are online" in tab.text("#confirm")
    tab.key("Escape", 27)
    tab.click("[aria-label='Deploy version 9']")
    tab.click("#confirm-no")
    tab.wait("!document.querySelector('#confirm').open")
    assert hub.jobs_asked == []

    tab.click("[aria-label='Deploy version 9']")
    tab.click("#confirm-yes")
    tab.wait("document.querySelector('#jobs progress')?.checkVisibility()")
    assert hub.jobs_asked == [("deploy", {"version": 9})]
    assert "transfer to board-1" in tab.wait("document.querySelector('#message').innerText")
    assert tab.run("document.querySelector('#rollback').disabled")
    hub.jobs_kept[0].state, hub.jobs_kept[0].ended_ms = "done", now_ms()
    hub.jobs_kept[0].result = {"boards": [{"board": "board-1", "state": "confirmed"}]}
    hub.catalogue.active = hub.catalogue.found[9]
    look(tab)
    tab.wait(
        "document.querySelector('#message-text').innerText === 'Deployment of version 9 is done: board-1 confirmed.'"
    )
    assert tab.run("document.querySelector('#message').getBoundingClientRect().bottom <= innerHeight")
    tab.click("#dismiss")
    assert tab.run("document.querySelector('#message').hidden")
    assert "active" in tab.text("#models tbody tr")
    assert tab.complaints == []


def test_a_rollback_that_fails_says_why(tab: Tab, server: Server, hub: FakeHub) -> None:
    visit(tab, server, "deployer")
    tab.click("#rollback")
    assert "back from version 7" in tab.text("#confirm")
    tab.run("document.querySelector('#confirm-yes').focus()")
    tab.key("Enter", 13)
    tab.wait("document.querySelector('#jobs tbody tr')?.checkVisibility()")
    assert hub.jobs_asked == [("rollback", {})]
    job = hub.jobs_kept[0]
    job.state, job.ended_ms, job.error = "failed", now_ms(), {"detail": "board 'board-1' refused: <b>SLOT</b>"}
    look(tab)
    tab.wait("document.querySelector('#message').innerText.includes('failed')")
    assert tab.text("#message-text") == "Rollback of version 7 failed: board 'board-1' refused: <b>SLOT</b>"
    assert "bad" in tab.run("document.querySelector('#message').className")


def test_a_deployment_that_is_refused_says_why(tab: Tab, server: Server, hub: FakeHub) -> None:
    hub.refuses = "another deployment runs"
    visit(tab, server, "deployer")
    tab.click("[aria-label='Deploy version 9']")
    tab.click("#confirm-yes")
    expected = "Deployment of version 9 was not started: another deployment runs"
    tab.wait(f"document.querySelector('#message-text').innerText === '{expected}'")


def test_a_real_hub_shows_what_it_is_sent_and_deploys_and_goes_back(tab: Tab, tmp_path: Path) -> None:
    parts = Parts(1, 2, 3, active=1, boards=["a", "b"])
    ways = {1: None, 2: None, 3: 2}
    parts.catalogue.views = {n: model(n, way_back_for=way, cadence_seconds=600) for n, way in ways.items()}
    given = {**parts.given(), "store": Store(f"sqlite:///{tmp_path / 'hub.db'}")}
    keeping: list[asyncio.Task[None]] = []

    def forecast(board: str, version: int) -> None:
        """In test, the board forecasts, and the hub the same."""
        parts.agree(board, version)
        keeping.append(asyncio.get_running_loop().create_task(given["store"].keep_forecasts(parts.store.made[-1:])))

    parts.boards.on_test = forecast
    with serving(create_app(settings(tmp_path), **given)) as server:
        address = f"http://127.0.0.1:{server.port}"
        with httpx.Client(base_url=address, headers=headers("write")) as client:
            sent = [
                {"time_point": f"2024-01-31T08:{minute:02}:00", "value": 20.5, "user": "a"}
                for minute in range(0, 60, 10)
            ]
            assert client.post("/temperatures/bulk", json=sent).json()["new"] == 6
            assert client.get("/").headers.get_list("x-content-type-options") == ["nosniff"]
            assert client.get("/live?hours=7").json()["code"] == "invalid"
            assert client.get("/live", headers={"Authorization": "Bearer no"}).json()["code"] == "unauthorized"
        tab.open(f"{address}/#token=deploy")
        tab.wait("document.querySelector('#now').innerText.includes('20.50 °C')")
        assert "2024-01-31 08:50" in tab.text("#now")
        for button, done, shown in (
            ("[aria-label='Deploy version 2']", "Deployment of version 2", "Version 2"),
            ("#rollback", "Rollback of version 2", "Version 3"),
        ):
            tab.click(button)
            tab.click("#confirm-yes")
            tab.wait(
                f"document.querySelector('#message-text').innerText === '{done} is done: a confirmed, b confirmed.'"
            )
            rows = "[...document.querySelectorAll('#models tbody tr')]"
            assert (
                tab.run(f"{rows}.find((row) => row.cells[1].textContent.startsWith('active')).cells[0].textContent")
                == shown
            )
        assert tab.complaints == []
