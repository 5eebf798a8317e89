"""Durations, and clocks real and manual."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from agentflow.clock import SECOND, SystemClock, microseconds
from agentflow.errors import DefinitionError
from agentflow.testing import ManualClock


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5_400),
        ("1h 30m", 5_400),
        ("1.5h", 5_400),
        ("3d", 259_200),
        ("1w", 604_800),
        (0, 0),
        (2, 2),
        (0.25, 0.25),
        (timedelta(days=1), 86_400),
    ],
)
def test_a_duration_is_written_in_many_ways(written: Any, seconds: float) -> None:
    assert microseconds(written) == seconds * SECOND


@pytest.mark.parametrize("wrong", ["", "soon", "5", "5 minutes", "m5", "-5s", -1, timedelta(seconds=-1), float("inf"), float("nan")])
def test_what_is_no_duration_is_refused(wrong: Any) -> None:
    with pytest.raises(DefinitionError):
        microseconds(wrong)


async def test_the_manual_clock_wakes_sleepers_in_the_order_of_their_times() -> None:
    clock, woken = ManualClock(), list[str]()

    async def sleeper(name: str, duration: str) -> None:
        await clock.sleep(duration)
        woken.append(f"{name}@{(clock.now() - start) // SECOND}")

    start = clock.now()
    sleepers = [asyncio.create_task(sleeper(*one)) for one in (("late", "3h"), ("early", "1h"), ("never", "9d"))]
    await asyncio.sleep(0)
    await clock.advance("1d")
    assert woken == ["early@3600", "late@10800"]
    assert clock.now() == start + 86_400 * SECOND
    sleepers[-1].cancel()


async def test_the_manual_clock_renews_leases_whenever_it_moves() -> None:
    clock, beats = ManualClock(), list[int]()
    stop = clock.beat(SECOND, lambda: beats.append(clock.now()))
    await clock.advance("1h")
    stop()
    stop()
    await clock.advance("1h")
    assert len(beats) == 1


async def test_the_real_clock_returns_at_once_from_a_time_that_has_passed() -> None:
    clock = SystemClock()
    await clock.sleep_until(clock.now() - SECOND)
    await clock.sleep_until(clock.now() + 1_000)


def test_the_real_clock_beats_in_a_thread_of_its_own_until_it_is_stopped() -> None:
    beaten, seen = threading.Event(), set[int]()

    def beat() -> None:
        seen.add(threading.get_ident())
        beaten.set()

    stop = SystemClock().beat(1_000, beat)
    assert beaten.wait(10)
    stop()
    assert threading.get_ident() not in seen
