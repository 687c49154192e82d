"""What goes wrong with a model where it runs: a board that differs from the hub or is silent, outputs at a limit."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployers.hub.monitor.levels import Finding, Level, Verdict, moved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deployers.hub.store import StoredForecast, StoredReading

HELD = 40  # forecasts that await that of the other one
MEMORY = 144  # forecasts over which a share is weighed


@dataclass
class Agreement(Verdict):
    """Forecasts of board and hub at the same reading by the same version.

    A board that has just started lacks history that the hub has: what counts are many in a row.

    Attributes:
        apart: in a row that differ by more than allowed.
        agreed: in a row that do not.
        celsius: the largest difference of the last ones in a row that differ.
        compared: so far.
        worst: the largest difference so far.
    """

    apart: int = 0
    agreed: int = 0
    celsius: float = 0.0
    allowed: float | None = None
    compared: int = 0
    worst: float = 0.0

    WARNING, ALARM, WELL_AGAIN = 6, 24, 12

    def compare(self, first: StoredForecast, second: StoredForecast, allowed: float) -> None:
        """Two forecasts of one reading."""
        off = max(abs(one - other) for one, other in zip(first.celsius, second.celsius, strict=False))
        self.compared, self.allowed, self.worst = self.compared + 1, allowed, max(off, self.worst)
        if off <= allowed:
            self.apart, self.agreed = 0, self.agreed + 1
        else:
            self.celsius = off if self.agreed else max(off, self.celsius)
            self.apart, self.agreed = self.apart + 1, 0
        self._move(first.time_ms)

    def finding(self) -> Finding:
        """What it says now."""
        allowed = self.allowed or 0.0
        reason = f"board and hub differ by {self.celsius:.3g} °C, allowed are {allowed:.3g} °C, {self.apart} in a row"
        numbers = {"apart": self.apart, "compared": self.compared, "celsius": self.celsius, "allowed": self.allowed}
        shown = reason if self.level != "ok" else ""
        return Finding("agreement", "model", self.level, self.changed_ms, shown, {**numbers})

    def _move(self, now_ms: int) -> None:
        level = self.level
        if self.apart >= self.ALARM:
            level = "alarm"
        elif self.apart >= self.WARNING:
            level = "alarm" if self.level == "alarm" else "warning"
        elif self.agreed >= self.WELL_AGAIN:
            level = "ok"
        self.become(level, now_ms)


@dataclass
class Carried:
    """A challenger that a board carries, beside the same one on the hub.

    Attributes:
        version: its own; 0 without one.
        made_ms: time of the newest reading at which the board forecast with it.
        agreement: of the two.
    """

    version: int = 0
    made_ms: int = -1
    agreement: Agreement = field(default_factory=Agreement)


@dataclass
class Silence(Verdict):
    """A board that made forecasts and makes none any more, while its readings come.

    What is counted is time by the hub's clock in which readings come: after an outage many come at once, and with them
    only the last of the forecasts made meanwhile.

    Attributes:
        heard_ms: when its newest reading came, by the hub's clock; None before the first.
        silent_ms: such time since its newest forecast.
        steps: the same in steps of the model.
    """

    heard_ms: int | None = None
    silent_ms: int = 0
    steps: float = 0.0

    WARNING, ALARM = 6, 24
    MOST = 2  # steps that one reading counts for

    def reading(self, reading: StoredReading, cadence_ms: int) -> None:
        """A reading of a board that has made forecasts."""
        if self.heard_ms is not None:
            self.silent_ms += min(max(reading.received_ms - self.heard_ms, 0), self.MOST * cadence_ms)
        self.heard_ms, self.steps = reading.received_ms, self.silent_ms / cadence_ms
        if self.steps >= self.WARNING:
            self.become("alarm" if self.steps >= self.ALARM else "warning", reading.time_ms)

    def forecast(self, time_ms: int) -> None:
        """A forecast of the board, at a reading of this time."""
        self.silent_ms, self.steps = 0, 0.0
        self.become("ok", time_ms)

    def finding(self) -> Finding:
        """What it says now."""
        said = f"the board has made no forecast for {self.steps:.0f} steps, and its readings come"
        reason = said if self.level != "ok" else ""
        return Finding("silence", "model", self.level, self.changed_ms, reason, {"steps": round(self.steps, 1)})


@dataclass
class Memory(Verdict):
    """A state that has run on, beside one that is rebuilt from the last readings; compared once a day.

    Attributes:
        day: of the newest comparison, in days since 1970 by the readings' own time.
        apart: days in a row on which their forecasts differ by more than allowed.
        celsius: the largest difference of the newest comparison.
        compared: so far.
    """

    day: int = -1
    apart: int = 0
    celsius: float = 0.0
    allowed: float | None = None
    compared: int = 0

    WARNING, ALARM = 2, 4
    SHARE = 0.1  # of persistence's error, by which they may differ beside what the image allows

    def compare(self, kept: StoredForecast, rebuilt: Sequence[float], allowed: float) -> None:
        """Two forecasts at one reading."""
        self.celsius = max(abs(one - other) for one, other in zip(kept.celsius, rebuilt, strict=True))
        self.compared, self.allowed = self.compared + 1, allowed
        self.apart = 0 if self.celsius <= allowed else self.apart + 1
        level: Level = "alarm" if self.apart >= self.ALARM else "warning" if self.apart >= self.WARNING else "ok"
        self.become(level, kept.time_ms)

    def finding(self) -> Finding:
        """What it says now."""
        said = (
            f"the hub's state differs from one rebuilt from its readings: by {self.celsius:.3g} °C in their forecasts, "
            f"allowed are {self.allowed or 0.0:.3g} °C, {self.apart} days in a row"
        )
        numbers = {"apart": self.apart, "compared": self.compared, "celsius": self.celsius, "allowed": self.allowed}
        return Finding("state", "model", self.level, self.changed_ms, said if self.level != "ok" else "", {**numbers})


@dataclass
class Saturation(Verdict):
    """Values of forecasts at the limit of their integers: the model would have said more if it could.

    Attributes:
        share: of the last values, each weighing less the longer ago.
    """

    share: float = 0.0

    WARNING, ALARM = 0.02, 0.1
    WITHIN = 1e-3  # °C: a forecast of 32 bits is no nearer to its integer

    def forecast(self, made: StoredForecast, base: float, limits: tuple[float, float]) -> None:
        """A forecast.

        Args:
            made: it.
            base: the reading that it was made at, in °C.
            limits: the lowest and the highest change in °C that the model can say.
        """
        at = sum(not limits[0] + self.WITHIN < value - base < limits[1] - self.WITHIN for value in made.celsius)
        self.share += (at / len(made.celsius) - self.share) / MEMORY
        self.become(moved(self.level, self.share, self.WARNING, self.ALARM), made.time_ms)

    def finding(self) -> Finding:
        """What it says now."""
        reason = f"{self.share:.1%} of the forecasts are at the limit of the model's type" if self.level != "ok" else ""
        return Finding("saturation", "model", self.level, self.changed_ms, reason, {"share": round(self.share, 4)})


@dataclass
class Faults:
    """All tests of the models of one series."""

    agreement: Agreement = field(default_factory=Agreement)
    saturation: Saturation = field(default_factory=Saturation)
    memory: Memory = field(default_factory=Memory)

    @property
    def findings(self) -> list[Finding]:
        """What they say now."""
        return [self.agreement.finding(), self.saturation.finding(), self.memory.finding()]


class Others:
    """The last forecasts of one series, each until that of the other one at the same reading has come."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[int, int], StoredForecast] = OrderedDict()

    def match(self, made: StoredForecast) -> StoredForecast | None:
        """The forecast of the other one, board or hub, at the same reading by the same version."""
        key = (made.time_ms, made.version)
        other = self._held.get(key)
        if other is None or other.source == made.source:
            self._held[key] = made
            while len(self._held) > HELD:
                self._held.popitem(last=False)
            return None
        del self._held[key]
        return other


def limits_of(scale: float, zero_point: int, bits: int, celsius: float) -> tuple[float, float]:
    """The lowest and the highest change in °C that integer outputs stand for.

    Args:
        scale, zero_point: of the output tensor.
        bits: of its integers.
        celsius: °C of one unit of the output.
    """
    lowest, highest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    bounds: Sequence[float] = [(limit - zero_point) * scale * celsius for limit in (lowest, highest)]
    return bounds[0], bounds[1]
