"""The measurement of streams measures: every token reaches every viewer once, or it says so."""

from __future__ import annotations

from tests.benchmarks.streams.__main__ import stage


def test_viewers_of_one_run_and_of_several_see_every_token_once() -> None:
    with stage() as measured:
        shared, apart = measured.follow(1, 3, 0.2), measured.follow(2, 1, 0.2)
        assert (shared.viewers, apart.viewers) == (3, 2)
        assert (shared.wrong, apart.wrong) == (0, 0)
        assert 0 < shared.first(0.5) < 10_000
        assert 0 < apart.later(0.99) < 10_000
        assert set(shared.cores) == {"worker", "server", "redis", "viewers"}
