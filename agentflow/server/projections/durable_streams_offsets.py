"""Offsets and cursors of the durable-streams protocol, as they are written."""

from __future__ import annotations

import random
import re

from agentflow.clock import SECOND
from agentflow.server.errors import RequestError
from agentflow.streams.durable.records import START, Place

_FORM = re.compile(r"([0-9]{1,20})_([0-9]{1,20})", re.ASCII)
_INTERVAL = 20 * SECOND
_FIRST = 1_728_432_000 * SECOND
"""9 October 2024, in microseconds: cursors count intervals from there."""
_JITTER = 3_600 * SECOND // _INTERVAL


def written(place: Place) -> str:
    """A place as an offset. Padded, for offsets are compared as text.

    >>> written(Place(3, 129))
    '00000003_000000000129'
    """
    return f"{place.epoch:08d}_{place.position:012d}"


def place_of(offset: str | None) -> Place | None:
    """The place of an offset; None for `now`. Raises `RequestError`."""
    if offset is None or offset == "-1":
        return START
    if offset == "now":
        return None
    match = _FORM.fullmatch(offset)
    if match is None:
        raise RequestError(f"{offset!r} is not an offset.", hint="Send back a Stream-Next-Offset as it came, -1 for the start, or now.")
    return Place(int(match[1]), int(match[2]))


def cursor(now: int, given: str | None) -> int:
    """The cursor of an answer: later than the one that was sent, so that no cache gives the same answer again and again."""
    current = max(now - _FIRST, 0) // _INTERVAL
    if given is None or not re.fullmatch(r"[0-9]{1,18}", given) or int(given) < current:
        return current
    return int(given) + random.randint(1, _JITTER)  # noqa: S311  (spreads readers)
