"""Figures of the monitor: from what came of each device to tables, and what falls short of what is wanted."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.monitor_cost import MOST_SHARE
from benchmarks.monitor_replay import cost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.monitor_replay import Lived

HOURS = 24.0
COSTLY = 0.20  # of the live skill
WANTED = 0.95  # of the faults that cost so much
FALSE_DAYS = 30.0  # at the least between two false ones of a device
# From the heating season to summer, in days of the simulated year: March to June.
SPRING = (60.0, 180.0)


def healthy(lived: Sequence[Lived]) -> dict[str, Any]:
    """How often nothing was wrong and a series' state became graver.

    Returns:
        Per 30 days of a device: `raised` whatever the level, `alarms`; both again for `spring`, None where no device
        lived through it, and by test.
    """
    days = sum(each.days for each in lived)
    raised = [one for each in lived for one in each.raised]
    whole = [each for each in lived if each.days >= SPRING[1]]
    spring = [one for each in whole for one in each.raised if SPRING[0] <= one[0] < SPRING[1]]
    spring_days = len(whole) * (SPRING[1] - SPRING[0])
    months = [each.month_skill for each in lived]
    return {
        "devices": len(lived),
        "days": days,
        "skill": statistics.median(each.skill or 0.0 for each in lived),
        "skill_by_month": [_median(month) for month in zip(*months, strict=False)],
        "raised": FALSE_DAYS * len(raised) / days,
        "alarms": FALSE_DAYS * sum(level == "alarm" for _, level, _ in raised) / days,
        "most": max(FALSE_DAYS * len(each.raised) / each.days for each in lived),
        "spring_raised": FALSE_DAYS * len(spring) / spring_days if spring_days else None,
        "spring_alarms": FALSE_DAYS * sum(one[1] == "alarm" for one in spring) / spring_days if spring_days else None,
        "by_test": dict(Counter(f"{test} {level}" for _, level, test in raised)),
    }


def table(lived: Sequence[Lived]) -> dict[str, dict[str, Any]]:
    """By fault: how many are found within a day, after how long, and what they cost."""
    rows = {}
    onsets = [each for one in lived for each in one.faults]
    for fault in onsets[0]["found"]:
        found = [each["found"][fault] for each in onsets]
        hours = [each["hours"] for each in found if each["hours"] is not None]
        lost = {span: [_cost(each, fault, span) for each in onsets] for span in ("day", "week")}
        costly = [row for row, share in zip(found, lost["week"], strict=True) if share >= COSTLY]
        rows[fault] = {
            "cases": len(found),
            "found_day": _share(found),
            "found_week": sum(hour <= 7 * HOURS for hour in hours) / len(found),
            "median_hours": statistics.median(hours) if hours else None,
            "cost_day": statistics.median(lost["day"]),
            "cost_week": statistics.median(lost["week"]),
            "costly": len(costly),
            "costly_found_day": _share(costly),
            "tests": dict(
                Counter(each["test"] for each in found if each["hours"] is not None and each["hours"] <= HOURS)
            ),
        }
    return rows


def costs(lived: Sequence[Lived], span: str = "week") -> dict[str, Any]:
    """All cases of any fault that cost so much in their first day or week: how many, which share is found, the others.

    Found is what is found within a day. Of the others: the device, the day in the field on which it began, the fault,
    and after how many hours it was found.
    """
    found = [
        (one.name, each["day"], fault, row)
        for one in lived
        for each in one.faults
        for fault, row in each["found"].items()
        if _cost(each, fault, span) >= COSTLY
    ]
    missed = [
        {"device": name, "day": day, "fault": fault, "hours": row["hours"]}
        for name, day, fault, row in found
        if not _share([row])
    ]
    return {"cases": len(found), "found_day": _share([row for *_, row in found]), "missed": missed}


def failures(found: dict[str, Any]) -> list[str]:
    """A line for each figure that falls short."""
    lines = [
        f"{source}: {name} {row[name]:.2f} in {FALSE_DAYS:g} days of a device, must be at most 1"
        for source, row in found["healthy"].items()
        for name in ("raised", "spring_alarms")
        if row[name] is not None and row[name] > 1
    ]
    for source, rows in found["faults"].items():
        for fault, row in rows.items():
            if row["cost_week"] >= COSTLY and row["found_day"] < WANTED:
                share = f"{row['found_day']:.0%} found within {HOURS:g} hours, must be {WANTED:.0%}"
                lines.append(f"{source}: {fault} costs {row['cost_week']:.0%} of skill, {share}")
    share = found["costly"]["found_day"]
    if share is not None and share < WANTED:
        lines.append(f"{share:.0%} of all that cost {COSTLY:.0%} found within {HOURS:g} hours, must be {WANTED:.0%}")
    watching = found["watching"]
    if watching["share"] > MOST_SHARE:
        lines.append(f"watching takes {watching['share']:.1%} of a core, must be at most {MOST_SHARE:.0%}")
    if watching["seen"] < watching["devices"]:
        lines.append(f"{watching['seen']} of {watching['devices']} devices were watched, must be all")
    return lines


def show(found: dict[str, Any]) -> None:
    """Print the tables."""
    console = Console(width=130)
    shown = Table(title="Nothing is wrong: how often a state becomes graver, in 30 days of a device")
    for column in ("", "devices", "days", "skill", "raised", "alarms", "in spring", "alarms in spring", "by test"):
        shown.add_column(column, justify="left" if column in {"", "by test"} else "right")
    for source, row in found["healthy"].items():
        figures = (row[name] for name in ("skill", "raised", "alarms", "spring_raised", "spring_alarms"))
        by_test = ", ".join(f"{name} {count}" for name, count in sorted(row["by_test"].items()))
        shown.add_row(source, str(row["devices"]), f"{row['days']:.0f}", *map(_two, figures), by_test)
    console.print(shown)
    for source, rows in found["faults"].items():
        _show_faults(console, source, rows)
    for name, when in (("costly", "in their first week"), ("costly_at_once", "in their first day already")):
        _show_costly(console, found[name], when)
    watching = found["watching"]
    console.print(
        f"{watching['devices']} devices for {watching['hours']:g} hours: {watching['cpu_seconds']:.1f} CPU seconds in "
        f"{watching['turns']} turns, {watching['share']:.2%} of a core; {found['cpu_seconds']:.0f} CPU seconds in all"
    )


def _show_faults(console: Console, source: str, rows: dict[str, dict[str, Any]]) -> None:
    shown = Table(title=f"Faults of {source} sensors")
    names = ("fault", "cases", "skill lost in a day", "in a week", "found in a day", "in a week", "median hours", "by")
    for column in names:
        shown.add_column(column, justify="left" if column in {"fault", "by"} else "right")
    for fault, row in rows.items():
        shares = (f"{row[name]:.0%}" for name in ("cost_day", "cost_week", "found_day", "found_week"))
        hours = "" if row["median_hours"] is None else f"{row['median_hours']:.1f}"
        tests = ", ".join(f"{test} {count}" for test, count in sorted(row["tests"].items()))
        shown.add_row(fault, str(row["cases"]), *shares, hours, tests)
    console.print(shown)


def _show_costly(console: Console, costly: dict[str, Any], when: str) -> None:
    share = "none" if costly["found_day"] is None else f"{costly['found_day']:.0%}"
    missed = Counter(row["fault"] for row in costly["missed"]).most_common()
    others = ", ".join(f"{fault} {count}" for fault, count in missed) or "none"
    console.print(
        f"of all {costly['cases']} faults that cost {COSTLY:.0%} of skill or more {when}, {share} found within a day; "
        f"not: {others}"
    )


def _cost(onset: dict[str, Any], fault: str, span: str) -> float:
    none, row = onset["found"]["none"], onset["found"][fault]
    return cost(none[f"skill_{span}"], row[f"skill_{span}"])


def _share(found: Sequence[dict[str, Any]]) -> Any:
    return sum(each["hours"] is not None and each["hours"] <= HOURS for each in found) / len(found) if found else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return statistics.median(known) if known else None


def _two(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
