"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of each workload is done.

    `peer_…`: for the peers, which would not finish otherwise; `slow_samples`: for what takes them a second each. `patience`: no further
    round begins after so many seconds.
    """

    rounds: int = 5
    peer_rounds: int = 2
    patience: float = 400.0
    repeats: int = 11
    peer_repeats: int = 3
    steps: int = 100
    runs: int = 1_000
    peer_runs: int = 100
    short_steps: int = 5
    samples: int = 60
    slow_samples: int = 5
    long_steps: int = 10_000
    killed_at: int = 9_000
    waiting_runs: int = 100_000
    waiting_rounds: int = 7

    @property
    def edge(self) -> int:
        """How many steps count as the first, and as the last, of the long run."""
        return max(2, self.long_steps - self.killed_at)


QUICK = Sizes(
    rounds=1,
    peer_rounds=1,
    repeats=5,
    peer_repeats=1,
    peer_runs=30,
    samples=15,
    slow_samples=3,
    long_steps=1_000,
    killed_at=900,
    waiting_runs=10_000,
    waiting_rounds=3,
)
"""For a first look: some minutes less, and figures that scatter."""

TINY = Sizes(
    rounds=1,
    peer_rounds=1,
    repeats=1,
    peer_repeats=1,
    steps=3,
    runs=4,
    peer_runs=4,
    short_steps=2,
    samples=2,
    slow_samples=1,
    long_steps=24,
    killed_at=20,
    waiting_runs=20,
    waiting_rounds=1,
)
"""Just enough to see that everything works."""
