"""`python -m deployers fleet`: rollouts wave by wave with health gates between; stop, resume, quarantine."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from deployers.commands.deploying import AS_JSON, FILE, INVENTORY, TRACKING, fetcher, here, json_on_failure, reach, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from deployers.deployment.preparing import Around
    from deployers.deployment.selection import Selected
    from deployers.deployment.watching import Watcher
    from deployers.exceptions import DeployerError
    from deployers.fleet.record import Record
    from deployers.fleet.rollout import Rollout

CONFIG = click.option(
    "--config", type=FILE, help="fleet.toml beside the inventory, if it is there, else one partition of everything."
)
WAIT_SECONDS = 120.0  # for a rollout that has to notice a stop, at most one device long
ROLLOUT_FIELDS, STATUS_FIELDS = ("rollouts",), ("rollouts", "stop", "quarantine")


@click.group(
    epilog="""\b
Examples:
  python -m deployers fleet rollout                       # begins, or goes on, and stays until all waves are through
  python -m deployers fleet rollout north --once --json   # what can be done now; for a timer
  python -m deployers fleet status --html fleet.html
  python -m deployers fleet stop --because "boards reboot" --roll-back
  python -m deployers fleet resume
  python -m deployers fleet quarantine --lift "temperature-north 7"
\b
fleet.toml:
  waves = ["canary", "25%", "100%"]
  [gate]
  hours = 24.0          # watched after its last device confirmed
  pairs = 100           # forecasts of each device compared with readings
  skill_loss = 0.15     # below what the release reached on its test part
  [[partition]]
  name = "north"
  jetsons = ["north"]   # names, patterns and groups of the inventory
  model = "temperature-north"
  version = "champion"
