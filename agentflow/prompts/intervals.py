"""Means and what is known of them: intervals that hold the true one in 95 of 100 experiments. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from agentflow.storage.intervals import Z, student, wilson


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean of `n` values, and its 95 % interval by `method` (t, Wilson or Bonett-Price); no interval where there are too few of them."""

    n: int
    mean: float | None
    low: float | None
    high: float | None
    method: str


def mean_of(values: Sequence[float]) -> Estimate:
    """The mean of numbers, with the interval of Student's t; of yeses and noes the share of yeses, with Wilson's."""
    if values and all(isinstance(one, bool) for one in values):
        return _share(values)
    return _mean(values)


def difference_of(pairs: Sequence[tuple[float, float]]) -> Estimate:
    """By how much the second of each pair is more than the first, in the mean: pairs of the same input, so that its own spread counts
    nothing. With the interval of Student's t, and that of Bonett and Price for yeses and noes.
    """
    if pairs and all(isinstance(one, bool) for pair in pairs for one in pair):
        return _shift(pairs)
    return _mean([after - before for before, after in pairs])


def _mean(values: Sequence[float]) -> Estimate:
    n = len(values)
    if n < 2:
        return Estimate(n, values[0] if values else None, None, None, "t")
    mean, half = fmean(values), student(n - 1) * stdev(values) / math.sqrt(n)
    return Estimate(n, mean, mean - half, mean + half, "t")


def _share(values: Sequence[float]) -> Estimate:
    low, high = wilson(sum(map(bool, values)), len(values)) or (None, None)
    return Estimate(len(values), fmean(values), low, high, "Wilson")


def _shift(pairs: Sequence[tuple[float, float]]) -> Estimate:
    n = len(pairs)
    more, less = sum(after > before for before, after in pairs), sum(after < before for before, after in pairs)
    up, down = (more + 1) / (n + 2), (less + 1) / (n + 2)
    half = Z * math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    return Estimate(n, (more - less) / n, max(-1.0, up - down - half), min(1.0, up - down + half), "Bonett-Price")
