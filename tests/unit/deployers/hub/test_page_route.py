"""The page's files and its data over HTTP."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployers.hub.routes import page
from tests.page_hub import FakeHub, application, filled

DYGRAPHS = Path("/usr/share/javascript/dygraphs/dygraph.min.js")


@pytest.fixture
def hub() -> FakeHub:
    return filled(150)


def get(hub: Any, path: str, token: str | None = None, **headers: str) -> httpx.Response:
    """One request; `path` goes out as it is written."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(application(hub))
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            if token is not None:
                headers["Authorization"] = f"Bearer {token}"
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def test_the_page_needs_no_token_and_says_what_may_run_in_it(hub: FakeHub) -> None:
    answer = get(hub, "/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    text = (page.PAGE / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?://", text) == []
    assert re.findall(r'(?:src|href)="(?!/static/)', text) == []
    for script in page.PAGE.glob("*.js"):
        code = script.read_text(encoding="utf-8")
        assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", code) == []


def test_every_file_that_the_page_names_is_served(hub: FakeHub) -> None:
    wanted = {"index.html", "page.css", "icon.svg", *(path.name for path in page.PAGE.glob("*.js"))}
    for name in wanted:
        answer = get(hub, f"/static/{name}")
        assert answer.status_code == 200, name
        assert answer.headers["content-type"].split(";")[0] == page.MEDIA[Path(name).suffix].split(";")[0]
    for script in page.PAGE.glob("*.js"):
        for other in re.findall(r'from "\./([\w.]+)"', script.read_text(encoding="utf-8")):
            assert other in wanted


@pytest.mark.parametrize(
    "path",
    ["/static/..%2froutes%2fpage.py", "/static/../settings.py", "/static/%2e%2e", "/static/vendor",
     "/static/nothing.js", "/static/.", "/static/%2fetc%2fpasswd", "/static/index.html%00.js", "/static/a/b.js"],
)  # fmt: skip
def test_nothing_but_the_page_is_served(hub: FakeHub, path: str) -> None:
    answer = get(hub, path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_file_that_is_known_is_not_sent_again(hub: FakeHub) -> None:
    first = get(hub, "/static/page.js")
    again = get(hub, "/static/page.js", **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    assert get(hub, "/static/page.js", **{"If-None-Match": '"other"'}).status_code == 200


def test_the_charting_library_comes_from_the_bundle_or_from_debian(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get(hub, "/static/dygraph.min.js").content == DYGRAPHS.read_bytes()
    (tmp_path / "dygraph.min.js").write_text("ours")
    monkeypatch.setattr(page, "LIBRARY_FOLDERS", (tmp_path, *page.LIBRARY_FOLDERS))
    assert get(hub, "/static/dygraph.min.js").text == "ours"


def test_a_missing_library_is_named_with_its_package(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "LIBRARY_FOLDERS", ())
    answer = get(hub, "/static/dygraph.min.js")
    assert answer.status_code == 404
    assert "libjs-dygraphs" in answer.json()["detail"]


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("wrong", 401), ("reader", 200), ("writer", 200)])
def test_the_data_needs_a_token(hub: FakeHub, token: str | None, status: int) -> None:
    assert get(hub, "/live", token).status_code == status


@pytest.mark.parametrize(("token", "role"), [("reader", "read"), ("writer", "write"), ("deployer", "deploy")])
def test_the_data_says_what_the_caller_may_do(hub: FakeHub, token: str, role: str) -> None:
    answer = get(hub, "/live?series=board-1&hours=6&lead=2", token)
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert (found["role"], found["principal"]) == (role, token)
    assert (found["chosen"]["series"], found["chosen"]["lead"]) == ("board-1", 2)


@pytest.mark.parametrize(
    "query", ["hours=5", "lead=0", "lead=x", "since=-1", "since=1e400", "names=123456789", "series=" + "x" * 200, "q=1"]
)
def test_a_question_that_makes_no_sense_is_refused(hub: FakeHub, query: str) -> None:
    answer = get(hub, f"/live?{query}", "reader")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_sql_in_the_name_of_a_series_is_a_name_that_nobody_has(hub: FakeHub) -> None:
    answer = get(hub, "/live?series=%27%20OR%201=1;--", "reader")
    assert (answer.status_code, answer.json()["chosen"]["series"]) == (200, "board-1")


@pytest.mark.parametrize("length", [65, 252, 300, 5000])
def test_a_name_longer_than_any_file_is_not_found(hub: FakeHub, length: int) -> None:
    assert get(hub, f"/static/{'a' * length}.js").status_code == 404
