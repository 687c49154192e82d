"""Skill by day, with what happened when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.drift_course import Plan

COLOURS = ("#2a6f97", "#2a9d4b", "#c1440e", "#7b5ea7")


def draw(figures: dict[str, Any], plan: Plan, path: Path) -> None:
    """Write the plot as PNG."""
    figure, axes = plt.subplots(figsize=(11, 5), layout="constrained")
    days = [row for row in figures["days"] if row["skill"] is not None]
    for number, version in enumerate(sorted({row["version"] for row in days})):
        own = [row for row in days if row["version"] == version]
        label, colour = f"image {version} on board-1", COLOURS[number % len(COLOURS)]
        axes.plot([row["at"] for row in own], [row["skill"] for row in own], "o-", ms=3.5, color=colour, label=label)
    level = figures["skill_before"]
    axes.axhline(level, color="#888888", lw=0.8)
    axes.axhline(0.9 * level, color="#888888", lw=0.8, ls=":")
    axes.axvspan(0, plan.healthy, color="#f1f4f7", zorder=0)
    marked = [event for event in figures["events"] if event["mark"]]
    for number, event in enumerate(marked):
        axes.axvline(event["day"], color="#55606c", lw=0.8, ls="--")
        axes.annotate(
            event["mark"], (event["day"], 1.01 + 0.05 * (number % 3)), xycoords=("data", "axes fraction"), fontsize=8,
            rotation=0, ha="left",
        )  # fmt: skip
    axes.set(xlabel="day of the room in the field", ylabel="live skill (1 − MAE / persistence's)")
    low = min([row["skill"] for row in days], default=0.0)
    axes.set_ylim(max(-1.0, low - 0.05), None)
    axes.legend(loc="lower left", fontsize=8)
    figure.suptitle("A sensor is moved, and the loop turns by itself", y=1.12)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)
