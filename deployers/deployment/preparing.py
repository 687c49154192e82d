"""What a deployment starts with: the release, what is there, and the plan; nothing is changed anywhere."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from deployers.connectors.local import LocalConnector
from deployers.deployment import conversions
from deployers.deployment.halting import require_going
from deployers.deployment.looking import look
from deployers.deployment.places import Target, Workshop
from deployers.deployment.plan import DeploymentPlan, Numbers, Patience, deployment_plan
from deployers.deployment.quarantine import require_free
from deployers.deployment.rollout import Limits, gravest_error
from deployers.deployment.wanted import Wanted
from deployers.deployment.waves import DEFAULT, Wave, parse_waves, waves_of
from deployers.exceptions import InputError
from deployers.journal import Journal, read_entries, unfinished
from deployers.protocol.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from deployers.connectors.base import Connector
    from deployers.deployment.looking import Reach, Seen
    from deployers.deployment.selection import Selected
    from deployers.deployment.watching import Watcher
    from deployers.exceptions import DeployerError
    from deployers.registry import FetchedRelease

Result = TypeVar("Result")
KIND = "deploy"
JOURNAL, WORK, FRESH, RELEASE = "journal", "work", ".new", "release"
OWNER, USED = "owner", "used"
OPENED, PLANNED = "opened", "planned"
PREVIEW = "DEPLOYMENT"  # in a plan that is only printed


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        options: of `convert`, see `options_of`.
        waves: see `parse_waves`.
        limits: bound and width of the rollout.
        patience: how long boards are waited for.
        shadow: hubs take it as a challenger beside what runs; boards are left alone.
    """

    options: tuple[str, ...]
    waves: tuple[str, ...] = parse_waves(DEFAULT)
    limits: Limits = field(default_factory=Limits)
    patience: Patience = field(default_factory=Patience)
    shadow: bool = False


@dataclass(frozen=True)
class Around:
    """Everything outside: tests put others in its place.

    Attributes:
        home: the deployer's folder.
        chosen: Jetsons and boards.
        key: the signing key's file, none if the inventory has none.
        reach: how Jetsons are reached.
        fetch: puts the release into a folder and verifies it.
        tell: tells MLflow what is pending in the home; raises ServiceUnavailable where it cannot.
        here: this machine.
        clock: seconds since 1970.
        python: of this machine.
    """

    home: Path
    chosen: tuple[Selected, ...]
    key: Path | None
    reach: Reach
    fetch: Callable[[Path], FetchedRelease]
    tell: Callable[[Path], int]
    here: Connector = field(default_factory=LocalConnector)
    clock: Callable[[], float] = time.time
    python: str = sys.executable


@dataclass(frozen=True)
class Prepared:
    """All that is known before anything is changed."""

    wanted: Wanted
    seen: Sequence[Seen]
    plan: DeploymentPlan
    waves: Sequence[Wave]
    shop: Workshop
    journal: Journal | None
    seconds: Mapping[str, float]

    @property
    def targets(self) -> dict[str, Target]:
        """Jetsons that answered, by name."""
        return {each.target.name: each.target for each in self.seen if each.target is not None}

    @property
    def connectors(self) -> dict[str, Connector]:
        """Of all Jetsons, by name."""
        return {each.chosen.jetson.name: each.connector for each in self.seen}

    @property
    def broken(self) -> dict[str, DeployerError]:
        """Jetsons that did not answer, with the reason."""
        return {each.chosen.jetson.name: each.error for each in self.seen if each.error is not None}

    def close(self) -> None:
        """End the connections."""
        for each in self.seen:
            each.connector.close()


def prepare(request: Request, around: Around, watcher: Watcher, *, preview: bool = False) -> Prepared:
    """Fetch the release and ask the Jetsons, both at once, and make the plan.

    Args:
        request: what was asked for.
        around: everything outside.
        watcher: told of the progress.
        preview: make no journal: nothing will be done.

    Raises:
        Conflict: there is an emergency stop.
        GateFailed: the release is in quarantine.
        DeployerError: no release, no key, or the first Jetson's error where more fail than may.
    """
    key = require_key(around.key)
    if not preview:
        require_going(around.home)
    if request.shadow:
        around = replace(around, chosen=tuple(replace(each, boards=()) for each in around.chosen))
    seconds = dict[str, float]()
    fresh = around.home / WORK / (f"{FRESH}-{os.getpid()}" if preview else FRESH)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    with ThreadPoolExecutor(1, "fetch") as pool:
        watcher.begin("MLflow", "fetch the release", None)
        fetching = pool.submit(_timed, seconds, "fetch the release", lambda: around.fetch(fresh))
        seen = _timed(seconds, "ask the Jetsons", lambda: look(around.chosen, around.reach, watcher.begin))
    with _closing(seen):
        release = fetching.result()
        watcher.end("MLflow", release.name)
        _require_enough(seen, request.limits)
        wanted = Wanted(str(release.facts["release_sha256"]), release.model, release.version, request.options)
        require_free(around.home, wanted.model, wanted.version, wanted.release_sha256)
        return _planned(request, around, wanted, (release, fresh), seen, key, seconds, preview=preview)


