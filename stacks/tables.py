"""What a person reads after `run.py stacks …`."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH = 120
SIGNS = {True: "ok", False: "missing", None: "not checked"}


def print_list(result: Mapping[str, Any], output: IO[str]) -> None:
    """The table of stacks."""
    table = Table(title="Stacks", title_justify="left")
    for column in ("stack", "in ZenML", "orchestrator", "artifacts", "schedules", "state"):
        table.add_column(column)
    for row in result["stacks"]:
        active = " (active)" * (row["stack"] == result["active"])
        shown = (row["file"] or "", row["stack"] + active, row.get("orchestrator"), row.get("artifact_store"))
        schedules = {True: "yes", False: "no"}.get(row.get("schedules"), "")
        table.add_row(*(Text(cell or "") for cell in (*shown, schedules, _state(row))))
    console = _console(output)
    console.print(table)
    for row in result["stacks"]:
        if row.get("reason"):
            console.print(Text(f"{row['file']}: {row['reason']}"))


def print_details(result: Mapping[str, Any], output: IO[str]) -> None:
    """One stack: components, what runs get, what it needs, what would change."""
    console = _console(output)
    console.print(Text(f"Stack {result['name']} ({result['file']}.yaml)\n  {result.get('description', '')}"))
    table = Table()
    for column in ("component", "name", "flavor", "configuration"):
        table.add_column(column, overflow="fold")
    for kind, component in result["components"].items():
        lines = [f"{key}: {_plain(value)}" for key, value in component["configuration"].items()]
        lines += [f"secret: {component['secret']}"] if component.get("secret") else []
        table.add_row(kind, component["name"], component["flavor"], Text("\n".join(lines)))
    console.print(table)
    for heading in ("settings", "steps", "requires"):
        for key, value in (result.get(heading) or {}).items():
            console.print(Text(f"  {heading:<9} {key}: {_plain(value)}"))
    if result["missing"]:
        console.print(Text(f"  unset     {', '.join(result['missing'])}"))
    for change in result["changes"] or []:
        console.print(Text(f"  to apply  {change['sentence']}"))


def print_check(result: Mapping[str, Any], output: IO[str]) -> None:
    """What was looked for, and how to get what was not found."""
    console = _console(output)
    for finding in result["findings"]:
        console.print(Text(f"  {SIGNS[finding['ok']]:<12} {finding['what']}: {finding['found']}"))
        if finding["ok"] is False and finding["how"]:
            console.print(Text(f"  {'':<12} → {finding['how']}"))
    lacking = sum(finding["ok"] is False for finding in result["findings"])
    console.print(Text(f"Stack {result['file']}: {f'{lacking} missing' if lacking else 'nothing is missing'}"))


def _state(row: Mapping[str, Any]) -> str:
    return f"{row['state']}: {', '.join(row['missing'])}" if row["missing"] else str(row["state"])


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _console(output: IO[str]) -> Console:
    return Console(file=output, highlight=False, soft_wrap=True, width=None if output.isatty() else WIDTH)
