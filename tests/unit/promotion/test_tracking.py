"""What is written about a training run, and what makes a version another one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from steps.promotion import lineage, tracking

FACTS = {"digest": "m" * 8, "dataset_digest": "d" * 8, "parameters": 120, "macs_per_forecast": 900}
PROVENANCE = {
    "dataset_version": "readings:3",
    "code_revision": "abc1234",
    "zenml_run": "train-2024",
    "training": {
        "candidate": {"network": "gru", "units": 4},
        "seed": 7,
        "kept_seed": 1007,
        "updates": 40,
        "cpu_seconds": 1.5,
    },
}
EVALUATION = {"headline": {"rmse": 0.25, "skill": 0.4}, "table": ["not tracked"]}
FIDELITY = {
    "chosen": "int8",
    "types": {"int8": {"mae_growth": 0.004, "instructions": 5_459, "file_bytes": 5_712, "arena_bytes": None}},
}
SEARCH = {"records": [{"index": 0}, {"index": 1}], "best": 1}


CONVERTED = {"int8_mae_growth": 0.004, "int8_instructions": 5_459, "int8_file_bytes": 5_712}


def released(**facts: str) -> Any:
    return SimpleNamespace(provenance=PROVENANCE, manifest={"facts": {**FACTS, **facts}})


ADDRESS = {"zenml_run_id": "1b2c", "zenml_run_url": "http://127.0.0.1:8237/runs/1b2c"}


@pytest.fixture(autouse=True)
def known_runs(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """Runs that ZenML still has, with their tags."""
    runs = {"train-2024": ADDRESS}
    monkeypatch.setattr(tracking, "run_tags", lambda name: runs.get(name, {}))
    return runs


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Dataset versions whose data report was asked for."""
    versions: list[str] = []
    monkeypatch.setattr(tracking, "data_report", lambda version: versions.append(version) or "<p>data</p>")
    return versions


def test_a_run_is_collected_from_release_evaluation_and_search(asked: list[str]) -> None:
    run = tracking.tracked_run(released(), EVALUATION, SEARCH, FIDELITY, {"evaluation": "<p>model</p>"})
    assert run == tracking.TrackedRun(
        name="train-2024",
        params={"network": "gru", "units": 4, "seed": 7, "kept_seed": 1007, "updates": 40},
        metrics={"rmse": 0.25, "skill": 0.4, "parameters": 120, "macs_per_forecast": 900, **CONVERTED},
        tags={
            "dataset_version": "readings:3",
            "code_revision": "abc1234",
            "zenml_run": "train-2024",
            "deployed_type": "int8",
            **ADDRESS,
        },
        evaluations=SEARCH["records"],
        pages={"evaluation.html": "<p>model</p>", "data-quality.html": "<p>data</p>"},
        note="Trained on dataset readings:3 by ZenML run [train-2024](http://127.0.0.1:8237/runs/1b2c); "
        "deployed as int8.",
    )
    assert asked == ["readings:3"]


def test_a_run_that_zenml_has_no_more_is_named_without_a_link(
    asked: list[str], known_runs: dict[str, dict[str, str]]
) -> None:
    known_runs.clear()
    run = tracking.tracked_run(released(), EVALUATION, SEARCH, FIDELITY, {})
    assert run.note == "Trained on dataset readings:3 by ZenML run train-2024; deployed as int8."
    assert run.tags["zenml_run"] == "train-2024"
    assert not run.tags.keys() & ADDRESS.keys()


def test_a_dataset_without_a_report_adds_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "data_report", lambda version: None)
    run = tracking.tracked_run(released(), EVALUATION, SEARCH, FIDELITY, {"evaluation": "<p>model</p>"})
    assert run.pages == {"evaluation.html": "<p>model</p>"}


def test_tags_are_text(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROVENANCE, "code_revision", None)
    assert tracking.tracked_run(released(), EVALUATION, SEARCH, FIDELITY, {}).tags["code_revision"] == "None"


def test_the_same_model_dataset_and_code_are_the_same_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "code_digest", lambda: "code")
    known = tracking.identity(released(), FIDELITY)
    assert len(known) == 64
    assert tracking.identity(released(), FIDELITY) == known
    assert tracking.identity(released(parameters="121"), FIDELITY) == known, "figures follow from the three"


@pytest.mark.parametrize(
    ("facts", "code"), [({"digest": "other"}, "code"), ({"dataset_digest": "other"}, "code"), ({}, "other")]
)
def test_another_model_dataset_or_code_is_another_version(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, str], code: str
) -> None:
    monkeypatch.setattr(tracking, "code_digest", lambda: "code")
    known = tracking.identity(released(), FIDELITY)
    monkeypatch.setattr(tracking, "code_digest", lambda: code)
    assert tracking.identity(released(**facts), FIDELITY) != known


