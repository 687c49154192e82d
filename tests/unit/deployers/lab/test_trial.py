"""One release on a virtual board, from the command line; and what makes a trial fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deployers.exceptions import GateFailed, ReleaseError
from deployers.lab import __main__ as lab
from deployers.lab import trial as lab_trial
from deployers.lab.board import VirtualBoard
from deployers.lab.process import BoardProcess
from deployers.lab.programs import LabError
from deployers.lab.trial import RUNTIMES, Trial, last_readings, on_board
from deployers.protocol.manifest import verify_manifest
from deployers.protocol.messages import Reading
from deployers.registry import open_release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployers.conversion.proof import Proof


def trial(board_is_off_by: float = 0.0) -> Trial:
    forecasts = {name: np.full((3, 2), 20.0) for name in RUNTIMES}
    forecasts["board"][1, 1] += board_is_off_by
    return Trial(np.arange(3) * 600_000, np.full(3, 20.5), forecasts, 600, 7)


def rewrite(release: Path, **changes: Any) -> None:
    with np.load(release / "test.npz") as stored:
        columns = {name: stored[name] for name in stored.files}
    for name, change in changes.items():
        columns[name] = change(columns[name].copy())
    np.savez(release / "test.npz", **columns)


def test_a_board_that_agrees_passes() -> None:
    trial(0.004).require(0.005)


@pytest.mark.parametrize("difference", [0.006, -0.006, float("nan"), float("inf")])
def test_a_board_that_says_something_else_fails(difference: float) -> None:
    with pytest.raises(GateFailed, match=r"the board's forecasts differ from Keras' by .* allowed are 0.005"):
        trial(difference).require(0.005)


def test_no_forecast_agrees_with_nothing() -> None:
    none = Trial(np.arange(0), np.zeros(0), {name: np.zeros((0, 2)) for name in RUNTIMES}, 600, 7)
    assert np.isnan(none.largest_difference("Keras", "board"))
    with pytest.raises(GateFailed, match="differ from Keras' by nan"):
        none.require(1e9)
    assert json.loads(json.dumps(none.as_dict(), allow_nan=False))["differences"] == {}


def test_a_trial_tells_how_far_ahead_its_values_are() -> None:
    assert (trial().horizon, trial().ahead(1), trial().ahead(6)) == (2, "+10 min", "+60 min")


def test_a_trial_as_plain_values_is_json() -> None:
    plain = json.loads(json.dumps(trial(0.25).as_dict()))
    assert plain["readings"] == 3
    assert plain["model_version"] == 7
    assert plain["differences"] == {"LiteRT": 0.0, "board": 0.25}
    assert plain["last"]["Keras"] == [20.0, 20.0]


def test_the_last_readings_are_those_of_the_test_part(release: Path) -> None:
    readings = last_readings(release, 10)
    with np.load(release / "test.npz") as stored:
        assert [reading.time_ms * 1000 for reading in readings] == stored["time"][-10:].tolist()
        assert [reading.microcelsius for reading in readings] == np.round(stored["value"][-10:] * 1e6).tolist()


def test_the_last_readings_come_from_one_segment_and_were_measured(copied_release: Path) -> None:
    def last_five_are_another_segment(segment: Any) -> Any:
        segment[-5:] = segment[-1] + 1
        return segment

    def one_is_filled(filled: Any) -> Any:
        filled[-2] = True
        return filled

    rewrite(copied_release, segment=last_five_are_another_segment, filled=one_is_filled)
    assert len(last_readings(copied_release, 10)) == 4


def test_a_release_without_a_test_part_is_refused(copied_release: Path) -> None:
    (copied_release / "test.npz").unlink()
    with pytest.raises(ReleaseError, match=r"has no test.npz.*train again"):
        last_readings(copied_release, 10)


@pytest.fixture(scope="module")
def keras_once() -> Iterator[None]:
    """Every type is compared with one and the same answer of Keras."""
    answers: dict[int, Any] = {}
    ask = lab_trial.keras_residuals

    def once(release: Path, streamed: Any, folder: Path) -> Any:
        steps = len(streamed.times)
        if steps not in answers:
            answers[steps] = ask(release, streamed, folder)
        return answers[steps]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab_trial, "keras_residuals", once)
        yield


@pytest.mark.usefixtures("keras_once")
@pytest.mark.parametrize("board", ["native", "mps2_an500"])
@pytest.mark.parametrize("kind", ["float32", "int8", "int16x8"])
def test_every_type_runs_on_a_board_and_says_what_keras_says(
    release: Path, proof: Proof, tmp_path: Path, board: str, kind: str
) -> None:
    chosen = replace(proof, chosen=kind, figures={**proof.figures, "chosen": kind})
    _, found = on_board(open_release(release), chosen, tmp_path, board, last_readings(release, 30))
    assert (len(found.times), found.model_version) == (30, 1)
    assert 0 < found.largest_difference("Keras", "board") <= lab.allowed_difference(proof, kind)
    if kind == "float32":
        assert found.largest_difference("Keras", "board") < 1e-5


@pytest.fixture
def proven(proof: Proof, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the command a conversion that was made already."""
    monkeypatch.setattr("deployers.conversion.proof.prove", lambda *_: proof)


