"""What a person reads after a command."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.timers import timer_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH = 100


def print_summary(command: str, result: Mapping[str, Any], output: IO[str]) -> None:
    """Print a command's result for a person; colour only on a terminal.

    Args:
        command: data, train, all, promote, show or schedule.
        result: what the command returned.
        output: where to print.
    """
    console = Console(file=output, highlight=False, soft_wrap=True, width=None if output.isatty() else WIDTH)
    commands = {"data": _data, "train": _train, "all": _all, "promote": _promote, "show": _show, "schedule": _schedule}
    commands[command](console, result)


def _data(console: Console, result: Mapping[str, Any]) -> None:
    counts, conditions, dataset = result["cleaning"], result["conditions"], result["dataset"]
    passed = sum(condition["passed"] for condition in conditions)
    selection = ", ".join(f"{key} {result[key]}" for key in ("user", "tag") if result[key])
    _facts(
        console,
        f"Dataset {result['dataset_version']}",
        {
            "source": result["source"] + (f" ({selection})" if selection else ""),
            "readings": f"{counts['rows_in']:,} in, {counts['rows_out']:,} on a grid of {counts['cadence_seconds']} s",
            "left out": f"{counts['exact_duplicates']:,} repeated, {counts['conflicting']:,} conflicting, "
            f"{counts['surplus'] + counts['off_grid']:,} beside the grid, "
            f"{counts['rows_dropped_with_segments']:,} in short segments",
            "gaps": f"{counts['missing']:,} readings missing, {counts['held']:,} of them held; long gaps: "
            f"{counts['gaps_long']}, segments: {counts['segments']}",
            "conditions": f"{passed} of {len(conditions)} passed",
            "parts": ", ".join(f"{dataset[f'rows_{part}']:,} {part}" for part in ("train", "validation", "test")),
            "sequences": f"{dataset['sequences_train']} for training (sequences, steps, features)",
            "from the cache": ", ".join(result["cached"]) or "nothing",
            "ZenML run": result["zenml_run"],
        },
    )


def _train(console: Console, result: Mapping[str, Any]) -> None:
    network = result["network"]
    facts = {
        "network": f"{network['form']}, {network['units']} units, {result['parameters']:,} parameters, "
        f"{result['macs_per_forecast']:,} multiply-accumulates a forecast",
        "reads": ", ".join(network["features"]),
        "search": f"{result['search']['evaluations']} evaluations, ended after {result['search']['stopped']}",
        "CPU seconds": f"{result['cpu_seconds']} for search and final training",
        "memory": f"at most {result['search']['peak_bytes'] / 1e6:.0f} MB, all processes of the search together",
        "deployed as": _deployed(result["conversion"]),
        "trained on": result["dataset_version"],
        "release": result["release_dir"],
        "ZenML run": result["zenml_run"],
        "MLflow run": result["mlflow_run"],
        "alias": f"{result['alias']}: {result['promotion']['reason']}",
    }
    if result["already_registered"]:
        facts["registered"] = "before, by an earlier run with the same outcome"
    _facts(console, f"Model {result['model_name']}, version {result['model_version']}", facts)
    table = Table(title="Error on the test part, one-step to last-step forecasts together", title_justify="left")
    for column in ("model", "MAE °C", "RMSE °C", "MAPE %", "MASE"):
        table.add_column(column, justify="left" if column == "model" else "right")
    rows = {"this model": result["test"], **result["baselines"]}
    for name, metrics in sorted(rows.items(), key=lambda row: float(row[1]["rmse"])):
        table.add_row(name, *(_figure(metrics[key]) for key in ("mae", "rmse", "mape", "mase")))
    console.print(table)
    forecast = result["forecast"]
    ahead = ", ".join(f"{t[11:16]} {v:.2f}" for t, v in zip(forecast["times"], forecast["values"], strict=True))
    console.print(
        f"\nAfter the last reading ({forecast['reading']:.2f} °C at {forecast['made_at'][:16]}) it forecasts, in °C:"
    )
    console.print(f"  {ahead}")


def _deployed(conversion: Mapping[str, Any]) -> str:
    """The chosen type, its cost, and how much worse than float Keras it and the others are."""
    types, chosen = conversion["types"], conversion["chosen"]
    others = ", ".join(f"{kind} {_share(found['mae_growth'])}" for kind, found in types.items() if kind != chosen)
    own = f"{chosen}, about {types[chosen]['instructions']:,} instructions a forecast on the board"
    return f"{own}; MAE grows by {_share(types[chosen]['mae_growth'])}" + (f" ({others})" if others else "")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{round(100 * value, 2) + 0.0:.2f} %"  # no minus before a zero


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _all(console: Console, result: Mapping[str, Any]) -> None:
    _data(console, result["data"])
    _train(console, result)
    champion = f"models:/{result['model_name']}@champion"
    console.print("\nNext:")
    for command, meaning in {
        f"python run.py show --set training.model={result['model_name']}": "versions, aliases, datasets, runs",
        f". .venv/bin/activate; export MLFLOW_TRACKING_URI={result['mlflow_uri']}": "for the commands below",
        "mlflow ui --backend-store-uri $MLFLOW_TRACKING_URI": "runs, metrics, reports",
        f"mlflow models serve -m {champion} --env-manager local -p 5001": "forecasts over HTTP",
        f"python -m deployers convert --version champion --model {result['model_name']} --out out/": (
            "cells for a microcontroller, and proof that they say the same"
        ),
    }.items():
        console.print(f"  {command}\n      {meaning}", markup=False)


def _promote(console: Console, result: Mapping[str, Any]) -> None:
    verdict = {"champion": "is champion", "challenger": "stays challenger"}.get(result["alias"], "stays as it is")
    facts = {"why": result["reason"], "champion": result["champion_version"], "ZenML run": result["zenml_run"]}
    _facts(console, f"Model {result['model_name']}, version {result['model_version']} {verdict}", facts)


def _show(console: Console, result: Mapping[str, Any]) -> None:
    none = "none yet, python run.py all makes one"
    facts = {
        "stack": result["stack"],
        "MLflow": result["mlflow_uri"],
        "champion": result["champion"] or none,
        "challenger": result["challenger"] or "none",
    }
    _facts(console, f"Model {result['model_name']}", facts)
    versions = [
        (
            row["version"],
            ", ".join(row["aliases"]),
            row["tags"].get("dataset_version", ""),
            row["tags"].get("zenml_run", ""),
        )
        for row in result["versions"]
    ]
    _table(console, "Versions", ("version", "alias", "dataset", "ZenML run"), versions)
    _table(
        console, "Datasets", ("dataset", "created"), [(d["dataset_version"], d["created"]) for d in result["datasets"]]
    )
    _table(console, "Last runs", ("run", "status", "created"), [tuple(run.values()) for run in result["runs"]])


def _schedule(console: Console, result: Mapping[str, Any]) -> None:
    if "schedules" in result:
        columns = ("schedule", "pipeline", "orchestrator", "cron", "active", "created")
        rows = [[row[column] for column in columns] for row in result["schedules"]]
        _table(console, "Schedules of ZenML", columns, rows)
        if not rows:
            console.print("ZenML keeps no schedules")
    elif "removed" in result:
        console.print(f"schedule {result['removed']} is removed", markup=False)
        if result["by_hand"]:
            console.print(f"  still to do: {result['by_hand']}", markup=False)
    elif result["by"] == "zenml":
        facts = {"orchestrator": result["orchestrator"], "cron": result["expression"], "pipeline": result["pipeline"]}
        _facts(console, f"Schedule {result['schedule']} {result['state']}", facts)
    else:
        console.file.write(timer_text(result))


def _facts(console: Console, title: str, facts: Mapping[str, Any]) -> None:
    console.print(f"\n[bold]{title}[/bold]")
    for name, value in facts.items():
        console.print(f"  {name:<15} {value}", markup=False)


def _table(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    if not rows:
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row))
    console.print(table)
