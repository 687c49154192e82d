"""The whole firmware on QEMU's Cortex-M7, over TCP: an image and readings in, and the forecasts that Python makes.

Expected forecasts come from the wheels of LiteRT (float32) and TFLM (integers), and from the features in Python: none
of the board's own code takes part.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deployers.conversion.features import decode_program
from deployers.conversion.runtimes import TFLM, LiteRT
from deployers.conversion.stream import stream
from deployers.lab.board import VirtualBoard
from deployers.lab.firmware import ROOT, build
from deployers.link import LinkRefusedError
from deployers.protocol.messages import Reading, SlotState
from deployers.protocol.status import Status
from tests.board_image import CADENCE_MS, HORIZON, START_MS, cell, image, program, public_point

if TYPE_CHECKING:
    from pathlib import Path

KEY = bytes(range(1, 33))
STACK_BUDGET = 8192


def readings(first: int, after: int) -> list[Reading]:
    """A day's curve in sixteenths of a degree, with jitter, a gap to hold over and a gap that ends the segment."""
    found = []
    for number in range(first, after):
        step = number + 2 * (number >= 40) + 30 * (number >= 70)
        jitter = (number * 7919) % 60_001 - 30_000
        sixteenths = round(16 * (20 + 3 * np.sin(step / 23)))
        found.append(Reading(START_MS + step * CADENCE_MS + (jitter if number else 0), sixteenths * 62_500))
    return found


def expected(name: str, given: list[Reading]) -> dict[int, list[float]]:
    """The forecasts in °C by the time of their reading, as Python makes them."""
    runtime = LiteRT(cell(name)) if "float32" in name else TFLM(cell(name))
    features, cleaning = decode_program(program())
    streamed, _ = stream(features, cleaning, [(item.time_ms * 1000, item.celsius) for item in given])
    starts = np.flatnonzero(streamed.resets)
    residuals = runtime.forecasts(streamed.features.astype(np.float32), starts)
    celsius = streamed.values[:, None] + features.target_scale * residuals
    times = [given[number].time_ms for number in streamed.accepted]
    return dict(zip(times, celsius[streamed.made].tolist(), strict=True))


@pytest.mark.parametrize(
    ("name", "kind", "tolerance"),
    [("gru float32 4x16x6", 0, 1e-5), ("gru int8 4x16x6", 1, 4e-6), ("gru int16 4x16x6", 2, 4e-6)],
)
def test_the_board_forecasts_what_python_forecasts(name: str, kind: int, tolerance: float, tmp_path: Path) -> None:
    given = readings(0, 100)
    with VirtualBoard("mps2_an500", key=KEY, state_folder=tmp_path, public_key=public_point()) as board:
        board.install(image(5, model=cell(name), model_type=kind))
        forecasts = board.feed(given[:60])
        board.confirm()
        forecasts += board.feed(given[60:])
        state = board.link.status()
    assert (state.slot_state, state.model_version, state.forecasts_dropped) == (SlotState.CONFIRMED, 5, 0)
    wanted = expected(name, given)
    assert [forecast.time_ms for forecast in forecasts] == list(wanted)
    found = np.array([forecast.celsius for forecast in forecasts])
    assert found.shape == (len(given), HORIZON)
    # float32 °C near 20 are 2e-6 apart.
    assert np.abs(found - np.array(list(wanted.values()))).max() <= tolerance


def test_a_power_cut_before_the_confirmation_brings_the_old_model_back(tmp_path: Path) -> None:
    given = readings(0, 30)
    with VirtualBoard("mps2_an500", key=KEY, state_folder=tmp_path, public_key=public_point()) as board:
        board.install(image(1))
        board.feed(given[:10])
        board.confirm()
        board.install(image(2))
        board.feed(given[10:20])
        board.power_off()
        board.power_on()
        assert board.link.hello.state.model_version == 1
        after = board.feed(given[20:])
        assert {forecast.model_version for forecast in after} == {1}
    wanted = expected("gru int8 4x16x6", given)
    found = np.array([forecast.celsius for forecast in after])
    assert np.abs(found - np.array([wanted[item.time_ms] for item in given[20:]])).max() <= 4e-6


def test_a_refusal_reaches_the_deployer_by_its_name(tmp_path: Path) -> None:
    with VirtualBoard("mps2_an500", key=KEY, state_folder=tmp_path, public_key=public_point(2)) as board:
        with pytest.raises(LinkRefusedError, match="IMAGE_KEY") as refused:
            board.install(image(1))
        assert refused.value.status == Status.IMAGE_KEY
        assert board.link.status().model_status == Status.SLOT_EMPTY


def test_the_deepest_stack_seen_is_within_the_bound_that_was_computed(tmp_path: Path) -> None:
    subprocess.run(["make", "-C", str(ROOT / "firmware"), "sizes"], check=True, capture_output=True)
    with VirtualBoard("mps2_an500", key=KEY, state_folder=tmp_path, public_key=public_point()) as board:
        board.install(image(1))
        board.feed(readings(0, 5))
        board.confirm()
        board.install(image(2))
        log = board.link.log()
    seen = [int(number) for number in re.findall(r"deepest stack (\d+)", log)]
    sizes = (ROOT / "build" / "firmware" / "sizes.json").read_text(encoding="utf-8")
    bound = int(re.findall(r'"stack": (\d+)', sizes)[0])
    assert seen
    assert 1000 < max(seen) <= bound <= STACK_BUDGET


def test_the_program_for_the_emulated_core_is_built_once() -> None:
    before = build("mps2_an500").stat().st_mtime_ns
    assert build("mps2_an500").stat().st_mtime_ns == before
