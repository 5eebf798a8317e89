"""The worker: `python -m tests.benchmarks.streams.speaking DATABASE REDIS`. A run says tokens at a fixed rate from a moment on."""

from __future__ import annotations

import asyncio
import signal
import sys
from time import monotonic_ns

from agentflow import Agentflow, WorkerSettings, current_step, step, task
from agentflow.streams.events import TextDelta, TextEnd, TextStart

TIMERS = 1_500_000
"""Nanoseconds by which a timer is set too early."""


@step
async def say(begin: int, tokens: int, gap: int) -> int:
    """Say `tokens`, one each `gap` nanoseconds from `begin` on."""
    here, loop = current_step(), asyncio.get_running_loop()
    part = f"{here.id}.text"
    here.publish(TextStart(part, step=here.id))
    for number in range(tokens):
        due = begin + number * gap
        await _until(loop, due)
        here.publish(TextDelta(part, f"{due} "))
    here.publish(TextEnd(part))
    return tokens


async def _until(loop: asyncio.AbstractEventLoop, due: int) -> None:
    """Return at that nanosecond. The timers of a loop are late by up to a millisecond, which the socket of a model is not."""
    moment: asyncio.Future[None] = loop.create_future()
    loop.call_at(loop.time() + (due - TIMERS - monotonic_ns()) / 1e9, lambda: moment.done() or moment.set_result(None))
    await moment
    while monotonic_ns() < due:
        await asyncio.sleep(0)


@task
async def speak(begin: int, tokens: int, gap: int) -> int:
    """Say so many tokens."""
    return await say(begin, tokens, gap)


async def work(database: str, redis: str) -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Agentflow([speak], database=database, redis=redis, worker=WorkerSettings(slots=1_000)):
        print("up", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2]))
