"""Looks for causes once a minute, and runs what waits, one request at a time, as a job like that of `POST /train`."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from deployers.exceptions import Conflict, DeployerError, InputError, ServiceUnavailable
from deployers.hub.retraining import answers, causes, ledger
from deployers.hub.retraining.causes import ORDER, Cause
from deployers.hub.retraining.ledger import Limits, Past, Wish
from deployers.hub.store import retrainings
from deployers.hub.training import TRAINING
from deployers.hub.turns import attempted, woken

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from deployers.hub.jobs import Job, Jobs
    from deployers.hub.monitor.levels import Finding
    from deployers.hub.monitor.service import Monitor
    from deployers.hub.monitor.watch import Findings
    from deployers.hub.settings import RetrainingSection
    from deployers.hub.store import Store
    from deployers.hub.store.retrainings import Retraining, State, Stock
    from deployers.hub.training import Training

_log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
# Counting all readings takes seconds where there are millions: alarms are looked for more often than readings counted.
STOCK_SECONDS = 600.0
AGAIN_SECONDS = 5.0
# For the end of a run to be kept when the hub goes down; what is not is found at the next start.
STOP_SECONDS = 1.5
SHOWN = 50
KIND = "train"  # of its jobs, like those of POST /train
SERIES, REASON, REQUEST = "EDGELOOP_RETRAIN_SERIES", "EDGELOOP_RETRAIN_REASON", "EDGELOOP_RETRAIN_REQUEST"


class Retrainer:
    """Asks the training side, by itself and for people.

    Args:
        store: has the readings, and keeps the requests.
        monitor: says what is wrong with models and sensors.
        training: what is asked.
        jobs: where it runs.
        settings: when to ask.
        clock: seconds since 1970.
    """

    def __init__(  # noqa: PLR0913 - the parts that it stands between
        self,
        store: Store,
        monitor: Monitor,
        training: Training,
        jobs: Jobs,
        settings: RetrainingSection,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._monitor, self._training, self._jobs = store, monitor, training, jobs
        self._settings, self._limits, self._clock = settings, Limits.of(settings), clock
        self._turning, self._wake = asyncio.Lock(), asyncio.Event()
        self._stocks: dict[str, Stock] = {}
        self._counted_ms: int | None = None  # None: they are to be counted anew
        self._task: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Find what ran when the hub ended, and begin to look.

        Raises:
            ServiceUnavailable: the store does not answer.
        """
        if not self._settings.enabled or self._task is not None:
            return
        for each in await self._store.change(lambda found: ledger.lose(found, self._now_ms())):
            _log.warning("retraining %d of %s: %s", each.id, each.series, ledger.LOST)
        self._task = asyncio.create_task(self._forever(), name="retraining")

    async def stop(self) -> None:
        """Begin nothing more, and keep the end of what ran; its job has been stopped by then."""
        task, self._task = self._task, None
        if task is not None:
            async with self._turning:
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        running = self._running
        if running is not None:
            await asyncio.wait({running}, timeout=STOP_SECONDS)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def turn(self) -> None:
        """Ask for what is due, and run what waits.

        Raises:
            ServiceUnavailable: the store does not answer; what is due is asked for by the next turn.
        """
        async with self._turning:
            found = await self._monitor.findings()
            if found.keys() - self._stocks.keys():  # another series has begun
                self._counted_ms = None
            await self._count()
            past, stocks, now = await self._store.find(self._past), self._stocks, self._now_ms()
            due = ((name, self._due(name, found, past, now)) for name in stocks)
            wishes = [Wish(name, cause, _fault(found, name)) for name, cause in due if cause is not None]
            wanted = [wish for wish in wishes if self._is_wanted(wish, past, stocks[wish.series], now)]
            for wish in sorted(wanted, key=lambda wish: (ORDER.index(wish.cause.trigger), wish.series)):
                await self._ask(wish)
            await self._begin(found)

    async def ask(self, series: str, reason: str, by: str, *, force: bool = False) -> Retraining:
        """A person's request: it runs, or waits for another one.

        Args:
            series: whose model.
            reason: one line.
            by: who asks.
            force: whatever cool-down and sensor say.

        Raises:
            InputError: this hub does not retrain, or has no such series.
            Conflict: not now, and why.
            ServiceUnavailable: the training side cannot be asked.
        """
        if not self._settings.enabled:
            msg = (
                "this hub does not retrain, expected enabled = true in [retraining] of hub.toml: set it, or POST /train"
            )
            raise InputError(msg)
        self._training.require()
        async with self._turning:
            found = await self._monitor.findings()
            cause = Cause("person", "", reason, {"by": by, "force": force})
            made = await self._ask(Wish(series, cause, _fault(found, series), force))
            assert made is not None  # noqa: S101 - a person is told why not by an error
            await self._begin(found)
        return await self._store.find(lambda there: retrainings.get(there, made.id))

    async def standing(self) -> dict[str, Any]:
        """What is allowed now and why not, the budget, what the schedule says, and the last requests.

        Raises:
            ServiceUnavailable: the store does not answer.
        """
        found = await self._monitor.findings()
        if self._settings.enabled:  # else nothing is done with it
            async with self._turning:  # nothing starts meanwhile, from which to count anew
                await self._count()
        past, rows = await self._store.find(lambda there: (self._past(there), retrainings.newest(there, SHOWN)))
        now, per_week = self._now_ms(), self._limits.per_week
        used = len(past.used(now))
        return {
            "enabled": self._settings.enabled,
            "now_ms": now,
            "budget": {
                "per_week": per_week,
                "used": used,
                "left": max(0, per_week - used),
                "free_ms": past.free_ms(now, per_week),
            },
            "running": past.running.id if past.running is not None else None,
            "waiting": [each.id for each in past.waiting],
            "series": [self._row(name, stock, found, past, now) for name, stock in sorted(self._stocks.items())],
            "requests": [each.as_dict() for each in rows],
        }

    async def figures(self) -> dict[str, dict[str, int]]:
        """For Prometheus: requests by state, and the budget; nothing where it does not retrain or has not started."""
        if self._task is None:
            return {}
        past, states = await self._store.find(lambda there: (self._past(there), retrainings.by_state(there)))
        used = len(past.used(self._now_ms()))
        return {"requests": states, "budget": {"used": used, "left": max(0, self._limits.per_week - used)}}

    async def _forever(self) -> None:
        while True:
            await attempted(self.turn, "retraining")
            await woken(self._wake, EVERY_SECONDS)

    async def _count(self) -> None:
        """Count readings, if that was long ago or a retraining has started since."""
        now = self._now_ms()
        if self._counted_ms is None or not 0 <= now - self._counted_ms < STOCK_SECONDS * 1000:
            self._stocks, self._counted_ms = await self._store.find(retrainings.stock), now

    def _due(self, name: str, found: dict[str, Findings], past: Past, now: int) -> Cause | None:
        return causes.due(self._settings, found.get(name), self._stocks.get(name), past.last(name), now)

    def _is_wanted(self, wish: Wish, past: Past, stock: Stock, now: int) -> bool:
        """Whether there is something to write: what waits for a cool-down costs no transaction a minute."""
        reason = ledger.why_not(wish, past, stock, self._limits, now)
        return not reason or ledger.is_news(wish, reason, past)

    async def _ask(self, wish: Wish) -> Retraining | None:
        made = await self._store.change(lambda there: ledger.ask(there, wish, self._limits, self._now_ms()))
        if made is not None:
            why = (made.answer or {}).get("reason") or made.reason
            _log.info("retraining %d of %s is %s (%s): %s", made.id, made.series, made.state, made.trigger, why)
        return made

    async def _begin(self, found: dict[str, Findings]) -> None:
        """Run the first that waits, unless something runs."""
        if self._running is not None or any(TRAINING in job.holds for job in self._jobs.running()):
            return
        faults = {name: fault for name in found if (fault := _fault(found, name)) is not None}
        claimed = await self._store.change(lambda there: ledger.claim(there, self._limits, faults, self._now_ms()))
        if claimed is not None:
            self._counted_ms = None
            self._running = asyncio.create_task(self._run(claimed), name=f"retraining {claimed.id}")

    async def _run(self, request: Retraining) -> None:
        """Run a request to its end, and keep what came of it."""
        try:
            await self._as_job(request)
        except Exception:  # noqa: BLE001 - nobody waits for this task: it is logged, and the request has failed
            _log.exception("retraining %d", request.id)
            answer = {
                "challenger": None,
                "reason": f"internal error, the hub's log has it under retraining {request.id}",
            }
            await self._end(request, "failed", answer)
        finally:
            self._running = None

    async def _as_job(self, request: Retraining) -> None:
        tail = answers.Tail()
        parameters = {"series": request.series, "reason": request.reason, "request": request.id}
        variables = {SERIES: request.series, REASON: request.reason, REQUEST: str(request.id)}

        async def work(job: Job) -> dict[str, Any]:
            await self._store.change(lambda there: retrainings.change(there, request.id, job=job.id))
            return await self._training.run(job, parameters, variables, tail.add)

        try:
            self._training.require()
            job = await self._jobs.start(KIND, parameters, work, {TRAINING})
        except Conflict:  # another training began meanwhile, or the hub goes down
            await self._keep(lambda there: ledger.unclaim(there, request.id))
            return
        except DeployerError as error:
            await self._end(request, "failed", {"challenger": None, "reason": str(error)})
            return
        await job.ended.wait()
        printed = await asyncio.to_thread(tail.last_object)
        await self._end(request, *answers.of_job(job, printed))

    async def _end(self, request: Retraining, state: State, answer: dict[str, Any]) -> None:
        await self._keep(lambda there: ledger.end(there, request.id, state, answer, self._now_ms()))
        _log.info("retraining %d of %s: %s %s", request.id, request.series, state, answer["reason"])
        self._wake.set()  # others may wait

    async def _keep(self, statements: Callable[[Connection], Any]) -> None:
        """Keep how a request stands, however long the store does not answer."""
        while True:
            try:
                await self._store.change(statements)
            except ServiceUnavailable as error:
                _log.warning("how a retraining stands is not kept yet: %s", error)
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return

    def _row(self, name: str, stock: Stock, found: dict[str, Findings], past: Past, now: int) -> dict[str, Any]:
        """What is to be said of one series."""
        cause, last = self._due(name, found, past, now), past.last(name)
        # Without a cause: what an alarm that came now would be told.
        wish = Wish(name, cause or Cause("alarm", "", ""), _fault(found, name))
        reason = ledger.why_not(wish, past, stock, self._limits, now)
        until = past.cooldown_until_ms(name, self._limits)
        return {
            "series": name,
            "allowed": not reason,
            "why_not": reason,
            "due": cause.trigger if cause is not None else None,
            "reason": cause.reason if cause is not None else "",
            "last_started_ms": last.started_ms if last is not None else None,
            "cooldown_until_ms": until if until > now else None,
            "next_ms": causes.next_ms(self._settings, stock, last),
            "days": stock.days,
            "fresh_readings": stock.fresh,
        }

    def _past(self, there: Connection) -> Past:
        return Past.of(there, self._now_ms())

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)


def _fault(found: dict[str, Findings], series: str) -> Finding | None:
    return causes.fault(found[series].findings) if series in found else None
