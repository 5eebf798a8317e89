"""What goes wrong, and when: a pure function of the seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.soak.workload import LEASE

DECK = {
    "kill": 5,
    "zombie": 3,
    "drain": 1,
    "jump": 3,
    "leap": 1,
    "cut redis": 2,
    "kill redis": 1,
    "flush redis": 1,
    "cut database": 2,
    "hold database": 2,
    "restart database": 1,
    "crash database": 1,
}
"""How often each fault comes; it is drawn like a deck of cards, so that each comes up early."""

ON_SERVER = frozenset({"cut database", "hold database", "restart database", "crash database"})
"""Faults that need a database that is a server."""

ON_ALL = frozenset({"leap", "kill redis", "flush redis", "restart database", "crash database"})
"""Faults that hit no worker in particular, one at a time."""

GAP = 0.9
"""Seconds between two faults, on average."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` hits `worker` (from 1; 0 for all) at `at` and lasts for `lasts` seconds; a clock jumps by `jump` seconds."""

    at: float
    kind: str
    worker: int
    lasts: float
    jump: float = 0.0

    def __str__(self) -> str:
        whom = f" worker {self.worker}" if self.worker else ""
        jump = f" by {self.jump:+.1f} s" if self.jump else ""
        return f"{self.at:6.2f} s  {self.kind}{whom}{jump} for {self.lasts:.2f} s"


def faults(seed: int, seconds: float, workers: int, *, server: bool) -> list[Fault]:
    """The faults of a seed, in the order of their times; all have ended after `seconds`. `server`: whether the database is one."""
    chance = random.Random(f"{seed}/faults")
    deck = _deck(chance, server=server)
    busy = dict.fromkeys(range(workers + 1), 0.0)
    made: list[Fault] = []
    at = 1.0
    while (at := at + chance.expovariate(1 / GAP)) < seconds:
        kind = next(deck)
        lasts, jump = _size(chance, kind)
        free = [0] if kind in ON_ALL else [worker for worker in busy if worker]
        free = [one for one in free if busy[one] <= at]
        if free and at + lasts < seconds:
            worker = chance.choice(free)
            busy[worker] = at + lasts + 0.5
            made.append(Fault(round(at, 3), kind, worker, round(lasts, 3), jump))
    return made


def _deck(chance: random.Random, *, server: bool) -> Iterator[str]:
    cards = [kind for kind, times in DECK.items() for _ in range(times) if server or kind not in ON_SERVER]
    while True:
        yield from chance.sample(cards, len(cards))


def _size(chance: random.Random, kind: str) -> tuple[float, float]:
    """How long, and how far.

    Leases and timers are told by the clock of each process. A clock that goes back by less than a lease shortens its worker's lease.
    One that goes forward by more makes its worker take the runs of all others, who live: they are fenced. It must come back, or no other
    worker could ever hold a lease. When the clocks of all leap together they stay there: minutes pass in a moment.
    """
    match kind:
        case "kill" | "kill redis" | "cut database" | "cut redis":
            return chance.uniform(0.05, 1.5), 0.0
        case "zombie" | "hold database":
            return chance.uniform(LEASE + 1, LEASE + 3), 0.0
        case "jump":
            jump = chance.choice((-2.0, -1.0, 1.5, LEASE + 2, LEASE + 5))
            return chance.uniform(1, 3), jump
        case "leap":
            return 0.5, round(chance.uniform(30, 180), 1)
        case "drain":
            return 3.0, 0.0
        case _:
            return chance.uniform(0.1, 1.0), 0.0
