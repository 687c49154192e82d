"""`python -m deployers deploy`: a registered version runs on Jetsons and boards, or what ran before runs again."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from deployers.commands.deploying import AS_JSON, asked, json_on_failure, wanted_options

if TYPE_CHECKING:
    from deployers.deployment.going_back import WentBack
    from deployers.deployment.report import Report

# Of `--json`, beside those that it always has.
FIELDS = (
    "deployment", "release", "version", "ways_back", "converted", "devices", "hubs", "stages", "seconds", "mlflow",
    "journal",
)  # fmt: skip


@click.command(
    epilog="""\b
Examples:
  python -m deployers deploy
  python -m deployers deploy --version 3 --limit kitchen --limit garden --json
  python -m deployers deploy --version challenger --shadow
  python -m deployers deploy --waves canary,25%,100% --max-failures 2 --parallel 8
\b
Waves: canary is what has group canary in the inventory, a Jetson or a board, else the first Jetson; percentages are
of all devices. A wave begins when the one before it has ended. When more than --max-failures devices failed, the rest
is not started.
\b
Cut off or killed, the same command goes on with the same image version. Exit codes: 0 all devices run it; 5 out of
reach; 8 host key; 3 a gate; 9 a board refused the image; 10 a board or a hub went back; 11 another deployment runs.
\b
--json, schema 1 (fields are only ever added): schema, deployment, result (confirmed, nothing to do, failed, stopped),
exit_code, release {model, version, sha256}, version, ways_back, converted {where, chosen, mae_growth}, devices
[{jetson, board, wave, state, version, seconds, bytes, agreed_within, error}], hubs, stages [{name, where, seconds}],
seconds, mlflow (told, pending, nothing to tell), error, journal.
"""
)
@wanted_options
@AS_JSON
def deploy(*, as_json: bool, **options: Any) -> None:
    """Convert, prove, sign and install a version, forward it to the boards, test and confirm it.

    Where it is converted (on a Jetson with TensorFlow, else here) the report says. What ran before is signed again with
    the next version and installed beside it: rollback needs no key. MLflow is told what runs where.
    """
    from deployers.commands.image import plain_errors  # noqa: PLC0415 - --help must not wait
    from deployers.deployment.deployment import deploy as run  # noqa: PLC0415
    from deployers.deployment.watching import Bars, Nobody  # noqa: PLC0415

    with json_on_failure(FIELDS, as_json=as_json), plain_errors():
        request, around = asked(options)
        if as_json:
            found = run(request, around, Nobody())
            click.echo(json.dumps(found.as_dict()))
        else:
            with Bars() as bars:
                found = run(request, around, bars)
            _show(found)
    raise_failed(found)


def raise_failed(found: Report | WentBack) -> None:
    """End with the gravest failure, if there is one."""
    from deployers.deployment.carry import ERRORS  # noqa: PLC0415
    from deployers.exceptions import DeployerError, HostKeyError  # noqa: PLC0415

    if found.exit_code:
        kinds: dict[int, type[DeployerError]] = {**ERRORS, HostKeyError.exit_code: HostKeyError}
        raise kinds.get(found.exit_code, DeployerError)(found.error)


def _show(found: Report) -> None:
    from rich.console import Console  # noqa: PLC0415

    from deployers.deployment import report, telling  # noqa: PLC0415

    Console(file=sys.stdout, width=120).print(report.table(found))
    if found.converted:
        click.echo(f"converted: {found.converted['where']}, {found.converted.get('chosen')}; image {found.version}")
    for jetson, told in found.hubs.items():
        click.echo(f"hub of {jetson}: {told}")
    if found.mlflow == telling.PENDING:
        click.echo("MLflow does not answer and was not told; the next command of deploy, status or rollback repeats it")
    click.echo(report.stage_line(found))
    click.echo(f"journal: {found.journal}")
