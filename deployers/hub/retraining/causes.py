"""Reasons to train a model again.

An alarm of the skill test is one at once: it takes days to come, and false ones are a year apart. Drift only ever
warns, and it compares the last seven days with the reference: one odd week (guests, a heat wave) warns for as long as
it is in there, and is gone a week later. So drift counts once it has been held for 14 days: then two weeks that share
no day differ from the reference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deployers.hub.monitor.levels import Finding
    from deployers.hub.monitor.watch import Findings
    from deployers.hub.settings import RetrainingSection
    from deployers.hub.store.retrainings import Retraining, Stock, Trigger

DAY_MS = 86_400_000
DRIFT_HELD_MS = 14 * DAY_MS
# What is looked at first where several ask at once.
ORDER: tuple[Trigger, ...] = ("person", "alarm", "drift", "readings", "schedule")


@dataclass(frozen=True)
class Cause:
    """Why a series is to be trained again.

    Attributes:
        trigger: what asks.
        key: names it more closely; empty where time or count begin anew with every training.
        reason: one line for people.
        numbers: what it was decided by.
    """

    trigger: Trigger
    key: str
    reason: str
    numbers: dict[str, Any] = field(default_factory=dict)


def due(
    settings: RetrainingSection, found: Findings | None, stock: Stock | None, last: Retraining | None, now_ms: int
) -> Cause | None:
    """The first of its reasons, in their order; None if there is none.

    Args:
        settings: which are looked for.
        found: what the monitor says of the series; None of one that it does not watch.
        stock: its readings; None if there are none.
        last: the last retraining of it that started.
        now_ms: ms since 1970.
    """
    cause = of_findings(found) if settings.on_alarm and found is not None else None
    if cause is None and stock is not None and 0 < settings.new_readings <= stock.fresh:
        reason = f"{stock.fresh} readings since the last retraining, {settings.new_readings} wanted"
        cause = Cause("readings", "", reason, {"readings": stock.fresh, "wanted": settings.new_readings})
    at = next_ms(settings, stock, last)
    if cause is None and at is not None and now_ms >= at:
        days = (now_ms - _since_ms(stock, last)) / DAY_MS
        reason = f"{days:.1f} days since the last retraining, every {settings.every_days:g} days wanted"
        cause = Cause("schedule", "", reason, {"days": round(days, 2), "every_days": settings.every_days})
    return cause


def next_ms(settings: RetrainingSection, stock: Stock | None, last: Retraining | None) -> int | None:
    """When the schedule is due; None without one.

    A series that was never trained counts from when its first reading came here.
    """
    if not settings.every_days or (stock is None and last is None):
        return None
    return _since_ms(stock, last) + round(settings.every_days * DAY_MS)


def of_findings(found: Findings) -> Cause | None:
    """An alarm of skill, or drift that was held for long."""
    for each in found.findings:
        about = {"test": each.test, "version": found.version, "since_ms": each.since_ms}
        key = f"{each.test} of version {found.version} since {each.since_ms}"
        if each.part == "skill" and each.level == "alarm":
            return Cause("alarm", key, each.reason, {**about, **each.numbers})
        held_ms = (found.last_ms or 0) - (each.since_ms or 0)
        if each.test == "drift" and each.level != "ok" and held_ms >= DRIFT_HELD_MS:
            reason = f"{each.reason}; for {held_ms / DAY_MS:.0f} days"
            return Cause("drift", key, reason, {**about, "held_days": round(held_ms / DAY_MS, 1), **each.numbers})
    return None


def fault(findings: Sequence[Finding]) -> Finding | None:
    """The gravest fault of a sensor, which masks skill and drift (`deployers.hub.monitor.told`); None if it is well."""
    faults = [each for each in findings if each.part == "sensor" and each.level != "ok"]
    return max(faults, key=lambda each: each.level == "alarm", default=None)


def _since_ms(stock: Stock | None, last: Retraining | None) -> int:
    if last is not None and last.started_ms is not None:
        return last.started_ms
    return stock.received_ms if stock is not None else 0
