"""Public ids."""

from __future__ import annotations

import os


def new_id(prefix: str, now: int) -> str:
    """A UUIDv7 (RFC 9562) for time `now`, behind a prefix: `run_0192…`."""
    millis = now // 1000
    tail = int.from_bytes(os.urandom(10), "big")
    value = (millis & (1 << 48) - 1) << 80 | 7 << 76 | (tail >> 64 & 0xFFF) << 64 | 2 << 62 | tail & (1 << 62) - 1
    return f"{prefix}_{value:032x}"
