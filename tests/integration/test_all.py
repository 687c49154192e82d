"""From an empty home to a champion, and again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deployers.protocol.manifest import verify_manifest

KEYS = {
    "model_name", "model_version", "alias", "release_dir", "test", "baselines", "cpu_seconds", "parameters",
    "macs_per_forecast", "dataset_version", "zenml_run", "conversion",
}  # fmt: skip
DATA_STEPS = ["collect", "clean", "validate", "accept", "split", "scale", "store"]
TRAINING_STEPS = ["load", "search", "train", "evaluate", "package", "convert", "gate"]
REPORTS = ["data-quality.html", "evaluation.html", "fidelity.html", "search.html"]
LOOK = """
import mlflow
from zenml.models import ModelVersionPipelineRunFilter
mlflow.set_tracking_uri(home.mlflow_uri)
tracker = mlflow.MlflowClient()
model, run_id, training = sys.argv[1:]
version = tracker.get_model_version_by_alias(model, "champion")
run = tracker.get_run(run_id)
signature = mlflow.models.get_model_info(f"models:/{model}/{version.version}")
nested = tracker.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'")
linked = client.get_model_version(model, f"v{version.version}")
runs = [client.get_pipeline_run(training)]
runs.append(client.get_pipeline_run(client.list_pipeline_runs(sort_by="desc:created", size=2).items[1].id))
answer = {
    "tags": version.tags, "params": run.data.params, "metrics": run.data.metrics, "status": run.info.status,
    "nested": [{"params": r.data.params, "metrics": r.data.metrics, "status": r.info.status} for r in nested],
    "reports": sorted(f.path.rpartition("/")[2] for f in tracker.list_artifacts(run_id, "reports")),
    "inputs": signature.signature.inputs.to_dict(), "params_schema": signature.signature.params.to_dict(),
    "example": signature.saved_input_example_info is not None,
    "stage": linked.stage, "zenml_tags": [tag.name for tag in linked.tags],
    "artifacts": sorted({*linked.data_artifacts, *linked.model_artifacts}), "metadata": linked.run_metadata,
    "outputs": {
        f"{step}/{name}": {
            "class": made[0].data_type.attribute, "metadata": sorted(made[0].run_metadata),
            "tags": [tag.name for tag in made[0].tags],
        }
        for each in runs for step, found in each.steps.items() for name, made in found.outputs.items()
    },
    "run_metadata": [dict(each.run_metadata) for each in runs], "run_ids": [str(each.id) for each in runs],
    "run_tags": [sorted(tag.name for tag in each.tags) for each in runs], "description": version.description,
    "linked_runs": [
        str(found.pipeline_run.id)
        for found in client.zen_store.list_model_version_pipeline_run_links(
            ModelVersionPipelineRunFilter(model_version_id=linked.id)
        )
    ],
    "dataset_tags": [t.name for t in client.get_artifact_version("smoke").tags],
}
"""


@pytest.fixture(scope="module")
def seen(workplace: Any, smoke: Any) -> dict[str, Any]:
    """What MLflow and ZenML hold after the first run."""
    result = smoke.result
    return dict(workplace.ask(LOOK, result["model_name"], result["mlflow_run"], result["zenml_run"]))


def test_the_result_names_the_model_its_figures_and_where_it_comes_from(smoke: Any) -> None:
    result = smoke.result
    assert result.keys() >= KEYS
    assert (result["model_name"], result["model_version"]) == ("smoke-forecaster", "1")
    assert (result["alias"], result["dataset_version"]) == ("champion", "smoke:1")
    assert result["cached"] == result["data"]["cached"] == []
    assert not result["already_registered"]
    assert result["promotion"]["reason"].startswith("there is no champion yet")
    ridge, persistence = (result["baselines"][name]["rmse"] for name in ("ridge", "persistence"))
    assert 0 < result["test"]["rmse"] < ridge < persistence
    assert result["parameters"] > 0 < result["macs_per_forecast"]
    assert 0 < result["cpu_seconds"] < 120


def test_the_release_is_what_its_manifest_says(smoke: Any, home: Path) -> None:
    release = Path(smoke.result["release_dir"])
    assert release.is_relative_to(home)
    facts = verify_manifest(release)["facts"]
    assert facts["parameters"] == smoke.result["parameters"]
    origin = json.loads((release / "provenance.json").read_text())
    assert origin["dataset_version"] == smoke.result["dataset_version"]
    assert origin["zenml_run"] == smoke.result["zenml_run"]


def test_everything_lies_under_the_home(smoke: Any, home: Path) -> None:
    assert smoke.new_in_checkout == set()
    assert {path.name for path in home.iterdir()} == {"zenml", "mlflow", "cache", "lock"}


def test_a_search_reports_its_progress_on_standard_error(smoke: Any) -> None:
    assert "search: 1 evaluations, best: validation RMSE" in smoke.stderr


def test_mlflow_has_the_origin_of_the_version(smoke: Any, seen: dict[str, Any]) -> None:
    assert seen["tags"]["dataset_version"] == smoke.result["dataset_version"]
    assert seen["tags"]["zenml_run"] == smoke.result["zenml_run"]
    assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?|unknown", seen["tags"]["code_revision"])


def test_mlflow_has_parameters_and_metrics_of_the_run(smoke: Any, seen: dict[str, Any]) -> None:
    assert seen["status"] == "FINISHED"
    assert seen["params"]["seed"] == "1"
    assert seen["params"]["kept_seed"] in {"1", "1001", "2001"}
    assert {"updates", "units", "form"} <= seen["params"].keys()
    assert seen["metrics"]["test_rmse"] == pytest.approx(smoke.result["test"]["rmse"])
    assert seen["metrics"]["ridge_rmse"] == pytest.approx(smoke.result["baselines"]["ridge"]["rmse"])
    assert seen["metrics"]["parameters"] == smoke.result["parameters"]


def test_the_version_says_which_type_runs_on_the_board_and_what_it_costs(smoke: Any, seen: dict[str, Any]) -> None:
    conversion = smoke.result["conversion"]
    chosen, types = conversion["chosen"], conversion["types"]
    within = [kind for kind, found in types.items() if found["mae_growth"] <= 0.01]
    assert chosen == min(within, key=lambda kind: types[kind]["instructions"])
    assert seen["tags"]["deployed_type"] == chosen
    assert set(types) == {"float32", "int8", "int16x8"}
    for kind, found in types.items():
        assert seen["metrics"][f"{kind}_mae_growth"] == pytest.approx(found["mae_growth"])
        assert seen["metrics"][f"{kind}_instructions"] == found["instructions"]
        assert abs(found["mae_growth"]) < 0.05


def test_mlflow_has_a_nested_run_for_each_evaluation(smoke: Any, seen: dict[str, Any]) -> None:
    assert len(seen["nested"]) == smoke.result["search"]["evaluations"] == 4
    assert all(run["status"] == "FINISHED" and run["metrics"]["validation_rmse"] > 0 for run in seen["nested"])
    assert len({json.dumps(run["params"], sort_keys=True) for run in seen["nested"]}) == 4


def test_mlflow_has_the_reports_the_signature_and_an_example(seen: dict[str, Any]) -> None:
    assert seen["reports"] == REPORTS
    assert [(column["type"], column["name"]) for column in seen["inputs"]] == [
        ("string", "time_point"),
        ("double", "value"),
    ]
    assert [(param["name"], param["default"]) for param in seen["params_schema"]] == [("every_reading", False)]
    assert seen["example"]


def test_zenml_has_the_version_with_its_artifacts_in_production(smoke: Any, seen: dict[str, Any]) -> None:
    assert seen["stage"] == "production"
    assert "smoke:1" in seen["zenml_tags"]
    linked = {"smoke", "search_result", "search_report", "forecaster", "evaluation", "evaluation_report", "release"}
    linked |= {"fidelity", "fidelity_report"}
    assert linked <= set(seen["artifacts"])
    assert seen["metadata"]["mlflow_run_id"] == smoke.result["mlflow_run"]
    assert seen["metadata"]["release"] == f"file://{smoke.result['release_dir']}"


@pytest.mark.parametrize(
    ("output", "metadata"),
    [
        ("collect/readings", {"rows", "fingerprint", "source"}),
        ("clean/cleaning_report", {"missing", "gaps_long", "segments"}),
        ("validate/data_quality_report", {"passed", "conditions", "failed"}),
        ("split/parts", {"rows_train", "rows_validation", "rows_test"}),
        ("scale/feature_program", {"features", "horizon"}),
        ("load/dataset_summary", {"rows", "digest"}),
        ("search/search_report", {"evaluations", "validation_rmse"}),
        ("evaluate/evaluation_report", {"test_rmse", "ridge_rmse"}),
        ("register/registration", {"model", "version", "run_id"}),
        ("promote/promotion", {"alias", "reason", "promoted"}),
        ("promote/promotion_report", {"alias", "reason", "promoted"}),
        ("clean/grid", {"cadence_seconds", "rows_in", "rows_out", "held"}),
        ("validate/validation", {"passed", "conditions", "failed"}),
        ("store/smoke", {"digest", "rows_train", "features"}),
        ("search/search_result", {"evaluations", "validation_rmse", "stopped"}),
        ("train/forecaster", {"digest", "parameters", "form"}),
        ("evaluate/evaluation", {"test_rmse", "ridge_rmse"}),
        ("package/release", {"digest", "files", "macs_per_forecast"}),
        ("convert/fidelity", {"chosen", "int8_mae_growth", "int16x8_instructions"}),
        ("convert/fidelity_report", {"chosen", "float32_mae_growth", "int8_instructions", "int8_file_bytes"}),
    ],
)
def test_zenml_shows_figures_beside_an_artifact(seen: dict[str, Any], output: str, metadata: set[str]) -> None:
    assert metadata <= set(seen["outputs"][output]["metadata"])


def test_zenml_shows_the_bytes_of_every_artifact(seen: dict[str, Any]) -> None:
    assert len(seen["outputs"]) == 20
    assert [name for name, made in seen["outputs"].items() if "storage_size" not in made["metadata"]] == []


def test_zenml_tags_runs_reports_models_and_datasets(smoke: Any, seen: dict[str, Any]) -> None:
    tagged = {name: made["tags"] for name, made in seen["outputs"].items() if made["tags"]}
    reports = ["validate/data_quality_report", "search/search_report", "evaluate/evaluation_report"]
    reports += ["convert/fidelity_report", "promote/promotion_report"]
    assert tagged == {report: ["report"] for report in reports} | {
        "train/forecaster": ["model"],
        "package/release": ["model"],
        "store/smoke": ["dataset"],
    }
    assert seen["run_tags"] == [["promoted", "smoke-forecaster", "smoke:1"], ["smoke:1"]]


def test_the_runs_say_what_came_of_them(smoke: Any, seen: dict[str, Any]) -> None:
    training, data = seen["run_metadata"]
    assert training["promotion"]["alias"] == "champion"
    assert training["test_rmse"] == pytest.approx(smoke.result["test"]["rmse"])
    assert all((page["dataset"], page["dataset_version"]) == ("smoke", "1") for page in (training, data))
    assert (data["rows_in"], data["gaps_long"]) == (8640, 0)
    assert (
        data["conditions_passed"]
        == f"{len(smoke.result['data']['conditions'])} of {len(smoke.result['data']['conditions'])}"
    )


def test_links_lead_from_zenml_to_mlflow_and_back(smoke: Any, seen: dict[str, Any]) -> None:
    training, _ = seen["run_metadata"]
    assert training["mlflow_run_id"] == seen["metadata"]["mlflow_run_id"] == smoke.result["mlflow_run"]
    assert training["mlflow_run"] == f"http://127.0.0.1:8238/#/runs/{smoke.result['mlflow_run']}"
    assert training["mlflow_version"] == "http://127.0.0.1:8238/#/models/smoke-forecaster/versions/1"
    address = f"http://127.0.0.1:8237/projects/default/runs/{seen['run_ids'][0]}"
    assert (seen["tags"]["zenml_run_id"], seen["tags"]["zenml_run_url"]) == (seen["run_ids"][0], address)
    assert f"[{smoke.result['zenml_run']}]({address})" in seen["description"]
    assert seen["linked_runs"] == [seen["run_ids"][0]]


@pytest.mark.parametrize(
    "page",
    [
        "validate/data_quality_report",
        "search/search_report",
        "evaluate/evaluation_report",
        "convert/fidelity_report",
        "promote/promotion_report",
    ],
)
def test_zenml_shows_the_reports_as_pages(seen: dict[str, Any], page: str) -> None:
    assert seen["outputs"][page]["class"] == "HTMLString"


def test_datasets_are_tagged_so_that_show_finds_them(seen: dict[str, Any]) -> None:
    assert "dataset" in seen["dataset_tags"]


def test_the_same_again_takes_every_step_but_registration_from_the_cache(again: dict[str, Any]) -> None:
    assert sorted(again["data"]["cached"]) == sorted(DATA_STEPS)
    assert sorted(again["cached"]) == sorted(TRAINING_STEPS)


def test_the_same_again_finds_the_same_version(workplace: Any, smoke: Any, again: dict[str, Any]) -> None:
    assert again["already_registered"]
    same = ("model_version", "alias", "release_dir", "mlflow_run", "dataset_version", "test")
    assert {key: again[key] for key in same} == {key: smoke.result[key] for key in same}
    assert again["zenml_run"] != smoke.result["zenml_run"]
    assert workplace.versions("smoke-forecaster") >= 1


def test_the_same_again_writes_no_run_to_mlflow(workplace: Any, smoke: Any, again: dict[str, Any]) -> None:
    begun = workplace.mlflow("select count(*) from tags where key = 'zenml_run' and value = ?", again["zenml_run"])
    assert begun == [(0,)]
    assert smoke.tracked == 5  # the training and its four evaluations


def test_the_same_readings_under_another_name_are_another_dataset(workplace: Any, smoke: Any) -> None:
    other = workplace.succeed("data", "--config", "pipelines/configs/smoke.yaml", "--set", "dataset=kitchen").result
    assert other["dataset_version"] == "kitchen:1"
    assert "store" not in other["cached"]
    assert {"collect", "clean", "validate"} <= set(other["cached"])
