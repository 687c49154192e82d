"""Challenger against champion, through the registry and ZenML's stages."""

from __future__ import annotations

from typing import Any

import pytest

SMOKE = ("--config", "pipelines/configs/smoke.yaml")


@pytest.fixture(scope="module")
def ranked(smoke: Any, reseeded: dict[str, Any]) -> tuple[str, str]:
    """The two versions, the better one first."""
    by_error = sorted((smoke.result, reseeded), key=lambda result: result["promotion"]["challenger_rmse"])
    return by_error[0]["model_version"], by_error[1]["model_version"]


def aliases(workplace: Any) -> dict[str, str]:
    rows = workplace.mlflow("select alias, version from registered_model_aliases where name = 'smoke-forecaster'")
    return {alias: str(version) for alias, version in rows}


def test_another_seed_is_another_version_of_the_same_dataset(reseeded: dict[str, Any]) -> None:
    assert reseeded["model_version"] == "2"
    assert not reseeded["already_registered"]
    assert reseeded["dataset_version"] == "smoke:1"
    assert reseeded["cached"] == ["load"]


def test_the_lower_error_decides_and_the_reason_says_so(reseeded: dict[str, Any]) -> None:
    promotion = reseeded["promotion"]
    wins = promotion["challenger_rmse"] < promotion["champion_rmse"]
    assert promotion["challenger_rmse"] == pytest.approx(reseeded["test"]["rmse"], abs=1e-5)
    assert reseeded["alias"] == ("champion" if wins else "challenger")
    assert ("does not beat" not in promotion["reason"]) == wins
    assert f"{promotion['challenger_rmse']:.4f} °C" in promotion["reason"]
    assert f"{promotion['champion_rmse']:.4f} °C" in promotion["reason"]


def test_force_moves_champion_and_stage_to_the_worse_and_only_the_better_takes_them_back(
    workplace: Any, ranked: tuple[str, str]
) -> None:
    better, worse = ranked
    forced = workplace.succeed("promote", *SMOKE, "--version", worse, "--force").result
    assert (forced["alias"], forced["reason"], forced["champion_version"]) == ("champion", "promoted by force", worse)
    assert workplace.stages() == {f"v{worse}": "production", f"v{better}": "archived"}
    assert aliases(workplace) in ({"champion": worse}, {"champion": worse, "challenger": better})

    held = workplace.succeed("promote", *SMOKE, "--version", better, "--set", "promotion.margin=0.9").result
    assert (held["champion_version"], held["promoted"]) == (worse, False)
    assert held["alias"] == {version: alias for alias, version in aliases(workplace).items()}.get(better)
    assert "does not beat" in held["reason"]
    assert held["reason"].endswith("by the margin of 90.0%")
    assert workplace.stages()[f"v{worse}"] == "production"

    won = workplace.succeed("promote", *SMOKE, "--version", better).result
    assert (won["alias"], won["champion_version"]) == ("champion", better)
    assert " beats the champion's " in won["reason"]
    assert workplace.stages() == {f"v{better}": "production", f"v{worse}": "archived"}
    assert aliases(workplace) == {"champion": better}


def test_show_lists_versions_datasets_and_runs(workplace: Any, ranked: tuple[str, str]) -> None:
    shown = workplace.succeed("show", *SMOKE).result
    assert shown["stack"] == "edgeloop-local"
    assert [row["version"] for row in shown["versions"]] == ["2", "1"]
    assert shown["champion"] in ranked
    assert {row["version"]: row["aliases"] for row in shown["versions"]}[shown["champion"]] == ["champion"]
    assert "smoke:1" in [row["dataset_version"] for row in shown["datasets"]]
    assert {"zenml_run", "status", "created"} == shown["runs"][0].keys()


def test_a_person_reads_the_same_without_colours(edgeloop: Any, ranked: tuple[str, str]) -> None:
    outcome = edgeloop("show", *SMOKE)
    assert outcome.code == 0
    assert "Model smoke-forecaster" in outcome.stdout
    assert "champion" in outcome.stdout
    assert "smoke:1" in outcome.stdout


def test_a_version_that_is_not_registered_is_named(workplace: Any, ranked: tuple[str, str]) -> None:
    message = workplace.refuse(2, "promote", *SMOKE, "--version", "99")
    assert message == "version '99' of model 'smoke-forecaster' is not registered, see python run.py show"
