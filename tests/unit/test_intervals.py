"""How far a measured figure may be off: against tables, and against what is drawn."""

from __future__ import annotations

import random

import pytest

from agentflow.storage.intervals import mean, percentile, student, wilson


@pytest.mark.parametrize(
    ("count", "of", "interval"),
    [(0, 10, (0.0, 0.2775)), (1, 10, (0.0179, 0.4042)), (5, 10, (0.2366, 0.7634)), (50, 1_000, (0.0381, 0.0653)), (10, 10, (0.7225, 1.0))],
)
def test_a_share_has_the_interval_of_the_tables(count: int, of: int, interval: tuple[float, float]) -> None:
    assert wilson(count, of) == pytest.approx(interval, abs=1e-4)


@pytest.mark.parametrize(("degrees", "quantile"), [(1, 12.706), (4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (1_000, 1.962)])
def test_students_quantile_is_that_of_the_tables(degrees: int, quantile: float) -> None:
    assert student(degrees) == pytest.approx(quantile, abs=2e-3)


def test_of_nothing_nothing_is_known_and_of_one_value_no_interval() -> None:
    assert (wilson(0, 0), mean(0, 0, 0), percentile([], 0.5)) == (None, None, None)
    assert mean(1, 7, 49) == (7, None)
    assert [percentile([1, 2, 3, 4], share) for share in (0.0, 0.25, 0.5, 0.95)] == [1, 1, 2, 4]


def test_of_a_hundred_intervals_ninety_five_hold_the_true_mean_and_the_true_share() -> None:
    drawn = random.Random(7)
    means = shares = 0
    for _ in range(1_000):
        values = [drawn.expovariate(1.0) + 9.0 for _ in range(40)]
        found = mean(len(values), sum(values), sum(one * one for one in values))
        assert found is not None
        assert found[1] is not None
        means += found[1][0] <= 10.0 <= found[1][1]
        low, high = wilson(sum(drawn.random() < 0.1 for _ in range(80)), 80) or (1, 0)
        shares += low <= 0.1 <= high
    assert means > 910
    assert shares > 930
