"""The gate: every failure is told at once."""

from __future__ import annotations

import pytest

from forecaster.errors import ForecasterError, GateFailed
from forecaster.gate import Condition, require

GOOD = Condition("spikes", 0.0, "at most", 0.001, "share")
HIGH = Condition("highest value", 75.2, "at most", 50.0, "°C", "values look like Fahrenheit")
FEW = Condition("number of readings", 12, "at least", 1000)


def test_gate_lets_a_sound_run_pass() -> None:
    require("data", [GOOD])
    require("data", [])


def test_gate_tells_every_failure_at_once() -> None:
    with pytest.raises(GateFailed) as caught:
        require("data gate", iter([FEW, GOOD, HIGH]))
    assert caught.value.failed == (FEW, HIGH)
    assert caught.value.gate == "data gate"
    assert str(caught.value) == f"data gate: 2 condition(s) failed: {FEW.sentence()}; {HIGH.sentence()}"


def test_failed_gate_is_a_deliberate_error_with_its_own_exit_code() -> None:
    assert issubclass(GateFailed, ForecasterError)
    assert GateFailed.exit_code == 3
