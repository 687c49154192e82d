"""The dry run: what it measures, what the gate makes of it, and how its failures are told."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployers import exceptions
from deployers.conversion import proof
from deployers.protocol.manifest import NAME, verify_manifest, write_manifest
from forecaster import errors
from forecaster.conversion import ConversionConfig, dry_run, fidelity_condition, growths, headline, percent
from forecaster.genome import Candidate
from forecaster.gru.architecture import Recipe
from forecaster.model import train
from forecaster.release import write_release
from tests.synthetic import dataset

COSTS = {"instructions": 4_308, "file_bytes": 7_728, "arena_bytes": 688}


def figures(budget: float = 0.01, **measured: float | None) -> dict[str, Any]:
    return {
        "chosen": "int8",
        "budget": {"mae_growth": budget},
        "types": {kind: {"mae_growth": growth, **COSTS} for kind, growth in measured.items()},
    }


# What the gate makes of the figures


@pytest.mark.parametrize(
    ("measured", "passed"),
    [
        ({"float32": 0.0, "int8": 0.5}, True),
        ({"int8": 0.02, "int16x8": 0.01}, True),
        ({"int8": 0.02, "int16x8": 0.011}, False),
        ({"int8": None, "int16x8": 0.009}, True),
        ({"int8": None}, False),
    ],
)
def test_one_type_within_budget_is_enough(measured: dict[str, float | None], passed: bool) -> None:
    assert fidelity_condition(figures(**measured)).passed is passed


def test_the_condition_tells_every_type() -> None:
    condition = fidelity_condition(figures(int8=0.0234567, int16x8=0.0125, float32=None))
    assert condition.sentence() == (
        "least MAE growth of a converted type is 1.25 %, must be at most 1 % "
        "(int8 2.346 %, int16x8 1.25 %, float32 not measured)"
    )


def test_what_was_not_measured_does_not_pass() -> None:
    assert math.isnan(fidelity_condition(figures(float32=None)).value)


@pytest.mark.parametrize(
    ("growth", "told"), [(0.0096, "0.96 %"), (-2.7e-9, "0 %"), (-0.01, "-1 %"), (None, "not measured"), (3.0, "300 %")]
)
def test_a_growth_in_words(growth: float | None, told: str) -> None:
    assert percent(growth) == told


def test_a_tracker_gets_numbers_alone() -> None:
    found = figures(int8=0.004, int16x8=None)
    found["types"]["int8"]["arena_bytes"] = None
    assert headline(found) == {
        "int8_mae_growth": 0.004, "int8_instructions": 4_308, "int8_file_bytes": 7_728,
        "int16x8_instructions": 4_308, "int16x8_file_bytes": 7_728, "int16x8_arena_bytes": 688,
    }  # fmt: skip


# How failures are told


@pytest.mark.parametrize(
    ("theirs", "ours", "code"),
    [
        (exceptions.ReleaseError, errors.InputError, 2),
        (exceptions.InputError, errors.InputError, 2),
        (exceptions.MissingTool, errors.StackError, 4),
        (exceptions.ConversionError, errors.ConversionError, 7),
        (exceptions.DeployerError, errors.ForecasterError, 1),
    ],
)
def test_an_error_of_the_deployers_is_told_as_one_of_ours(
    monkeypatch: pytest.MonkeyPatch, theirs: type[Exception], ours: type[errors.ForecasterError], code: int
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        msg = "the converter 'x' fell over: pick it up"
        raise theirs(msg)

    monkeypatch.setattr(proof, "prove", fail)
    with pytest.raises(ours, match=r"^the converter 'x' fell over: pick it up$") as caught:
        dry_run(Path("release"), ConversionConfig())
    assert type(caught.value) is ours
    assert caught.value.exit_code == code
    assert isinstance(errors.restored(f"forecaster.errors.{ours.__name__}", "x"), ours)


def test_what_json_does_not_know_becomes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"chosen": None, "types": {"int8": {"mae_growth": math.nan, "list": [(1.0, math.inf)], "n": 3}}}
    monkeypatch.setattr(proof, "prove", lambda *_, **__: SimpleNamespace(figures=found, page="<html>"))
    expected = {"chosen": None, "types": {"int8": {"mae_growth": None, "list": [[1.0, None]], "n": 3}}}
    assert dry_run(Path("release"), ConversionConfig()) == (expected, "<html>")


def test_a_dry_run_never_builds_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def prove(*_: Any, **options: Any) -> Any:
        asked.append(options)
        return SimpleNamespace(figures={}, page="")

    monkeypatch.setattr(proof, "prove", prove)
    dry_run(Path("release"), ConversionConfig())
    assert asked == [{"build_engine": False}]


# A release, converted


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, data = tmp_path_factory.mktemp("releases") / "release", dataset(2400)
    recipe = Recipe(updates=40, batch=8, steps=32, burn_in=4)
    trained = train(data, Candidate(("difference:1", "hour:1:sin"), "gru", 4, recipe), 40, 1, refit=True)
    write_release(folder, trained, data, {}, {"dataset_version": "t:1"})
    return folder


@pytest.fixture(scope="module")
def impossible(release: Path) -> tuple[dict[str, Any], str]:
    return dry_run(release, ConversionConfig(types=("float32", "int16x8"), mae_growth=-1))


def test_a_dry_run_measures_each_type_over_the_test_part(impossible: tuple[dict[str, Any], str]) -> None:
    found, _ = impossible
    assert list(found["types"]) == ["float32", "int16x8"]
    assert found["test_part"]["steps"] == 360
    assert abs(growths(found)["float32"] or 1) < 1e-5
    assert abs(growths(found)["int16x8"] or 1) < 0.02
    assert found["types"]["float32"]["error"]["largest"]["celsius"] < 1e-4
    assert found["types"]["int16x8"]["drift"]["steps"] == 10_000
    json.dumps(found, allow_nan=False)


def test_nothing_within_budget_is_reported_and_fails_the_gate(impossible: tuple[dict[str, Any], str]) -> None:
    found, page = impossible
    assert found["chosen"] is None
    assert not fidelity_condition(found).passed
    assert "no type is within budget" in page
    assert page.count("<svg") + page.count("<img") >= 4


def test_a_dry_run_leaves_the_release_as_it_is(release: Path, impossible: tuple[dict[str, Any], str]) -> None:
    assert verify_manifest(release)["facts"]["digest"] == impossible[0]["digest"]


@pytest.fixture
def copied(release: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(release, tmp_path / "release"))


def test_a_release_of_before_the_test_part_is_told_to_train_again(copied: Path) -> None:
    facts = verify_manifest(copied)["facts"]
    (copied / "test.npz").unlink()
    (copied / NAME).unlink()
    write_manifest(copied, facts)
    with pytest.raises(errors.InputError, match=r"'release' has no test\.npz, .* train again"):
        dry_run(copied, ConversionConfig())


@pytest.mark.parametrize("name", ["test.npz", "calibration.npz", "golden.json", "features.json", "model.keras"])
def test_everything_a_conversion_reads_is_under_the_manifest(copied: Path, name: str) -> None:
    with (copied / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(errors.InputError, match=name):
        dry_run(copied, ConversionConfig())
