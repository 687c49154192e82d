"""What a channel is told, and what it is not told again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployers.hub.alerts import ledger as module
from deployers.hub.alerts.ledger import Ledger
from deployers.hub.store.alerting import Key, Told
from tests.alerting import HOUR_MS, START_MS, seen

if TYPE_CHECKING:
    import pytest

    from deployers.hub.monitor.levels import Level

KEY = Key("board-1", "stuck")


def told(ledger: Ledger, level: Level, hours: float = 0.0, heard_ms: int | None = 1) -> list[str]:
    """What is told of a series that stands so, so many hours after the start; it is sent at once."""
    ledger.look([seen(level=level, heard_ms=heard_ms)], START_MS + round(hours * HOUR_MS))
    found = ledger.next(100)
    ledger.sent(found)
    return [change.kind for change in found]


def test_a_rise_is_told_once() -> None:
    ledger = Ledger({}, "alarm", 0)
    assert told(ledger, "alarm") == ["raised"]
    assert told(ledger, "alarm", hours=100) == []


def test_what_is_below_the_level_is_not_told() -> None:
    assert told(Ledger({}, "alarm", 24), "warning") == []
    assert told(Ledger({}, "warning", 24), "warning") == ["raised"]


def test_a_warning_that_becomes_an_alarm_is_told_again_and_back_is_not() -> None:
    ledger = Ledger({}, "warning", 0)
    kinds = [told(ledger, level) for level in ("warning", "alarm", "warning", "alarm")]
    assert kinds == [["raised"], ["raised"], [], []]


def test_the_end_is_told_once_something_has_been_heard() -> None:
    ledger = Ledger({}, "alarm", 24)
    told(ledger, "alarm", heard_ms=5)
    assert told(ledger, "ok", heard_ms=5) == []
    assert told(ledger, "ok", heard_ms=None) == []
    assert told(ledger, "ok", heard_ms=6) == ["resolved"]
    assert told(ledger, "ok", heard_ms=7) == []


def test_an_alarm_that_eases_to_a_warning_has_not_ended() -> None:
    ledger = Ledger({}, "alarm", 24)
    told(ledger, "alarm")
    assert told(ledger, "warning", heard_ms=2) == []
    assert told(ledger, "ok", heard_ms=3) == ["resolved"]


def test_the_end_of_what_was_never_told_is_not_told() -> None:
    ledger = Ledger({}, "alarm", 24)
    assert [told(ledger, level, heard_ms=at) for at, level in enumerate(("warning", "ok"))] == [[], []]


def test_what_lasts_is_repeated_after_so_many_hours() -> None:
    ledger = Ledger({}, "alarm", 24)
    found = [told(ledger, "alarm", hours) for hours in (0, 23.9, 24, 47.9, 48)]
    assert found == [["raised"], [], ["repeat"], [], ["repeat"]]


def test_what_eased_below_the_level_is_not_repeated() -> None:
    ledger = Ledger({}, "alarm", 24)
    told(ledger, "alarm")
    assert told(ledger, "warning", hours=30) == []


def test_nothing_is_repeated_while_it_waits_to_be_told() -> None:
    ledger = Ledger({}, "alarm", 24)
    ledger.look([seen(level="alarm")], START_MS)
    assert ledger.look([seen(level="alarm")], START_MS + 30 * HOUR_MS) == 0


def test_each_test_of_each_series_is_told_by_itself() -> None:
    ledger = Ledger({}, "alarm", 24)
    ledger.look([seen("a", "alarm"), seen("b", "alarm"), seen("a", "alarm", test="clock")], START_MS)
    assert [(each.series, each.test) for each in ledger.next(9)] == [("a", "stuck"), ("b", "stuck"), ("a", "clock")]


def test_after_a_restart_what_was_told_is_known() -> None:
    ledger = Ledger({KEY: Told(2, START_MS, 1)}, "alarm", 24)
    assert told(ledger, "alarm", hours=1) == []
    assert told(ledger, "alarm", hours=24) == ["repeat"]


def test_what_was_sent_is_to_be_kept_as_it_was_last() -> None:
    ledger = Ledger({}, "alarm", 24)
    ledger.look([seen(level="alarm", heard_ms=5), seen("b", "alarm", heard_ms=6)], START_MS)
    ledger.look([seen("b", "ok", heard_ms=7)], START_MS + 1)
    changes = ledger.next(9)
    assert ledger.waiting == 3
    assert ledger.sent(changes) == {KEY: Told(2, START_MS, 5), Key("b", "stuck"): None}
    assert ledger.waiting == 0


def test_what_comes_while_a_message_is_under_way_waits() -> None:
    ledger = Ledger({}, "alarm", 24)
    ledger.look([seen("a", "alarm")], START_MS)
    under_way = ledger.next(9)
    ledger.look([seen("b", "alarm")], START_MS)
    ledger.sent(under_way)
    assert [each.series for each in ledger.next(9)] == ["b"]


def test_the_whole_story_waits_for_a_channel_that_is_away() -> None:
    ledger = Ledger({}, "alarm", 24)
    for at, level in enumerate(("alarm", "ok", "alarm", "ok")):
        ledger.look([seen(level=level, heard_ms=at)], START_MS + at)
    assert [each.kind for each in ledger.next(9)] == ["raised", "resolved", "raised", "resolved"]


def test_of_too_much_the_newest_of_each_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 10)
    ledger = Ledger({}, "alarm", 24)
    for at in range(11):
        names = ("a", "b") if at < 10 else ("a",)
        ledger.look([seen(name, "ok" if at % 2 else "alarm", heard_ms=at) for name in names], START_MS + at)
        assert ledger.waiting <= 10
    newest = {each.series: (each.kind, each.at_ms - START_MS) for each in ledger.next(99)}
    assert newest == {"a": ("raised", 10), "b": ("resolved", 9)}
