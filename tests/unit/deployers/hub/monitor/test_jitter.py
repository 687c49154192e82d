"""How much readings jump about: what a room does is usual, a noisy or smoothed sensor is found within the day."""

from __future__ import annotations

import numpy as np
import pytest

from deployers.hub.monitor.jitter import BLOCK_MS, PARTS, Jitter
from tests.monitoring import CADENCE_MS, RULES, START_MS, STEPS_A_DAY, Site

LIMIT = RULES.thresholds.jitter
AT = 30 * STEPS_A_DAY + 40


def watched(celsius: np.ndarray, test: Jitter | None = None, masked: range = range(0), begin: int = 0) -> list[int]:
    """Give it readings; those at which it began to warn."""
    test, raised, level = test or Jitter(), [], "ok"
    for at, value in enumerate(celsius.tolist(), begin):
        time_ms = START_MS + at * CADENCE_MS
        test.reading(time_ms, value, CADENCE_MS, LIMIT, is_masked=at // STEPS_A_DAY in masked)
        if test.level != level:
            raised += [at] if test.level != "ok" else []
            level = test.level
    return raised


def noisy(celsius: np.ndarray, seed: int = 0) -> np.ndarray:
    """Its own noise of 0.02 °C and of its weather's steps is 0.05 °C; three times that, from a reading on."""
    return celsius + np.random.default_rng(seed).normal(0, 0.1, len(celsius)) * (np.arange(len(celsius)) >= AT)


def smoothed(celsius: np.ndarray) -> np.ndarray:
    shown = celsius.copy()
    for at in range(AT, len(shown)):
        shown[at] = shown[at - 1] + 0.28 * (celsius[at] - shown[at - 1])
    return shown


def test_a_healthy_sensor_warns_no_more_than_every_two_months() -> None:
    raised = [len(watched(Site(days=60, seed=seed).celsius())) for seed in range(12)]
    assert sum(raised) <= 12


@pytest.mark.parametrize("change", [noisy, smoothed])
@pytest.mark.parametrize("seed", range(4))
def test_noise_and_lag_are_found_within_a_day(change, seed: int) -> None:
    celsius = Site(days=33, seed=seed).celsius()
    test = Jitter()
    raised = watched(change(celsius), test)
    assert AT < raised[-1] <= AT + STEPS_A_DAY
    how = "more" if change is noisy else "less"
    assert f"jump about {how} than usual" in test.finding(LIMIT).reason
    assert test.finding(LIMIT).numbers[how] == pytest.approx(getattr(test, how), abs=1e-3)


def test_it_says_nothing_before_it_knows_what_is_usual() -> None:
    test = Jitter()
    watched(np.random.default_rng(1).normal(0, 1, 10 * STEPS_A_DAY), test)
    finding = test.finding(LIMIT)
    assert (finding.level, finding.numbers["z"]) == ("ok", None)
    assert finding.reason == "learns what is usual at each part of the day, 9 of 14 days so far"


def test_a_faulty_sensor_and_gaps_say_nothing() -> None:
    celsius = noisy(Site(days=33).celsius())
    assert watched(celsius, masked=range(30, 40)) == watched(celsius[:AT])
    sparse, times = Jitter(), range(0, 20 * STEPS_A_DAY, 3)
    for at in times:
        sparse.reading(START_MS + at * CADENCE_MS, at % 7, CADENCE_MS, LIMIT, is_masked=False)
    assert (sparse.counted, sparse.usual.days()) == (0, 0), "a change over a gap is none from one to the next"


def test_what_lasts_for_a_month_is_usual() -> None:
    test = Jitter()
    watched(noisy(Site(days=90).celsius()), test)
    assert test.level == "ok"


def test_blocks_that_resemble_each_other_are_allowed_to_stray_further() -> None:
    test = Jitter()
    alike, unlike = [test._widening(2.0) for _ in range(1)], Jitter()  # noqa: SLF001
    assert alike[0] > 1, "nothing is known yet"
    for at in range(5 * PARTS):
        test.z = 1.5
        unlike.z = 1.5 * (-1) ** at
        last = test._widening(1.5), unlike._widening(-unlike.z)  # noqa: SLF001
    assert last[0] == pytest.approx(2.0), "at most"
    assert last[1] == 1.0
    assert BLOCK_MS * PARTS == 86_400_000
