"""Figures for Prometheus."""

from __future__ import annotations

from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily

from deployers.hub.monitor.levels import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from deployers.hub.context import Hub
    from deployers.protocol.messages import Reading

# Each counter would have a second line with the time at which it was made.
disable_created_metrics()  # type: ignore[no-untyped-call]

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
# How much one error weighs in the running mean of the live error: about the last hundred readings count.
WEIGHT = 0.02
SERIES_MAX = 10_000
WAITING = 8  # forecasts of one series that await their readings


class LiveError:
    """How far forecasts of the next reading were from that reading, as a running mean in °C.

    Args:
        gauge: shows the mean.
        cadence_of: ms between two readings, as the running model expects them; None without a model.
    """

    def __init__(self, gauge: Any, cadence_of: Callable[[], float | None]) -> None:
        self._gauge, self._cadence_of = gauge, cadence_of
        # A board's forecast comes before the reading that it was made at, so the one before it is still awaited then.
        self._made: dict[str, deque[tuple[int, float]]] = {}
        self._mean: float | None = None

    def forecast(self, series: str, time_ms: int, next_celsius: float) -> None:
        """A forecast was made at this reading."""
        if series in self._made or len(self._made) < SERIES_MAX:
            self._made.setdefault(series, deque(maxlen=WAITING)).append((time_ms, next_celsius))

    def readings(self, series: str, readings: Iterable[Reading]) -> None:
        """Readings came; each that follows a forecast by one step is compared with it, once."""
        made, cadence = self._made.get(series), self._cadence_of()
        if not made or not cadence:
            return
        for reading in readings:
            for each in [each for each in made if 0.5 * cadence < reading.time_ms - each[0] < 1.5 * cadence]:
                made.remove(each)
                self._add(abs(reading.celsius - each[1]))

    def _add(self, error: float) -> None:
        self._mean = error if self._mean is None else self._mean + WEIGHT * (error - self._mean)
        self._gauge.set(self._mean)


