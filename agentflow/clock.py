"""Time as an argument: the one place that reads a real clock."""

from __future__ import annotations

import asyncio
import math
import re
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from agentflow.errors import DefinitionError

Duration = str | float | int | timedelta
"""Seconds, a `timedelta`, or a number with a unit: `"500ms" "30s" "5m" "2h" "3d" "1w"`."""

SECOND = 1_000_000
_LONGEST = 1_000 * 366 * 86_400 * SECOND
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_UNITS = {"ms": 1_000, "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND, "w": 7 * 86_400 * SECOND}


class Clock(Protocol):
    """What the engine knows of time. Times are microseconds since 1970, UTC."""

    def now(self) -> int:
        """The time now."""
        ...

    async def sleep_until(self, when: int) -> None:
        """Return once `now()` is at least `when`."""
        ...

    def beat(self, interval: int, renew: Callable[[], None]) -> Callable[[], None]:
        """Call `renew` every `interval` microseconds, whatever the event loop does; returns what stops it."""
        ...


class SystemClock:
    """The real clock."""

    def now(self) -> int:
        return time.time_ns() // 1_000

    async def sleep_until(self, when: int) -> None:
        while (left := when - self.now()) > 0:
            await asyncio.sleep(min(left / SECOND, 3_600))

    def beat(self, interval: int, renew: Callable[[], None]) -> Callable[[], None]:
        stopped = threading.Event()

        def loop() -> None:
            while not stopped.wait(interval / SECOND):
                renew()

        threading.Thread(target=loop, name="agentflow-beat", daemon=True).start()
        return stopped.set


def microseconds(duration: Duration) -> int:
    """`"1h30m"`, seconds or a `timedelta` as whole microseconds.

    Raises `DefinitionError` for anything else, for negative durations, and for more than a thousand years.

    >>> microseconds("1h30m") == microseconds(5400)
    True
    """
    if isinstance(duration, timedelta):
        total = duration // timedelta(microseconds=1)
    elif isinstance(duration, str):
        total = _parse(duration)
    elif isinstance(duration, float) and not math.isfinite(duration):
        raise DefinitionError(f"{duration!r} is not a duration.", hint='Write it like "30s", "5m", "1h30m" or "3d".')
    else:
        total = round(duration * SECOND)
    if total < 0:
        raise DefinitionError(f"A duration cannot be negative: {duration!r}.")
    if total > _LONGEST:
        raise DefinitionError(f"{duration!r} is longer than a thousand years.", hint='Write it like "30s", "5m", "1h30m" or "3d".')
    return total


def _parse(text: str) -> int:
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", ""):
        raise DefinitionError(f"{text!r} is not a duration.", hint='Write it like "30s", "5m", "1h30m" or "3d".')
    return round(sum(float(number) * _UNITS[unit] for number, unit in parts))
