"""Challenger against champion: which version holds which alias afterwards, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mlflow
import pytest

from forecaster.errors import InputError
from forecaster.genome import Candidate
from forecaster.gru.architecture import Recipe
from forecaster.model import train
from forecaster.promotion import PromotionConfig, release_rmse
from forecaster.release import write_release
from steps.promotion import contest as module
from steps.promotion.contest import contest
from steps.promotion.registry import CHALLENGER, CHAMPION, Registry, TrackedRun
from tests.synthetic import SMALL, dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MODEL = "room"
WORSE, BETTER = "1", "2"
UPDATES = {WORSE: 1, BETTER: 60}


@pytest.fixture(scope="module")
def data() -> Any:
    return dataset(1200)


@pytest.fixture(scope="module")
def releases(data: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A release by version: one hardly trained, one trained."""
    made = {}
    for version, updates in UPDATES.items():
        candidate = Candidate(("difference:1",), "gru", 4, Recipe(updates=updates, batch=4, steps=32, burn_in=4))
        made[version] = tmp_path_factory.mktemp("releases") / "release"
        write_release(made[version], train(data, candidate, updates, 1, refit=False), data, {}, {})
    return made


@pytest.fixture(scope="module")
def filled(releases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    home, before = tmp_path_factory.mktemp("home"), mlflow.get_tracking_uri()
    registry = Registry(f"sqlite:///{home}/mlflow.db", home / "artifacts")
    for version, release in releases.items():
        made = registry.register(MODEL, release, f"digest-{version}", TrackedRun(version, {}, {}, {}, [], {}))
        assert made.version == version
    yield registry
    mlflow.set_tracking_uri(before)


@pytest.fixture
def registry(filled: Registry) -> Iterator[Registry]:
    """The registry with no alias set."""
    yield filled
    for alias in holders(filled):
        filled.client.delete_registered_model_alias(MODEL, alias)


@pytest.fixture
def meet(registry: Registry, data: Any) -> Callable[..., dict[str, Any]]:
    """Hold a contest for a version, with the aliases as given before it."""

    def held(version: str, before: dict[str, str], *, margin: float = 0, force: bool = False) -> dict[str, Any]:
        for alias in holders(registry):
            registry.client.delete_registered_model_alias(MODEL, alias)
        for alias, holder in before.items():
            registry.client.set_registered_model_alias(MODEL, alias, holder)
        config = PromotionConfig(margin=margin)
        return contest(registry, {"model": MODEL, "version": int(version)}, data, config, force=force)

    return held


def holders(registry: Registry) -> dict[str, str]:
    return {name: str(version) for name, version in registry.client.get_registered_model(MODEL).aliases.items()}


def outcome(told: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(told[name] for name in ("promoted", "version", "alias", "champion_version"))


def test_the_first_version_is_promoted(registry: Registry, meet: Any, releases: Any, data: Any) -> None:
    told = meet(WORSE, {CHALLENGER: WORSE})
    assert outcome(told) == (True, WORSE, CHAMPION, WORSE)
    assert "no champion yet" in told["reason"]
    assert (told["challenger_rmse"], told["champion_rmse"]) == (release_rmse(releases[WORSE], data), None)
    assert holders(registry) == {CHAMPION: WORSE}


def test_the_better_takes_the_place(registry: Registry, meet: Any, releases: Any, data: Any) -> None:
    told = meet(BETTER, {CHAMPION: WORSE, CHALLENGER: BETTER})
    assert outcome(told) == (True, BETTER, CHAMPION, BETTER)
    assert told["challenger_rmse"] == release_rmse(releases[BETTER], data)
    assert told["champion_rmse"] == release_rmse(releases[WORSE], data)
    assert holders(registry) == {CHAMPION: BETTER}


def test_the_worse_stays_the_challenger(registry: Registry, meet: Any) -> None:
    before = {CHAMPION: BETTER, CHALLENGER: WORSE}
    told = meet(WORSE, before)
    assert outcome(told) == (False, WORSE, CHALLENGER, BETTER)
    assert "does not beat" in told["reason"]
    assert told["challenger_rmse"] > told["champion_rmse"]
    assert holders(registry) == before


def test_a_loser_that_is_not_the_challenger_has_no_alias(registry: Registry, meet: Any) -> None:
    assert outcome(meet(WORSE, {CHAMPION: BETTER})) == (False, WORSE, None, BETTER)
    assert holders(registry) == {CHAMPION: BETTER}


@pytest.mark.parametrize(("share", "promoted"), [(0.9, True), (1.1, False)])
def test_the_margin_decides(
    registry: Registry, meet: Any, releases: Any, data: Any, share: float, promoted: bool
) -> None:
    gain = 1 - release_rmse(releases[BETTER], data) / release_rmse(releases[WORSE], data)
    told = meet(BETTER, {CHAMPION: WORSE, CHALLENGER: BETTER}, margin=min(0.999, gain * share))
    assert told["promoted"] is promoted
    assert "by the margin of" in told["reason"]
    assert holders(registry)[CHAMPION] == (BETTER if promoted else WORSE)


def test_force_promotes_the_worse_without_comparing(
    registry: Registry, meet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(module, "decide")
    told = meet(WORSE, {CHAMPION: BETTER, CHALLENGER: WORSE}, force=True)
    assert outcome(told) == (True, WORSE, CHAMPION, WORSE)
    assert told["reason"] == "promoted by force"
    assert told["challenger_rmse"] is None
    assert holders(registry) == {CHAMPION: WORSE}


@pytest.mark.parametrize("force", [False, True])
def test_a_promotion_that_was_cut_short_is_completed(registry: Registry, meet: Any, force: bool) -> None:
    told = meet(BETTER, {CHAMPION: BETTER, CHALLENGER: BETTER}, force=force)
    assert outcome(told) == (False, BETTER, CHAMPION, BETTER)
    assert told["reason"] == "it is the champion already"
    assert holders(registry) == {CHAMPION: BETTER}


def test_the_champion_leaves_a_challenger_alone(registry: Registry, meet: Any) -> None:
    before = {CHAMPION: BETTER, CHALLENGER: WORSE}
    assert outcome(meet(BETTER, before)) == (False, BETTER, CHAMPION, BETTER)
    assert holders(registry) == before


def test_a_challenger_of_another_horizon_is_refused_and_nothing_moves(registry: Registry) -> None:
    registry.client.set_registered_model_alias(MODEL, CHALLENGER, BETTER)
    other = dataset(600, config=SMALL.model_copy(update={"horizon": 2}))
    with pytest.raises(InputError, match="forecasts 3 steps of 600 s, the dataset has 2"):
        contest(registry, {"model": MODEL, "version": BETTER}, other, PromotionConfig(), force=False)
    assert holders(registry) == {CHALLENGER: BETTER}


def test_the_fetched_copies_are_gone_afterwards(registry: Registry, meet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[Path] = []
    fetch = registry.fetch_release
    monkeypatch.setattr(registry, "fetch_release", lambda made, to: copies.append(fetch(made, to)) or copies[-1])
    meet(WORSE, {CHAMPION: BETTER})
    assert len(set(copies)) == 2
    assert not any(copy.exists() for copy in copies)
