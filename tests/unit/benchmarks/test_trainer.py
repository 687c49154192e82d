"""The benchmark of the trainer: its figures, and that the contenders do the same work."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks import trainer
from forecaster.gru.architecture import Architecture
from forecaster.gru.network import initial_weights

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Architecture(trainer.INPUTS, trainer.HORIZON, 4)


def test_each_size_has_a_line_and_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trainer, "TARGET", tmp_path / "bench" / "trainer.json")
    assert trainer.main(["--rounds", "1", "--sizes", "gru:4:8,conv_gru:4:3"]) == 0
    lines = json.loads(trainer.TARGET.read_text(encoding="utf-8"))
    assert [(line["form"], line["units"], line["batch"]) for line in lines] == [("gru", 4, 8), ("conv_gru", 4, 3)]
    for line in lines:
        assert line["times"] == pytest.approx(line["keras_ms"] / line["ours_ms"])
        assert 0 < line["share"] == pytest.approx(line["gflops"] / line["blas_gflops"])
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_both_contenders_take_the_same_loss() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((trainer.STEPS, trainer.INPUTS, 5)).astype(np.float32)
    y = rng.standard_normal((trainer.STEPS, trainer.HORIZON, 5)).astype(np.float32)
    flat = initial_weights(SMALL, rng)
    losses = [make(SMALL, flat, x, y)() for make in (trainer.ours, trainer.keras_on_xla)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] > 0.5


@pytest.mark.parametrize("sizes", ["gru", "gru:16", "gru:a:16", "gru:16:32:8"])
def test_sizes_that_cannot_be_read_are_refused(sizes: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        trainer.main(["--sizes", sizes])
    assert "give form:units:batch" in capsys.readouterr().err
