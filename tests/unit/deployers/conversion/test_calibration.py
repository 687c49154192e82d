"""What the converter is shown: true trajectories, then what lies a little beyond them."""

from __future__ import annotations

import numpy as np
import pytest

from deployers.conversion.calibration import LARGEST, MARGIN, calibration_steps, trajectories
from deployers.conversion.runtimes import LiteRT
from tests.unit.deployers.conftest import FORMS


def steps_of(found, kind: str) -> list:
    return list(calibration_steps(LiteRT(found.files["float32"]), found.cell.states, found.features, kind))


def test_the_states_are_those_the_cell_reaches(forms) -> None:
    found = forms["gru"]
    runtime = LiteRT(found.files["float32"])
    seen = list(trajectories(runtime, found.features[:1]))
    assert len(seen) == found.features.shape[1]
    h = np.zeros_like(seen[0][1])
    for x, state in seen:
        assert np.array_equal(state, h)
        _, h = runtime.invoke([x, h])


def test_every_sequence_begins_from_nothing(forms) -> None:
    found = forms["gru_gru"]
    steps = found.features.shape[1]
    for x, *states in steps_of(found, "int8")[: len(found.features) * steps : steps]:
        assert x.shape == (1, found.cell.inputs)
        assert not any(state.any() for state in states)


@pytest.mark.parametrize("form", FORMS)
def test_every_state_a_gru_can_have_is_inside(forms, form: str) -> None:
    found = forms[form]
    low, high = steps_of(found, "int8")[-2:]
    for name, least, most in zip(found.cell.states, low[1:], high[1:], strict=True):
        if name == "w":
            assert np.abs(least).max() <= np.abs(found.features).max()
        else:
            assert (least == -1).all()
            assert (most == 1).all()


@pytest.mark.parametrize("kind", ["int8", "int16x8"])
def test_the_largest_features_are_shown_with_their_margin(forms, kind: str) -> None:
    found = forms["gru"]
    largest = max(float(np.abs(step[0]).max()) for step in steps_of(found, kind))
    assert largest == pytest.approx(MARGIN[kind] * np.abs(found.features).max())


def test_the_trajectories_stay_as_they_are_and_a_few_steps_follow(forms) -> None:
    found = forms["gru"]
    count = found.features.shape[0] * found.features.shape[1]
    steps = steps_of(found, "int16x8")
    assert len(steps) == count + LARGEST + 2
    assert np.array_equal(np.concatenate([step[0] for step in steps[:count]]), found.features.reshape(count, -1))
