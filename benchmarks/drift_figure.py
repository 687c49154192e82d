"""Skill by day, with what happened when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deployers.conversion.charts import BASELINES, MUTED, new_axes

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.drift_course import Plan


def draw(figures: dict[str, Any], plan: Plan, path: Path) -> None:
    """Write the plot as PNG."""
    figure, axes = new_axes(5.0, "day of the room in the field", "live skill (1 − MAE / persistence's)")
    days = [row for row in figures["days"] if row["skill"] is not None]
    for number, version in enumerate(sorted({row["version"] for row in days})):
        own = [row for row in days if row["version"] == version]
        label, colour = f"image {version} on board-1", BASELINES[number % len(BASELINES)]
        axes.plot([row["at"] for row in own], [row["skill"] for row in own], "o-", ms=3.5, color=colour, label=label)
    level = figures["skill_before"]
    axes.axhline(level, color=MUTED, lw=0.8)
    axes.axhline(0.9 * level, color=MUTED, lw=0.8, ls=":")
    axes.axvspan(0, plan.healthy, color="#f1f4f7", zorder=0)
    marked = [event for event in figures["events"] if event["mark"]]
    for number, event in enumerate(marked):
        axes.axvline(event["day"], color=MUTED, lw=0.8, ls="--")
        axes.annotate(
            event["mark"], (event["day"], 1.01 + 0.05 * (number % 3)), xycoords=("data", "axes fraction"), fontsize=8,
            rotation=0, ha="left",
        )  # fmt: skip
    low = min([row["skill"] for row in days], default=0.0)
    axes.set_ylim(max(-1.0, low - 0.05), None)
    axes.legend(loc="lower left", fontsize=8)
    figure.suptitle("A sensor is moved, and the loop turns by itself", y=1.12)
    figure.savefig(path, dpi=110, bbox_inches="tight")
