"""A sign test by betting: it may be looked at every day.

A gambler holds that the challenger is better on at most half the days (H0). Against him a bet of the share λ of one's
money on "better" each day makes (1 + λ)^k (1 − λ)^(n − k) of it after k better days of n, which he expects not to grow.
The money is spread evenly over all λ from 0 to 1:

    e = ∫ (1 + λ)^k (1 − λ)^(n − k) dλ = Σ_{j > n − k} C(n + 1, j) / ((n + 1) C(n, k)),   j up to n + 1

By Ville's inequality the money ever reaches 1/α with a probability of at most α where H0 holds, whenever one looks:
Shafer, "Testing by betting" (2021); Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting"
(2024). H0 speaks of each day given those before it: days that resemble each other loosen it, see docs/shadow.md.
"""

from __future__ import annotations

from math import comb


def e_value(better: int, days: int) -> float:
    """What a bet of 1 has become.

    Args:
        better: days on which the challenger was better.
        days: on which it was better or not; ties are no days.
    """
    tail = sum(comb(days + 1, j) for j in range(days - better + 1, days + 2))
    return tail / ((days + 1) * comb(days, better))
