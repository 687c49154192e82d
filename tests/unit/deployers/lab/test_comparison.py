"""Live readings and forecasts against Keras: what is compared, what the errors are, and when it is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployers.conversion.features import FeatureProgram
from deployers.conversion.stream import stream
from deployers.exceptions import GateFailed
from deployers.lab import comparison as module
from deployers.lab.comparison import Comparison, Live, compare, errors_on_test_part, tolerance
from deployers.lab.feeder import course_of_release
from deployers.lab.loop import Turned
from deployers.lab.summary import show_turn

COUNT = 60
HORIZON = 3  # of the small release


def network(streamed: Any) -> Any:
    return np.outer(streamed.features[:, 0], np.arange(1, HORIZON + 1)).astype(np.float32) / 8


@pytest.fixture
def keras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers as a network would that sees the first feature grow."""
    monkeypatch.setattr(module, "keras_residuals", lambda _release, streamed, _folder: network(streamed))


@pytest.fixture
def live(release: Path) -> Live:
    """Board and hub that say exactly what that network says, at all but the first ten readings."""
    course = course_of_release(release, "kitchen")
    readings = tuple(course.reading(number) for number in range(COUNT))
    fields = json.loads((release / "features.json").read_text(encoding="utf-8"))
    program = FeatureProgram.from_dict(fields["program"])
    streamed, _ = stream(program, fields["cleaning"], [(r.time_ms * 1000, r.celsius) for r in readings])
    celsius = streamed.values[:, None] + network(streamed).astype(np.float64) * program.target_scale
    made = {
        readings[number].time_ms: tuple(celsius[row])
        for number, row in zip(streamed.accepted, streamed.made, strict=True)
    }
    later = dict(list(made.items())[10:])
    return Live("board-1", 3, readings, {"LiteRT": later, "board": later})


def compared(release: Path, live: Live, tmp_path: Path) -> Comparison:
    return compare(release, live, 1e-6, tmp_path / "keras")


@pytest.mark.usefixtures("keras")
def test_the_three_agree_where_all_have_forecast(release: Path, live: Live, tmp_path: Path) -> None:
    found = compared(release, live, tmp_path)
    assert (found.readings, len(found.trial.times), found.trial.model_version) == (COUNT, COUNT - 10, 3)
    assert found.trial.largest_difference("Keras", "board") == 0
    found.require(COUNT - 10)


@pytest.mark.usefixtures("keras")
def test_a_forecast_that_differs_fails_whoever_made_it(release: Path, live: Live, tmp_path: Path) -> None:
    time = max(live.forecasts["board"])
    for name in ("LiteRT", "board"):
        wrong = {**live.forecasts[name], time: tuple(value + 0.01 for value in live.forecasts[name][time])}
        found = compared(release, replace(live, forecasts={**live.forecasts, name: wrong}), tmp_path)
        with pytest.raises(GateFailed, match=rf"forecasts of {name} \(board-1\) differ from Keras' by 0\.01.*rollback"):
            found.require(10)


@pytest.mark.usefixtures("keras")
def test_too_few_forecasts_fail(release: Path, live: Live, tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match=r"50 readings of board 'board-1' have .* expected 51"):
        compared(release, live, tmp_path).require(51)


@pytest.mark.usefixtures("keras")
def test_a_board_without_a_forecast_is_compared_at_none(release: Path, live: Live, tmp_path: Path) -> None:
    found = compared(release, replace(live, forecasts={"LiteRT": {}, "board": {}}), tmp_path)
    assert len(found.trial.times) == 0
    with pytest.raises(GateFailed, match="0 readings"):
        found.require(1)


