"""`python -m deployers check`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployers.__main__ import main
from deployers.conversion import checking, runtimes
from deployers.conversion.runtimes import Engine, engine_library
from deployers.exceptions import GateFailed


def test_three_runtimes_stand_side_by_side(conversion: Path, capsys) -> None:
    assert main(["check", str(conversion)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    for kind in ("float32", "int8", "int16x8"):
        names = [row[1] for row in rows if row[0] == kind]
        assert names == ["LiteRT", "TFLM", "engine", "firmware"]
    for kind in ("int8", "int16x8"):
        assert [row[3:] for row in rows if row[:2] == [kind, "engine"]] == [["0", "the same bits"]]
    assert all(row[4].startswith("OK, ") for row in rows if row[1] == "firmware")


def test_json_is_one_object_and_nothing_else(conversion: Path, capsys) -> None:
    assert main(["check", str(conversion), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["failed"] == []
    assert told["types"]["int8"]["runtimes"]["engine"]["tflm"] == 0


def test_an_engine_that_is_not_tflm_is_a_failed_gate(monkeypatch, conversion: Path, capsys) -> None:
    class Off(Engine):
        def stream(self, features, *, reset=True) -> Any:
            return super().stream(features, reset=reset) + np.float32(0.001)

    monkeypatch.setitem(checking.RUNTIMES, "engine", Off)
    assert main(["check", str(conversion)]) == GateFailed.exit_code == 3
    told = capsys.readouterr()
    assert "│ int8 " in told.out
    assert told.err.startswith("error: the runtimes do not agree: float32: engine beside TFLM is ")
    assert "int8: engine beside TFLM is 0.00" in told.err
    assert main(["check", str(conversion), "--json"]) == 3
    assert len(json.loads(capsys.readouterr().out)["failed"]) >= 3


def test_a_tampered_folder_is_named(copied: Path, capsys) -> None:
    (copied / "cell_int8.tflite").write_bytes(b"other")
    assert main(["check", str(copied)]) == 2
    told = capsys.readouterr().err
    assert "cell_int8.tflite differs: convert the release again" in told
    assert f"conversion '{copied}' does not match" in told


def test_no_folder_is_named(tmp_path: Path, capsys) -> None:
    assert main(["check", str(tmp_path / "nowhere")]) == 2
    assert "is no folder, expected one that python -m deployers convert wrote" in capsys.readouterr().err


def test_without_a_compiler_it_is_said_what_to_install(monkeypatch, conversion: Path, tmp_path: Path, capsys) -> None:
    engine_library.cache_clear()
    monkeypatch.setattr(runtimes.shutil, "which", lambda _: None)
    monkeypatch.setattr(runtimes, "LIBRARY", tmp_path / "nowhere.so")
    monkeypatch.setattr(Engine.__init__, "__defaults__", (tmp_path / "nowhere.so",))
    assert main(["check", str(conversion)]) == 4
    assert "apt-get install build-essential" in capsys.readouterr().err
    engine_library.cache_clear()


@pytest.mark.parametrize("arguments", [["check"], ["check", "a", "b"], ["check", "a", "--fix"]])
def test_a_wrong_call_is_explained(arguments: list[str], capsys) -> None:
    assert main(arguments) == 2
    assert "Usage: python -m deployers check" in capsys.readouterr().err
