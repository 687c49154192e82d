"""`python -m deployers convert`, run as a user runs it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployers.__main__ import main
from deployers.conversion import proof as proof_module
from deployers.conversion.budget import ConversionConfig
from deployers.exceptions import ConversionError
from deployers.protocol.manifest import CONVERSION, verify_manifest

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def proven(monkeypatch, proof):
    """The proof that was made once, for every release."""
    asked: list[ConversionConfig] = []

    def prove(_release, config, progress) -> Any:
        asked.append(config)
        for stage in ("TensorFlow", "float32", "Keras"):
            progress(stage)
        return proof

    monkeypatch.setattr(proof_module, "prove", prove)
    return asked


@pytest.mark.usefixtures("proven")
def test_a_release_becomes_a_folder_and_a_table(release: Path, proof, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert main(["convert", "--release", str(release), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    for kind, found in proof.figures["types"].items():
        (line,) = [line for line in printed.splitlines() if f"│ {kind} " in line]
        for text in (f"{found['metrics']['mae']:.5f}", f"{found['file_bytes']:,}", f"{found['instructions']:,}"):
            assert text in line
        assert ("chosen" in line) == (kind == proof.chosen)
    assert f"{proof.chosen} is chosen; written to {out}" in printed
    assert f"python -m deployers check {out}" in printed
    facts = verify_manifest(out, CONVERSION)["facts"]
    assert facts["chosen"] == proof.chosen
    assert len(facts["release_sha256"]) == 64


@pytest.mark.usefixtures("proven")
def test_the_next_command_can_be_pasted(release: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "kitchen; old"
    assert main(["convert", "--release", str(release), "--out", str(out)]) == 0
    next_command = capsys.readouterr().out.partition("next: ")[2].replace("\n", "")
    assert shlex.split(next_command) == ["python", "-m", "deployers", "check", str(out)]


def test_what_was_not_measured_is_said_so(monkeypatch, release: Path, proof, tmp_path: Path, capsys) -> None:
    figures = deepcopy(proof.figures)
    figures["types"]["int8"] |= {"mae_growth": float("nan")}
    monkeypatch.setattr(proof_module, "prove", lambda *_: replace(proof, figures=figures))
    main(["convert", "--release", str(release), "--out", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "nan" not in printed
    assert "not measured" in printed


@pytest.mark.usefixtures("proven")
def test_json_is_one_object_and_nothing_else(release: Path, tmp_path: Path, capsys, proof) -> None:
    assert main(["convert", "--release", str(release), "--out", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["chosen"] == proof.chosen
    assert set(told["fidelity"]["types"]) == {"float32", "int8", "int16x8"}


def test_options_become_the_settings(release: Path, tmp_path: Path, proven) -> None:
    options = ["--budget", "0.25", "--type", "int8", "--type", "float32", "--timeout", "33"]
    main(["convert", "--release", str(release), "--out", str(tmp_path / "out"), *options, "--json"])
    assert proven == [ConversionConfig(types=("int8", "float32"), mae_growth=0.25, timeout_seconds=33)]


def test_nothing_within_budget_is_a_failed_gate_that_shows_the_table(
    monkeypatch, release: Path, proof, tmp_path: Path, capsys
) -> None:
    monkeypatch.setattr(proof_module, "prove", lambda *_: replace(proof, chosen=None))
    assert main(["convert", "--release", str(release), "--out", str(tmp_path / "out")]) == 3
    told = capsys.readouterr()
    assert "│ int8 " in told.out
    assert told.err.startswith("error: no type is within the fidelity budget: MAE growth of float32 is ")
    assert told.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_real_budget_that_cannot_be_met_fails_the_gate(release: Path, tmp_path: Path) -> None:
    """Everything real, in a process of its own."""
    command = [sys.executable, "-m", "deployers", "convert", "--release", str(release), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, "--type", "float32", "--budget", "-1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "must be at most -100 %" in done.stderr
    assert "over budget" in done.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "neither --version nor --release is given, expected exactly one of them: say which"),
        (
            ["--version", "1", "--release", "x"],
            2,
            "--version '1' and --release 'x' are both given, expected exactly one",
        ),
        (["--release", "nowhere"], 2, "is no folder, expected one with a manifest.json"),
        (["--version", "1", "--tracking-uri", "sqlite:///nowhere.db"], 2, "there is no registry at"),
        (["--release", "x", "--budget", "2"], 2, "is not in the range"),
        (["--release", "x", "--type", "int4"], 2, "'int4' is not one of"),
        (["--release", "x", "--timeout", "0"], 2, "is not in the range"),
        (["--release", "x", "--budget", "nan"], 2, "--budget nan: Input should be a finite number, give another"),
        (["--release", "x", "--timeout", "inf"], 2, "--timeout inf: Input should be a finite number, give another"),
        (["--relaese", "x"], 2, "No such option"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path: Path, capsys, arguments: list[str], code: int, message: str) -> None:
    assert main(["convert", "--out", str(tmp_path / "out"), *arguments]) == code
    assert message in capsys.readouterr().err


def test_a_folder_in_the_way_is_refused_before_any_work(release: Path, tmp_path: Path, capsys, proven) -> None:
    (tmp_path / "mine.txt").write_text("")
    assert main(["convert", "--release", str(release), "--out", str(tmp_path)]) == 2
    assert main(["convert", "--release", str(release), "--out", str(tmp_path), "--force"]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert proven == []


def test_a_crash_of_the_converter_is_one_line_and_its_own_code(
    monkeypatch, release: Path, tmp_path: Path, capsys
) -> None:
    def crash(*_: object) -> None:
        msg = "the converter crashed with SIGSEGV at stage 'int8'"
        raise ConversionError(msg)

    monkeypatch.setattr(proof_module, "prove", crash)
    assert main(["convert", "--release", str(release), "--out", str(tmp_path / "out")]) == 7
    assert capsys.readouterr().err == "error: the converter crashed with SIGSEGV at stage 'int8'\n"