@pytest.mark.usefixtures("keras")
def test_what_was_never_forecast_is_told_as_such_and_fails(
    release: Path, live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A board that reverted: it sends readings and no forecasts, and the summary must still say what is."""
    found = compared(release, replace(live, forecasts={"LiteRT": {}, "board": {}}), tmp_path)
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert (told["forecasts"], told["differences"], told["last"]) == (0, {}, {})
    device = {"id": "board-1", "online": True, "state": "empty", "confirmed": 0, "firmware": "0.1.0"}
    lab = {"ends": 1_700_000_000.0, "inventory": "i"}
    show_turn(Turned(lab, {}, {}, [device], {"active": 3, "models": []}, (found,), {}, "http://h:1", "t"))
    shown = capsys.readouterr().out
    assert "0 of image 3, by board and hub" in shown
    assert "not known yet MAE of the model, not known yet of persistence, over 0 values" in shown
    assert "no image, firmware 0.1.0, online" in shown
    assert "Keras" not in shown


@pytest.mark.usefixtures("keras")
def test_a_forecast_that_is_no_number_fails(release: Path, live: Live, tmp_path: Path) -> None:
    time = max(live.forecasts["board"])
    wrong = {**live.forecasts["board"], time: (float("nan"),) * HORIZON}
    found = compared(release, replace(live, forecasts={**live.forecasts, "board": wrong}), tmp_path)
    with pytest.raises(GateFailed, match=r"forecasts of board .* by nan"):
        found.require(10)


@pytest.mark.usefixtures("keras")
def test_a_forecast_of_one_alone_is_not_compared(release: Path, live: Live, tmp_path: Path) -> None:
    made = live.forecasts["board"]
    fewer = {time: made[time] for time in sorted(made)[:-7]}
    found = compared(release, replace(live, forecasts={"LiteRT": made, "board": fewer}), tmp_path)
    assert found.trial.times.tolist() == sorted(fewer)


@pytest.mark.usefixtures("keras")
def test_the_live_error_is_against_what_was_measured_later(release: Path, live: Live, tmp_path: Path) -> None:
    found = compared(release, live, tmp_path)
    celsius = np.array([reading.celsius for reading in live.readings])
    one_ahead = np.abs(celsius[11:] - celsius[10:-1]).mean()
    persistence = found.live["persistence"]["by_horizon"][0]
    assert persistence["count"] == COUNT - 11
    assert persistence["mae"] == pytest.approx(one_ahead, abs=1e-9)
    assert found.live["board"]["mae"] != found.live["persistence"]["mae"]


@pytest.mark.usefixtures("keras")
def test_a_comparison_is_plain_json(release: Path, live: Live, tmp_path: Path) -> None:
    told = json.loads(json.dumps(compared(release, live, tmp_path).as_dict()))
    assert (told["board"], told["forecasts"], told["model_version"]) == ("board-1", COUNT - 10, 3)
    assert told["differences"] == {"LiteRT": 0.0, "board": 0.0}


def test_the_errors_of_the_test_part_are_those_of_the_release(release: Path, tmp_path: Path) -> None:
    assert errors_on_test_part(release) == {"model": None, "persistence": None}  # it was never evaluated
    metrics = {"model": {"mae": 0.14, "rmse": 0.3}, "baselines": {"persistence": {"mae": 0.18}, "ridge": {"mae": 0.15}}}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert errors_on_test_part(tmp_path) == {"model": 0.14, "persistence": 0.18}


@pytest.mark.parametrize(("largest", "allowed"), [(0.0, 0.001), (1e-6, 0.001), (0.07, 0.14)])
def test_what_two_runtimes_may_differ_by_follows_from_the_fidelity_report(largest: float, allowed: float) -> None:
    assert tolerance(largest) == allowed


@pytest.mark.usefixtures("keras")
def test_the_summary_says_what_a_person_wants_to_know(
    release: Path, live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = {"id": "board-1", "online": True, "state": "confirmed", "confirmed": 3, "firmware": "0.1.0"}
    active = {"version": 3, "model": "kitchen", "model_version": "12", "chosen": "int8"}
    models = {"active": 3, "models": [{"version": 2}, active]}
    lab = {"ends": 1_700_000_000.0, "inventory": "i"}
    found = (compared(release, live, tmp_path),)
    turned = Turned(lab, {}, {}, [device], models, found, {"setup": 31.26, "deploy": 4}, "http://h:1", "secret")
    show_turn(turned)
    told = capsys.readouterr().out
    for text in (
        "60 on the hub", "50 of image 3", "live error", "test error", "of persistence", "LiteRT (hub)", "+10 min",
        "image 3 confirmed, firmware 0.1.0, online", "setup 31.3, deploy 4.0; 35.3 in all",
        "image 3 (kitchen version 12, int8)",
        "http://h:1/#token=secret", "stays up until",
    ):  # fmt: skip
        assert text in told
    assert "secret" not in json.dumps(turned.as_dict())
