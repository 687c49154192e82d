"""The models on the hub's disk, and which of them runs.

A version is one folder, which appears in whole or not at all (model_folder.py). `active.json` beside the folders says
which one runs, also after a restart. Nothing runs that has not been verified, and passed its golden vectors in the
runtime that it runs in, since this process started.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from deployers.exceptions import Conflict, DeployerError, InputError, NotFound, ServiceUnavailable
from deployers.hub.cells import chosen_runtime
from deployers.hub.model_folder import (
    IMAGE,
    Installable,
    ModelView,
    Notes,
    read_notes,
    sync_files,
    sync_folder,
    verified,
    write_json,
    write_notes,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from deployers.hub.model_folder import State
    from deployers.hub.serving import Model

_log = logging.getLogger(__name__)

ACTIVE, CHALLENGERS = "active.json", "challengers.json"
# Other versions than the active one that stay loaded for those who ask for them by name.
LOADED_MAX = 2

Done = TypeVar("Done")


@dataclass(frozen=True)
class Activated:
    """What a change of the running model did.

    Attributes:
        active: the version that runs now.
        before: the one that ran before, None if none did.
    """

    active: int
    before: int | None

    def as_dict(self) -> dict[str, int | None]:
        """Plain values for JSON."""
        return {"active": self.active, "before": self.before}


class Catalogue:
    """The models of one hub, for one event loop.

    Args:
        folder: where versions are.
        keys: folder with the public keys of who may sign images; read at each installation.
        runtime: what computes forecasts, see `cells.chosen_runtime`.
        keep: versions that stay beside the active one and its way back; beyond them the oldest go. At least two: a
            deployment installs a version and its way back before it activates either.
        clock: seconds since 1970.

    Attributes:
        active: the model that answers; replaced as a whole, by one that is ready to answer.
        active_since_ms: when it was activated, ms since 1970.
        damaged: folders that were passed over, by name, and why.
        prepare: called with a proven model before it becomes active, and awaited: to make its state of live series.
    """

    def __init__(
        self,
        folder: Path,
        keys: Path,
        runtime: str = "auto",
        keep: int = 4,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.active: Model | None = None
        self.active_since_ms: int | None = None
        self.damaged: dict[str, str] = {}
        self.prepare: Callable[[Model], Awaitable[None]] | None = None
        self._folder, self._keys, self._keep, self._clock = folder, keys, keep, clock
        self._wanted_runtime, self._runtime = runtime, ""
        self._known: dict[int, tuple[Installable, Notes]] = {}
        self._loaded: OrderedDict[int, Model] = OrderedDict()
        self._changing, self._loading = asyncio.Lock(), asyncio.Lock()
        self._thread: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Read what is there, and run again what ran before. Damaged folders are passed over, logged and listed.

        Raises:
            InputError, MissingTool: the runtime.
            ServiceUnavailable: the folder cannot be made or read.
        """
        self._runtime = chosen_runtime(self._wanted_runtime)
        self._thread = self._thread or ThreadPoolExecutor(1, "catalogue")
        found = await self._run(self._scan)
        if found is not None:
            version, since_ms = found
            try:
                self.active = await self._run(self._load, version)
                self.active_since_ms = since_ms
            except DeployerError as error:
                self._pass_over(str(version), f"it was active and does not run: {error}")

    async def close(self) -> None:
        """Let go of the thread; the active model stays for those who are still answered."""
        if self._thread is not None:
            await asyncio.to_thread(self._thread.shutdown)
            self._thread = None

    def models(self) -> list[ModelView]:
        """Every version, the newest first."""
        known = sorted(self._known.items(), reverse=True)
        return [self._view(version, installed, notes) for version, (installed, notes) in known]

    def view(self, version: int) -> ModelView:
        """One version.

        Raises:
            NotFound: it is not installed.
        """
        installed, notes = self._entry(version)
        return self._view(version, installed, notes)

    def way_back_of(self, version: int) -> int | None:
        """The version to activate if this one fails, None if there is none."""
        found = [other for other, (_, notes) in self._known.items() if notes.way_back_for == version]
        return max(found, default=None)

    def ran_before(self, version: int) -> int | None:
        """The version that was activated last, but for this one; None if there is none."""
        others = [(notes.activated_ms, other) for other, (_, notes) in self._known.items() if other != version]
        return max(((at, other) for at, other in others if at is not None), default=(0, None))[1]

    def image(self, version: int) -> bytes:
        """The signed image of a version, as boards take it.

        Raises:
            NotFound: it is not installed.
            ServiceUnavailable: its file is not there any more, or not as it was.
        """
        return self._entry(version)[0].image()

    def installed(self, version: int) -> Installable:
        """What a version was verified to be.

        Raises:
            NotFound: it is not installed.
        """
        return self._entry(version)[0]

    async def model(self, version: int) -> Model:
        """A version to ask, loaded if it is not.

        Raises:
            NotFound: it is not installed.
            GateFailed: it is not what it was when it was installed.
        """
        if self.active is not None and self.active.version == version:
            return self.active
        self._entry(version)
        async with self._loading:  # many may ask for one at once, which is loaded once
            if version not in self._loaded:
                self._loaded[version] = await self._run(self._load, version)
            self._loaded.move_to_end(version)
            while len(self._loaded) > LOADED_MAX:
                self._loaded.popitem(last=False)
            return self._loaded[version]

    async def proven(self, version: int) -> Model:
        """Another instance of a version, verified now: for who carries states of its own in it.

        Raises:
            NotFound, GateFailed: as `model`.
        """
        self._entry(version)
        return await self._run(self._load, version)

    async def install(self, folder: Path, way_back_for: int | None = None) -> ModelView:
        """Verify a folder and move it in. The same image again changes nothing; its folder is removed.

        Args:
            folder: a conversion with model.img, on the same file system.
            way_back_for: the version that this one is the way back for.

        Raises:
            GateFailed: it is refused, and stays where it is; the message names the file, the key or the vector.
            Conflict: another image of this version is installed.
            ServiceUnavailable: the disk does not take it.
        """
        async with self._changing:
            return await self._run(self._install, folder, way_back_for)

    async def activate(self, version: int) -> Activated:
        """Have a version answer from now on; the one before answers until this one is ready.

        Raises:
            NotFound: it is not installed.
            GateFailed: it does not pass its golden vectors, and is marked as failed; nothing else changes.
            ServiceUnavailable: the disk does not take it, or the state of live series cannot be read.
        """
        async with self._changing:
            before = None if self.active is None else self.active.version
            if before == version:
                return Activated(version, before)
            self._entry(version)
            try:
                model = await self._run(self._load, version)
            except DeployerError as error:
                await self._run(self._note, version, {"failed": str(error)})
                raise
            if self.prepare is not None:
                await self.prepare(model)
            now = int(self._clock() * 1000)
            await self._run(self._persist, version, now)
            self._loaded.pop(version, None)
            self.active, self.active_since_ms = model, now
            return Activated(version, before)

    async def _run(self, work: Callable[..., Done], *arguments: Any) -> Done:
        if self._thread is None:
            msg = "the catalogue of models is closed, expected a hub that runs: start it"
            raise ServiceUnavailable(msg)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _entry(self, version: int) -> tuple[Installable, Notes]:
        try:
            return self._known[version]
        except KeyError:
            known = ", ".join(str(each) for each in sorted(self._known)) or "none"
            msg = f"version {version!r} is not installed, expected one of {known}: install it, or give another"
            raise NotFound(msg) from None

    def _view(self, version: int, installed: Installable, notes: Notes) -> ModelView:
        return installed.view(notes, self._state(version, notes), self._runtime)

    def _state(self, version: int, notes: Notes) -> State:
        if self.active is not None and self.active.version == version:
            return "active"
        if notes.failed is not None:
            return "failed"
        return "installed" if notes.activated_ms is None else "retired"

    def _pass_over(self, name: str, reason: str) -> None:
        self.damaged[name] = reason
        _log.error("model %s is passed over: %s", name, reason)

    # What follows runs in the catalogue's thread.

    def _scan(self) -> tuple[int, int] | None:
        """Read every folder; the version that was active and since when."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            names = sorted(path.name for path in self._folder.iterdir())
        except OSError as error:
            msg = f"models folder {str(self._folder)!r} cannot be read ({error.strerror}): check its permissions"
            raise ServiceUnavailable(msg) from None
        for name in names:
            if name.startswith("."):  # what a removal or a copy left when it was killed
                shutil.rmtree(self._folder / name, ignore_errors=True)
            elif name not in {ACTIVE, CHALLENGERS}:
                self._read(name)
        return self._read_active()

    def _read(self, name: str) -> None:
        path = self._folder / name
        try:
            found = verified(path, self._keys)
            if str(found.parts.version) != name:
                self._pass_over(name, f"its image has version {found.parts.version!r}, expected {name!r}")
                return
            self._put(found, read_notes(path, found.image_sha256))
        except DeployerError as error:
            self._pass_over(name, str(error))

    def _read_active(self) -> tuple[int, int] | None:
        path = self._folder / ACTIVE
        if not path.exists():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            version, since_ms = int(found["version"]), int(found["since_ms"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            self._pass_over(ACTIVE, f"it does not say which version runs ({error!r}): activate one")
            return None
        if version not in self._known:
            self._pass_over(str(version), self.damaged.get(str(version), "it was active, and is not there any more"))
            return None
        return version, since_ms

    def _load(self, version: int) -> Model:
        """A version as it is on the disk now."""
        installed, _ = self._entry(version)
        fresh = verified(installed.folder, self._keys)
        if fresh.image_sha256 != installed.image_sha256:
            msg = f"{IMAGE} of version {version!r} is not the one that was installed: install it again"
            raise Conflict(msg)
        return fresh.load(self._runtime)

    def _install(self, folder: Path, way_back_for: int | None) -> ModelView:
        found = verified(folder, self._keys)
        version = found.parts.version
        if way_back_for is not None and not 0 < way_back_for < version:
            msg = f"version {version!r} as way back for {way_back_for!r}: expected a version before it, give that"
            raise InputError(msg)
        if version in self._known:
            return self._again(found, way_back_for)
        found.load(self._runtime)
        notes = Notes(found.image_sha256, int(self._clock() * 1000), way_back_for=way_back_for)
        target = self._folder / str(version)
        self._move(found, notes, target)
        self._put(replace(found, folder=target), notes)
        self.damaged.pop(str(version), None)
        self._prune(version)
        return self.view(version)

    def _again(self, found: Installable, way_back_for: int | None) -> ModelView:
        version = found.parts.version
        installed, notes = self._known[version]
        if installed.image_sha256 != found.image_sha256:
            there, given = installed.image_sha256[:16], found.image_sha256[:16]
            msg = f"version {version!r} is installed with image {there}…, this one is {given}…: sign a higher version"
            raise Conflict(msg)
        if way_back_for is not None and notes.way_back_for != way_back_for:
            self._note(version, {"way_back_for": way_back_for})
        shutil.rmtree(found.folder, ignore_errors=True)
        return self.view(version)

    def _move(self, found: Installable, notes: Notes, target: Path) -> None:
        """By one rename of a folder whose files the disk has: it is there as it was verified, or not at all."""
        try:
            write_notes(found.folder, notes)
            sync_files(found.folder)
            if target.exists():  # a damaged folder of this version: it was passed over, and never runs
                aside = self._folder / f".{target.name}.damaged"
                shutil.rmtree(aside, ignore_errors=True)
                target.rename(aside)
                shutil.rmtree(aside, ignore_errors=True)
            found.folder.rename(target)
            sync_folder(self._folder)
        except OSError as error:
            msg = f"version {found.parts.version!r} cannot be installed ({error.strerror}): check space and permissions"
            raise ServiceUnavailable(msg) from None

    def _note(self, version: int, changes: dict[str, Any]) -> None:
        installed, notes = self._known[version]
        changed = replace(notes, **changes)
        write_notes(installed.folder, changed)
        self._put(installed, changed)

    def _persist(self, version: int, now_ms: int) -> None:
        self._note(version, {"activated_ms": now_ms, "failed": None})
        write_json(self._folder / ACTIVE, {"version": version, "since_ms": now_ms})

    def _put(self, installed: Installable, notes: Notes) -> None:
        """By another dictionary in place of this one, which the event loop may be going through."""
        self._known = {**self._known, installed.parts.version: (installed, notes)}

    def _prune(self, newest: int) -> None:
        """Remove the oldest versions beyond `keep`."""
        kept = set[int]()
        if self.active is not None:
            kept |= {self.active.version, self.way_back_of(self.active.version) or 0}
        beside = [version for version in sorted(self._known) if version not in kept]
        surplus = [version for version in beside[: max(0, len(beside) - self._keep)] if version != newest]
        folders = [self._known[version][0].folder for version in surplus]
        self._known = {version: entry for version, entry in self._known.items() if version not in surplus}
        for folder in folders:
            gone = folder.with_name(f".{folder.name}.gone")
            with suppress(OSError):  # it is not listed any more; a folder that stays is found again at the next start
                folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
