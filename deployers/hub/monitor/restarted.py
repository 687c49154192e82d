"""The forecast of a state that has run on, beside that of one which is rebuilt from the stored readings now.

A hub that starts rebuilds the state of every series from its last readings, and a board does the same. A model that has
run for months must say what it would say then: else it remembers what is long over, or something else than what came.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from deployers.hub.serving import replayed
from deployers.hub.stepping import history

if TYPE_CHECKING:
    from deployers.hub.catalogue import Catalogue
    from deployers.hub.store import Store, StoredForecast


class Restarted(NamedTuple):
    """Two forecasts of one model at one reading.

    Attributes:
        kept: by the hub's state, as it was made.
        celsius: by a state that is rebuilt, °C, one a step.
    """

    kept: StoredForecast
    celsius: tuple[float, ...]


class Restarts:
    """Rebuilds states in a thread of its own, since a cell serves one thread.

    Args:
        store: has the readings and forecasts.
        catalogue: has the active model.
    """

    def __init__(self, store: Store, catalogue: Catalogue) -> None:
        self._store, self._catalogue = store, catalogue
        self._thread: ThreadPoolExecutor | None = None

    async def at_newest(self, series: str) -> Restarted | None:
        """At the newest reading at which the active model has forecast; None where there is none that can be told.

        Raises:
            ServiceUnavailable: the store does not answer.
        """
        model = self._catalogue.active
        if model is None:
            return None
        found = await self._store.forecasts(series, source="hub", version=model.version, last=1)
        if not found:
            return None
        readings = await history(self._store, model, series, found[0].time_ms + 1)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "restarts")
        track = await asyncio.get_running_loop().run_in_executor(self._thread, replayed, model, readings)
        if track.last is None or track.last.time_ms != found[0].time_ms:
            return None
        return Restarted(found[0], track.last.celsius)

    async def stop(self) -> None:
        """Finish what is being replayed."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.shutdown)
