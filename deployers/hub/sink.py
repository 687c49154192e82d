"""Where readings and forecasts of boards go: into the store first, then to the hub's own forecasts."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from deployers.exceptions import DeployerError, InputError
from deployers.hub.metrics import LiveError
from deployers.hub.store import StoredForecast, is_storable
from deployers.hub.store.records import ANSWERING, BOARD_SHADOW
from deployers.protocol.messages import SlotState

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.hub.catalogue import Catalogue
    from deployers.hub.live import Live
    from deployers.hub.metrics import Metrics
    from deployers.hub.store import Store
    from deployers.protocol.messages import Forecast, Reading

_log = logging.getLogger(__name__)


class HubSink:
    """Keeps what boards send; returns when it is on the disk, so that it may be acknowledged.

    Args:
        store: where it is kept.
        live: makes the hub's own forecasts of the same readings.
        catalogue: knows how far apart the running model expects readings.
        metrics: counts them.
        clock: ms since 1970-01-01.
    """

    def __init__(
        self,
        store: Store,
        live: Live,
        catalogue: Catalogue,
        metrics: Metrics,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store, self._live, self._catalogue, self._clock = store, live, catalogue, clock
        self._readings, self._forecasts = metrics.readings.labels("board"), metrics.forecasts
        # The last call of each board: one commit serves several calls, but forecasts are made in the order of readings.
        self._tails: dict[str, asyncio.Future[None]] = {}
        self._failures = metrics.live_failures
        self._errors = {s: LiveError(metrics.error.labels(s), self._cadence_ms) for s in ANSWERING}
        for source in ANSWERING:
            self._forecasts.labels(source)  # shown before there is one

    async def keep_readings(self, board: str, first: int, readings: tuple[Reading, ...]) -> None:  # noqa: ARG002 - the link's numbers are not kept
        """Store readings, then forecast at them.

        Raises:
            ServiceUnavailable: they are not stored.
        """
        readings = self._storable(board, readings)
        if not readings:
            return
        before, mine = self._tails.get(board), asyncio.get_running_loop().create_future()
        self._tails[board] = mine
        try:
            self._readings.inc(await self._store.keep_readings(board, readings))
            if before is not None:
                await asyncio.wait({before})
            for error in self._errors.values():
                error.readings(board, readings)
            await self.forecast(board, readings)
        finally:
            mine.set_result(None)
            if self._tails[board] is mine:
                del self._tails[board]

    async def keep_forecast(self, board: str, forecast: Forecast) -> None:
        """Store a board's forecast; that of a challenger it carries is compared by the monitor, and no more.

        Raises:
            ServiceUnavailable: it is not stored.
        """
        is_challenger = forecast.slot_state is SlotState.SHADOW
        stored = StoredForecast(
            series=board,
            source=BOARD_SHADOW if is_challenger else "board",
            time_ms=forecast.time_ms,
            version=forecast.model_version,
            slot_state=int(forecast.slot_state),
            celsius=forecast.celsius,
            received_ms=self._clock(),
        )
        try:
            await self._store.keep_forecasts([stored])
        except InputError as error:  # sent again, it would be refused again, and all behind it would wait for ever
            _log.warning("a forecast of board %s is dropped: %s", board, error)
            return
        self._forecasts.labels(stored.source).inc()
        if not is_challenger:
            self._errors["board"].forecast(board, stored.time_ms, stored.celsius[0])

    def _storable(self, board: str, readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
        """Without those that no store will ever take: sent for ever, they would hold up all that comes after them."""
        good = tuple(reading for reading in readings if is_storable(reading))
        if len(good) < len(readings):
            _log.warning("%d readings of board %s with impossible times are dropped", len(readings) - len(good), board)
        return good

    async def forecast(self, board: str, readings: tuple[Reading, ...]) -> None:
        """The hub's own forecasts; the readings are stored already, and stay acknowledged if these fail."""
        try:
            made = await self._live.on_readings(board, readings)
        except DeployerError as error:
            self._failures.inc()
            _log.warning("no forecast of the hub's own for %s: %s", board, error)
            return
        except Exception:  # noqa: BLE001 - whatever it is, the readings are stored
            # A board whose readings are not acknowledged sends them again for ever, and would fail here for ever.
            self._failures.inc()
            _log.exception("no forecast of the hub's own for %s", board)
            return
        self._forecasts.labels("hub").inc(len(made))
        if made:
            self._errors["hub"].forecast(board, made[-1].time_ms, made[-1].celsius[0])

    def _cadence_ms(self) -> float | None:
        active = self._catalogue.active
        return None if active is None else active.cadence_ms
