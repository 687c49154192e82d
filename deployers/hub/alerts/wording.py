"""A change in words and as JSON. Names and reasons are data: in a line they are one line, in JSON they are strings."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from deployers.hub.export import time_point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deployers.hub.alerts.ledger import Change
    from deployers.hub.monitor.levels import Number

NAMED = 3  # series in a subject
SUBJECT_MAX = 150
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True)
class Wording:
    """How a hub speaks.

    Attributes:
        hub: its name.
        page: address of its page.
    """

    hub: str
    page: str

    def as_dict(self, change: Change) -> dict[str, Any]:
        """A change for programs."""
        return {
            "event": change.kind,
            "hub": self.hub,
            "series": change.series,
            "test": change.test,
            "level": change.level,
            "since": time_point(change.since_ms) if change.since_ms is not None else None,
            "reason": change.reason,
            "numbers": _finite(change.numbers),
            "time": datetime.fromtimestamp(change.at_ms / 1000, UTC).isoformat(timespec="seconds"),
            "link": self.page,
        }

    def line(self, change: Change) -> str:
        """A change for people."""
        if change.kind == "test":
            return one_line(change.reason)
        state = {"resolved": "well again", "repeat": f"still {change.level}"}.get(change.kind, change.level)
        since = f", since {time_point(change.since_ms)[:16]}" if change.since_ms is not None else ""
        reason = f": {change.reason}" if change.reason else ""
        return one_line(f"{change.series} {change.test} {state}{reason}{since}")

    def subject(self, changes: Sequence[Change]) -> str:
        """What a message is about."""
        if len(changes) == 1:
            said = self.line(changes[0])
        else:
            names = list(dict.fromkeys(change.series for change in changes))
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            worse = sum(change.kind != "resolved" for change in changes)
            counts = [f"{worse} in trouble"] * bool(worse) + [f"{len(changes) - worse} well again"] * (
                worse < len(changes)
            )
            said = f"{', '.join(counts)}: {', '.join(names[:NAMED])}{more}"
        line = one_line(f"[{self.hub}] {said}")
        return line if len(line) <= SUBJECT_MAX else line[: SUBJECT_MAX - 1] + "…"

    def text(self, changes: Sequence[Change]) -> str:
        """All of it, a line a change."""
        return "\n".join([*(self.line(change) for change in changes), "", one_line(self.page)])

    def post(self, changes: Sequence[Change]) -> str:
        """All of it for a chat, which has no subject."""
        rest = self.text(changes) if len(changes) > 1 else one_line(self.page)
        return f"{self.subject(changes)}\n{rest}"


def one_line(text: str) -> str:
    """Text without line ends and other signs that are not printed."""
    return " ".join(UNPRINTABLE.sub(" ", text).split())


def as_json(content: Any) -> str:
    """JSON that every parser takes."""
    return json.dumps(content, allow_nan=False)


def _finite(numbers: Mapping[str, Number]) -> dict[str, Number]:
    """JSON has no infinity."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in numbers.items()
    }
