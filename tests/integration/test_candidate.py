"""A candidate of the search that did not win, trained for good because somebody picked it."""

from __future__ import annotations

from typing import Any

SMOKE = ("--config", "pipelines/configs/smoke.yaml")
LENIENT = ("--set", "gate.ridge_margin=-0.5")  # what did not win may be worse than ridge
SEARCHED = """
result = client.list_pipeline_runs(sort_by="desc:created", size=1, hydrate=True).items[0].steps["search"]
result = result.outputs["search_result"][0].load()
answer = {"winner": result["winner"], "candidates": [record["candidate"] for record in result["records"]]}
"""


def test_another_candidate_is_trained_without_another_search(workplace: Any, smoke: Any) -> None:
    picked = workplace.succeed(
        "train", *SMOKE, "--set", "model=picked-forecaster", "--set", "candidate=1", *LENIENT
    ).result
    assert picked["cached"] == ["load", "search"]
    searched = workplace.ask(SEARCHED)
    assert searched["winner"] != 1, "the seed of this test must let another candidate win"
    wanted = searched["candidates"][1]
    assert (picked["network"]["units"], picked["network"]["features"]) == (wanted["units"], wanted["features"])
    assert picked["network"] != smoke.result["network"]
    assert picked["test"] != smoke.result["test"]


def test_a_candidate_that_the_search_does_not_have_is_refused(workplace: Any, smoke: Any) -> None:
    last = smoke.result["search"]["evaluations"] - 1
    message = workplace.refuse(2, "train", *SMOKE, "--set", "candidate=99")
    assert message == f"candidate 99 is not one of the search's, which are 0 to {last}"
