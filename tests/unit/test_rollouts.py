"""Weighted rollouts: as many keys as the weights say, and few that move."""

from __future__ import annotations

from collections import Counter

from agentflow.storage.rollouts import chosen

KEYS = [f"tenant-{number}" for number in range(200_000)]


def test_keys_are_spread_by_weight_and_a_change_moves_hardly_more_than_it_must() -> None:
    before = {key: chosen({1: 0.5, 2: 0.25, 3: 0.25}, "r1", key) for key in KEYS}
    after = {key: chosen({1: 0.3, 2: 0.25, 3: 0.45}, "r1", key) for key in KEYS}
    for weights, found in (({1: 0.5, 2: 0.25, 3: 0.25}, before), ({1: 0.3, 2: 0.25, 3: 0.45}, after)):
        for version, count in Counter(found.values()).items():
            assert abs(count / len(KEYS) - weights[version]) < 0.01
    moved = sum(before[key] != after[key] for key in KEYS) / len(KEYS)
    assert 0.2 <= moved < 0.2 * 1.25


def test_a_version_without_weight_is_never_chosen() -> None:
    assert {chosen({1: 0.0, 2: 1.0}, "r1", key) for key in KEYS[:1000]} == {2}


def test_another_salt_draws_anew() -> None:
    weights = {1: 0.5, 2: 0.5}
    assert 300 < sum(chosen(weights, "r1", key) == chosen(weights, "r2", key) for key in KEYS[:1000]) < 700
