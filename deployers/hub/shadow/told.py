"""What people, programs and the store are told of a challenger."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from deployers.hub.monitor.skill import DAY_MS
from deployers.hub.shadow.challenge import Challenge, State
from deployers.hub.shadow.comparing import Compared
from deployers.hub.store.challenges import StoredChallenge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deployers.hub.settings import ShadowSection
    from deployers.hub.shadow.beside import Running

SECOND_US = 1e6


def stored(challenge: Challenge, margin: float) -> StoredChallenge:
    """As the store keeps it."""
    better, worse = challenge.e_values(margin)
    fields = {**asdict(challenge), "days": challenge.days, "passed": tuple(challenge.passed)}
    return StoredChallenge(**fields, better=better, worse=worse)


def challenge_of(kept: StoredChallenge) -> Challenge:
    """The inverse of `stored`."""
    fields = {name: value for name, value in vars(kept).items() if name not in {"better", "worse"}}
    fields |= {"days": tuple(Compared(*each) for each in kept.days), "passed": frozenset(kept.passed)}
    return Challenge(**{**fields, "state": cast("State", kept.state)})


def row(  # noqa: PLR0913 - each comes from another part of the hub
    challenge: Challenge,
    running: Running | None,
    rules: ShadowSection,
    figures: Mapping[str, float],
    held_up: str,
    *,
    boards: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """One challenger.

    Args:
        challenge: what is kept of it.
        running: it, if it runs.
        rules: by which it is judged.
        figures: of the active model's stepping, as `Live.figures`.
        held_up: why its promotion waits, if it does.
        boards: how each stands to it, as `Carrying.rows`; none where boards do not carry challengers.
    """
    better, worse = challenge.e_values(rules.margin)
    return {
        "version": challenge.version,
        "champion": challenge.champion,
        "state": challenge.state,
        "reason": challenge.reason,
        "waits_for": _waits_for(challenge, rules, held_up),
        "is_running": challenge.is_open,
        "since_ms": challenge.since_ms,
        "ended_ms": challenge.ended_ms,
        "days_compared": len(challenge.days),
        "days_better": challenge.counts(rules.margin)[0],
        "days_worse": challenge.counts_worse(rules.margin)[0],
        "e_better": _rounded(better),
        "e_worse": _rounded(worse),
        "e_wanted": _rounded(1 / rules.alpha),
        "skill_champion": _mean([each.champion for each in challenge.days]),
        "skill_challenger": _mean([each.challenger for each in challenge.days]),
        "cost": _cost(running, figures) if running is not None and challenge.is_open else None,
        "promotion": challenge.promotion or None,
        "boards": [*boards],
        "days": [_day(each) for each in sorted(challenge.days)],
    }


def _waits_for(challenge: Challenge, rules: ShadowSection, held_up: str) -> str:
    """What comes next, in words; nothing of one that has ended."""
    days = len(challenge.days)
    if not challenge.is_open:
        return ""
    if challenge.state == "better" and rules.promote == "person":
        return f"may be promoted: deploy or activate version {challenge.version}"
    if challenge.state == "better":
        return f"its promotion: {held_up}" if held_up else f"its promotion, job {challenge.promotion or 'to begin'}"
    if days < rules.least_days:
        return f"complete days: {days} of at least {rules.least_days}, at most {rules.most_days}"
    return f"an e-value of {1 / rules.alpha:g}, at most {rules.most_days - days} days more"


def _cost(running: Running, figures: Mapping[str, float]) -> dict[str, float]:
    """CPU time of a reading in µs, and the share of it in all stepping since this process runs the challenger."""
    beside = SECOND_US * running.seconds
    active = figures.get("cpu_microseconds_per_reading", 0.0) * running.readings
    return {
        "readings": running.readings,
        "microseconds_per_reading": round(running.microseconds, 1),
        "share": round(beside / (beside + active), 4) if running.readings else 0.0,
    }


def _day(each: Compared) -> dict[str, Any]:
    return {
        "day": datetime.fromtimestamp(each.day * DAY_MS // 1000, UTC).date().isoformat(),
        "day_ms": each.day * DAY_MS,
        "champion": _rounded(each.champion),
        "challenger": _rounded(each.challenger),
        "series": each.series,
    }


def _mean(values: Sequence[float]) -> float | None:
    return _rounded(sum(values) / len(values)) if values else None


def _rounded(value: float) -> float:
    return round(value, 4)
