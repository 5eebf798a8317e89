"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of each workload is done.

    `slow`: for contenders that would not finish otherwise. `patience`: no further round begins after so many seconds.
    """

    rounds: int = 5
    patience: float = 75.0
    repeats: int = 11
    steps: int = 100
    runs: int = 1_000
    slow_runs: int = 100
    short_steps: int = 5
    samples: int = 60
    slow_samples: int = 5
    long_steps: int = 10_000
    killed_at: int = 9_000

    @property
    def edge(self) -> int:
        """How many steps count as the first, and as the last, of the long run."""
        return max(2, self.long_steps - self.killed_at)


TINY = Sizes(rounds=1, repeats=1, steps=3, runs=4, slow_runs=4, short_steps=2, samples=2, slow_samples=1, long_steps=24, killed_at=20)
"""Just enough to see that everything works."""
