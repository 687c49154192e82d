"""The comparison as Markdown, for the terminal and for the docs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.search_figure import LABELS
from benchmarks.search_summary import ERRORS, JUDGED, LEAST_SPEEDUP, NETWORK_LABELS, NETWORKS, PAIRS

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAD = (
    "sensor", "method", "budget", "seeds", "CPU s", "trainings", "validation RMSE °C", "test RMSE °C", "test MAE °C",
    "RMSE above ours °C", "usual recipe",
)  # fmt: skip
PLAIN_HEAD = (
    "sensor", "plain's winner", "CPU s, mean (lowest–highest)", "validation RMSE °C", "test RMSE °C", "test MAE °C"
)  # fmt: skip
SPEEDUP_HEAD = (
    "sensor", "our winner", "plain's winner", "our budget", "validation RMSE above plain's °C", "test RMSE above",
    "test MAE above", "reached", "CPU s", "times less", "with compilation",
)  # fmt: skip
SPEEDUP_LEGEND = (
    "Reached is what is not above plain's mean in any of the three errors; intervals are over the seeds of both. The "
    "pipeline registers what is trained again. The network that our search leaves is compared, and not judged."
)
LEGEND = (
    "Means over seeds, in brackets 95 % intervals over seeds (Student's t); medians of CPU seconds and trainings. "
    "`RMSE above ours` is paired by seed, and its intervals hold for all methods of a sensor together (Bonferroni). "
    "`usual recipe`: how often it was what the finals picked."
)


def markdown(summary: dict[str, Any]) -> str:
    """Every figure of the summary but the curves."""
    return "\n\n".join(
        [
            LEGEND,
            _table(HEAD, [_line(line) for line in summary["table"]]),
            *_overall(summary["overall"]),
            *_speedups(summary),
            *_longer(summary["longer"]),
            *_workers(summary["workers"]),
        ]
    )


def page(summary: dict[str, Any], arguments: Sequence[str]) -> str:
    """The page of the docs: how to have it again, the figures, the plots that lie beside it."""
    given = f" ARGS='{' '.join(arguments)}'" if arguments else ""
    return f"""# The search beside the tools people would otherwise use

What is compared, and how, stands in benchmarks/search.py, and `make bench-search` runs all of it. The searches on
this page are those that had been run when `make bench-search{given}` wrote it; `seeds` says how many of each.

{markdown(summary)}

![Lowest validation error so far over CPU seconds](curves.svg)

![Test error of what each method picked over the CPU seconds of its search](test.svg)
"""


def _line(line: dict[str, Any]) -> list[str]:
    above = _estimate(line["above_ours"]) if line["above_ours"]["mean"] is not None else ""
    return [
        line["user"],
        LABELS[line["method"]],
        f"{line['budget']:g}" if line["budget"] else "",
        str(line["runs"]),
        f"{line['cpu_seconds']:.1f}",
        f"{line['trainings']:.0f}",
        *(_estimate(line[name]) for name in ("validation_rmse", "rmse", "mae")),
        above,
        "" if line["usual"] is None else f"{100 * line['usual']:.0f} %",
    ]


def _overall(lines: Sequence[dict[str, Any]]) -> list[str]:
    rows = [[LABELS[line["method"]], str(line["seeds"]), _percent(line["above_ours"])] for line in lines]
    return [_table(("method", "seeds", "RMSE above ours, mean of the sensors, %"), rows)] if rows else []


def _speedups(summary: dict[str, Any]) -> list[str]:
    if not summary["speedups"]:
        return []
    plain = [
        [user, NETWORK_LABELS[network], *_plain(line[_target_of(network)])]
        for user, line in summary["speedups"].items()
        for network in NETWORKS
    ]
    rows = [
        [user, *(NETWORK_LABELS[network] for network in pair), *_budget(budget)]
        for user, line in summary["speedups"].items()
        for name, pair in PAIRS.items()
        for budget in line[name]["budgets"]
    ]
    found, compiling = summary["speedup_vs_plain"], summary["compilation_cpu_seconds"]
    smallest = "not reached on every sensor" if found is None else f"{found:.1f}"
    sentence = (
        f"speedup_vs_plain, the smallest of the sensors and of both of plain's networks: {smallest} (to reach: "
        f"{LEAST_SPEEDUP:g}). Compiling the trainer once costs {compiling:.1f} CPU seconds."
    )
    return [_table(PLAIN_HEAD, plain), SPEEDUP_LEGEND, _table(SPEEDUP_HEAD, rows), sentence]


def _target_of(network: str) -> str:
    """The judged pair in which plain's network of this kind is."""
    return next(name for name in JUDGED if PAIRS[name][1] == network)


def _plain(found: dict[str, Any]) -> list[str]:
    """What plain took, and the errors that are to be reached."""
    seconds = [f"{found['plain_cpu_seconds'][name]:.0f}" for name in ("mean", "lowest", "highest")]
    return [f"{seconds[0]} ({seconds[1]}–{seconds[2]})", *(f"{found['target'][error]:.4f}" for error in ERRORS)]


def _budget(found: dict[str, Any]) -> list[str]:
    return [
        f"{found['budget']:g}",
        *(_estimate(found["above"][error]) for error in ERRORS),
        "yes" if found["is_reached"] else "no",
        f"{found['cpu_seconds']:.1f}",
        *(f"{found[name]:.1f}" for name in ("speedup", "speedup_with_compilation")),
    ]


def _longer(found: dict[str, Any]) -> list[str]:
    rows = [
        [user, " / ".join(f"{budget:g}" for budget in line["budgets"]), str(line["seeds"]), _percent(line["gain"])]
        for user, line in found.items()
    ]
    return [_table(("sensor", "CPU s", "seeds", "RMSE is lower by, %"), rows)] if rows else []


def _workers(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return []
    head = ("`--workers`", "seconds on the wall, lowest", "times as fast")
    rows = [[str(line["workers"]), f"{line['lowest']:.1f}", f"{line['speedup']:.2f}"] for line in found["workers"]]
    aside = found["side_by_side"]
    most = f"{aside['searches']} independent searches side by side, all that the cores give: {aside['speedup']:.2f}"
    return [
        _table(head, rows),
        f"The same search on {found['user']}, by `python -m benchmarks.search_workers`; {most}.",
    ]


def _percent(estimate: dict[str, float | None]) -> str:
    return _estimate({name: None if value is None else 100 * value for name, value in estimate.items()}, digits=2)


def _estimate(estimate: dict[str, float | None], digits: int = 4) -> str:
    mean = f"{estimate['mean']:.{digits}f}"
    if estimate["low"] is None:
        return mean
    return f"{mean} [{estimate['low']:.{digits}f}, {estimate['high']:.{digits}f}]"


def _table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
