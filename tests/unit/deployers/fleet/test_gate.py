"""What a gate says of a wave."""

from __future__ import annotations

from typing import Any

import pytest

from deployers.deployment.waves import Device
from deployers.fleet.gate import judge
from deployers.fleet.health import Health
from deployers.fleet.partitions import Gate
from tests.unit.deployers.fleet.conftest import row

GATE = Gate(hours=24, pairs=100, skill_loss=0.15, most_hours=168)


def device(name: str = "a1", **changed: Any) -> Health:
    return Health(Device("attic", name), rows=(row(name, 2, **changed),))


@pytest.mark.parametrize(
    ("found", "hours", "state", "reason"),
    [
        ([device()], 24, "healthy", "skill 0.400, at least 0.270 wanted"),
        ([device()], 23.9, "waits", "0.1 h more of 24"),
        ([device(pairs=99)], 30, "waits", "100 forecasts compared with readings: attic/a1 99"),
        ([device(pairs=99)], 169, "failed", "not to be judged after 169.0 h, for want of 100 forecasts"),
        ([device(model=0.147)], 0.1, "failed", "skill 0.265, 0.420 expected, at least 0.270 wanted"),
        ([device(model=0.147, pairs=99)], 0.1, "waits", "100 forecasts"),
        ([device(model=0.201, skill_expected=None)], 1, "failed", "skill -0.005, persistence's is 0, at least 0.000"),
        ([device(model=0.199, skill_expected=None)], 24, "healthy", "skill 0.005, at least 0.000"),
        ([device(model=0.0, persistence=0.0)], 30, "waits", "readings that change"),
        ([device(part="model", state="alarm", reason="saturated")], 30, "failed", "attic/a1: saturated"),
        ([device(part="model", state="warning")], 30, "healthy", "skill"),
        ([device(part="skill", state="alarm")], 30, "healthy", "skill"),  # of days that another version had, too
        ([device(part="sensor", state="warning", model=0.9)], 30, "waits", "a device whose sensor is sound"),
        ([device(part="sensor", state="alarm", model=0.9), device("a2")], 30, "healthy", "skill 0.400"),
        ([device(), Health(Device("attic", "a2"), lost="it runs 1")], 1, "failed", "attic/a2: it runs 1"),
        ([device(), Health(Device("attic", "a2"), away="no route")], 30, "waits", "an answer of attic/a2 (no route)"),
        ([device(), Health(Device("attic", "a2"), away="no route")], 169, "failed", "not to be judged"),
        ([Health(Device("attic", "a1"))], 30, "waits", "100 forecasts compared with readings: attic/a1 0"),
    ],
)  # fmt: skip
def test_a_wave_is_judged(found: list[Health], hours: float, state: str, reason: str) -> None:
    verdict = judge(GATE, found, hours)
    assert (verdict.state, verdict.reason[: len(reason)]) == (state, reason)


def test_skill_is_that_of_all_pairs_and_not_of_devices() -> None:
    many, few = device(pairs=900, model=0.1), device("a2", pairs=100, model=0.2)
    numbers = judge(GATE, [many, few], 30).numbers
    assert numbers["skill"] == pytest.approx(1 - (900 * 0.1 + 100 * 0.2) / (1000 * 0.2))
    assert (numbers["pairs"], numbers["devices"], numbers["skill_least"]) == ([900, 100], 2, 0.27)
