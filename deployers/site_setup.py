"""Prepare Jetsons: from bare to a hub that answers. Run again, it does what is missing, and nothing where nothing is.

Before anything is changed on a Jetson, everything that can be known is looked at: its Python, its room, the wheels.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployers import operations
from deployers.connectors.local import LocalConnector
from deployers.connectors.opening import connect
from deployers.exceptions import DeployerError, InputError, RemoteFailed, RolledBack, ServiceUnavailable
from deployers.execute import execute, undo
from deployers.facts import gather, health_address, require_python
from deployers.plan import HERE, File, Plan, Step, plan_of
from deployers.protocol.signature import key_id, load_private_key, public_point
from deployers.protocol.tlv import ImageError
from deployers.site import Site
from deployers.wheelhouse import Target, fetch_wheels, require_wheels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deployers.bundle import Bundle
    from deployers.connectors.base import Connector
    from deployers.execute import Watcher
    from deployers.facts import Facts
    from deployers.inventory import Inventory, Jetson
    from deployers.journal import Journal

LOCKS = Path(__file__).resolve().parents[1] / "locks"
MEBIBYTE = 1 << 20
# Measured, with as much again for what pip unpacks beside it.
ROOM = {False: 900 * MEBIBYTE, True: 5000 * MEBIBYTE}
PARALLEL = 8
CHANGED, NOTHING, PLANNED, FAILED = "changed", "nothing to change", "planned", "failed"


@dataclass(frozen=True)
class Wanted:
    """What a Jetson is to have.

    Attributes:
        bundle: the code.
        lock: the packages, with hashes.
        signer: public point of the key that signs images.
        board_keys: by board.
        wheels: files here, where the Jetson reaches no index.
    """

    bundle: Bundle
    lock: bytes
    signer: bytes
    board_keys: dict[str, bytes]
    wheels: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How it went with one Jetson.

    Attributes:
        jetson: its name.
        state: "changed", "nothing to change", "planned" or "failed".
        plan: what was, or would be, done.
        sent: bytes that went over the line.
        seconds: it took.
        error: what it failed with.
    """

    jetson: str
    state: str
    plan: Plan
    sent: int = 0
    seconds: float = 0.0
    error: DeployerError | None = None

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        told: dict[str, Any] = {"jetson": self.jetson, "state": self.state}
        told |= {"steps": self.plan.as_dict()["steps"], "bytes": self.sent, "seconds": self.seconds}
        if self.error is not None:
            told |= {"error": " ".join(str(self.error).split()), "exit_code": self.error.exit_code}
        return told


@dataclass(frozen=True)
class Workshop:
    """What the work on every Jetson shares.

    Attributes:
        bundle: the code.
        signer: public point of the key that signs images.
        journal: takes the record; none where nothing is changed.
        watcher: told of the progress.
        here: this machine.
        opened: how a Jetson is reached.
        cache: folder of fetched wheels.
        wheelhouse: folder of wheels that were given.
        locks: folder of the locks.
    """

    bundle: Bundle
    signer: bytes
    journal: Journal | None
    watcher: Watcher
    cache: Path
    here: Connector = field(default_factory=LocalConnector)
    opened: Callable[[Jetson], Connector] = connect
    wheelhouse: Path | None = None
    locks: Path = LOCKS


def plan_setup(jetson: Jetson, facts: Facts, wanted: Wanted) -> Plan:
    """The steps that are missing, in their order; a pure function."""
    site = Site.of(jetson, facts)
    digest = operations.environment_digest(wanted.lock, facts.machine, facts.python_version)
    configuration, keys = _configuration(site, jetson), _keys(site, wanted)
    told = "\n".join(f"{file.remote} {file.sha256}" for file in (configuration, *keys))
    run = operations.Run(wanted.bundle.digest, digest, operations.digest_of(told), health_address(jetson))
    kept = {file.remote.relative_to(site.root).as_posix() for file in keys}
    boards = [path for path in facts.entries if path.startswith("config/boards/") and path not in kept]
    old = operations.stale(site, facts, {"code": run.code, "venv": run.environment})
    steps = (
        operations.account_step(site, facts),
        operations.folders_step(site, facts, wheelhouse=not jetson.index),
        operations.code_step(site, facts, wanted.bundle, jetson.python),
        operations.wheels_step(site, facts, wanted.wheels),
        operations.environment_step(site, facts, digest, wanted.lock, jetson),
        operations.settings_step(site, facts, run, configuration),
        operations.files_step("files", site, facts, (configuration, *keys)),
        operations.removal_step("keys of boards that are gone", site, [site.root / path for path in boards]),
        operations.token_step(site, facts, run),
        operations.unit_step(site, facts),
        operations.start_step(site, facts, run),
        operations.removal_step("old versions", site, old),
    )
    return plan_of(jetson.name, steps)


def _configuration(site: Site, jetson: Jetson) -> File:
    """hub.toml; the address of a database may have a password in it, that of a webhook is one."""
    secret = "@" in str(jetson.hub.get("store", {}).get("url", "")) or "webhook" in jetson.hub.get("alerts", {})
    return File(operations.hub_toml(site, jetson).encode(), site.config, 0o600, secret)


