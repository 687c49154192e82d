"""The hub's page, opened in a browser's tab: what all tests of it do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.browser import Tab
    from tests.page_hub import Server

STEPS = 300  # readings of each board when the page is opened
SHOWN = "document.querySelector('#error').innerText.includes('persistence')"


def visit(tab: Tab, server: Server, token: str) -> None:
    tab.open(f"http://127.0.0.1:{server.port}/#token={token}")
    tab.wait(SHOWN)


def look(tab: Tab) -> None:
    """Have the page ask at once, as it does when it comes into view again."""
    tab.run("document.dispatchEvent(new Event('visibilitychange'))")