def test_another_type_on_the_board_is_another_version() -> None:
    assert tracking.identity(released(), FIDELITY) != tracking.identity(released(), {**FIDELITY, "chosen": "float32"})


# The data report, found through ZenML


class Zenml:
    """The two look-ups of ZenML's client that the report needs."""

    def __init__(self, run: str | None, steps: dict[str, Any]) -> None:
        self.run, self.steps = run, steps
        self.asked: list[Any] = []

    def __call__(self) -> Zenml:
        return self

    def get_artifact_version(self, name: str, version: str | None) -> Any:
        self.asked.append((name, version))
        return SimpleNamespace(producer_pipeline_run_id=self.run)

    def get_pipeline_run(self, run: str) -> Any:
        self.asked.append(run)
        return SimpleNamespace(steps=self.steps)


VALIDATED = {
    "validate": SimpleNamespace(outputs={lineage.REPORT: [SimpleNamespace(load=lambda: "<p>data</p>")]}),
    "train": SimpleNamespace(outputs={}),
}


@pytest.mark.parametrize(("named", "version"), [("readings:3", "3"), ("readings", None)])
def test_the_report_is_that_of_the_run_that_made_the_dataset(
    monkeypatch: pytest.MonkeyPatch, named: str, version: str | None
) -> None:
    zenml = Zenml("run-1", VALIDATED)
    monkeypatch.setattr(lineage, "Client", zenml)
    assert lineage.data_report(named) == "<p>data</p>"
    assert zenml.asked == [("readings", version), "run-1"]


@pytest.mark.parametrize("zenml", [Zenml(None, VALIDATED), Zenml("run-1", {"train": VALIDATED["train"]})])
def test_a_dataset_made_without_validation_has_no_report(monkeypatch: pytest.MonkeyPatch, zenml: Zenml) -> None:
    monkeypatch.setattr(lineage, "Client", zenml)
    assert lineage.data_report("readings:3") is None


# The run's address, for MLflow


def test_a_run_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    run = SimpleNamespace(id="1b2c", project=SimpleNamespace(name="default"))
    client = SimpleNamespace(list_pipeline_runs=lambda name: SimpleNamespace(items=[run] * (name == "train-2024")))
    monkeypatch.setattr(lineage, "Client", lambda: client)
    monkeypatch.setattr(lineage, "zenml_run_url", lambda found: f"http://here/{found.id}")
    assert lineage.run_tags("train-2024") == {"zenml_run_id": "1b2c", "zenml_run_url": "http://here/1b2c"}
    assert lineage.run_tags("train-1999") == {}


@pytest.mark.parametrize(("promoted", "tags"), [(True, [["promoted"]]), (False, [])])
def test_an_outcome_is_told_without_what_there_is_not(
    promoted: bool, tags: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    tagged: list[Any] = []
    run = SimpleNamespace(pipeline_run=SimpleNamespace(id="1b2c"))
    monkeypatch.setattr(lineage, "get_step_context", lambda: run)
    monkeypatch.setattr(lineage, "beside", lambda metadata, *names: told.append((metadata, *names)))
    monkeypatch.setattr(lineage, "log_metadata", lambda **given: told.append(given))
    monkeypatch.setattr(lineage, "add_tags", lambda **given: tagged.append(given["tags"]))
    lineage.show_outcome({"promoted": promoted, "reason": "first", "champion_rmse": None})
    expected = {"promoted": promoted, "reason": "first"}
    about_run = {"metadata": {"promotion": expected}, "run_id_name_or_prefix": "1b2c"}
    assert told == [(expected, "promotion", "promotion_report"), about_run]
    assert tagged == tags


def test_what_is_shown_of_a_version_leads_to_mlflow_and_keeps_its_password() -> None:
    from steps.promotion.registry import Registration

    made = Registration("kitchen", "3", "f00d", "models:/kitchen/3", "s3://bucket/release", created=True)
    tags = {"dataset_version": "readings:3", "deployed_type": "int8"}
    run = tracking.TrackedRun("run", {}, {"test_rmse": 0.25, "ridge_rmse": 0.3}, tags, [], {})
    shown = lineage.shown("postgresql://me:secret@db/mlflow", made, run)
    assert shown["mlflow_uri"] == "postgresql://me:***@db/mlflow"
    assert "secret" not in str(shown)
    assert shown["mlflow_run"].endswith("/#/runs/f00d")
    assert shown["mlflow_version"].endswith("/#/models/kitchen/versions/3")
    assert (shown["test_rmse"], shown["mlflow_run_id"], shown["release"]) == (0.25, "f00d", "s3://bucket/release")
    assert (shown["dataset"], shown["dataset_version"]) == ("readings", "3")
    assert "ridge_rmse" not in shown