def _keys(site: Site, wanted: Wanted) -> tuple[File, ...]:
    folder = site.root / "config"
    signer = File(wanted.signer, folder / "image_keys" / f"{key_id(wanted.signer).hex()}.pub", 0o644)
    boards = [
        File(key, folder / "boards" / f"{board}.key", 0o600, secret=True)
        for board, key in sorted(wanted.board_keys.items())
    ]
    return (signer, *boards)


def signer_of(inventory: Inventory) -> bytes:
    """Public point of the inventory's signing key.

    Raises:
        InputError: it has none, or the file is no such key.
    """
    if inventory.signing_key is None:
        msg = (
            f"inventory {str(inventory.path)!r}: 'signing_key' is missing, expected the key that images are signed "
            "with: python -m deployers image keygen FILE, and name it there"
        )
        raise InputError(msg)
    try:
        return public_point(load_private_key(inventory.signing_key))
    except ImageError as error:
        msg = f"inventory {str(inventory.path)!r}: 'signing_key': {error}"
        raise InputError(msg) from None


def prepare_all(jetsons: Sequence[Jetson], workshop: Workshop) -> list[Outcome]:
    """Set up several Jetsons side by side; none waits for, or fails with, another."""
    with ThreadPoolExecutor(min(PARALLEL, len(jetsons)), "jetson") as pool:
        return list(pool.map(lambda jetson: prepare(jetson, workshop), jetsons))


def prepare(jetson: Jetson, workshop: Workshop) -> Outcome:
    """Set up one Jetson; what went wrong is in the outcome."""
    began, connector = time.monotonic(), workshop.opened(jetson)
    plan, sent, state, problem = Plan(jetson.name, ()), 0, FAILED, None
    try:
        plan, facts = gathered(jetson, connector, workshop)
        require_room(jetson, facts, plan)
        if workshop.journal is None:
            state = PLANNED if plan else NOTHING
        else:
            sent = carry_out(plan, connector, workshop, workshop.journal)
            state = CHANGED if plan else NOTHING
    except DeployerError as error:
        state, problem = FAILED, error
    finally:
        connector.close()
    return Outcome(jetson.name, state, plan, sent, round(time.monotonic() - began, 3), problem)


def gathered(jetson: Jetson, connector: Connector, workshop: Workshop) -> tuple[Plan, Facts]:
    """What is there, and what is to be done about it.

    Raises:
        DeployerError: it cannot be set up as it is; nothing has been changed.
    """
    facts = gather(connector, jetson)
    require_python(jetson.name, facts)
    lock = workshop.locks / ("hub-convert.txt" if jetson.convert else "hub.txt")
    keys = {board.id: board.key_file.read_bytes() for board in jetson.boards}
    wanted = Wanted(workshop.bundle, lock.read_bytes(), workshop.signer, keys)
    plan = plan_setup(jetson, facts, wanted)
    if not jetson.index and any(step.name == "environment" for step in plan.steps):
        plan = plan_setup(jetson, facts, replace(wanted, wheels=_wheels(jetson, facts, lock, workshop)))
    return plan, facts


def _wheels(jetson: Jetson, facts: Facts, lock: Path, workshop: Workshop) -> tuple[Path, ...]:
    target = Target.of(jetson.name, facts)
    step = Step(f"wheels for {target}", where=HERE)
    workshop.watcher.begin(Plan(jetson.name, (step,)), step, 0)
    if workshop.wheelhouse is not None:
        return require_wheels(jetson.name, lock.read_text(encoding="utf-8"), workshop.wheelhouse, target)
    return fetch_wheels(jetson.name, lock, target, workshop.cache, workshop.here)


def require_room(jetson: Jetson, facts: Facts, plan: Plan) -> None:
    """Refuse a Jetson whose disk would be full half-way.

    Raises:
        ServiceUnavailable: there is less room than the plan needs.
    """
    need = sum(step.bytes for step in plan.steps)
    if any(step.name == "environment" for step in plan.steps):
        need += ROOM[jetson.convert]
    if facts.disk_free < need:
        msg = (
            f"{jetson.name}: {facts.disk_free // MEBIBYTE} MiB are free where {str(jetson.root)!r} is, expected "
            f"{need // MEBIBYTE}: free some space there, or give another root"
        )
        raise ServiceUnavailable(msg)


def carry_out(plan: Plan, connector: Connector, workshop: Workshop, journal: Journal) -> int:
    """Do it; bytes that went over the line. A new version that does not start makes way for the one before.

    Raises:
        RolledBack: the version before runs again.
        DeployerError: what a step failed with.
    """
    try:
        return execute(plan, connector, workshop.here, journal, workshop.watcher).sent
    except RemoteFailed as error:
        done = {(entry.get("step"), entry["event"]) for entry in _entries(plan, journal)}
        if ("start", "failed") not in done or not any(step.undo for step in plan.steps):
            raise
        undo(plan, connector, workshop.here, journal)
        msg = f"{error}; what ran before runs again"
        raise RolledBack(msg) from error


def _entries(plan: Plan, journal: Journal) -> list[dict[str, Any]]:
    return [entry for entry in journal.entries() if entry.get("jetson") == plan.jetson]
