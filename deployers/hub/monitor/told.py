"""What people and programs are told of a watched series."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from deployers.hub.monitor.levels import LEVELS, Finding, Level, worst
from deployers.hub.monitor.skill import DAY_MS, means, skill
from deployers.hub.store.records import ANSWERING, MICRODEGREES, PAIRED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deployers.hub.monitor.watch import Watch
    from deployers.hub.store.watching import DaySums

# A faulty sensor spoils these; it is named instead of them.
MASKED = frozenset({"skill", "data"})


class Seen(NamedTuple):
    """A series as it stands, for programs that follow every test of it.

    Attributes:
        row: as GET /monitor has it.
        findings: what its tests say; those that a faulty sensor spoils are left out.
        heard_ms: time of the reading that came last; None before the first.
        celsius: its newest reading in °C, likewise.
    """

    row: dict[str, Any]
    findings: list[Finding]
    heard_ms: int | None
    celsius: float | None

    @property
    def series(self) -> str:
        """Its name."""
        return str(self.row["series"])


def standing(findings: Sequence[Finding]) -> tuple[Level, Finding | None]:
    """The state of a series, and the finding that it comes from; none if all is well."""
    counted = [each for each in findings if not is_masked(each, findings)]
    level = worst(each.level for each in counted)
    if level == "ok":
        return level, None
    order = ("sensor", "model", "skill", "data")
    return level, min((each for each in counted if each.level == level), key=lambda each: order.index(each.part))


def is_masked(finding: Finding, findings: Iterable[Finding]) -> bool:
    """Whether a faulty sensor stands before it."""
    return finding.part in MASKED and any(each.part == "sensor" and each.level != "ok" for each in findings)


def row(name: str, watch: Watch, now_ms: int) -> dict[str, Any]:
    """A series in a few words."""
    return _row(name, watch, watch.findings(now_ms))


def _row(name: str, watch: Watch, findings: Sequence[Finding]) -> dict[str, Any]:
    level, cause = standing(findings)
    source = watch.judged
    window, expected = watch.window(source), watch.expected
    pair = means(window) if window is not None else None
    return {
        "series": name,
        "state": level,
        "test": cause.test if cause is not None else None,
        "part": cause.part if cause is not None else None,
        "since_ms": cause.since_ms if cause is not None else None,
        "reason": cause.reason if cause is not None else "",
        "source": source,
        "version": window.version if window is not None else None,
        "skill": _rounded(skill(*pair)) if pair is not None else None,
        "skill_expected": _rounded(expected.skill) if expected is not None else None,
        "reference": expected.origin if expected is not None else None,
        "model": _rounded(pair[0]) if pair is not None else None,
        "persistence": _rounded(pair[1]) if pair is not None else None,
        "pairs": int(sum(window.counts)) if window is not None else 0,
        "last_ms": watch.state.last_ms,
    }


def seen(name: str, watch: Watch, now_ms: int) -> Seen:
    """A series as it stands."""
    findings, sensor = watch.findings(now_ms), watch.state.sensor
    counted = [each for each in findings if not is_masked(each, findings)]
    newest = sensor.stuck.microcelsius
    celsius = newest / MICRODEGREES if newest is not None else None
    return Seen(_row(name, watch, findings), counted, sensor.last_ms, celsius)


def order(found: dict[str, Any]) -> tuple[int, str]:
    """Trouble first, then by name."""
    return -LEVELS.index(found["state"]), found["series"]


def detail(
    name: str, watch: Watch, days: Sequence[DaySums], now_ms: int, test: dict[str, Any] | None
) -> dict[str, Any]:
    """A series with each test, its errors by step ahead, and its days.

    Args:
        name: of the series.
        watch: of it.
        days: as the store has them.
        now_ms: ms since 1970.
        test: errors on the test part, as the conversion's report has them.
    """
    findings = watch.findings(now_ms)
    return {
        **_row(name, watch, findings),
        "findings": [{**asdict(each), "is_masked": is_masked(each, findings)} for each in findings],
        "steps": {source: _steps(watch, source, test if source in ANSWERING else None) for source in PAIRED},
        "days": [_day(each) for each in days],
    }


def _steps(watch: Watch, source: str, test: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Errors of the last days by step ahead, beside the test part's."""
    window = watch.window(source)
    if window is None:
        return []
    tested = (test or {}).get("by_horizon", [])
    rows = []
    for at, (count, model, persistence) in enumerate(zip(window.counts, window.model, window.persistence, strict=True)):
        rows.append(
            {
                "step": at + 1,
                "count": int(count),
                "model": _rounded(model / count) if count else None,
                "persistence": _rounded(persistence / count) if count else None,
                "skill": _rounded(skill(model, persistence)),
                "test": _rounded(tested[at]["mae"]) if at < len(tested) else None,
            }
        )
    return rows


def _day(sums: DaySums) -> dict[str, Any]:
    pair = means(sums)
    return {
        "day": datetime.fromtimestamp(sums.day * DAY_MS // 1000, UTC).date().isoformat(),
        "day_ms": sums.day * DAY_MS,
        "source": sums.source,
        "version": sums.version,
        "count": int(sum(sums.counts)),
        "model": _rounded(pair[0]) if pair else None,
        "persistence": _rounded(pair[1]) if pair else None,
        "skill": _rounded(skill(*pair)) if pair else None,
        "is_masked": sums.is_masked,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
