"""What a person reads after a command: every figure, literally, and plain where no one watches."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from pipelines.summary import print_summary

CLEANING = {
    "rows_in": 12_345, "rows_out": 11_999, "cadence_seconds": 600, "exact_duplicates": 1_101, "conflicting": 202,
    "surplus": 30, "off_grid": 4, "rows_dropped_with_segments": 505, "missing": 66, "held": 27, "gaps_long": 8,
    "segments": 9,
}  # fmt: skip
DATA = {
    "dataset_version": "attic:7",
    "zenml_run": "data-0a1b",
    "cached": ["collect", "clean"],
    "source": "house.csv",
    "user": "living_room",
    "tag": "indoor",
    "cleaning": CLEANING,
    "conditions": [{"passed": True}, {"passed": False}, {"passed": True}],
    "dataset": {"rows_train": 8_111, "rows_validation": 1_888, "rows_test": 2_000, "sequences_train": [40, 192, 5]},
}
TRAIN = {
    "model_name": "attic-forecaster",
    "model_version": "3",
    "alias": "champion",
    "release_dir": "/somewhere/release",
    "test": {"mae": 0.2, "rmse": 0.3, "mape": None, "mase": 0.7},
    "baselines": {
        "persistence": {"mae": 0.4, "rmse": 2.5, "mape": 2.5, "mase": 1.0},
        "ridge": {"mae": 0.1, "rmse": 0.15, "mape": 0.9, "mase": 0.6},
        "drift": {"mae": 9.0, "rmse": 10.0, "mape": 40.0, "mase": 20.0},
    },
    "cpu_seconds": 71.25,
    "parameters": 1_234,
    "macs_per_forecast": 5_678,
    "dataset_version": "attic:7",
    "zenml_run": "training-2c3d",
    "mlflow_run": "f00dfeed",
    "mlflow_uri": "sqlite:////home/mlflow.db",
    "already_registered": False,
    "promotion": {"reason": "there is no champion yet"},
    "network": {"form": "conv_gru", "units": 16, "features": ["value", "difference:1"]},
    "conversion": {
        "chosen": "int8",
        "types": {
            "float32": {"mae_growth": -2e-9, "instructions": 14_001, "file_bytes": 7_728, "arena_bytes": 688},
            "int8": {"mae_growth": 0.00961, "instructions": 12_002, "file_bytes": 5_712, "arena_bytes": None},
            "int16x8": {"mae_growth": None, "instructions": 12_003, "file_bytes": 6_256, "arena_bytes": 696},
        },
    },
    "search": {"evaluations": 28, "stopped": "all evaluations", "peak_bytes": 251_000_000},
    "forecast": {
        "made_at": "2024-03-01T11:50:00",
        "reading": 20.456,
        "times": ["2024-03-01T12:00:00", "2024-03-01T12:10:00"],
        "values": [20.567, 20.689],
    },
}
PROMOTE = {
    "model_name": "attic-forecaster",
    "model_version": "3",
    "reason": "test RMSE 0.3 °C beats the champion's",
    "champion_version": "2",
    "zenml_run": "promotion-4e5f",
}
SHOW: dict[str, Any] = {
    "stack": "edgeloop-local",
    "mlflow_uri": "sqlite:////home/mlflow.db",
    "model_name": "attic-forecaster",
    "champion": None,
    "challenger": None,
    "versions": [],
    "datasets": [],
    "runs": [],
}


@pytest.fixture(autouse=True)
def _no_wishes_about_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def summary(command: str, result: dict[str, Any], output: io.StringIO | None = None) -> str:
    output = output or io.StringIO()
    print_summary(command, result, output)
    return output.getvalue()


def fact(text: str, name: str) -> str:
    """What stands beside a name."""
    found = re.search(rf"^  {re.escape(name)} +(.*)$", text, re.MULTILINE)
    assert found, f"no {name!r} in {text}"
    return found[1]


def test_data_shows_every_figure() -> None:
    text = summary("data", DATA)
    assert text.startswith("\nDataset attic:7\n")
    assert fact(text, "source") == "house.csv (user living_room, tag indoor)"
    assert fact(text, "readings") == "12,345 in, 11,999 on a grid of 600 s"
    assert fact(text, "left out") == "1,101 repeated, 202 conflicting, 34 beside the grid, 505 in short segments"
    assert fact(text, "gaps") == "66 readings missing, 27 of them held; long gaps: 8, segments: 9"
    assert fact(text, "conditions") == "2 of 3 passed"
    assert fact(text, "parts") == "8,111 train, 1,888 validation, 2,000 test"
    assert fact(text, "sequences").startswith("[40, 192, 5] ")
    assert fact(text, "from the cache") == "collect, clean"
    assert fact(text, "ZenML run") == "data-0a1b"


@pytest.mark.parametrize(
    ("user", "tag", "expected"),
    [
        (None, None, "house.csv"),
        ("lab", None, "house.csv (user lab)"),
        (None, "indoor", "house.csv (tag indoor)"),
    ],
)
def test_the_source_names_only_what_was_selected(user: str | None, tag: str | None, expected: str) -> None:
    assert fact(summary("data", {**DATA, "user": user, "tag": tag}), "source") == expected


def test_nothing_from_the_cache_is_said() -> None:
    assert fact(summary("data", {**DATA, "cached": []}), "from the cache") == "nothing"


def test_train_shows_every_figure() -> None:
    text = summary("train", TRAIN)
    assert text.startswith("\nModel attic-forecaster, version 3\n")
    network = "conv_gru, 16 units, 1,234 parameters, 5,678 multiply-accumulates a forecast"
    assert fact(text, "network") == network
    assert fact(text, "reads") == "value, difference:1"
    assert fact(text, "memory") == "at most 251 MB, all processes of the search together"
    assert fact(text, "search") == "28 evaluations, ended after all evaluations"
    assert fact(text, "CPU seconds").startswith("71.25 ")
    own = "int8, about 12,002 instructions a forecast on the board; MAE grows by 0.96 %"
    assert fact(text, "deployed as") == f"{own} (float32 0.00 %, int16x8 –)"
    assert fact(text, "trained on") == "attic:7"
    assert fact(text, "release") == "/somewhere/release"
    assert fact(text, "ZenML run") == "training-2c3d"
    assert fact(text, "MLflow run") == "f00dfeed"
    assert fact(text, "alias") == "champion: there is no champion yet"
    assert "After the last reading (20.46 °C at 2024-03-01T11:50)" in text
    assert "  12:00 20.57, 12:10 20.69\n" in text


def test_a_type_without_others_stands_alone() -> None:
    types = {"int8": TRAIN["conversion"]["types"]["int8"]}
    text = summary("train", {**TRAIN, "conversion": {"chosen": "int8", "types": types}})
    assert fact(text, "deployed as").endswith("MAE grows by 0.96 %")


def test_the_table_goes_from_the_least_rmse_to_the_largest_as_numbers() -> None:
    rows = [re.split(r" *│ *", line)[1:-1] for line in summary("train", TRAIN).splitlines() if line.startswith("│")]
    assert rows == [
        ["ridge", "0.1000", "0.1500", "0.9000", "0.6000"],
        ["this model", "0.2000", "0.3000", "–", "0.7000"],
        ["persistence", "0.4000", "2.5000", "2.5000", "1.0000"],
        ["drift", "9.0000", "10.0000", "40.0000", "20.0000"],
    ]


@pytest.mark.parametrize("before", [True, False])
def test_a_version_that_was_there_before_is_said_to_be(before: bool) -> None:
    assert ("by an earlier run" in summary("train", {**TRAIN, "already_registered": before})) == before


def test_all_shows_both_and_what_to_do_next() -> None:
    text = summary("all", {**TRAIN, "data": DATA})
    assert summary("data", DATA) + summary("train", TRAIN) == text[: text.index("\nNext:")]
    for command in (
        "python run.py show --set training.model=attic-forecaster",
        "export MLFLOW_TRACKING_URI=sqlite:////home/mlflow.db",
        "mlflow models serve -m models:/attic-forecaster@champion --env-manager local",
    ):
        assert command in text


@pytest.mark.parametrize(
    ("alias", "verdict"),
    [("champion", "is champion"), ("challenger", "stays challenger"), (None, "stays as it is")],
)
def test_promote_says_what_became_of_the_version(alias: str | None, verdict: str) -> None:
    text = summary("promote", {**PROMOTE, "alias": alias})
    assert text.startswith(f"\nModel attic-forecaster, version 3 {verdict}\n")
    assert fact(text, "why") == PROMOTE["reason"]
    assert fact(text, "champion") == "2"
    assert fact(text, "ZenML run") == "promotion-4e5f"


def test_show_before_the_first_run_says_how_to_begin() -> None:
    text = summary("show", SHOW)
    assert fact(text, "stack") == "edgeloop-local"
    assert fact(text, "MLflow") == SHOW["mlflow_uri"]
    assert fact(text, "champion") == "none yet, python run.py all makes one"
    assert fact(text, "challenger") == "none"
    assert not any(title in text for title in ("Versions", "Datasets", "Last runs"))


def test_show_lists_versions_datasets_and_runs() -> None:
    tags = {"dataset_version": "attic:7", "zenml_run": "training-2c3d"}
    versions = [
        {"version": "2", "aliases": ["challenger", "newest"], "tags": tags},
        {"version": "1", "aliases": [], "tags": {}},
    ]
    listed = {
        "champion": "1",
        "challenger": "2",
        "versions": versions,
        "datasets": [{"dataset_version": "attic:8", "created": "2024-03-02T10:00:00"}],
        "runs": [{"zenml_run": "data-0a1b", "status": "completed", "created": "2024-03-03T10:00:00"}],
    }
    text = summary("show", {**SHOW, **listed})
    assert (fact(text, "champion"), fact(text, "challenger")) == ("1", "2")
    rows = [re.split(r" *│ *", line)[1:-1] for line in text.splitlines() if line.startswith("│")]
    assert rows == [
        ["2", "challenger, newest", "attic:7", "training-2c3d"],
        ["1", "", "", ""],
        ["attic:8", "2024-03-02T10:00:00"],
        ["data-0a1b", "completed", "2024-03-03T10:00:00"],
    ]
    assert [line for line in text.splitlines() if line.strip() in ("Versions", "Datasets", "Last runs")]


def test_markup_in_values_is_printed_as_it_is() -> None:
    assert fact(summary("data", {**DATA, "source": "[bold]x", "user": "[/red]"}), "source").startswith(
        "[bold]x (user [/red]"
    )
    assert "[bold]x[/bold]" in summary("promote", {**PROMOTE, "alias": None, "reason": "[bold]x[/bold]"})
    assert "sqlite:///[red]" in summary("all", {**TRAIN, "data": DATA, "mlflow_uri": "sqlite:///[red]"})


@pytest.mark.parametrize(
    ("command", "result"),
    [
        ("data", DATA),
        ("train", TRAIN),
        ("all", {**TRAIN, "data": DATA}),
        ("promote", {**PROMOTE, "alias": "champion"}),
        ("show", SHOW),
    ],
)
def test_only_a_terminal_gets_colour_codes(command: str, result: dict[str, Any]) -> None:
    assert "\x1b" not in summary(command, result)
    assert "\x1b[1m" in summary(command, result, Terminal())


def test_a_long_path_stays_on_one_line() -> None:
    path = "/" + "/".join(["folder"] * 40)
    assert fact(summary("train", {**TRAIN, "release_dir": path}), "release") == path


SCHEDULES = {
    "kept by ZenML": (
        {"by": "zenml", "schedule": "nightly", "state": "updated", "orchestrator": "airflow", "pipeline": "all"}
        | {"expression": "0 3 * * *"},
        ["Schedule nightly updated", "orchestrator    airflow", "cron            0 3 * * *", "pipeline        all"],
    ),
    "removed": ({"removed": "[nightly]", "by_hand": None}, ["schedule [nightly] is removed"]),
    "removed in part": (
        {"removed": "nightly", "by_hand": "delete the recurring run 'nightly'"},
        ["schedule nightly is removed", "still to do: delete the recurring run 'nightly'"],
    ),
    "none": ({"schedules": []}, ["ZenML keeps no schedules"]),
    "listed": (
        {
            "schedules": [
                {"schedule": "nightly", "pipeline": "all", "orchestrator": "x", "cron": "0 3 * * *"}
                | {"active": True, "created": "2026-11-22T05:00:00"}
            ]
        },
        ["Schedules of ZenML", "nightly", "0 3 * * *"],
    ),
    "a cron line": (
        {"by": "cron", "files": {"n.cron": "0 3 * * * [b]x[/b]\n"}, "states": {}, "next": ["2026-11-23T03:00"]}
        | {"commands": ["crontab -e"], "variables": [], "environment_file": "/home/schedule.env"},
        ["# n.cron", "0 3 * * * [b]x[/b]", "# next: 2026-11-23T03:00, by this machine's clock", "#   crontab -e"],
    ),
}


@pytest.mark.parametrize("case", SCHEDULES)
def test_schedules_are_told_as_they_are(case: str) -> None:
    result, expected = SCHEDULES[case]
    output = io.StringIO()
    print_summary("schedule", result, output)
    for text in expected:
        assert text in output.getvalue()
