"""A ledger of retrainings on a database in memory, under a clock that a test sets; and findings of a monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, insert
from sqlalchemy.pool import StaticPool

from deployers.hub.monitor.levels import Finding, Level
from deployers.hub.monitor.watch import Findings
from deployers.hub.retraining import ledger
from deployers.hub.retraining.causes import Cause
from deployers.hub.retraining.ledger import Limits, Past, Wish
from deployers.hub.store import models, retrainings

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from deployers.hub.store.retrainings import Retraining, State, Trigger

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
BEGIN_MS = 20_000 * DAY_MS
LIMITS = Limits(cooldown_ms=DAY_MS, per_week=3, least_days=28)


def finding(test: str, part: Any, level: Level, since_ms: int | None = BEGIN_MS, reason: str = "so it is") -> Finding:
    """What one test says."""
    return Finding(test, part, level, since_ms, reason, {"number": 1.5})


DECAYED = finding("skill", "skill", "alarm", reason="deficit 4.31, threshold 4.07")
STUCK = finding("stuck", "sensor", "alarm", reason="stuck at 21.5 °C for 300 readings")
GAPS = finding("gaps", "sensor", "warning", reason="12 % of the last day's readings lack")


def found(*findings: Finding, last_ms: int = BEGIN_MS, version: int = 3) -> Findings:
    """What a monitor says of a series."""
    return Findings(list(findings), last_ms, version)


class Book:
    """The ledger, and series with readings of so many days."""

    def __init__(self, limits: Limits = LIMITS, **days: int) -> None:
        self.limits, self.now_ms = limits, BEGIN_MS
        self._engine = create_engine("sqlite://", poolclass=StaticPool)
        models.metadata.create_all(self._engine)
        self._ids: dict[str, int] = {}
        for at, (name, count) in enumerate(days.items(), 1):
            self._ids[name] = at
            self.do(lambda there, at=at, name=name: there.execute(insert(models.series).values(id=at, name=name)))  # type: ignore[misc]
            self.read(name, count)

    def do(self, work: Callable[[Connection], Any]) -> Any:
        """Something in a transaction."""
        with self._engine.begin() as connection:
            return work(connection)

    def read(self, name: str, days: int, first: int = 0) -> None:
        """Readings of a series, one a day."""
        times = [BEGIN_MS - 400 * DAY_MS + (first + day) * DAY_MS for day in range(days)]
        fixed = {"series_id": self._ids[name], "microcelsius": 20_000_000, "received_ms": BEGIN_MS}
        for time_ms in times:
            self.do(lambda there, at=time_ms: there.execute(insert(models.reading).values(time_ms=at, **fixed)))  # type: ignore[misc]

    def wait(self, hours: float) -> None:
        """Time passes."""
        self.now_ms += round(hours * HOUR_MS)

    def ask(
        self,
        series: str = "a",
        trigger: Trigger = "alarm",
        *,
        key: str = "",
        fault: Finding | None = None,
        force: bool = False,
    ) -> Retraining | None:
        """A request."""
        wish = Wish(series, Cause(trigger, key, "because", {}), fault, force)
        made: Retraining | None = self.do(lambda there: ledger.ask(there, wish, self.limits, self.now_ms))
        return made

    def claim(self, **faults: Finding) -> Retraining | None:
        """Have the next one run."""
        made: Retraining | None = self.do(lambda there: ledger.claim(there, self.limits, faults, self.now_ms))
        return made

    def end(self, number: int, state: State = "done", challenger: dict[str, Any] | None = None) -> None:
        """It has ended."""
        answer = {"challenger": challenger, "reason": ""}
        self.do(lambda there: ledger.end(there, number, state, answer, self.now_ms))

    def lose(self) -> None:
        """The hub was killed, and starts."""
        self.do(lambda there: ledger.lose(there, self.now_ms))

    def once(self, series: str = "a", trigger: Trigger = "alarm", **more: Any) -> Retraining | None:
        """A retraining from asking to its end; None if it is not taken."""
        if self.ask(series, trigger, **more) is None:
            return None
        claimed = self.claim()
        assert claimed is not None
        self.end(claimed.id)
        return claimed

    def rows(self) -> list[Retraining]:
        """All requests, the oldest first."""
        rows: list[Retraining] = self.do(lambda there: retrainings.newest(there, 1000))
        return rows[::-1]

    def past(self) -> Past:
        """Those that decide on others."""
        past: Past = self.do(lambda there: Past.of(there, self.now_ms))
        return past
