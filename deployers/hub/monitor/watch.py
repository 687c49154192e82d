"""One series: what was seen of it, and what its tests say. A reading costs the same however many came before it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pydantic import TypeAdapter, ValidationError

from deployers.hub.monitor.decay import Decay
from deployers.hub.monitor.drift import Drift
from deployers.hub.monitor.jitter import Jitter
from deployers.hub.monitor.jump import Jump
from deployers.hub.monitor.models import Carried, Faults, Others, Silence
from deployers.hub.monitor.pairing import Pairing, lane_of
from deployers.hub.monitor.sensors import Sensor
from deployers.hub.monitor.skill import DAY_MS, add, joined, skill
from deployers.hub.monitor.slump import Slump
from deployers.hub.store.records import BOARD_SHADOW, SHADOW
from deployers.hub.store.watching import DaySums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from deployers.hub.monitor.decay import Thresholds
    from deployers.hub.monitor.levels import Finding
    from deployers.hub.monitor.pairing import Pair
    from deployers.hub.monitor.restarted import Restarted
    from deployers.hub.monitor.sensors import Limits
    from deployers.hub.monitor.skill import Expected
    from deployers.hub.store import StoredForecast, StoredReading
    from deployers.protocol.messages import Reading

_log = logging.getLogger(__name__)

WINDOW_DAYS = 7


class Model(NamedTuple):
    """What is known of the model of a version.

    Attributes:
        cadence_ms: one step.
        expected: of its release; None if it is not told.
        agreement: how far forecasts of board and hub may be apart, in °C.
        limits: the lowest and the highest change in °C that it can say; None if there are none.
    """

    cadence_ms: int
    expected: Expected | None = None
    agreement: float = float("inf")
    limits: tuple[float, float] | None = None


class Findings(NamedTuple):
    """What every test says of a series.

    Attributes:
        findings: one a test.
        last_ms: time of the newest reading.
        version: whose forecasts are judged; None where there are none.
    """

    findings: list[Finding]
    last_ms: int | None
    version: int | None


class Rules(NamedTuple):
    """When there is trouble: of the test of skill, and what a sensor may measure."""

    thresholds: Thresholds
    sensor: Limits


@dataclass
class State:
    """What is kept of one series.

    Attributes:
        last_ms: time of the newest reading.
        made_ms, versions: time and version of the newest forecast of each source; each challenger is one of its own,
            here and below, see `pairing.lane_of`.
        cadence_ms: one step, as it was last known; 0 before that.
        open: the day under way, of each source.
        recent: days before it, at most `WINDOW_DAYS` of each source.
        decay, slump: the tests of its skill, by days and by hours.
        sensor, faults: the tests of its sensor and of its models.
        silence: that of its board, whichever version it runs.
        carried: the challenger that the board carries, of which no finding speaks.
        drift, jitter, jump: those of its readings, by weeks, by hours and one by one.
    """

    last_ms: int | None = None
    made_ms: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    cadence_ms: int = 0
    open: dict[str, DaySums] = field(default_factory=dict)
    recent: dict[str, list[DaySums]] = field(default_factory=dict)
    decay: Decay = field(default_factory=Decay)
    slump: Slump = field(default_factory=Slump)
    sensor: Sensor = field(default_factory=Sensor)
    faults: Faults = field(default_factory=Faults)
    silence: Silence = field(default_factory=Silence)
    carried: Carried = field(default_factory=Carried)
    drift: Drift = field(default_factory=Drift)
    jitter: Jitter = field(default_factory=Jitter)
    jump: Jump = field(default_factory=Jump)


STATE = TypeAdapter(State)


class Watch:
    """What is seen of one series.

    Args:
        rules: when there is trouble.
        model_of: what is known of a version.
        state: as `dump` gave it; none of a new series.
        begun_ms: when the hub began to look, by its clock.
    """

    def __init__(
        self, rules: Rules, model_of: Callable[[int], Model | None], state: str = "", begun_ms: int = 0
    ) -> None:
        self._rules, self._model_of, self._begun_ms = rules, model_of, begun_ms
        self.state = _loaded(state)
        self.changed: dict[tuple[str, int, int], DaySums] = {}
        self._pairing, self._others, self._challengers = Pairing(), Others(), Others()
        self.is_recalled = self.state.last_ms is None

    def dump(self) -> str:
        """The state as JSON."""
        return STATE.dump_json(self.state).decode()

    def take_changed(self) -> list[DaySums]:
        """Days that have changed since this was last asked."""
        changed, self.changed = list(self.changed.values()), {}
        return changed

    def recall(self, readings: Iterable[Reading], forecasts: Iterable[StoredForecast]) -> None:
        """After a start: readings and forecasts from the store, of which those that were seen before are paired again.

        Their pairs are in the sums already.
        """
        last, cadence = self.state.last_ms, self.state.cadence_ms
        self.is_recalled = True
        if last is None or not cadence:
            return
        for each in readings:
            if each.time_ms <= last:
                self._pairing.reading(each.time_ms, each.celsius, cadence)
        for made in forecasts:
            is_carried = made.version == self.state.carried.version
            if made.source == BOARD_SHADOW:
                if is_carried and made.time_ms <= self.state.carried.made_ms:
                    self._challengers.match(made)
            elif made.time_ms <= self.state.made_ms.get(lane_of(made.source, made.version), -1):
                if made.source != SHADOW:
                    self._others.match(made)
                elif is_carried:
                    self._challengers.match(made)
                self._pairing.forecast(made.source, made.version, made.time_ms, made.celsius, cadence)

    def reading(self, reading: StoredReading) -> None:
        """A reading has arrived."""
        state = self.state
        state.last_ms = max(reading.time_ms, state.last_ms or 0)
        state.sensor.reading(reading, state.cadence_ms, self._rules.sensor)
        # Before the first forecast there is no cadence, and nothing that it would be needed for.
        self._count(self._pairing.reading(reading.time_ms, reading.celsius, state.cadence_ms))
        at_fault = state.sensor.is_at_fault
        if state.cadence_ms:
            self._compare(reading, is_masked=at_fault)
            if "board" in state.made_ms:
                state.silence.reading(reading, state.cadence_ms)
        if at_fault:
            state.slump.is_masked = True
            for sums in state.open.values():
                sums.is_masked = True
                self.changed[sums.source, sums.day, sums.version] = sums

    def forecast(self, made: StoredForecast) -> None:
        """A forecast has arrived."""
        self._compare_carried(made)
        if made.source == BOARD_SHADOW:
            return
        # A challenger is compared with readings; what is known of a series is what answers for it.
        model = self._model_of(made.version) if made.source != SHADOW else None
        if model is not None:
            self.state.cadence_ms = model.cadence_ms
        cadence, lane = self.state.cadence_ms, lane_of(made.source, made.version)
        if made.time_ms >= self.state.made_ms.get(lane, 0):
            if made.source != SHADOW and self.state.versions.get(lane, made.version) != made.version:
                self.state.faults = Faults()  # those of the version before are not this one's
            self.state.made_ms[lane], self.state.versions[lane] = made.time_ms, made.version
        if made.source == "board":
            self.state.silence.forecast(made.time_ms)
        if model is not None:
            self._look_for_faults(made, model)
        if cadence:
            self._count(self._pairing.forecast(made.source, made.version, made.time_ms, made.celsius, cadence))

    @property
    def is_state_due(self) -> bool:
        """Whether the hub's state has not been compared with a rebuilt one since the day under way began."""
        at = self.state.made_ms.get("hub")
        return at is not None and at // DAY_MS > self.state.faults.memory.day

    def compare_state(self, found: Restarted | None) -> None:
        """The hub's state beside a rebuilt one, which is done for this day; None if they could not be compared."""
        memory = self.state.faults.memory
        memory.day = self.state.made_ms.get("hub", 0) // DAY_MS
        model, window = self._model_of(found.kept.version) if found is not None else None, self.window("hub")
        if found is None or model is None or found.kept.version != self.state.versions.get("hub"):
            return
        moves = sum(window.persistence) / max(1.0, sum(window.counts)) if window is not None else 0.0
        memory.compare(found.kept, found.celsius, model.agreement + memory.SHARE * moves)

    def window(self, source: str) -> DaySums | None:
        """The last days of a source as one, of the version that it runs now; None if there is nothing."""
        lane = self._newest_challenger if source == SHADOW else source
        now = self.state.open.get(lane)
        if now is None:
            return None
        before = [each for each in self.state.recent.get(lane, []) if each.version == now.version]
        return joined([*(each for each in before if not each.is_masked), now])

    @property
    def _newest_challenger(self) -> str:
        versions = (sums.version for sums in self.state.open.values() if sums.source == SHADOW)
        return lane_of(SHADOW, max(versions, default=0))

    @property
    def judged(self) -> str:
        """Whose forecasts are judged: the board's as long as it makes some, else the hub's own."""
        board, hub = (self.state.open.get(source) for source in ("board", "hub"))
        return "board" if board is not None and (hub is None or board.day >= hub.day - 1) else "hub"

    @property
    def expected(self) -> Expected | None:
        """Of the version that is judged: by its release, else as its first days taught; None if not known."""
        window, decay = self.window(self.judged), self.state.decay
        if window is None:
            return None
        model = self._model_of(window.version)
        if model is not None and model.expected is not None:
            return model.expected
        return decay.expected if decay.version == window.version else None

    def findings(self, now_ms: int) -> list[Finding]:
        """What every test says now, by the hub's clock."""
        window = self.window(self.judged)
        now = skill(sum(window.model), sum(window.persistence)) if window is not None else None
        # Of a series that nobody forecasts, such as one that was imported, no readings are awaited.
        cadence = self.state.cadence_ms if self.state.made_ms else 0
        sensor = self.state.sensor.findings(self._rules.sensor, cadence, now_ms, self._begun_ms)
        limits = self._rules.thresholds
        decay, drift = self.state.decay.finding(limits, now), self.state.drift.finding(limits.reference_days)
        slump, jitter = self.state.slump.finding(), self.state.jitter.finding(limits.jitter)
        models = [*self.state.faults.findings, self.state.silence.finding()]
        return [*sensor, *models, decay, slump, drift, jitter, self.state.jump.finding()]

    def _compare(self, reading: StoredReading, *, is_masked: bool) -> None:
        """A reading with those before it."""
        state, limits, cadence = self.state, self._rules.thresholds, self.state.cadence_ms
        state.drift.reading(reading.time_ms, reading.celsius, cadence, limits.reference_days, is_masked=is_masked)
        state.jitter.reading(reading.time_ms, reading.celsius, cadence, limits.jitter, is_masked=is_masked)
        state.jump.reading(reading.time_ms, reading.celsius, cadence, is_masked=is_masked)

    def _look_for_faults(self, made: StoredForecast, model: Model) -> None:
        other, base = self._others.match(made), self._pairing.at(made.time_ms)
        if other is not None:
            self.state.faults.agreement.compare(other, made, model.agreement)
        if model.limits is not None and base is not None:
            self.state.faults.saturation.forecast(made, base, model.limits)

    def _compare_carried(self, made: StoredForecast) -> None:
        """A challenger's forecast; nothing is held of one that the board does not carry."""
        if made.source == BOARD_SHADOW:
            if made.version != self.state.carried.version:
                self.state.carried = Carried(made.version)
            self.state.carried.made_ms = max(made.time_ms, self.state.carried.made_ms)
        elif made.source != SHADOW or made.version != self.state.carried.version:
            return
        other, model = self._challengers.match(made), self._model_of(made.version)
        if other is not None and model is not None:
            self.state.carried.agreement.compare(other, made, model.agreement)

    def _count(self, pairs: Sequence[Pair]) -> None:
        judged = self.judged if pairs else ""
        for pair in pairs:
            sums = self._open_day(pair)
            if sums is not None:
                add(sums, pair)
                self.changed[sums.source, sums.day, sums.version] = sums
                if pair.source == judged:
                    self._judge_hours(pair)

    def _judge_hours(self, pair: Pair) -> None:
        """Another version or source begins a test of its own."""
        state = self.state
        if (pair.version, pair.source) != (state.slump.version, state.slump.source):
            state.slump = Slump(version=pair.version, source=pair.source)
        state.slump.pair(pair, state.cadence_ms)

    def _open_day(self, pair: Pair) -> DaySums | None:
        """The day of a pair, begun if it is the first; None if the day has ended or the version has gone."""
        day, lane = pair.time_ms // DAY_MS, lane_of(pair.source, pair.version)
        now = self.state.open.get(lane)
        if pair.version != self.state.versions.get(lane) or (now is not None and now.day > day):
            return None
        if now is None or (now.day, now.version) != (day, pair.version):
            if now is not None:
                self._close(now)
            now = self.state.open[lane] = DaySums(day, pair.source, pair.version)
        return now

    def _close(self, sums: DaySums) -> None:
        recent = self.state.recent.setdefault(lane_of(sums.source, sums.version), [])
        recent.append(sums)
        del recent[:-WINDOW_DAYS]
        self._forget_challengers(sums.day)
        if sums.source == self.judged and self.state.cadence_ms:
            if (sums.version, sums.source) != (self.state.decay.version, self.state.decay.source):
                self.state.decay = Decay(sums.version, sums.source)
            model = self._model_of(sums.version)
            expected = model.expected if model is not None else None
            self.state.decay.close(sums, self.state.cadence_ms, expected, self._rules.thresholds)

    def _forget_challengers(self, before: int) -> None:
        """Of those that have ended: their last day is before one that others have been through."""
        state = self.state
        for lane in [lane for lane, sums in state.open.items() if sums.source == SHADOW and sums.day < before]:
            for table in (state.open, state.recent, state.made_ms, state.versions):
                table.pop(lane, None)


def _loaded(state: str) -> State:
    """The state; a new one where nothing is kept, or where another edgeloop has kept something else."""
    try:
        return STATE.validate_json(state) if state else State()
    except ValidationError as error:
        _log.warning("a state of the monitor cannot be read (%s): its series begins anew", error.errors()[0]["msg"])
        return State()
