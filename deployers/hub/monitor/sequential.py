"""A one-sided CUSUM (Page 1954) and its thresholds for a stated rate of false alarms.

    S ← max(0, S + z − k), an alarm at S ≥ h

z is what is expected to be standard normal as long as nothing has changed. With k = δ/2 the test is the fastest for a
change of the mean by δ (Moustakides 1986). Without a change an alarm comes on average after L values. Siegmund (1985)
approximates, with b = h + 1.166:

    L ≈ (exp(2kb) − 1 − 2kb) / (2k²)

    python -m deployers.hub.monitor --days 365      # thresholds, and L as it comes out by simulation
"""

from __future__ import annotations

import math

import numpy as np

REFERENCE = 0.5  # k: what is looked for is a change by one standard deviation
CAP = 1.5  # of a threshold: what a test remembers of a long decay, so that it also ends
ALONE = 0.9  # of a threshold: where one value alone is not to reach it
OVERSHOOT = 1.166  # 2 ρ, by how much a sum of normal steps passes a bound on average
THRESHOLD_MAX = 100.0


def step(total: float, z: float, reference: float = REFERENCE) -> float:
    """The sum after one more value."""
    return max(0.0, total + z - reference)


def bounded(total: float, z: float, threshold: float, reference: float) -> float:
    """The sum after one more value of a number that strays further than a normal one: one alone stays below h."""
    return min(CAP * threshold, step(total, min(z, reference + ALONE * threshold), reference))


def run_length(threshold: float, reference: float = REFERENCE) -> float:
    """Values to the first false alarm on average, by Siegmund's formula."""
    exponent = 2 * reference * (threshold + OVERSHOOT)
    return (math.expm1(exponent) - exponent) / (2 * reference**2)


def threshold(wanted: float, reference: float = REFERENCE) -> float:
    """The threshold at which false alarms are `wanted` values apart on average; by bisection."""
    low, high = 0.0, THRESHOLD_MAX
    for _ in range(64):
        middle = (low + high) / 2
        low, high = (middle, high) if run_length(middle, reference) < wanted else (low, middle)
    return high


def simulated(threshold: float, runs: int, seed: int, shift: float = 0.0, reference: float = REFERENCE) -> float:
    """Values to the first alarm on average over random series.

    Args:
        threshold: h.
        runs: how many series.
        seed: of the random numbers.
        shift: mean of the values; 0 gives the time between false alarms, another one the delay of a detection.
        reference: k.
    """
    random, total, lengths = np.random.default_rng(seed), np.zeros(runs), np.zeros(runs)
    running = np.ones(runs, bool)
    while running.any():
        z = random.normal(shift, 1.0, runs)
        total = np.maximum(0.0, total + z - reference)
        lengths[running] += 1
        running &= total < threshold
    return float(lengths.mean())
