"""Starts that wait for quiet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Debounce:
    """Starts of one `key` within `delay` of each other become one run, which starts after that much quiet, or after `max_delay` at most.

    `delay`, `max_delay`: microseconds. `trailing`: the run has the payload of the last start, not of the first.
    """

    key: str
    delay: int
    max_delay: int
    trailing: bool = True
