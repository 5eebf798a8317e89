"""Several versions of a prompt side by side: who takes part, with which shares at a time, and which version somebody gets. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from math import inf, log
from typing import Any, Self

from agentflow.database.port import Row
from agentflow.errors import PromptError
from agentflow.serde import dumps, loads

STICKY = ("run", "thread", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Whom a rollout chooses for: the key that the caller gave, its thread, and the run at the top of its family."""

    key: str | None
    thread: str | None
    root: str

    def sticks(self, sticky: str) -> str:
        """What keeps the choice: the run, the thread or the key, or what there is instead of it."""
        if sticky == "key" and self.key is not None:
            return self.key
        return self.thread if sticky != "run" and self.thread is not None else self.root


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How several versions hold: the weight of each, and what keeps a version (`sticky`: run, thread or key).

    Raises `PromptError` for what cannot be.
    """

    weights: Mapping[int, float] = field(default_factory=dict[int, float])
    sticky: str = "run"

    def __post_init__(self) -> None:
        weights = self.weights.values()
        if not weights or any(not 0 <= one < inf for one in weights) or sum(weights) <= 0:
            raise PromptError(f"{dict(self.weights)} are no weights.", hint="Give a number for each version: {3: 0.9, 5: 0.1}.")
        if self.sticky not in STICKY:
            raise PromptError(f"sticky={self.sticky!r} is not understood.", hint="Say run, thread or key.")

    @property
    def versions(self) -> Sequence[int]:
        """All versions that somebody may get."""
        return sorted(self.weights)

    @property
    def largest(self) -> int:
        """The version that most get."""
        return max(self.versions, key=lambda number: self.weights[number])

    @property
    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"weights": {str(number): weight for number, weight in sorted(self.weights.items())}, "sticky": self.sticky}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        """From `told`."""
        weights = {int(number): weight for number, weight in told["weights"].items()}
        return cls(weights=weights, **{one.name: told[one.name] for one in fields(cls) if one.name != "weights" and one.name in told})

    @property
    def terms(self) -> str:
        """What its row has beside the weights."""
        return dumps({name: value for name, value in self.told.items() if name not in ("weights", "sticky")})


def plan_of(row: Row) -> Plan:
    """The plan of a row of `prompt_rollouts`."""
    return Plan.read({"weights": loads(row["weights"]), "sticky": row["sticky"], **loads(row["terms"] or "{}")})


def chosen(weights: Mapping[int, float], salt: str, key: str) -> int:
    """The version with the largest score `-w / ln(h)`, where `h` in (0, 1) is a hash of salt, version and key: weighted rendezvous.

    Each key compares scores that no other version's weight has a part in: only keys whose winner changes move.

    >>> chosen({3: 0.9, 5: 0.1}, "r1", "tenant-7")
    3
    """
    best, largest = 0, -inf
    for version, weight in sorted(weights.items()):
        if weight <= 0:
            continue
        score = -weight / log(_fraction(f"{salt}\0{version}\0{key}"))
        if score > largest:
            best, largest = version, score
    return best


def _fraction(text: str) -> float:
    """A number in (0, 1), spread evenly."""
    number = int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    return (number + 0.5) / 2**64
