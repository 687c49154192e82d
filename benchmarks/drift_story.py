"""What happens at the hub, told line by line, and what is measured of it: skill by day, events, forecasts that lack."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.drift_course import DAY_MS
from deployers.exceptions import ServiceUnavailable
from deployers.lab.programs import LabError
from deployers.lab.rest import HubRest

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.drift_course import Plan
    from benchmarks.drift_lab import Site

SERIES = ("board-1", "board-2")
POLL_SECONDS = 1.0


class Event(NamedTuple):
    """Something that happened.

    Attributes:
        day: of the room, since it is in the field.
        text: one line.
        mark: what the plot calls it; "" if it does not.
    """

    day: float
    text: str
    mark: str = ""


@dataclass
class Story:
    """Follows one hub.

    Args:
        site: where it is.
        plan: the days.
        say: told each line.
    """

    site: Site
    plan: Plan
    say: Callable[[str], None]
    events: list[Event] = field(default_factory=list)
    seen: dict[tuple[float, int], dict[str, Any]] = field(default_factory=dict)

    @property
    def day(self) -> float:
        """Of the room now."""
        newest = [row["last_ms"] or self.plan.live_ms for row in self.get("/monitor")["devices"]]
        return (max(newest, default=self.plan.live_ms) - self.plan.live_ms) / DAY_MS

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """What the hub answers.

        Raises:
            ServiceUnavailable: it does not.
        """
        with HubRest(self.site.url, self.site.token) as hub:
            return hub.get(path, **parameters)

    def tell(self, text: str, mark: str = "") -> None:
        """Something happened now."""
        self.events.append(Event(round(self.day, 2), text, mark))
        self.say(f"day {self.events[-1].day:6.2f}  {text}")

    def until(self, what: str, days: float, probe: Callable[[], Any]) -> Any:
        """Wait until a probe finds something, and give that.

        Raises:
            LabError: it did not within so many days of the room.
        """
        end = self.day + days
        while self.day < end:
            try:
                found = probe()
            except ServiceUnavailable:  # a hub at speed on two cores may answer late
                found = None
            if found:
                return found
            time.sleep(POLL_SECONDS)
        msg = f"{what} did not come within {days:g} days of the room, it is day {self.day:.1f}: see GET /monitor"
        raise LabError(msg)

    def alarm(self) -> dict[str, Any] | None:
        """The series whose skill alarms, if one does."""
        rows: list[dict[str, Any]] = self.get("/monitor")["devices"]
        return next((row for row in rows if row["state"] == "alarm" and row["part"] == "skill"), None)

    def retraining(self) -> dict[str, Any] | None:
        """The newest request."""
        found: list[dict[str, Any]] = self.get("/retraining")["requests"]
        return max(found, key=lambda each: int(each["id"]), default=None)

    def challenger(self, version: int | None = None) -> dict[str, Any] | None:
        """The newest challenger, or the one of a version."""
        found: list[dict[str, Any]] = self.get("/shadow")["challengers"]
        meant = [each for each in found if version in {None, each["version"]}]
        return max(meant, key=lambda each: int(each["version"]), default=None)

    def confirmed(self) -> dict[str, int]:
        """The version that each board keeps."""
        return {each["id"]: each["confirmed"] for each in self.get("/devices")["devices"]}

    def days(self) -> list[dict[str, Any]]:
        """Days of the first board's own forecasts, with their skill, in their order; the hub shows the last 90."""
        rows: list[dict[str, Any]] = self.get(f"/monitor/{SERIES[0]}")["days"]
        found = [
            {**row, "at": (row["day_ms"] - self.plan.live_ms) / DAY_MS} for row in rows if row["source"] == "board"
        ]
        self.seen |= {(row["at"], row["version"]): row for row in found}
        return [row for _, row in sorted(self.seen.items())]

    def skill(self, begin: float, end: float, version: int | None = None) -> float:
        """Of the complete days from one to before another: 1 − model's error / persistence's error, summed."""
        rows = [row for row in self.days() if begin <= row["at"] and row["at"] + 1 <= end and row["model"] is not None]
        rows = [row for row in rows if version in {None, row["version"]}]
        model, persistence = (sum(row["count"] * row[name] for row in rows) for name in ("model", "persistence"))
        return float(1 - model / persistence)

    def lacking(self) -> dict[str, int]:
        """Readings of each board, from its first forecast to its last, at which the hub forecast nothing."""
        found = {}
        with HubRest(self.site.url, self.site.token) as hub:
            for series in SERIES:
                forecast = set(hub.forecasts(series, "hub"))
                times = {reading.time_ms for reading in hub.readings(series)}
                inside = {time_ms for time_ms in times if min(forecast) <= time_ms <= max(forecast)}
                found[series] = len(inside - forecast)
        return found

    def forecasts_of(self, series: str, version: int) -> int:
        """How many forecasts a board made by a version."""
        with HubRest(self.site.url, self.site.token) as hub:
            return len(hub.forecasts(series, "board", version))
