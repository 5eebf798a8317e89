"""Which version of a prompt a key gets while several are live: weighted rendezvous, so that a change of weights moves few keys."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from math import inf, log


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
