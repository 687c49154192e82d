"""What one channel has been told, and what it still has to be told. No clock, no I/O.

A change is told once: it is compared with what the channel will know when all that waits has been sent. What has been
told is kept in the store after it was sent, so a hub that is killed in between tells it again rather than not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deployers.hub.monitor.levels import LEVELS
from deployers.hub.store.alerting import Key, Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deployers.hub.monitor.levels import Finding, Level, Number
    from deployers.hub.monitor.told import Seen

Kind = Literal["raised", "repeat", "resolved", "test"]
# Of each channel; beyond it only the newest of each test of each series is kept.
WAITING_MAX = 1000
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Change:
    """Something to tell.

    Attributes:
        kind: a test came to the level or went above it, still is there, is well again; or somebody tries the channel.
        series, test, level, since_ms, reason, numbers: as the monitor's finding has them.
        at_ms: when it was found, by the hub's clock.
        heard_ms: time of the series' newest reading then.
    """

    kind: Kind
    series: str
    test: str
    level: Level
    since_ms: int | None
    reason: str
    numbers: Mapping[str, Number]
    at_ms: int
    heard_ms: int | None = None

    @property
    def key(self) -> Key:
        """Which test of which series."""
        return Key(self.series, self.test)

    @property
    def told(self) -> Told | None:
        """What is known to whoever was told this."""
        return None if self.kind == "resolved" else Told(LEVELS.index(self.level), self.at_ms, self.heard_ms)


class Ledger:
    """What a channel knows and what waits for it.

    Args:
        told: what it has been told before.
        level: the least that is told.
        repeat_hours: what lasts is told again after so long; 0: never.
    """

    def __init__(self, told: Mapping[Key, Told], level: Level, repeat_hours: float) -> None:
        self._expected = dict(told)
        self._least, self._repeat_ms = LEVELS.index(level), repeat_hours * HOUR_MS
        self._waiting: list[Change] = []

    @property
    def waiting(self) -> int:
        """How many changes have not been sent."""
        return len(self._waiting)

    def look(self, seen: Iterable[Seen], now_ms: int) -> int:
        """Note what has changed; how many changes that is."""
        found = [
            Change(
                kind,
                each.series,
                finding.test,
                finding.level,
                finding.since_ms,
                finding.reason,
                finding.numbers,
                now_ms,
                each.heard_ms,
            )
            for each in seen
            for finding in each.findings
            if (kind := self._kind(each, finding, now_ms)) is not None
        ]
        self._waiting += found
        for change in found:
            self._expect(change)
        if len(self._waiting) > WAITING_MAX:
            self._waiting = list({change.key: change for change in self._waiting}.values())
        return len(found)

    def next(self, most: int) -> list[Change]:
        """The oldest that wait."""
        return self._waiting[:most]

    def sent(self, changes: Sequence[Change]) -> dict[Key, Told | None]:
        """These have been sent: what is to be kept of them."""
        done = {id(change) for change in changes}
        self._waiting = [change for change in self._waiting if id(change) not in done]
        return {change.key: change.told for change in changes}

    def _kind(self, seen: Seen, finding: Finding, now_ms: int) -> Kind | None:
        key = Key(seen.series, finding.test)
        before, level = self._expected.get(key), LEVELS.index(finding.level)
        if before is None or level > before.level:
            return "raised" if level >= self._least else None
        if level == 0:
            # A hub that restarts knows of no silence before: nothing is well again of which nothing has been heard.
            return "resolved" if seen.heard_ms not in {None, before.heard_ms} else None
        is_due = self._repeat_ms and level >= self._least and now_ms - before.told_ms >= self._repeat_ms
        return "repeat" if is_due and all(change.key != key for change in self._waiting) else None

    def _expect(self, change: Change) -> None:
        now = change.told
        if now is None:
            del self._expected[change.key]
        else:
            self._expected[change.key] = now
