"""What the hub's page shows of retraining, and asks for, in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployers.hub.examples import RETRAINING
from tests.page_hub import HOSTILE
from tests.page_visits import visit

if TYPE_CHECKING:
    from tests.browser import Tab
    from tests.page_hub import FakeHub, Server

ROWS = "[...document.querySelectorAll('#retraining tbody tr')].map((row) => row.innerText)"
OPEN = "document.querySelector('#retraining-box').checkVisibility()"


def test_requests_are_shown_with_what_came_of_them(tab: Tab, server: Server, hub: FakeHub) -> None:
    refused = {"id": 8, "state": "refused", "started_ms": None, "answer": {"challenger": None, "reason": HOSTILE}}
    hub.retraining.enabled, hub.retraining.rows = True, [{**RETRAINING, **refused}, RETRAINING]
    visit(tab, server, "reader")
    tab.wait(OPEN)
    first, second = tab.run(ROWS)
    assert "8, board-1" in first
    assert "refused" in first
    assert HOSTILE in first
    assert "alarm: skill 0.201 of version 3" in second
    assert "temperature-forecaster version 4, challenger, test MAE 0.1388 °C" in second
    note = tab.run("document.querySelector('#retraining-note').innerText")
    assert note.startswith("1 of 3 retrainings of the last seven days used. By itself: 'board-1' cools down")
    assert "by schedule in 4 days" in note
    assert tab.run("document.title") == "edgeloop hub"
    assert not tab.run("document.querySelector('#retrain').checkVisibility()"), "a reader has no button"
    assert tab.complaints == []


def test_who_may_asks_for_retraining_of_the_series_that_is_shown(tab: Tab, server: Server, hub: FakeHub) -> None:
    hub.retraining.enabled = True
    visit(tab, server, "deployer")
    tab.wait("document.querySelector('#retrain').innerText === 'Retrain board-1'")
    tab.click("#retrain")
    assert "asks the training side for a new model of board-1" in tab.text("#confirm")
    tab.click("#confirm-no")
    tab.wait("!document.querySelector('#confirm').open")
    assert hub.retraining.rows == []
    tab.click("#retrain")
    tab.click("#confirm-yes")
    tab.wait("document.querySelector('#message').innerText.includes('Retraining 1 of board-1: running')")
    tab.wait("document.querySelector('#retrain').disabled")
    (row,) = hub.retraining.rows
    assert (row["series"], row["numbers"]) == ("board-1", {"by": "deployer", "force": False})
    assert tab.complaints == []


def test_a_refusal_is_shown_in_words(tab: Tab, server: Server, hub: FakeHub) -> None:
    hub.retraining.enabled, hub.retraining.refuses = True, "the sensor of 'board-1' is at fault"
    visit(tab, server, "deployer")
    tab.wait("document.querySelector('#retrain').checkVisibility()")
    tab.click("#retrain")
    tab.click("#confirm-yes")
    tab.wait("document.querySelector('#message').innerText.includes('is at fault')")


def test_a_hub_that_does_not_retrain_shows_nothing_of_it(tab: Tab, server: Server, hub: FakeHub) -> None:
    hub.retraining.enabled = False
    visit(tab, server, "deployer")
    tab.wait("document.querySelector('#monitor-box') !== null")
    assert not tab.run(OPEN)