"""
)
def fleet() -> None:
    """Bring versions to many boards, wave by wave, and back when one of them does worse."""


@fleet.command()
@click.argument("partitions", nargs=-1, metavar="[PARTITION]...")
@CONFIG
@INVENTORY
@TRACKING
@click.option("--once", is_flag=True, help="Do what can be done now, and do not wait for gates.")
@click.option("--every", type=click.FloatRange(1, 3600), default=30.0, show_default=True, metavar="SECONDS",
              help="How often gates are looked at.")  # fmt: skip
@AS_JSON
def rollout(  # noqa: PLR0913 - the options
    *,
    partitions: tuple[str, ...],
    config: Path | None,
    inventory: Path | None,
    tracking_uri: str | None,
    once: bool,
    every: float,
    as_json: bool,
) -> None:
    """Begin rollouts, or go on: a wave, its gate, the next wave.

    A device that refuses the version, reverts, or falls below the gate's skill brings every device of its partition
    back to what ran before, and the version into quarantine. Killed or cut off, the same command goes on.

    Exit code 0 all through (with --once also: nothing failed so far); 10 a partition went back; 3 the version is in
    quarantine; 2 everything is stopped; 5 somebody does not answer. --json, schema 1 (fields are only ever added):
    schema, result, exit_code, rollouts [{partition, rollout, model, version, state, reason, numbers, waves [{name,
    devices, state}], left_out, back, since}], error.
    """
    from deployers.commands.image import plain_errors  # noqa: PLC0415 - --help must not wait
    from deployers.fleet import showing  # noqa: PLC0415
    from deployers.fleet.turns import gravest_end, take_turns  # noqa: PLC0415

    with json_on_failure(ROLLOUT_FIELDS, as_json=as_json), plain_errors(), _alone():
        with _watching(as_json=as_json) as watcher:
            rollouts = _rollouts(partitions, config, inventory, tracking_uri, watcher)
            say = (lambda _: None) if as_json else (lambda line: click.echo(line, err=True))
            ends = take_turns(rollouts, say, None if once else lambda: time.sleep(every))
        found = [end.record for end in ends.values() if end.record is not None]
        error = gravest_end(ends.values())
        if as_json:
            code = error.exit_code if error else 0
            line = " ".join(str(error).split()) if error else None
            result = "failed" if error else "done"
            rows = [showing.as_dict(each) for each in found]
            click.echo(json.dumps({"schema": 1, "result": result, "exit_code": code, "rollouts": rows, "error": line}))
        else:
            _show(found)
    _end(error)


@fleet.command()
@AS_JSON
@click.option("--html", type=FILE, help="Write the map of waves and devices as a page.")
def status(*, as_json: bool, html: Path | None) -> None:
    """Show rollouts, the stop and the quarantine.

    The newest rollout of each partition, as this machine has it: no Jetson is asked.

    --json, schema 1: schema, rollouts as `rollout --json`, stop {because, who, since} or null, quarantine [{model,
    version, release_sha256, because, since}].
    """
    from dataclasses import asdict  # noqa: PLC0415 - --help must not wait

    from deployers.deployment import halting, quarantine  # noqa: PLC0415
    from deployers.fleet import record, showing  # noqa: PLC0415
    from deployers.journal import deploy_home  # noqa: PLC0415

    with json_on_failure(STATUS_FIELDS, as_json=as_json):
        home = deploy_home()
        found, stop, held = list(record.newest(home).values()), halting.stopped(home), quarantine.listed(home)
        if html is not None:
            from deployers.protocol.files import write_whole  # noqa: PLC0415

            write_whole(html, showing.page(found, stop, held).encode(), 0o644)
        if as_json:
            rows = [showing.as_dict(each) for each in found]
            stop_row = asdict(stop) if stop else None
            told_ = {"schema": 1, "rollouts": rows, "stop": stop_row, "quarantine": [asdict(one) for one in held]}
            click.echo(json.dumps(told_))
            return
    _show(found)
    if stop is not None:
        click.echo(f"stopped by {stop.who} since {stop.since}: {stop.because}; python -m deployers fleet resume")
    for one in held:
        click.echo(f"in quarantine since {one.since}: {one.name}, {one.because}")
    if html is not None:
        click.echo(f"written: {html}")


@fleet.command()
@click.option("--because", required=True, metavar="TEXT", help="Why, in one line; whoever is stopped reads it.")
@click.option("--roll-back", is_flag=True, help="Bring every device of rollouts under way back to what ran before.")
@CONFIG
@INVENTORY
@TRACKING
def stop(
    *, because: str, roll_back: bool, config: Path | None, inventory: Path | None, tracking_uri: str | None
) -> None:
    """Stop everything at once, until resumed.

    No deployment and no rollout begins another device until `fleet resume`. What a device has begun comes to its end,
    a few minutes at most; rollbacks are always possible. Exit code 0, or as rollback with --roll-back.
    """
    from deployers.commands.image import plain_errors  # noqa: PLC0415 - --help must not wait
    from deployers.deployment import halting  # noqa: PLC0415
    from deployers.deployment.preparing import who  # noqa: PLC0415
    from deployers.fleet import record  # noqa: PLC0415
    from deployers.fleet.turns import take_back  # noqa: PLC0415
    from deployers.journal import deploy_home  # noqa: PLC0415

    with plain_errors():
        home = deploy_home()
        found = halting.stop(home, because, who(), time.time())
        click.echo(f"stopped since {found.since}: {found.because}")
        if not roll_back:
            return
        with _alone(WAIT_SECONDS), _watching(as_json=False) as watcher:
            rollouts = _rollouts((), config, inventory, tracking_uri, watcher)
            done, error = take_back(rollouts, record.newest(home), because)
        _show(done)
    _end(error)


@fleet.command()
def resume() -> None:
    """Lift the stop; `rollout` goes on."""
    from deployers.deployment import halting  # noqa: PLC0415 - --help must not wait
    from deployers.journal import deploy_home  # noqa: PLC0415

    click.echo("the stop is lifted" if halting.resume(deploy_home()) else "nothing was stopped")


@fleet.command()
@click.option("--add", metavar="VERSION", help="Put a registered version of --model in; needs --because.")
@click.option("--model", help="With --add: registered model's name.")
@click.option("--because", metavar="TEXT", help="With --add: why, in one line.")
@click.option("--lift", metavar="NAME", help="Let one out: its name as listed, or its number.")
def quarantine(*, add: str | None, model: str | None, because: str | None, lift: str | None) -> None:
    """List versions in quarantine, add or lift one.

    No command brings a version in quarantine to a device.
    """
    from deployers.commands.deploying import MODEL  # noqa: PLC0415 - --help must not wait
    from deployers.deployment import quarantine as kept  # noqa: PLC0415
    from deployers.deployment.telling import stamp  # noqa: PLC0415
    from deployers.journal import deploy_home  # noqa: PLC0415

    if (add is not None) != (because is not None) or (add is not None and lift is not None):
        msg = "--add VERSION and --because TEXT go together and --lift goes alone: leave the others out"
        raise click.UsageError(msg)
    home = deploy_home()
    if add is not None:
        kept.add(home, kept.Held(model or MODEL, add, "", str(because), stamp(time.time())))
    if lift is not None:
        click.echo(f"let out: {kept.lift(home, lift, stamp(time.time())).name}")
    for one in kept.listed(home):
        click.echo(f"{one.name}  since {one.since}  {one.because}")


@contextmanager
def _alone(seconds: float = 0.0) -> Iterator[None]:
    """One rollout at a time from this home."""
    from deployers.exceptions import DeploymentRunning  # noqa: PLC0415
    from deployers.journal import deploy_home  # noqa: PLC0415
    from deployers.locks import locked  # noqa: PLC0415

    home = deploy_home()
    home.mkdir(parents=True, exist_ok=True)
    msg = f"another rollout runs from {str(home)!r}, expected one at a time: wait for it, or end it"
    with locked(home / "fleet.lock", seconds, DeploymentRunning(msg)):
        yield


def _watching(*, as_json: bool) -> AbstractContextManager[Watcher]:
    from deployers.deployment.watching import Bars, Nobody  # noqa: PLC0415

    return nullcontext(Nobody()) if as_json else Bars()


def _rollouts(
    names: Sequence[str], config: Path | None, inventory: Path | None, uri: str | None, watcher: Watcher
) -> list[Rollout]:
    """A rollout for each partition that is meant.

    Raises:
        InputError: inventory or fleet file cannot be used, or there is no such partition.
    """
    from deployers.exceptions import InputError  # noqa: PLC0415
    from deployers.fleet.partitions import NAME, Fleet  # noqa: PLC0415
    from deployers.fleet.rollout import Outside, Rollout  # noqa: PLC0415
    from deployers.inventory import Inventory, find_inventory  # noqa: PLC0415
    from deployers.journal import deploy_home  # noqa: PLC0415
    from deployers.registry import resolve  # noqa: PLC0415

    listed = Inventory.load(find_inventory(inventory))
    beside = listed.path.parent / NAME
    found = Fleet.load(config or beside) if config is not None or beside.exists() else Fleet()
    unknown = sorted(set(names) - {each.name for each in found.partitions})
    if unknown:
        known = ", ".join(each.name for each in found.partitions)
        msg = f"partition {unknown[0]!r} is unknown, expected one of {known}: give one of them"
        raise InputError(msg)
    divided = found.divided(listed)

    def around(chosen: Sequence[Selected], model: str, version: str) -> Around:
        from deployers.deployment.preparing import Around  # noqa: PLC0415

        return Around(
            deploy_home(), tuple(chosen), listed.signing_key, reach(), fetcher(version, None, model, uri),
            lambda home: told(home, uri), here(),
        )  # fmt: skip

    outside = Outside(
        deploy_home(), reach(), around, lambda model, version: resolve(version, model, uri),
        lambda home: told(home, uri), watcher,
    )  # fmt: skip
    meant = [each for each in found.partitions if not names or each.name in names]
    return [Rollout(found, each, divided[each.name], outside) for each in meant]


def _show(found: Iterable[Record]) -> None:
    import sys  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415

    from deployers.fleet import showing  # noqa: PLC0415

    listed = list(found)
    if not listed:
        click.echo("no rollout yet: python -m deployers fleet rollout")
        return
    Console(file=sys.stdout, width=120).print(showing.table(listed))


def _end(error: DeployerError | None) -> None:
    if error is not None:
        raise error
