"""Dispatch, masking, and the choice of one series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forecaster.errors import SourceError
from forecaster.sources import Selection, fingerprint, masked, read_readings
from forecaster.sources.selection import choose, require_columns

if TYPE_CHECKING:
    from pathlib import Path

ANY = Selection()


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("readings.csv", "readings.csv"),
        ("sqlite:////data/hub.db", "sqlite:////data/hub.db"),
        ("postgresql://reader@host:5432/db", "postgresql://reader@host:5432/db"),
        ("postgresql://reader:hunter2@host/db", "postgresql://reader:***@host/db"),
        ("postgresql+psycopg://reader:p@ss/w:rd@host/db", "postgresql+psycopg://reader:***@host/db"),
        ("postgresql://:hunter2@host/db", "postgresql://:***@host/db"),
        ("postgresql://host/db?user=reader&password=hunter2&x=1", "postgresql://host/db?user=reader&password=***&x=1"),
        ("postgresql://host/db?sslpassword=hunter2", "postgresql://host/db?sslpassword=***"),
        ("mysql://reader:hunter2@host/db", "mysql://reader:***@host/db"),
    ],
)
def test_no_password_is_shown(source: str, shown: str) -> None:
    assert masked(source) == shown


@pytest.mark.parametrize("source", ["mysql://reader:hunter2@host/db", "http://host/a.csv", "file:///a.csv"])
def test_an_unknown_scheme_is_named_without_its_password(source: str) -> None:
    with pytest.raises(SourceError, match=r"unknown scheme.*simulated://, sqlite://, postgresql://") as caught:
        read_readings(source, ANY)
    assert "hunter2" not in str(caught.value)


def test_each_kind_of_source_is_found_by_its_form(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("time_point,value\n2024-01-01T00:00:00,20\n")
    assert len(read_readings(str(file), ANY)) == 1
    assert len(read_readings("simulated://lab?days=1", ANY)) == 144
    with pytest.raises(SourceError, match="database file"):
        read_readings(f"sqlite:///{tmp_path}/none.db", ANY)


def test_fingerprints_are_hexadecimal_and_take_the_selection_in(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("time_point,value\n")
    for source in (str(file), "simulated://lab"):
        prints = {fingerprint(source, selection) for selection in (ANY, Selection("a"), Selection(None, "a"))}
        assert len(prints) == 3
        assert all(len(print_) == 64 and int(print_, 16) for print_ in prints)


def test_a_single_series_needs_no_selection() -> None:
    assert choose([("room", "indoor"), ("room", "indoor")], ANY, "s") == ("room", "indoor")


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (Selection("b"), ("b", "in")),
        (Selection(None, "out"), ("a", "out")),
        (Selection("a", "in"), ("a", "in")),
    ],
)
def test_a_selection_may_be_as_short_as_it_is_unambiguous(selection: Selection, chosen: tuple[str, str]) -> None:
    assert choose([("a", "in"), ("a", "out"), ("b", "in")], selection, "s") == chosen


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (ANY, r"'s' holds 3 series \(user/tag 'a'/'in', 'a'/'out', 'b'/'in'\): choose one with --user and --tag"),
        (Selection("a"), r"holds 2 series \(user/tag 'a'/'in', 'a'/'out'\)"),
        (Selection("c"), r"no rows for user 'c' in 's': users there are 'a', 'b'$"),
        (Selection("a", "inn"), r"no rows for tag 'inn' in 's': tags there are 'in', 'out', did you mean 'in'\?"),
        (Selection("b", "out"), r"no rows for user 'b' with tag 'out' in 's': that user's tags are 'in'"),
    ],
)
def test_what_cannot_be_chosen_says_what_there_is(selection: Selection, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        choose([("a", "in"), ("a", "out"), ("b", "in")], selection, "s")


def test_at_most_ten_names_are_listed() -> None:
    pairs = [(f"room{at:02}", "in") for at in range(13)]
    with pytest.raises(SourceError, match=r"'room09' and 3 more, did you mean 'room12'\?"):
        choose(pairs, Selection("rom12"), "s")
    with pytest.raises(SourceError, match=r"'room09'/'in' and 3 more"):
        choose(pairs, ANY, "s")


def test_a_source_without_rows_says_so() -> None:
    with pytest.raises(SourceError, match="'s' holds no rows"):
        choose([], Selection("a"), "s")


def test_missing_columns_are_named_with_those_there() -> None:
    with pytest.raises(
        SourceError, match=r"lacks the column\(s\) 'value', 'tag': its columns are 'time_point', 'user'"
    ):
        require_columns(["time_point", "user"], Selection("a", "b"), "s")
    require_columns(["time_point", "value"], ANY, "s")
