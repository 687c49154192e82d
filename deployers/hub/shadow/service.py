"""Which challengers run, what their days say, and what becomes of them.

What a challenger is stands in the store, and which ones run in `challengers.json` beside the folders of models, so that
they run again after a restart. Once a minute the days that are over are compared; a verdict is kept before anything is
done about it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deployers.exceptions import Conflict, DeployerError, NotFound, ServiceUnavailable
from deployers.hub.catalogue import CHALLENGERS
from deployers.hub.deploying import start_deployment
from deployers.hub.model_folder import write_json
from deployers.hub.shadow import told
from deployers.hub.shadow.beside import Beside
from deployers.hub.shadow.carrying import Wanted
from deployers.hub.shadow.challenge import Challenge, State
from deployers.hub.shadow.comparing import compared
from deployers.hub.store.records import SHADOW
from deployers.hub.turns import attempted, woken

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deployers.hub.catalogue import Catalogue
    from deployers.hub.jobs import Job, Jobs
    from deployers.hub.live import Live
    from deployers.hub.metrics import Metrics
    from deployers.hub.rollout import Rollout
    from deployers.hub.settings import Settings
    from deployers.hub.shadow.carrying import Carrying
    from deployers.hub.store import Store

_log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
# Days are read from so many before the last ones that were compared: a series may be behind others.
BEHIND_DAYS = 3
SHOWN_MOST = 20


class Shadows:
    """The challengers of a hub.

    Args:
        settings: how many there may be, what they may cost, and when one is better.
        store: keeps them, and has the days.
        catalogue: has their models.
        live: steps them behind the active model.
        jobs, rollout: promote.
        metrics: counts their forecasts.
        carrying: has boards carry them, too; None where they do not.
        clock: seconds since 1970.
    """

    def __init__(  # noqa: PLR0913 - the parts of a hub that it touches
        self,
        settings: Settings,
        store: Store,
        catalogue: Catalogue,
        live: Live,
        *,
        jobs: Jobs,
        rollout: Rollout,
        metrics: Metrics,
        carrying: Carrying | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rules, self._is_watched = settings.shadow, settings.monitor.enabled
        self._path: Path = settings.path(settings.models.folder) / CHALLENGERS
        self._store, self._catalogue, self._live = store, catalogue, live
        self._jobs, self._rollout, self._carrying, self._clock = jobs, rollout, carrying, clock
        self._known: dict[int, Challenge] = {}
        self._held_up: dict[int, str] = {}  # promotions that wait, and for what
        self._wake, self._changing = asyncio.Event(), asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        kept: Callable[[float], None] = metrics.forecasts.labels(SHADOW).inc
        self.beside = Beside(store, self._rules.cost_most, kept, self._wake.set)

    async def start(self) -> None:
        """Run again those that ran.

        Raises:
            ServiceUnavailable: the store does not answer, or the disk.
        """
        if self._task is not None:
            return
        listed = await asyncio.to_thread(self._listed)
        self._known = {each.version: told.challenge_of(each) for each in await self._store.challenges()}
        async with self._changing:
            for challenge in [each for each in self._known.values() if each.is_open]:
                if challenge.version in listed:
                    await self._run_again(challenge)
                else:
                    await self._end(challenge, "it was ended before the hub was")
        self._live.beside = self.beside
        self._task = asyncio.create_task(self._forever(), name="challengers")
        if self._carrying is not None:
            self._carrying.start(self._in_order)

    async def stop(self) -> None:
        """Finish the turn under way; those that run will run again."""
        task, self._task = self._task, None
        self._live.beside = None
        if self._carrying is not None:
            await self._carrying.stop()
        if task is not None:
            async with self._changing:
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self.beside.stop()

    async def begin(self, version: int) -> dict[str, Any]:
        """Have a version forecast beside the active one; nothing changes if it does already.

        Raises:
            NotFound: it is not installed.
            Conflict: it is active, there is none to compare it with, too many run, or nothing would be compared.
            GateFailed: it does not pass its golden vectors.
            ServiceUnavailable: the store or the disk does not take it.
        """
        async with self._changing:
            view = self._catalogue.view(version)
            if version in self.beside.running and self._known[version].is_open:
                return self._row(self._known[version])
            champion = self._require_champion(version, view.cadence_seconds)
            model = await self._catalogue.proven(version)
            challenge = await self._new(version, champion)
            if self._carrying is not None:
                await self._carrying.forget(version)
            await self._keep(challenge)
            self.beside.add(model)
            await self._list()
            self._visit_boards()
            return self._row(challenge)

    async def end(self, version: int) -> dict[str, Any]:
        """Have a challenger forecast no more.

        Raises:
            NotFound: it is none.
            ServiceUnavailable: as `begin`.
        """
        async with self._changing:
            challenge = self._known.get(version)
            if challenge is None or not challenge.is_open:
                running = ", ".join(str(each.version) for each in self._known.values() if each.is_open) or "none"
                msg = f"version {version!r} is no challenger now, expected one of {running}: see GET /shadow"
                raise NotFound(msg)
            await self._end(challenge, "it was ended by a person")
            return self._row(self._known[version])

    def view(self) -> dict[str, Any]:
        """The last challengers, those that run first, and the rules that they are judged by."""
        known = sorted(self._known.values(), key=lambda each: (not each.is_open, -each.since_ms, -each.version))
        return {
            "challengers": [self._row(each) for each in known[:SHOWN_MOST]],
            "rules": self._rules.model_dump(),
        }

    async def turn(self) -> None:
        """Look at every challenger once.

        Raises:
            ServiceUnavailable: the store does not answer; nothing is lost.
        """
        async with self._changing:
            for challenge in [each for each in self._known.values() if each.is_open]:
                await self._look(challenge)

    async def _forever(self) -> None:
        while True:
            # First of all: boards that a promotion is for need a moment to connect after a start.
            await woken(self._wake, EVERY_SECONDS)
            await attempted(self.turn, "who judges challengers")

    async def _look(self, challenge: Challenge) -> None:
        why, active = self._why_ended(challenge.version), self._catalogue.active
        if not challenge.promotion and (job := self._begun(challenge)) is not None:
            challenge = replace(challenge, promotion=job.id)
            await self._keep(challenge)
        if challenge.promotion:
            await self._follow_promotion(challenge)
        elif why:
            await self._end(challenge, why)
        elif active is None:
            return
        elif active.version == challenge.version:
            state: State = "better" if challenge.state == "better" else "ended"
            await self._end(challenge, "; ".join(filter(None, (challenge.reason, "it is active now"))), state)
        elif active.cadence_ms != self._cadence_ms(challenge.version):
            await self._end(challenge, f"version {active.version} became active, which steps at another pace")
        elif active.version != challenge.champion:
            reason = f"compared with version {active.version} from the beginning, which took the champion's place"
            await self._keep(replace(await self._new(challenge.version, active.version), reason=reason))
        else:
            await self._judge(challenge)

    async def _judge(self, challenge: Challenge) -> None:
        since = min((each.day for each in challenge.days[-2 * BEHIND_DAYS :]), default=0) - BEHIND_DAYS
        rows = await self._store.challenge_days(challenge.champion, challenge.version, since)
        pace = self._cadence_ms(challenge.version)
        over = await asyncio.to_thread(compared, rows, challenge.champion, challenge.version, pace)
        judged = challenge.judged(over, self._rules)
        if judged.state in {"worse", "undecided"}:
            await self._end(judged, judged.reason, judged.state)
        elif judged != challenge:
            await self._keep(judged)
        if judged.state == "better" and self._rules.promote == "automatic":
            await self._promote(judged)

    async def _promote(self, challenge: Challenge) -> None:
        try:
            job = await start_deployment(
                self._jobs, self._rollout, challenge.version, challenger_since_ms=challenge.since_ms
            )
        except DeployerError as error:
            _log.warning("the promotion of version %d waits: %s", challenge.version, error)
            self._held_up[challenge.version] = str(error)
            return
        await self._keep(replace(challenge, promotion=job.id))

    def _begun(self, challenge: Challenge) -> Job | None:
        """The job of its promotion, also where the hub ended between the job's beginning and the note about it."""
        wanted = {"version": challenge.version, "challenger_since_ms": challenge.since_ms}
        return next((job for job in self._jobs.list() if wanted.items() <= job.about.items()), None)

    async def _follow_promotion(self, challenge: Challenge) -> None:
        """What became of the job; it is never begun again."""
        job = next((job for job in self._jobs.list() if job.id == challenge.promotion), None)
        if job is not None and job.state == "running":
            return
        active = self._catalogue.active
        detail = job.error["detail"] if job is not None and job.error else "done"
        said = f"{challenge.reason}; promoted by job {challenge.promotion}: {detail}"
        is_active = active is not None and active.version == challenge.version
        await self._end(challenge, said, "better" if is_active else "ended")

    def _why_ended(self, version: int) -> str:
        """Why it can be no challenger any more; nothing if it can."""
        running = self.beside.running.get(version)
        if running is None or running.failure:
            return running.failure if running is not None else "it does not run"
        try:
            view = self._catalogue.view(version)
        except NotFound:
            return "it was removed from the hub"
        if view.state == "failed":
            return f"it failed: {view.reason}"
        return self._carrying.disagreement(version) if self._carrying is not None else ""

    def _require_champion(self, version: int, cadence_seconds: int) -> int:
        active = self._catalogue.active
        if not self._is_watched:
            msg = "monitor.enabled is false, expected true for a challenger: its errors would not be measured"
            raise Conflict(msg)
        if active is None or active.version == version:
            which = "no version is active" if active is None else f"version {version!r} is active itself"
            msg = f"{which}, expected another active one to compare the challenger with: activate one"
            raise Conflict(msg)
        if cadence_seconds * 1000 != active.cadence_ms:
            given, there = cadence_seconds, active.cadence_ms // 1000
            msg = f"version {version!r} steps every {given} s, expected {there} s as the active one: train it on that"
            raise Conflict(msg)
        running = sorted(self.beside.running)
        if len(running) >= self._rules.at_most:
            msg = f"challengers are {running!r}, expected fewer than {self._rules.at_most}: end one first"
            raise Conflict(msg)
        return active.version

    async def _new(self, version: int, champion: int) -> Challenge:
        """Days that there are already say nothing in a comparison that begins now."""
        rows = await self._store.challenge_days(champion, version, 0)
        passed = frozenset(sums.day for _, sums in rows if sums.source == SHADOW)
        return Challenge(version, champion, int(self._clock() * 1000), passed=passed)

    async def _run_again(self, challenge: Challenge) -> None:
        try:
            self.beside.add(await self._catalogue.proven(challenge.version))
        except DeployerError as error:
            if isinstance(error, ServiceUnavailable):
                raise
            await self._end(challenge, f"it did not run after a restart: {error}")

    def _cadence_ms(self, version: int) -> int:
        return self._catalogue.view(version).cadence_seconds * 1000

    async def _end(self, challenge: Challenge, reason: str, state: State = "ended") -> None:
        ended = replace(challenge, state=state, reason=reason, ended_ms=int(self._clock() * 1000))
        _log.info("challenger %d is %s: %s", challenge.version, ended.state, reason)
        self.beside.remove(challenge.version)
        await self._list()
        await self._keep(ended)
        self._visit_boards()

    async def _keep(self, challenge: Challenge) -> None:
        await self._store.keep_challenge(told.stored(challenge, self._rules.margin))
        self._known[challenge.version] = challenge

    def _in_order(self) -> list[Wanted]:
        """Those that run, the one that began first at the front."""
        found = [Wanted(each.version, each.since_ms) for each in self._known.values() if each.is_open]
        return sorted(found, key=lambda each: (each.since_ms, each.version))

    def _visit_boards(self) -> None:
        if self._carrying is not None:
            self._carrying.wake()

    def _row(self, challenge: Challenge) -> dict[str, Any]:
        running = self.beside.running.get(challenge.version)
        held_up = self._held_up.get(challenge.version, "")
        boards = self._carrying.rows(challenge.version) if self._carrying is not None and challenge.is_open else []
        return told.row(challenge, running, self._rules, self._live.figures(), held_up, boards=boards)

    def _listed(self) -> set[int]:
        try:
            found = json.loads(self._path.read_bytes())
            return {int(each) for each in found["versions"]}
        except FileNotFoundError:
            return set()
        except (ValueError, KeyError, TypeError) as error:
            _log.error("%s does not say which challengers run (%r): none does", self._path, error)
            return set()

    async def _list(self) -> None:
        await asyncio.to_thread(write_json, self._path, {"versions": sorted(self.beside.running)})
