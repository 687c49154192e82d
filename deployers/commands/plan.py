"""`python -m deployers plan`: what deploy would do now, command by command; nothing is changed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from deployers.commands.deploying import AS_JSON, asked, wanted_options

if TYPE_CHECKING:
    from deployers.deployment.preparing import Prepared


@click.command(
    epilog="""\b
Examples:
  python -m deployers plan
  python -m deployers plan --version 3 --limit kitchen --json
  python -m deployers plan --release releases/kitchen --waves canary,25%,100%
"""
)
@wanted_options
@AS_JSON
def plan(*, as_json: bool, **options: Any) -> None:
    """Print the commands and files that deploy would use, from what it finds on the Jetsons.

    Where a deployment was cut off, the plan is what is left of it. A file that is made on the way has no hash yet.
    """
    from deployers.commands.image import plain_errors  # noqa: PLC0415 - --help must not wait
    from deployers.deployment.preparing import prepare  # noqa: PLC0415
    from deployers.deployment.watching import Bars, Nobody  # noqa: PLC0415

    with plain_errors():
        request, around = asked(options)
        if as_json:
            prepared = prepare(request, around, Nobody(), preview=True)
        else:
            with Bars() as bars:
                prepared = prepare(request, around, bars, preview=True)
        prepared.close()
    found = as_dict(prepared)
    if as_json:
        click.echo(json.dumps(found))
    else:
        _show(found, prepared)


def as_dict(prepared: Prepared) -> dict[str, Any]:
    """What was wanted, the waves, and the plan."""
    wanted = prepared.wanted
    return {
        "schema": 1,
        "release": {"model": wanted.model or None, "version": wanted.version or None, "sha256": wanted.release_sha256},
        "waves": [{"name": wave.name, "devices": [device.name for device in wave.devices]} for wave in prepared.waves],
        "unreachable": {name: str(error) for name, error in prepared.broken.items()},
        **prepared.plan.as_dict(),
    }


def _show(found: dict[str, Any], prepared: Prepared) -> None:
    waves = "; ".join(f"{wave['name']}: {', '.join(wave['devices'])}" for wave in found["waves"])
    click.echo(f"{prepared.wanted.name}, release {prepared.wanted.release_sha256[:12]}; waves: {waves}")
    for name, error in found["unreachable"].items():
        click.echo(f"{name} is left out: {error}", err=True)
    for stage in ("making", "installing", "boards", "closing"):
        for machine in found[stage]:
            click.echo(f"\n{machine['jetson']}{'/' + machine['board'] if 'board' in machine else ''}")
            for step in machine["steps"]:
                _show_step(step)
    if not prepared.plan:
        click.echo("nothing to do: it runs everywhere")
    sys.stdout.flush()


def _show_step(step: dict[str, Any]) -> None:
    click.echo(f"  {step['name']}")
    for packed in step.get("packed", ()):
        beside = "".join(f" and {path}" for path in packed.get("beside", {}).values())
        click.echo(f"    pack   {packed['folder']}{beside} as {packed['archive']}")
    for file in step.get("files", ()):
        click.echo(f"    upload {file['path']} ({file['mode']}) {file.get('sha256', '') or 'from ' + file['from']}")
    for command in step.get("commands", ()):
        click.echo("    $ " + "\n      ".join(command.strip().splitlines()))
    for file in step.get("fetched", ()):
        click.echo(f"    fetch  {file['path']} and unpack it as {file['unpacked']}")
    for command in step.get("undo", ()):
        click.echo("    if that fails: $ " + "\n      ".join(command.strip().splitlines()))