class Counted:
    """Counters that other parts keep, shown as they are when Prometheus asks.

    Args:
        name: of the metric, without "_total".
        text: what it counts.
        labels: the last of them is the counter's own name.
    """

    def __init__(self, name: str, text: str, *labels: str) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._values: dict[tuple[str, ...], float] = {}

    def set(self, counters: Mapping[str, float], *labels: str) -> None:
        """What the counters of these labels stand at."""
        self._values.update({(*labels, name): value for name, value in counters.items()})

    def collect(self) -> Iterable[CounterMetricFamily]:
        """For the registry."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        return (family,)


class Metrics:
    """What is counted, in a registry of its own: two hubs in one process do not add up."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        given: Any = {"namespace": "edgeloop", "registry": self.registry}
        self.requests = Counter("requests", "Requests answered.", ["method", "route", "status"], **given)
        self.seconds = Histogram("request_seconds", "Time to answer a request.", ["route"], buckets=BUCKETS, **given)
        self.readings = Counter("readings", "Readings that were new, by the board or by REST.", ["source"], **given)
        self.forecasts = Counter("forecasts", "Forecasts of boards, of the hub, of challengers.", ["source"], **given)
        self.live_failures = Counter("live_failures", "Readings stored without a forecast of the hub's own.", **given)
        self.error = Gauge(
            "live_error_celsius", "Running mean of |forecast - reading|, one step ahead.", ["source"], **given
        )
        self._online = Gauge("boards_online", "Boards with an open link.", **given)
        self._boards = Gauge("boards", "Boards that may connect.", **given)
        self._link = Counted("edgeloop_link_events", "What happened on the links of boards.", "board", "event")
        self._version = Gauge("model_version", "The version that makes the hub's forecasts; 0: none.", **given)
        self._store = Counted("edgeloop_store_events", "What the store's writer has done.", "event")
        for counted in (self._link, self._store):
            self.registry.register(counted)
        self._live = Gauge("live", "State of the hub's own forecasts.", ["figure"], **given)
        self._jobs = Gauge("jobs_running", "Jobs under way.", **given)
        self._state = Gauge("monitor_state", "0 ok, 1 warning, 2 alarm.", ["series"], **given)
        self._skill = Gauge("monitor_skill", "1 - error / persistence's, last days.", ["series", "kind"], **given)
        self._alerts = Counted("edgeloop_alerts", "Changes told, and attempts that failed.", "channel", "event")
        self.registry.register(self._alerts)
        self._waiting = Gauge("alerts_waiting", "Changes that a channel has not taken yet.", ["channel"], **given)
        self._told = Gauge(
            "alerts_last_success_timestamp_seconds", "When a channel last took something.", ["channel"], **given
        )
        self._shadow = Gauge("shadow", "Challengers that run, by figure.", ["version", "figure"], **given)
        self._live_error = Gauge("monitor_error_celsius", "MAE of the last days.", ["series", "of"], **given)
        self._retrainings = Gauge("retraining_requests", "Requests for retraining, by state.", ["state"], **given)
        self._budget = Gauge("retraining_budget", "Retrainings of the week, used and left.", ["figure"], **given)

    def exposition(
        self,
        hub: Hub,
        watched: Sequence[dict[str, Any]] = (),
        retraining: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
    ) -> bytes:
        """All figures in Prometheus' text format; those of other parts are asked for now.

        Args:
            hub: whose.
            watched: rows of the monitor, those in trouble first.
            retraining: requests by state and the budget; empty where the hub does not retrain.
        """
        for gauge, name in ((self._retrainings, "requests"), (self._budget, "budget")):
            for label, count in retraining.get(name, {}).items():
                gauge.labels(label).set(count)
        self._watch(watched[:SERIES_MAX])
        self._channels(hub.alerts.channels())
        devices = hub.boards.devices()
        self._boards.set(len(devices))
        self._online.set(sum(device.online for device in devices))
        for device in devices:
            self._link.set(_fields(device.counters), device.id)
        self._version.set(hub.catalogue.active.version if hub.catalogue.active else 0)
        self._jobs.set(len(hub.jobs.running()))
        if hub.is_ready:
            self._challengers(hub.shadows.view()["challengers"])
            self._store.set(_fields(hub.store.counters))
            for figure, value in hub.live.figures().items():
                self._live.labels(figure).set(value)
        return generate_latest(self.registry)

    def _channels(self, rows: Iterable[dict[str, Any]]) -> None:
        for row in rows:
            name = row["channel"]
            self._alerts.set({"sent": row["sent"], "failures": row["failures"]}, name)
            self._waiting.labels(name).set(row["waiting"])
            if row["last_success_ms"] is not None:
                self._told.labels(name).set(row["last_success_ms"] / 1000)

    def _challengers(self, rows: Sequence[dict[str, Any]]) -> None:
        self._shadow.clear()
        for row in rows:
            if row["is_running"]:
                names = ("days_compared", "days_better", "days_worse", "e_better", "e_worse")
                for figure, value in {**{name: row[name] for name in names}, **(row["cost"] or {})}.items():
                    self._shadow.labels(row["version"], figure).set(value)

    def _watch(self, rows: Sequence[dict[str, Any]]) -> None:
        for gauge in (self._state, self._skill, self._live_error):
            gauge.clear()
        for row in rows:
            name = row["series"]
            self._state.labels(name).set(LEVELS.index(row["state"]))
            for kind, value in (("live", row["skill"]), ("expected", row["skill_expected"])):
                if value is not None:
                    self._skill.labels(name, kind).set(value)
            for of in ("model", "persistence"):
                if row[of] is not None:
                    self._live_error.labels(name, of).set(row[of])


def _fields(counters: Any) -> dict[str, float]:
    """The numbers among the fields of a dataclass."""
    names = getattr(counters, "__dataclass_fields__", {})
    return {name: value for name in names if isinstance(value := getattr(counters, name), int | float)}
