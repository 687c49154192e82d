"""`run.py stacks`: list, show, apply, check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Answer = dict[str, Any]


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that every one of these commands has."""
    function = click.option("--debug", is_flag=True, help="Show logs of ZenML and a traceback with an error.")(function)
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")(function)


@click.group()
def stacks() -> None:
    """Where pipelines run: stack files, what ZenML has of them, what they lack here."""


@stacks.command(
    name="list",
    epilog="""\b
Examples:
  python run.py stacks list
  python run.py stacks list --json
""",
)
@common
@click.pass_obj
def list_(on_home: Callable[..., None], /, **options: Any) -> None:
    """Stack files, and stacks only ZenML knows."""

    def work(home: Path, _tell: Callable[[str], None]) -> Answer:
        from stacks.overview import overview  # noqa: PLC0415 - imports ZenML; --help must not wait

        return overview(home)

    def show(result: Answer, output: Any) -> None:
        from stacks.tables import print_list  # noqa: PLC0415

        print_list(result, output)

    on_home(options, work, show, writes=False)


@stacks.command(
    name="show",
    epilog="""\b
Examples:
  python run.py stacks show local
  python run.py stacks show kubernetes --json
""",
)
@click.argument("name")
@common
@click.pass_obj
def show_(on_home: Callable[..., None], /, name: str, **options: Any) -> None:
    """A stack file with its references put in, secrets masked, and what apply would change."""

    def work(home: Path, _tell: Callable[[str], None]) -> Answer:
        from stacks.overview import details  # noqa: PLC0415

        return details(name, home)

    def show(result: Answer, output: Any) -> None:
        from stacks.tables import print_details  # noqa: PLC0415

        print_details(result, output)

    on_home(options, work, show, writes=False)


@stacks.command(
    epilog="""\b
Examples:
  python run.py stacks apply local
  python run.py stacks apply docker --dry-run
  python run.py stacks apply docker --json
"""
)
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@common
@click.pass_obj
def apply(on_home: Callable[..., None], /, name: str, *, dry_run: bool, **options: Any) -> None:
    """Make ZenML's stack as its file says; the active stack stays as it is."""

    def work(home: Path, tell: Callable[[str], None]) -> Answer:
        from stacks.loader import connected, plan, read_stack, register, zenml_errors  # noqa: PLC0415

        stack, client = read_stack(name, home), connected()
        with zenml_errors(f"stack {stack.name!r} cannot be compared with ZenML's"):
            changes = plan(client, stack)
        for change in changes:
            tell(f"  {change.sentence()}")
        if not dry_run:
            register(client, stack)
        told = [change.as_dict() for change in changes]
        return {"file": name, "stack": stack.name, "dry_run": dry_run, "changes": told}

    def show(result: Answer, output: Any) -> None:
        number = len(result["changes"])
        done = f"{number} change{'s' * (number != 1)} {'to make' if dry_run else 'made'}" if number else "nothing to do"
        click.echo(f"Stack {result['stack']}: {done}", file=output)

    on_home(options, work, show, writes=not dry_run)


@stacks.command(
    epilog="""\b
Examples:
  python run.py stacks check docker
  python run.py stacks check kubernetes --json
"""
)
@click.argument("name")
@common
@click.pass_obj
def check(on_home: Callable[..., None], /, name: str, **options: Any) -> None:
    """What a stack needs and does not find here, and how to get it; exit code 4 if anything is missing."""

    def work(home: Path, _tell: Callable[[str], None]) -> Answer:
        from stacks.checks import check_stack  # noqa: PLC0415

        return check_stack(name, home)

    def show(result: Answer, output: Any) -> None:
        from stacks.tables import print_check  # noqa: PLC0415

        print_check(result, output)

    on_home(options, work, show, writes=False)
