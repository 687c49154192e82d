"""What one streaming forecast costs on a Cortex-M7: instructions, bytes of code and of arena.

    python -m benchmarks.engine [--write-costs]

Cells with random weights, 4 inputs and 6 outputs, run on QEMU's Cortex-M7; instructions are those of `nn_step`, from
features to residuals, counted by SysTick under `-icount shift=0`. They are no cycles: a real core pairs some of them
and waits for others. Code is what the linker keeps of the engine (`ld -r --gc-sections`), constants included and
memcpy and memset not, for all three types and for each alone. Sizes of the whole firmware come from
`make -C firmware sizes`. Results go to build/bench/engine.json. A conversion chooses among types within budget by an
estimate (deployers/conversion/engine_cost.json); one that is far from what is measured is an error, and --write-costs
fits it anew, to cells of every form.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.cells import FORMS, random_cell
from deployers.conversion.cost import instructions, terms
from tests.vectors.cells import gru_cell

ROOT = Path(__file__).resolve().parents[1]
FIRMWARE = ROOT / "firmware"
OUTPUT = ROOT / "build" / "bench"
COSTS = ROOT / "deployers" / "conversion" / "engine_cost.json"
TYPES = {"float32": "float32", "int8": "int8", "int16x8": "int16"}
UNITS = (16, 32)
INPUTS, OUTPUTS = 4, 6
FITTED_UNITS, FITTED_INPUTS = (6, 16, 28), (2, 4, 7)
ESTIMATE_ERROR = 0.08
BUDGET = {"float32": {16: 6000, 32: 14000}, "int8": {16: 6000, 32: 12000}, "int16x8": {16: 6000, 32: 12000}}
CODE_BUDGET = {"all": 20 * 1024, **dict.fromkeys(TYPES, 12 * 1024)}
ARENA_BUDGET = 2048
# Measured in the same way, 24 steps of one feature each, divided by 24: what else runs a GRU on this core.
PEERS = {
    "TFLM, float32 cell": (20_100, 39_400),
    "TFLM and CMSIS-NN, int8 cell": (49_200, 90_700),
    "TFLM and CMSIS-NN, int16x8 cell": (27_700, 48_500),
    "keras2c 2.0, float32": (11_000, 32_200),
    "plain C, float32, libm": (6_800, 19_500),
    "plain C, float32, polynomial exp": (5_500, 17_000),
}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the tables, write the file; 1 if a budget is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-costs", action="store_true", help="fit engine_cost.json to cells of every form")
    write_costs = parser.parse_args(arguments).write_costs
    cells = OUTPUT / "cells"
    cells.mkdir(parents=True, exist_ok=True)
    measured = {name: {units: measure(cells, name, units) for units in UNITS} for name in TYPES}
    code = {name: code_bytes(name) for name in ("all", *TYPES)}
    results: dict[str, Any] = {
        "instructions": {name: {str(u): m["instructions"] for u, m in row.items()} for name, row in measured.items()},
        "arena_bytes": {name: {str(u): m["arena_bytes"] for u, m in row.items()} for name, row in measured.items()},
        "code_bytes": code,
        "firmware": firmware_sizes(),
    }
    (OUTPUT / "engine.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    show(results)
    if write_costs:
        COSTS.write_text(json.dumps(fit_costs(cells), indent=1) + "\n", encoding="utf-8")
    over = [*exceeded(results), *cost_differences(cells, results["instructions"])]
    for line in over:
        sys.stderr.write(f"engine: {line}\n")
    return 1 if over else 0


def measure(folder: Path, name: str, units: int) -> dict[str, int]:
    """Instructions and arena of one cell, on the emulated core."""
    cell = gru_cell(TYPES[name], INPUTS, units, OUTPUTS, seed=3)
    path = folder / f"{name}_{units}.tflite"
    path.write_bytes(cell.file)
    return run_cell(path)


def run_cell(path: Path) -> dict[str, int]:
    """Instructions and arena of the cell in a file."""
    printed = _make("bench", f"MODEL={path}").split()
    instructions, arena, fused = (int(value) for value in printed[-3:])
    if not fused:
        message = f"{path.name} did not run as one fused step"
        raise SystemExit(message)
    return {"instructions": instructions, "arena_bytes": arena}


def code_bytes(name: str) -> int:
    """Bytes of code and constants of the engine with one type, or with all."""
    flags = "" if name == "all" else " ".join(f"-DNN_WITH_{other.upper()}=0" for other in TYPES if other != name)
    return int(_make("engine-size", f"ENGINE_FLAGS={flags}").split()[-1])


def firmware_sizes() -> dict[str, int]:
    """Flash, RAM and stack of the mps2_an500 firmware in bytes."""
    _make("sizes")
    return dict(json.loads((ROOT / "build" / "firmware" / "sizes.json").read_text(encoding="utf-8")))


def show(results: dict[str, Any]) -> None:
    """The tables, with what else runs a GRU beside ours."""
    console = Console(width=110)
    table = Table(title="One streaming forecast on a Cortex-M7, 4 inputs, 6 outputs (instructions)")
    for column in ("runtime", "16 units", "32 units", "of the budget"):
        table.add_column(column, justify="left" if column == "runtime" else "right")
    for name, row in results["instructions"].items():
        shares = [f"{row[str(units)] / BUDGET[name][units]:.0%}" for units in UNITS]
        table.add_row(f"this engine, {name}", *(f"{row[str(u)]:,}" for u in UNITS), " / ".join(shares))
    for peer, counts in PEERS.items():
        table.add_row(f"[dim]{peer} (a 24th of 24 steps, 1 input)", *(f"[dim]{count:,}" for count in counts), "")
    console.print(table)
    table = Table(title="Bytes")
    for column in ("", "code and constants", "arena, 16 units", "arena, 32 units"):
        table.add_column(column, justify="right" if column else "left")
    for name, size in results["code_bytes"].items():
        arena = results["arena_bytes"].get(name, {})
        table.add_row(name, f"{size:,}", *(f"{arena[str(u)]:,}" if arena else "" for u in UNITS))
    console.print(table)
    firmware = results["firmware"]
    console.print(f"mps2_an500 firmware: {firmware['flash']:,} bytes of flash, {firmware['ram']:,} of RAM")


def exceeded(results: dict[str, Any]) -> list[str]:
    """What is larger than its budget."""
    over = [
        f"{name} with {units} units takes {count} instructions, allowed are {BUDGET[name][int(units)]}"
        for name, row in results["instructions"].items()
        for units, count in row.items()
        if count > BUDGET[name][int(units)]
    ]
    over += [
        f"the engine with {name} takes {size} bytes, allowed are {CODE_BUDGET[name]}"
        for name, size in results["code_bytes"].items()
        if size > CODE_BUDGET[name]
    ]
    over += [
        f"{name} with {units} units needs an arena of {size} bytes, allowed are {ARENA_BUDGET}"
        for name, row in results["arena_bytes"].items()
        for units, size in row.items()
        if size > ARENA_BUDGET
    ]
    return over


def fit_costs(folder: Path) -> dict[str, Any]:
    """Measure cells of every form and fit what each term of their cost takes, by relative error.

    Returns:
        The table that `deployers.conversion.cost` reads.
    """
    rows: dict[str, list[tuple[dict[str, int], int]]] = {kind: [] for kind in TYPES}
    sizes = list(product(FORMS, FITTED_UNITS, FITTED_INPUTS))
    for form, units, inputs in track(sizes, "cells of every form", transient=True):
        for kind, file in random_cell(form, inputs, units, OUTPUTS).files.items():
            path = folder / f"{form}_{units}_{inputs}_{kind}.tflite"
            path.write_bytes(file)
            rows[kind].append((terms(kind, file), run_cell(path)["instructions"]))
    fitted = {kind: fit_terms(found) for kind, found in rows.items()}
    return {
        "measured_by": "python -m benchmarks.engine --write-costs",
        "cells": len(sizes),
        "largest_error": {kind: round(error, 3) for kind, (_, error) in fitted.items()},
        "instructions": {kind: coefficients for kind, (coefficients, _) in fitted.items()},
    }


def fit_terms(rows: list[tuple[dict[str, int], int]]) -> tuple[dict[str, float], float]:
    """Least squares of relative errors: instructions a term, and the largest error.

    Args:
        rows: terms of each cell, and what it took.
    """
    names = list(rows[0][0])
    amounts = np.array([[found[name] for name in names] for found, _ in rows], float)
    measured = np.array([count for _, count in rows], float)
    solved, *_ = np.linalg.lstsq(amounts / measured[:, None], np.ones(len(rows)), rcond=None)
    error = float(np.abs(amounts @ solved / measured - 1).max())
    return {name: round(float(value), 2) for name, value in zip(names, solved, strict=True)}, error


def cost_differences(cells: Path, measured: dict[str, dict[str, int]]) -> list[str]:
    """Where the table's estimates are further off than they are allowed to be."""
    found = []
    for name, row in measured.items():
        for units, count in row.items():
            estimate = instructions(name, (cells / f"{name}_{units}.tflite").read_bytes())
            if abs(estimate / count - 1) > ESTIMATE_ERROR:
                found.append(
                    f"{name} with {units} units takes {count} instructions, estimated are {estimate}: --write-costs"
                )
    return found


def _make(*arguments: str) -> str:
    command = ["make", "-C", str(FIRMWARE), "--no-print-directory", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a file and flags of ours
    if done.returncode:
        message = f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"
        raise SystemExit(message)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