def _planned(  # noqa: PLR0913, PLR0917 - what was found out so far
    request: Request,
    around: Around,
    wanted: Wanted,
    release: tuple[FetchedRelease, Path],
    seen: list[Seen],
    key: Path,
    seconds: Mapping[str, float],
    *,
    preview: bool,
) -> Prepared:
    journal, numbers = (None, left_off(around, wanted)) if preview else opened(around, wanted)
    identity = journal.identity if journal else PREVIEW
    targets = [each.target for each in seen if each.target is not None]
    ran = _ran(around.home, targets)
    kept = conversions.kept(around.home)
    shop = Workshop(around.home, identity, around.python, key, kept, ran, owner(around.home), who(), used(around.home))
    found, fresh = release
    if not preview:
        _move(found.path, shop.folder / RELEASE)
    shutil.rmtree(fresh, ignore_errors=True)
    plan = deployment_plan(wanted, targets, shop, pinned=numbers, patience=request.patience, shadow=request.shadow)
    devices = [device for each in seen for device in each.chosen.devices]
    canaries = [device for each in seen for device in each.chosen.canaries]
    waves = waves_of(request.waves, devices, canaries)
    return Prepared(wanted, seen, plan, waves, shop, journal, seconds)


def require_key(key: Path | None) -> Path:
    """The signing key's file.

    Raises:
        InputError: the inventory names none.
    """
    if key is None:
        advice = 'python -m deployers image keygen keys/signing.key, and write signing_key = "keys/signing.key"'
        msg = f"the inventory has signing_key {key!r}, expected the file of a private key: {advice}, then run setup"
        raise InputError(msg)
    return key


def opened(around: Around, wanted: Wanted) -> tuple[Journal, Numbers]:
    """The journal of an unfinished deployment of the same, with its versions; or a new one."""
    folder = around.home / JOURNAL
    path = unfinished(folder, KIND)
    if path is not None:
        if _is_of(path, wanted):
            journal = Journal(path, around.clock)
            journal.write("resumed")
            return journal, _numbers(read_entries(path))
        give_up(around.home, path, around.clock, "another deployment was begun")
    journal = Journal.create(folder, KIND, around.clock)
    journal.write(OPENED, **_same(wanted), model=wanted.model, version=wanted.version)
    return journal, Numbers()


def left_off(around: Around, wanted: Wanted) -> Numbers:
    """The versions with which an unfinished deployment of the same would go on; nothing is written."""
    path = unfinished(around.home / JOURNAL, KIND)
    return _numbers(read_entries(path)) if path is not None and _is_of(path, wanted) else Numbers()


def give_up(home: Path, path: Path, clock: Callable[[], float], reason: str) -> None:
    """End a deployment that was cut off: no command goes on with it."""
    journal = Journal(path, clock)
    journal.close("given up", reason=reason)
    shutil.rmtree(home / WORK / journal.identity, ignore_errors=True)


def _same(wanted: Wanted) -> dict[str, Any]:
    return {"release_sha256": wanted.release_sha256, "options": list(wanted.options)}


def _is_of(path: Path, wanted: Wanted) -> bool:
    first: dict[str, Any] = next((entry for entry in read_entries(path) if entry["event"] == OPENED), {})
    return {name: first.get(name) for name in _same(wanted)} == _same(wanted)


def who() -> str:
    """Who deploys, for whoever finds a lock."""
    return f"{socket.gethostname()} process {os.getpid()}"


def owner(home: Path) -> str:
    """The name of a deployer's home, made when it is first asked for."""
    path = home / OWNER
    if not path.is_file():
        home.mkdir(parents=True, exist_ok=True)
        write_whole(path, secrets.token_hex(8).encode(), 0o600)
    return path.read_text(encoding="ascii")


def used(home: Path) -> int:
    """The highest version that was ever signed from here; 0 if none was, or nobody knows."""
    path = home / USED
    return int(path.read_text(encoding="ascii")) if path.is_file() else 0


def keep_used(home: Path, version: int) -> None:
    """A version has been signed: no other content gets it."""
    if version > used(home):
        write_whole(home / USED, str(version).encode(), 0o600)


def _numbers(entries: Sequence[Mapping[str, Any]]) -> Numbers:
    planned = [entry for entry in entries if entry["event"] == PLANNED and entry.get("image_version")]
    return Numbers(int(planned[-1]["image_version"]), dict(planned[-1]["ways"])) if planned else Numbers()


def _ran(home: Path, targets: Sequence[Target]) -> dict[str, str]:
    """Of which kept conversions the images were made that the hubs have."""
    images = {model.image_sha256 for target in targets for model in target.there.models}
    return {image: key for image in images if (key := conversions.made_of(home, image))}


def _require_enough(seen: Sequence[Seen], limits: Limits) -> None:
    """Stop before anything is changed if more devices cannot be reached than may fail, or none can be."""
    broken = [each.error for each in seen if each.error is not None]
    failures = sum(len(each.chosen.devices) for each in seen if each.error is not None)
    if failures > limits.max_failures or len(broken) == len(seen):
        raise gravest_error(broken) or broken[0]


@contextmanager
def _closing(seen: Sequence[Seen]) -> Iterator[None]:
    """Close every connection if it comes to nothing."""
    try:
        yield
    except BaseException:
        for each in seen:
            each.connector.close()
        raise


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    source.replace(target)


def _timed(seconds: dict[str, float], name: str, do: Callable[[], Result]) -> Result:
    began = time.monotonic()
    try:
        return do()
    finally:
        seconds[name] = round(time.monotonic() - began, 3)
