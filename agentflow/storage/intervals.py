"""How far a figure that was measured may be off: intervals that hold the true one 95 times of 100."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt

Interval = tuple[float, float]
Z = 1.959963984540054
"""How many standard deviations hold 95 of 100."""
_FIRST = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060)


def wilson(count: int, of: int) -> Interval | None:
    """The interval of a share by Wilson's score, which is right for few calls and for shares near 0 and 1 too; None of nothing.

    >>> wilson(0, 10)
    (0.0, 0.2775327998628892)
    """
    if not of:
        return None
    share, spread = count / of, Z * Z / of
    middle = (share + spread / 2) / (1 + spread)
    half = Z * sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def mean(count: int, total: float, squares: float) -> tuple[float, Interval | None] | None:
    """The mean of values, and its interval by Student's t: by how many there are, their sum and the sum of their squares.

    None of nothing; one value has no interval.
    """
    if not count:
        return None
    middle = total / count
    if count == 1:
        return middle, None
    variance = max(0.0, squares - count * middle * middle) / (count - 1)
    half = student(count - 1) * sqrt(variance / count)
    return middle, (middle - half, middle + half)


def student(degrees: int) -> float:
    """How many standard errors hold 95 of 100 with so many degrees of freedom; exact to a thousandth."""
    if degrees <= len(_FIRST):
        return _FIRST[degrees - 1]
    n = float(degrees)
    first, second = (Z**3 + Z) / 4, (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + first / n + second / n**2 + third / n**3


def percentile(ranked: Sequence[int], share: float) -> int | None:
    """The value below or at which so large a share of values in rising order is; None of nothing.

    >>> percentile([1, 2, 3, 4], 0.5)
    2
    """
    return ranked[max(0, ceil(share * len(ranked)) - 1)] if ranked else None
