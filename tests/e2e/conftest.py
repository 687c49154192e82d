"""A browser for the tests of the hub's page, and a hub of its own for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.page_visits import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.client import ClientConnection

    from tests.browser import Tab
    from tests.page_hub import FakeHub, Server


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientConnection]:
    from tests.browser import chromium

    with chromium(tmp_path_factory.mktemp("chromium")) as socket:
        yield socket


@pytest.fixture
def tab(browser: ClientConnection) -> Iterator[Tab]:
    from tests.browser import new_tab

    made = new_tab(browser)
    made.size(1280, 900)
    yield made
    made.close()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    from deployers.hub import viewing
    from tests.page_hub import filled

    monkeypatch.setattr(viewing, "FRESH_SECONDS", 0.0)  # no test waits for what it has just changed
    return filled(STEPS)


@pytest.fixture
def server(hub: FakeHub) -> Iterator[Server]:
    from tests.page_hub import application, serving

    with serving(application(hub)) as running:
        yield running
