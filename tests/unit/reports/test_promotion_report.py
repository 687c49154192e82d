"""The page of a promotion: why it ran, and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mlflow
import pytest

from forecaster.evaluation import GateConfig, assess
from forecaster.genome import Candidate
from forecaster.gru.architecture import Recipe
from forecaster.model import train
from forecaster.promotion import PromotionConfig, release_rmse
from forecaster.release import write_release
from forecaster.reports.promotion import BY_HAND, Contender, promotion_page
from pipelines.runs import retraining_cause
from steps.promotion.contest import contest
from steps.promotion.explain import explain
from steps.promotion.registry import Registry, TrackedRun
from tests.synthetic import dataset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = "room"
CAUSE = {"series": "board-1", "reason": "skill 0.15 <b>of version 1</b>", "request": "7"}
FIRST = {"version": "1", "promoted": True, "reason": "there is no champion yet", "champion_rmse": None}


@pytest.fixture(scope="module")
def data() -> Any:
    return dataset(1200)


@pytest.fixture(scope="module")
def contenders(data: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Contender]:
    """A release hardly trained and one trained, with other features."""
    made = []
    for version, updates, features in (("1", 1, ("difference:1",)), ("2", 60, ("difference:1", "hour:1:sin"))):
        candidate = Candidate(features, "gru", 4, Recipe(updates=updates, batch=4, steps=32, burn_in=4))
        forecaster = train(data, candidate, updates, 1, refit=False)
        result, _ = assess(data, forecaster, GateConfig(), 1)
        folder = tmp_path_factory.mktemp("releases") / "release"
        write_release(folder, forecaster, data, result["evaluation"], {"dataset_version": f"room:{version}"})
        made.append(Contender(version, folder))
    return made


def test_both_are_told_side_by_side_with_their_errors_on_the_same_readings(data: Any, contenders: Any) -> None:
    errors = [release_rmse(each.release, data) for each in contenders]
    outcome = {**FIRST, "version": "2", "reason": "it beats the champion", "champion_rmse": errors[0]}
    page = promotion_page(MODEL, contenders, data, outcome, CAUSE)
    for text in (
        "<h1>Promotion</h1>", "room version 2. Beside version 1", "Passed: it is champion; it beats the champion",
        "board-1", "skill 0.15 &lt;b&gt;of version 1", "version 1", "version 2", "room:1", "room:2",
        "difference:1, hour:1:sin", "RMSE by step ahead", "data:image/png",
    ):  # fmt: skip
        assert text in page, text
    assert BY_HAND not in page
    assert "<script" not in page


def test_the_first_version_has_nobody_beside_it(data: Any, contenders: Any) -> None:
    page = promotion_page(MODEL, contenders[:1], data, FIRST, {})
    assert BY_HAND in page
    assert "no other champion" in page
    assert page.count("<img") == 1


def test_one_that_is_not_promoted_is_no_failure(data: Any, contenders: Any) -> None:
    page = promotion_page(MODEL, contenders, data, {**FIRST, "promoted": False, "reason": "no better"}, {})
    assert "Not promoted: no better" in page
    assert "Failed" not in page


@pytest.fixture
def registry(contenders: list[Contender], tmp_path: Path) -> Iterator[Registry]:
    before = mlflow.get_tracking_uri()
    made = Registry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "artifacts")
    for version, release in contenders:
        made.register(MODEL, release, f"digest-{version}", TrackedRun(version, {}, {}, {}, [], {}))
    yield made
    mlflow.set_tracking_uri(before)


def test_the_registry_has_what_the_page_is_made_of(registry: Registry, data: Any) -> None:
    pages = []
    for version in ("1", "2", "2"):
        outcome = contest(registry, {"model": MODEL, "version": version}, data, PromotionConfig(), force=False)
        pages.append((outcome["opponent"], explain(registry, MODEL, data, outcome, CAUSE)))
    assert [opponent for opponent, _ in pages] == [None, "1", None]
    assert ["Beside version 1" in page for _, page in pages] == [False, True, False]


def test_the_cause_is_what_the_hub_gave_the_command() -> None:
    given = {"EDGELOOP_RETRAIN_SERIES": "board-1", "EDGELOOP_RETRAIN_REASON": "decay", "EDGELOOP_RETRAIN_REQUEST": "7"}
    assert retraining_cause(given) == {"series": "board-1", "reason": "decay", "request": "7"}
    assert retraining_cause({"EDGELOOP_RETRAIN_SERIES": ""}) == {}