def test_the_command_converts_and_prints_one_json_object(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "try",
        "--release",
        str(release),
        "--board",
        "native",
        "--type",
        "int16x8",
        "--readings",
        "30",
        "--json",
    ]
    assert lab.main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["board"], printed["type"], printed["readings"]) == ("native", "int16x8", 30)
    np.testing.assert_allclose(printed["last"]["board"], printed["last"]["Keras"], atol=printed["tolerance"])


def test_the_budget_is_asked_for_as_convert_asks_for_it(
    release: Path, proof: Proof, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def nothing_within(_release: Path, config: Any, _stage: Any) -> Proof:
        asked.append((config.types, config.mae_growth))
        return replace(proof, chosen=None)

    monkeypatch.setattr("deployers.conversion.proof.prove", nothing_within)
    assert lab.main(["try", "--release", str(release), "--type", "int8", "--budget", "0.25"]) == GateFailed.exit_code
    assert asked == [(("int8",), 0.25)]
    assert "no type is within the fidelity budget" in capsys.readouterr().err


@pytest.mark.parametrize("board", ["native", "mps2_an500"])
def test_a_folder_of_any_name_serves_a_board(tmp_path: Path, board: str) -> None:
    folder = tmp_path / ("a b,c " + "long" * 40)
    with VirtualBoard(board, key=bytes(32), state_folder=folder) as started:
        assert started.feed([Reading(1_700_000_000_000, 21_000_000)]) == []
    assert (folder / "flash.bin").exists()


def test_a_board_that_does_not_start_shows_what_it_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoardProcess, "_command", lambda _: ["/bin/sh", "-c", "echo no flash >&2; exit 3"])
    with pytest.raises(LabError, match=r"native board did not start \(.*\), it printed 'no flash': mend what it names"):
        VirtualBoard("native", key=bytes(32), state_folder=tmp_path).__enter__()


def test_readings_that_do_not_arrive_show_what_the_board_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VirtualBoard, "send", lambda *_: 1)
    with VirtualBoard("native", key=bytes(32), state_folder=tmp_path) as board:
        (tmp_path / "board.log").write_text("flash worn out")
        with pytest.raises(LabError, match=r"0 readings arrived within 0.01 s, expected 1; .* 'flash worn out'"):
            board.feed([Reading(1, 2)], 0.01)


@pytest.mark.usefixtures("proven")
def test_the_table_shows_the_three_side_by_side(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.main(["try", "--release", str(release), "--board", "native", "--readings", "12"]) == 0
    printed = capsys.readouterr().out
    for text in ("the native program, image 1 confirmed", "12 of the test part", "+10 min", "LiteRT – Keras"):
        assert text in printed


@pytest.mark.usefixtures("proven")
def test_a_board_that_differs_is_shown_and_then_fails(
    release: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab, "allowed_difference", lambda _proof, _kind: 0.0)
    assert lab.main(["try", "--release", str(release), "--board", "native", "--readings", "12"]) == GateFailed.exit_code
    captured = capsys.readouterr()
    assert "+10 min" in captured.out
    assert captured.err.startswith("error: the board's forecasts differ from Keras'")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--board", "stm32h745"], "'stm32h745' is not one of 'mps2_an500', 'native'"),
        (["--type", "int4"], "'int4' is not one of 'float32', 'int8', 'int16x8'"),
        (["--readings", "1"], "1 is not in the range 2<=x<=20000"),
        (["--release", "nowhere"], "release 'nowhere' is no folder"),
        (
            ["--release", "x", "--version", "77"],
            "--version '77' and --release 'x' are both given, expected exactly one",
        ),
        (["--release", "x", "--budget", "nan"], "--budget nan: Input should be a finite number"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab.main(["try", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_release_that_was_changed_is_refused(copied_release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify_manifest(copied_release)
    (copied_release / "model.onnx").write_bytes(b"changed")
    assert lab.main(["try", "--release", str(copied_release), "--board", "native"]) == 2
    assert "model.onnx" in capsys.readouterr().err
