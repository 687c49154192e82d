"""A small release, trained in seconds and registered as champion, in a home folder of its own."""

from __future__ import annotations

from pathlib import Path


def register_champion(home: Path, scratch: Path) -> None:
    """Train on a synthetic series and register it as the training pipeline does.

    Args:
        home: what EDGELOOP_HOME will be.
        scratch: for the release folder.
    """
    import mlflow

    from deployers.registry import MODEL
    from forecaster.genome import Candidate
    from forecaster.gru.architecture import Recipe
    from forecaster.model import train
    from forecaster.release import write_release
    from steps.promotion.registry import Registry, TrackedRun
    from tests.synthetic import dataset

    data = dataset(1600)
    recipe = Recipe(updates=40, batch=8, steps=32, burn_in=4)
    trained = train(data, Candidate(("difference:1", "hour:1:sin"), "gru", 4, recipe), 40, 1, refit=True)
    metrics = {"model": {"mae": 0.1}, "baselines": {"persistence": {"mae": 0.2}}}
    write_release(scratch / "release", trained, data, metrics, {"dataset_version": "t:1"})
    (home / "mlflow").mkdir(parents=True)
    before = mlflow.get_tracking_uri()
    try:
        registry = Registry(f"sqlite:///{home}/mlflow/mlflow.db", home / "mlflow" / "artifacts")
        registry.register(MODEL, scratch / "release", "digest", TrackedRun("bare", {}, {}, {}, [], {}))
        registry.client.set_registered_model_alias(MODEL, "champion", "1")
    finally:
        mlflow.set_tracking_uri(before)
