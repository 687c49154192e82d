"""What is allowed now, and every change of a request. Each function is one transaction of the caller's.

    asked ──▶ waiting ──▶ running ──▶ done      there is an answer: a challenger, or why there is none
      │          │            └─────▶ failed    it did not run to its end
      └──────────┴──────────────────▶ refused   an automatic one that must not run now

One request a series is open, and one of all runs. Cool-down and budget hold for automatic ones: a person is held by
the cool-down alone, and not with force. A retraining of a person counts in the budget nevertheless: it took the same
machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployers.exceptions import Conflict, NotFound
from deployers.hub.store import retrainings
from deployers.hub.store.retrainings import OPEN, Retraining

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from deployers.hub.monitor.levels import Finding
    from deployers.hub.retraining.causes import Cause
    from deployers.hub.settings import RetrainingSection
    from deployers.hub.store.retrainings import State, Stock

HOUR_MS = 3_600_000
WEEK_MS = 7 * 24 * HOUR_MS
LOST = "the hub ended while this ran"


@dataclass(frozen=True)
class Limits:
    """What holds automatic requests back.

    Attributes:
        cooldown_ms: from the end of a retraining to the next of the same series.
        per_week: retrainings of the hub in any seven days.
        least_days: days of which a series must have readings.
    """

    cooldown_ms: int
    per_week: int
    least_days: int

    @classmethod
    def of(cls, settings: RetrainingSection) -> Limits:
        """As hub.toml has them."""
        return cls(round(settings.cooldown_hours * HOUR_MS), settings.per_week, settings.least_days)


@dataclass(frozen=True)
class Past:
    """The requests that decide on others, by id."""

    requests: Sequence[Retraining]

    @classmethod
    def of(cls, connection: Connection, now_ms: int) -> Past:
        """As they are stored."""
        return cls(retrainings.that_matter(connection, now_ms - WEEK_MS))

    def last(self, series: str) -> Retraining | None:
        """The last retraining of a series that started."""
        return next((each for each in reversed(self.requests) if each.series == series and _has_started(each)), None)

    def open(self, series: str) -> Retraining | None:
        """The request of a series that waits or runs."""
        return next((each for each in self.requests if each.series == series and each.state in OPEN), None)

    @property
    def running(self) -> Retraining | None:
        """What runs."""
        return next((each for each in self.requests if each.state == "running"), None)

    @property
    def waiting(self) -> list[Retraining]:
        """What waits, in the order in which it was asked for."""
        return [each for each in self.requests if each.state == "waiting"]

    def used(self, now_ms: int) -> list[int]:
        """When those of the last seven days started, the newest first; a clock that went back forgets none."""
        starts = (each.started_ms for each in self.requests if each.started_ms is not None)
        return sorted((start for start in starts if start > now_ms - WEEK_MS), reverse=True)

    def free_ms(self, now_ms: int, per_week: int) -> int | None:
        """When the budget has room again; None if it has room, or will never have any."""
        starts = self.used(now_ms)
        return starts[per_week - 1] + WEEK_MS if 0 < per_week <= len(starts) else None

    def cooldown_until_ms(self, series: str, limits: Limits) -> int:
        """Until when a series is not trained again by itself; 0 if it never was."""
        last = self.last(series)
        return 0 if last is None else (last.ended_ms or last.started_ms or 0) + limits.cooldown_ms


@dataclass(frozen=True)
class Wish:
    """A request as it is asked.

    Attributes:
        series: whose model.
        cause: why.
        fault: of its sensor; None if that is well.
        force: a person means it, whatever cool-down and sensor say.
    """

    series: str
    cause: Cause
    fault: Finding | None = None
    force: bool = False

    @property
    def is_automatic(self) -> bool:
        """Nobody asked for it."""
        return self.cause.trigger != "person"


def why_not(wish: Wish, past: Past, stock: Stock | None, limits: Limits, now_ms: int) -> str:
    """Why a request is not taken now; empty if it is."""
    there = past.open(wish.series)
    days = stock.days if stock is not None else 0
    if there is not None:
        return f"retraining {there.id} of {wish.series!r} is {there.state} already"
    if days < limits.least_days:
        return f"{wish.series!r} has readings of {days} days, {limits.least_days} are wanted (least_days)"
    if wish.is_automatic and _is_answered(wish.cause, past.last(wish.series)):
        return f"{wish.series!r} has a challenger for this {wish.cause.trigger} already"
    if wish.fault is not None and not wish.force:  # before what passes by itself: this one is kept as a refusal
        return at_fault(wish.series, wish.fault)
    return _held(wish, past, limits, now_ms)


def _held(wish: Wish, past: Past, limits: Limits, now_ms: int) -> str:
    """What passes by itself: cool-down and budget."""
    until = past.cooldown_until_ms(wish.series, limits)
    if now_ms < until and not wish.force:
        return f"{wish.series!r} cools down for {_hours(until - now_ms)} more (cooldown_hours)"
    if wish.is_automatic and len(past.used(now_ms)) + len(past.waiting) >= limits.per_week:
        return _no_budget(past, limits, now_ms)
    return ""


def ask(connection: Connection, wish: Wish, limits: Limits, now_ms: int) -> Retraining | None:
    """Take a request: it waits then.

    Returns:
        The request, refused if a sensor is at fault; None if an automatic one is not taken now.

    Raises:
        Conflict: a person's is not taken now, and why.
        NotFound: nothing is stored of the series.
    """
    past = Past.of(connection, now_ms)
    stock = retrainings.stock(connection, [wish.series]).get(wish.series)
    if stock is None:
        msg = f"series {wish.series!r} has no readings here, expected one of GET /temperatures/series: send some"
        raise NotFound(msg)
    cause, reason = wish.cause, why_not(wish, past, stock, limits, now_ms)
    asked = Retraining(0, wish.series, cause.trigger, cause.key, cause.reason, cause.numbers, now_ms)
    if not reason:
        return retrainings.add(connection, asked)
    if not wish.is_automatic:
        msg = f"no retraining now, {reason}: wait, or ask with force if that is about cool-down or sensor"
        raise Conflict(msg)
    if wish.fault is None or not is_news(wish, reason, past):
        return None
    return _refused_for(connection, asked, wish.fault, now_ms)


def claim(connection: Connection, limits: Limits, faults: Mapping[str, Finding], now_ms: int) -> Retraining | None:
    """Have the first that waits and may run be running; automatic ones that may not any more are refused.

    Args:
        connection: in a transaction.
        limits: for automatic ones.
        faults: of sensors, by series.
        now_ms: ms since 1970.

    Returns:
        What runs now; None if another one runs, or none waits.
    """
    past = Past.of(connection, now_ms)
    if past.running is not None:
        return None
    for each in past.waiting:
        reason = _gone(each, past, limits, faults.get(each.series), now_ms)
        if not reason:
            last = retrainings.last_reading(connection)
            return retrainings.change(connection, each.id, state="running", started_ms=now_ms, reading_id=last)
        answer = {"challenger": None, "reason": reason}
        retrainings.change(connection, each.id, state="refused", ended_ms=now_ms, answer=answer)
    return None


def unclaim(connection: Connection, number: int) -> Retraining:
    """Have a request wait again that could not be started: another training began meanwhile."""
    return retrainings.change(connection, number, state="waiting", started_ms=None, reading_id=None)


def end(connection: Connection, number: int, state: State, answer: dict[str, Any], now_ms: int) -> Retraining:
    """Keep what came of a request."""
    return retrainings.change(connection, number, state=state, ended_ms=now_ms, answer=answer)


def lose(connection: Connection, now_ms: int) -> list[Retraining]:
    """After a start: what ran when the hub ended has failed, and stays in the budget."""
    answer = {"challenger": None, "reason": LOST}
    running = [each for each in Past.of(connection, now_ms).requests if each.state == "running"]
    return [end(connection, each.id, "failed", answer, now_ms) for each in running]


def at_fault(series: str, fault: Finding) -> str:
    """Why readings of a faulty sensor train nothing; names sensor and test."""
    return f"the sensor of {series!r} is at fault, test {fault.test!r} is {fault.level}: {fault.reason}"


def is_news(wish: Wish, reason: str, past: Past) -> bool:
    """Whether a refusal is to be kept: a sensor is at fault, and this fault has not refused this cause before."""
    if wish.fault is None or reason != at_fault(wish.series, wish.fault):
        return False
    refused = [each for each in past.requests if each.series == wish.series and each.state == "refused"]
    last = (refused[-1].trigger, refused[-1].cause) if refused else None
    return last != (wish.cause.trigger, _refusal_key(wish.cause.key, wish.fault))


def _refusal_key(cause: str, fault: Finding) -> str:
    return f"{cause}; {fault.test} since {fault.since_ms}"


def _refused_for(connection: Connection, asked: Retraining, fault: Finding, now_ms: int) -> Retraining:
    """Keep that a sensor is at fault."""
    made = retrainings.add(connection, asked)
    answer = {
        "challenger": None,
        "reason": at_fault(asked.series, fault),
        "sensor": asked.series,
        "test": fault.test,
        "level": fault.level,
        "since_ms": fault.since_ms,
    }
    key = _refusal_key(asked.cause, fault)
    return retrainings.change(connection, made.id, cause=key, state="refused", ended_ms=now_ms, answer=answer)


def _gone(waiting: Retraining, past: Past, limits: Limits, fault: Finding | None, now_ms: int) -> str:
    """Why an automatic request that waited must not run any more; a person's was judged when it was asked."""
    if waiting.trigger == "person":
        return ""
    if len(past.used(now_ms)) >= limits.per_week:
        return _no_budget(past, limits, now_ms)
    return "" if fault is None else at_fault(waiting.series, fault)


def _has_started(request: Retraining) -> bool:
    return request.started_ms is not None


def _is_answered(cause: Cause, last: Retraining | None) -> bool:
    """The same alarm led to a challenger before; more trainings for it would only be more challengers."""
    return bool(cause.key) and last is not None and last.cause == cause.key and last.challenger is not None


def _no_budget(past: Past, limits: Limits, now_ms: int) -> str:
    # What waits has its place in the budget already.
    free, waiting = past.free_ms(now_ms, limits.per_week), len(past.waiting)
    until = f", free again in {_hours(free - now_ms)}" if free is not None else ""
    used = f"{len(past.used(now_ms))} of {limits.per_week} retrainings of the week are used"
    return f"{used}{f' and {waiting} wait' if waiting else ''}{until} (per_week)"


def _hours(ms: int) -> str:
    return f"{ms / HOUR_MS:.1f} h"
