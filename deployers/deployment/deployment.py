"""A deployment from its beginning to its end; the same command again goes on where one was cut off."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from typing import TYPE_CHECKING, Any

from deployers import tags
from deployers.deployment import conversions, report, telling
from deployers.deployment.carry import Carrier
from deployers.deployment.halting import is_stopped
from deployers.deployment.lease import renewed
from deployers.deployment.plan import image_file, ran_before
from deployers.deployment.preparing import PLANNED, RELEASE, keep_used, prepare
from deployers.deployment.rollout import DONE, ROLLED_BACK, Rollout
from deployers.deployment.waves import Device
from deployers.exceptions import DeployerError, InputError, ServiceUnavailable
from deployers.journal import deployment_lock
from deployers.plan import HERE
from deployers.protocol.signature import load_private_key, public_point
from deployers.protocol.tlv import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from deployers.deployment.preparing import Around, Prepared, Request
    from deployers.deployment.rollout import DeviceReport
    from deployers.deployment.watching import Watcher
    from deployers.journal import Journal

OUTAGE = ServiceUnavailable.exit_code  # what is cut off by one goes on with the next command
KEPT = "kept"


def deploy(request: Request, around: Around, watcher: Watcher) -> report.Report:
    """Deploy.

    Args:
        request: what was asked for.
        around: everything outside.
        watcher: told of the progress.

    Returns:
        How each device came out; devices that failed are in it, and raise nothing.

    Raises:
        DeploymentRunning: another one runs, here or on a Jetson.
        DeployerError: what came before any device was begun: release, key, conversion, signature.
    """
    began = time.monotonic()
    with deployment_lock(around.home):
        prepared = prepare(request, around, watcher)
        try:
            return _Deployment(request, around, watcher, prepared, began).run()
        finally:
            prepared.close()


class _Deployment:
    """One deployment under way."""

    def __init__(self, request: Request, around: Around, watcher: Watcher, prepared: Prepared, began: float) -> None:
        assert prepared.journal is not None  # noqa: S101 - only a preview has none
        self._request, self._around, self._watcher = request, around, watcher
        self._prepared, self._plan, self._began = prepared, prepared.plan, began
        self._journal: Journal = prepared.journal
        self._carrier = Carrier(prepared.connectors, around.here, prepared.journal, watcher)
        self._converted: dict[str, Any] | None = None

    def run(self) -> report.Report:
        """All of it; the journal is closed unless something was out of reach."""
        self._journal.write(PLANNED, image_version=self._plan.version, ways=dict(self._plan.ways))
        try:
            with self._renewed():
                self._make()
                rollout = Rollout(
                    self._plan, self._carrier, self._watcher, self._request.limits, self._prepared.broken,
                    lambda: is_stopped(self._around.home),
                )  # fmt: skip
                devices = rollout.run(self._prepared.waves)
        except DeployerError as error:
            self._end(error.exit_code, str(error))
            raise
        except BaseException:
            self._journal.release()
            raise
        places = self._places(devices, rollout)
        mlflow = telling.tell(self._around.home, places, self._journal, self._around.tell, self._watcher)
        found = self._report(tuple(devices), rollout, mlflow)
        self._end(found.exit_code, found.error, found)
        return found

    def _renewed(self) -> AbstractContextManager[None]:
        """The locks of those Jetsons that are changed, kept fresh."""
        targets = [self._prepared.targets[name] for name in self._plan.closing]
        return renewed(targets, self._prepared.shop, self._prepared.connectors, self._journal)

    def _make(self) -> None:
        """Convert, check and sign."""
        for plan in self._plan.making:
            if plan.jetson == HERE and plan.steps[-1].name.startswith("sign"):
                self._adopt()
                self._carrier.carry(plan)
                self._remember()
            else:
                where = self._carrier.carry(plan)
                if "convert" in where:
                    self._converted = {"where": plan.jetson}

    def _adopt(self) -> None:
        """Check what was converted or fetched, and keep it."""
        shop, wanted = self._prepared.shop, self._prepared.wanted
        fresh = shop.unchecked(wanted.key)
        if fresh.is_dir():
            conversions.require_of_release(fresh, shop.folder / RELEASE, wanted.release_sha256)
            conversions.adopt(fresh, shop.home, wanted.key)
        kept = shop.conversion(wanted.key)
        if kept.is_dir():
            conversions.label(kept, wanted.model, wanted.version)
            self._converted = {**(self._converted or {"where": KEPT}), **_fidelity(kept)}
        for back in self._plan.previous:
            fetched = shop.unchecked(back.key)
            if fetched.is_dir():
                conversions.require_own(fetched, _public(shop.key), back.model.image_sha256)
                conversions.adopt(fetched, shop.home, back.key)

    def _remember(self) -> None:
        """Of which conversions the images were made."""
        shop = self._prepared.shop
        made = {self._plan.version: self._prepared.wanted.key, **{b.version: b.key for b in self._plan.previous}}
        for version, key in made.items():
            path = image_file(shop, version)
            if path.is_file():
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                conversions.remember(shop.home, digest, key)
                self._journal.write("signed", image_version=version, image_sha256=digest, conversion=key)
                keep_used(shop.home, version)

    def _places(self, devices: Sequence[DeviceReport], rollout: Rollout) -> list[telling.Place]:
        """Hubs and boards that run what was wanted, also those that did before."""
        clock, found = self._around.clock(), list[telling.Place]()
        for name, target in self._prepared.targets.items():
            there, version = target.there, self._plan.versions[name]
            already = there.active == version
            if (already or name in rollout.activated) and name not in rollout.rolled_back:
                since = telling.since(there.active_since_ms if already else None, clock)
                found.append(telling.Place(Device(name), there.model_of(there.active), self._running(name), since))
            gone = already and rollout.rolled_back.get(name) == ROLLED_BACK  # MLflow knows of it from the run before
            if gone and (back := there.model_of(ran_before(there))) is not None:
                now = telling.running(back)
                found.append(telling.Place(Device(name), there.model_of(version), now, telling.stamp(clock)))
        for each in devices:
            name = each.device.jetson
            if each.device.board and each.state in DONE:
                there = self._prepared.targets[name].there
                board, running = there.board(each.device.board), self._running(name)
                already = board.confirmed == running.image_version
                since = telling.since(board.since_ms if already else None, clock)
                found.append(telling.Place(each.device, there.model_of(board.confirmed), running, since))
        return found

    def _running(self, jetson: str) -> tags.Running:
        """What runs on a Jetson now."""
        wanted, version = self._prepared.wanted, self._plan.versions[jetson]
        path, there = image_file(self._prepared.shop, version), self._prepared.targets[jetson].there.model_of(version)
        digest = (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else there.image_sha256 if there else ""
        )
        return tags.Running(wanted.model, wanted.version, version, digest)

    def _report(self, devices: tuple[DeviceReport, ...], rollout: Rollout, mlflow: str) -> report.Report:
        first = [{"name": name, "where": HERE, "seconds": taken} for name, taken in self._prepared.seconds.items()]
        return report.Report(
            deployment=self._journal.identity,
            wanted=self._prepared.wanted,
            devices=devices,
            version=self._plan.version,
            ways_back=tuple(sorted({each.version for each in self._plan.previous})),
            converted=self._converted,
            hubs=rollout.rolled_back,
            stages=(*first, *self._carrier.stages),
            seconds=time.monotonic() - self._began,
            mlflow=mlflow,
            journal=str(self._journal.path),
        )

    def _end(self, code: int, error: str, found: report.Report | None = None) -> None:
        """Let the Jetsons go and close the journal; after an outage both stay, so that the next command goes on."""
        if code == OUTAGE:
            self._journal.write("cut off", error=error)
            self._journal.release()
            return
        self._carrier.release(self._plan.closing.values())
        result = found.result if found else report.FAILED
        self._journal.close(result, exit_code=code, error=error, report=found.as_dict() if found else None)
        shutil.rmtree(self._prepared.shop.folder, ignore_errors=True)


def _public(key: Path) -> bytes:
    try:
        return public_point(load_private_key(key))
    except ImageError as error:
        raise InputError(str(error)) from None


def _fidelity(folder: Path) -> dict[str, Any]:
    """What the report of a conversion says of the type that is deployed."""
    figures = json.loads((folder / "fidelity.json").read_text(encoding="utf-8"))
    chosen = figures["chosen"]
    return {"chosen": chosen, "mae_growth": figures["types"][chosen].get("mae_growth")}
