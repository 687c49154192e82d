"""The HTML page: escaped, self-contained, numbers for readers."""

from __future__ import annotations

import base64
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from deployers.conversion.conditions import Condition, number
from deployers.conversion.page import Page, named


class Reader(HTMLParser):
    """Texts, and the check that tags close in order."""

    VOID = frozenset({"meta", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(page: Page) -> Reader:
    reader = Reader()
    reader.feed(page.render())
    reader.close()
    assert reader.open == []
    return reader


@given(text=st.text(alphabet="<>&\"'ab", min_size=1, max_size=20))
def test_whatever_is_said_is_escaped(text: str) -> None:
    page = Page(text, lead=text)
    page.section(text, text)
    page.verdict(text, passed=True)
    page.table([text], [[text]])
    page.conditions([Condition(text, 1.0, "at most", 2.0, text, text)])
    # A run of text comes back in pieces where an entity ends; joined they are what was said.
    assert "".join(read(page).texts).count(text) >= 8


def test_page_needs_nothing_from_outside() -> None:
    page = Page("t")
    page.figure(Figure(figsize=(1, 1)), "empty")
    html = page.render()
    assert not re.search(r"https?://|<script|<link|@import", html)
    assert html.startswith("<!doctype html>")


def test_page_is_readable_in_the_dark_and_light_on_paper() -> None:
    screen, _, paper = Page("t").render().partition("@media print")
    dark = screen.partition("(prefers-color-scheme:dark)")[2]
    named = set(re.findall(r"var\((--\w+)\)", screen + paper))
    assert named == set(re.findall(r"(--\w+):", screen.partition("@media")[0])) == set(re.findall(r"(--\w+):", dark))
    assert screen.endswith("}\n")
    assert "@media screen and (prefers-color-scheme:dark)" in screen, "paper is white whatever the screen is"
    assert "break-inside:avoid" in paper


def test_figure_is_an_embedded_png_with_alternative_text() -> None:
    page = Page("t")
    page.figure(Figure(figsize=(1, 1)), 'a "quoted" caption')
    encoded = re.search(r'src="data:image/png;base64,([^"]+)"', page.render())
    assert encoded is not None
    assert base64.b64decode(encoded[1]).startswith(b"\x89PNG")
    assert 'alt="a &quot;quoted&quot; caption"' in page.render()


def test_conditions_show_value_limit_unit_and_verdict() -> None:
    page = Page("t")
    page.conditions([Condition("gap", 51.5, "at most", 48.0, "h", "two"), Condition("rows", 19735, "at least", 1000)])
    texts = read(page).texts
    assert [*texts[texts.index("gap") :]][:5] == ["gap", "51.5 h", "at most 48 h", "failed", "two"]
    assert [*texts[texts.index("rows") :]][:4] == ["rows", "19,735", "at least 1,000", "passed"]


def test_a_column_that_would_be_empty_is_left_out() -> None:
    page = Page("t")
    page.conditions([Condition("growth", float("nan"), "at most", 1.0, "%")])
    texts = read(page).texts
    assert "Detail" not in texts
    assert [*texts[texts.index("growth") :]] == ["growth", "not measured", "at most 1 %", "failed"]
    assert page.render().count("<th>") == page.render().count("<td")


@pytest.mark.parametrize(
    ("facts", "title"),
    [
        ({}, "Report"),
        ({"model": "", "version": None}, "Report"),
        ({"model": "a<b", "version": "3"}, "Report: a<b version 3"),
        ({"version": 3}, "Report: version 3"),
    ],
)
def test_a_page_is_named_after_what_is_registered(facts: dict[str, object], title: str) -> None:
    page = Page("Report")
    page.section("heading", "text")
    reader = Reader()
    reader.feed(named(page.render(), facts))
    assert "".join(reader.texts).count(title) == 2
    assert (title == "Report") == (named(page.render(), facts) == page.render())


def test_a_mixed_verdict_is_in_no_traffic_lights_colour() -> None:
    page = Page("t")
    page.mixed_verdict("one of two")
    assert '<p class="verdict part">one of two</p>' in page.render()


@pytest.mark.parametrize(("passed", "word", "kind"), [(True, "Passed", "ok"), (False, "Failed", "bad")])
def test_verdict_says_it_in_words_not_only_in_colour(word: str, kind: str, *, passed: bool) -> None:
    page = Page("t")
    page.verdict("5 conditions", passed=passed)
    assert f'<p class="verdict {kind}">{word}: 5 conditions</p>' in page.render()


@pytest.mark.parametrize("value", [7, 7.0, np.int64(7), np.float32(7)])
def test_numbers_of_any_kind_stand_right(value: float) -> None:
    page = Page("t")
    page.table(["x"], [[value]])
    assert '<td class="n">7</td>' in page.render()


@pytest.mark.parametrize("value", [True, "7", None])
def test_words_stand_left(value: object) -> None:
    page = Page("t")
    page.table(["x"], [[value]])
    assert f"<td>{value}</td>" in page.render()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (19735, "19,735"),
        (19735.6, "19,736"),
        (0.123456, "0.1235"),
        (5.172e-5, "5.172e-05"),
        (-127.0, "-127"),
        (9999.9, "1e+04"),
        (2.5e16, "25,000,000,000,000,000"),
        (math.nan, "not measured"),
        (math.inf, "inf"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text
