"""Which version of a prompt a key gets while several are live: weighted rendezvous, so that a change of weights moves few keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from math import inf, log

from agentflow.database.port import Transaction
from agentflow.errors import RegistryUnreadable
from agentflow.serde import loads
from agentflow.storage.statements import SQL


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRecord:
    """Several versions at once: `sticky` says what keeps the choice of one, `salt` goes into it."""

    id: str
    weights: Mapping[int, float]
    sticky: str
    salt: str


def get(prompt: str, id: str) -> Transaction[RolloutRecord]:
    """A rollout by its id. Raises `RegistryUnreadable` for one that is gone or damaged."""
    found = yield SQL.bindings.rollout(id=id)
    try:
        weights = {int(number): float(weight) for number, weight in loads(found[0]["weights"]).items()}
    except (IndexError, ValueError, TypeError, AttributeError) as error:
        hint = "Release a version, or roll out anew."
        raise RegistryUnreadable(f"A rollout of {prompt} cannot be read.", hint=hint, prompt=prompt, rollout=id) from error
    return RolloutRecord(id=id, weights=weights, sticky=found[0]["sticky"], salt=found[0]["salt"])


def chosen(weights: Mapping[int, float], salt: str, key: str) -> int:
    """The version with the largest score `-w / ln(h)`, where `h` in (0, 1) is a hash of salt, version and key.

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
