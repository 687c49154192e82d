"""What a command printed, and what it means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deployers.hub.jobs import Job
from deployers.hub.retraining.answers import TAIL_BYTES, Tail, challenger, of_job

ANSWER = {
    "model_name": "temperature-forecaster",
    "model_version": "4",
    "alias": "challenger",
    "dataset_version": "temperature:9",
    "release_dir": "/home/releases/4",
    "test": {"mae": 0.1388, "rmse": 0.2867, "mape": 0.7, "mase": float("nan"), "by_horizon": [{"mae": 0.1}]},
    "baselines": {"persistence": {"mae": 0.1817, "rmse": 0.4271, "by_horizon": []}},
    "promotion": {"promoted": False, "reason": "worse  than\nthe champion", "champion_version": "3", "more": [1]},
    "search": {"evaluations": 26},
}


def tail(*parts: str) -> Tail:
    found = Tail()
    for part in parts:
        found.add(part.encode())
    return found


def ended(state: Any, result: dict[str, Any] | None = None, detail: str = "") -> Job:
    error = {"code": "x", "detail": detail, "exit_code": 3} if detail else None
    return Job("20260101T000000-0123abcd", "train", {}, 1, state=state, result=result, error=error)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        'epoch 1\nepoch 2 {"b": 2}\n{"a": 1}\n',
        '{"b": 2}\n{\n "a": 1\n}\n',
        '{"a": 1}\nwarning: something was not closed\n',
        'no { object\n{"a": 1}',
        '{"b": 2}\n{"a": 1}\n{ not json\n',
    ],
)
def test_the_last_object_of_an_output_is_found(text: str) -> None:
    assert tail(text).last_object() == {"a": 1}


@pytest.mark.parametrize("text", ["", "epoch 1\n", "[1, 2]\n", "{" * 200_000, "{\n" * 1000, "\xff{"])
def test_an_output_without_one_has_none(text: str) -> None:
    assert tail(text).last_object() is None


def test_an_object_that_comes_in_pieces_behind_a_long_log_is_found_in_bounded_memory() -> None:
    found = tail(*["x" * 1000 + "\n"] * 5000)
    for letter in '{"a": "é"}\n'.encode():
        found.add(bytes([letter]))
    assert found.last_object() == {"a": "é"}
    assert len(found._bytes) <= 2 * TAIL_BYTES  # noqa: SLF001 - its size has no other name


def test_a_challenger_has_model_version_alias_and_headline_figures() -> None:
    found = challenger(json.loads(json.dumps(ANSWER)))
    assert found == {
        "model": "temperature-forecaster",
        "version": "4",
        "alias": "challenger",
        "dataset": "temperature:9",
        "release_dir": "/home/releases/4",
        "test": {"mae": 0.1388, "rmse": 0.2867, "mape": 0.7},
        "baselines": {"persistence": {"mae": 0.1817, "rmse": 0.4271}},
        "promotion": {"promoted": False, "reason": "worse than the champion", "champion_version": "3"},
    }
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("version", [None, "", True, [4], {"a": 1}])
def test_without_a_version_there_is_none(version: object) -> None:
    assert challenger({**ANSWER, "model_version": version}) is None


def test_odd_fields_are_left_out_and_long_ones_cut() -> None:
    odd = {"model_version": 4, "test": [1], "baselines": "x", "promotion": None, "model_name": "m" * 9000}
    found = challenger(odd)
    assert found is not None
    assert (found["version"], found["test"], found["baselines"], found["promotion"]) == ("4", {}, {}, {})
    assert len(found["model"]) == 500


def test_a_command_that_names_a_version_has_answered() -> None:
    state, answer = of_job(ended("done", {"exit_code": 0}), ANSWER)
    assert (state, answer["challenger"]["version"], answer["reason"]) == ("done", "4", "")


def test_a_command_that_names_none_says_so() -> None:
    state, answer = of_job(ended("done", {"exit_code": 0}), {"a": 1})
    assert (state, answer["challenger"]) == ("done", None)
    assert "named no model_version" in answer["reason"]


def test_a_gate_that_refused_is_an_answer_with_its_message() -> None:
    printed = {"error": {"kind": "GateError", "message": "RMSE 0.5 °C, at most 0.4", "exit_code": 3}}
    state, answer = of_job(ended("failed", {"exit_code": 3}, "training ended with exit code 3"), printed)
    assert (state, answer) == ("done", {"challenger": None, "reason": "a gate refused: RMSE 0.5 °C, at most 0.4"})


def test_any_other_end_is_a_failure_with_its_message() -> None:
    printed = {"error": {"kind": "ServiceUnavailable", "message": "MLflow does not answer", "exit_code": 5}}
    assert of_job(ended("failed", {"exit_code": 5}, "exit code 5"), printed) == (
        "failed",
        {"challenger": None, "reason": "MLflow does not answer"},
    )
    for state in ("failed", "stopped", "lost"):
        found = of_job(ended(state, None, "the hub went down while this ran"), None)
        assert found == ("failed", {"challenger": None, "reason": "the hub went down while this ran"})


def test_a_webhook_was_asked() -> None:
    state, answer = of_job(ended("done", {"status": 202, "answer": "run 7 has begun"}), None)
    assert (state, answer["challenger"]) == ("done", None)
    assert answer["asked"] == {"status": 202, "answer": "run 7 has begun"}
    assert answer["reason"].startswith("asked")
