"""What runs under fault: everything that a run can do, and what must come out of it.

It imports only names that the previous release has as well: half of the workers run that.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic_ai.messages import ModelMessage

from agentflow import Agent, Queue, Retry, WorkerSettings, ai, approve, context, current_step, sleep, step, task
from agentflow.clock import SECOND, SystemClock
from agentflow.testing.models import Said, call, scripted_model, text, thinking

LEASE = 3.0
LIMIT = 3
"""Runs of the narrow queue that may be under way at once."""
LIMITED = "concurrency" in inspect.signature(Queue).parameters
SLOTS = 10
SETTINGS = WorkerSettings(
    slots=SLOTS,
    lease=int(LEASE * SECOND),
    renew_every=SECOND,
    poll=0.5,
    hot_window=3 * SECOND // 2,
    max_recoveries=1_000,
    cancel_grace=3 * SECOND,
    drain=2 * SECOND,
)
SAID = "It is done, and whoever reads this has read every word of it, whatever was cut, killed or flushed on the way. "
THOUGHT = "hm, let me think about that for a while"

_REAL = SystemClock()
_log: list[int] = []


def log_bodies_to(path: str) -> None:
    """Where the bodies of this process write that they begin: a file that no fault touches."""
    _log.append(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))


def note() -> None:
    """Write down, at once, that the body of a step begins, and under which epoch of its run."""
    here, run = current_step(), cast("Any", context())
    line = {
        "run": run.run_id,
        "step": here.id,
        "epoch": run._session.epoch,
        "attempt": run.attempt,
        "try": here.attempt,
        "pid": os.getpid(),
        "at": _REAL.now(),
    }
    os.write(_log[0], json.dumps(line).encode() + b"\n")


async def pause(seconds: float) -> None:
    """Let time pass."""
    await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=seconds)


@step
def slow(number: int) -> int:
    """Takes some milliseconds, in a thread."""
    note()
    threading.Event().wait(random.uniform(0, 0.04))
    return number + 1


@step
async def quick(number: int) -> int:
    """Takes no time."""
    note()
    return number * 2


@step
async def long(number: int) -> int:
    """Takes long enough to be hit."""
    note()
    await pause(random.uniform(0.1, 1.5))
    return number + 3


@step(retry=Retry(attempts=3, initial="30ms", jitter=0))
async def shaky(number: int) -> int:
    """Fails once."""
    note()
    if current_step().attempt == 1:
        raise ValueError("not yet")
    return number


@task
async def half(number: int) -> int:
    """A child."""
    return await quick(await slow(number))


def _said(*parts: Said) -> Callable[[list[ModelMessage]], Sequence[Said]]:
    def tell(messages: list[ModelMessage]) -> Sequence[Said]:
        note()
        return parts

    return tell


async def _pace(kind: str) -> None:
    await pause(0.01)


clerk = Agent(
    "clerk",
    model=scripted_model(
        _said(thinking(THOUGHT), call("quick", {"number": 1}, id="c1"), call("half", {"number": 2}, id="c2")),
        _said(text(SAID)),
        pace=_pace,
    ),
    tools=[quick, ai.tool(half, approval=True)],
)


@task
async def work(number: int) -> int:
    """Steps, children, a gather, a timer, perhaps a person."""
    first = await slow(number)
    parts = await asyncio.gather(quick(first), long(first), half(first), half(first + 1), shaky(first))
    await sleep(0.05)
    total = await slow(sum(parts))
    if number % 4 == 0:
        total += int((await approve(f"{number}?", expires="6s" if number % 8 == 0 else None)).approved)
    for _ in range(3):
        total = await slow(total)
    return await half(total)


@task(retry=Retry(attempts=4, initial="50ms", jitter=0))
async def stumbles(number: int) -> int:
    """Fails in its first two attempts; what was recorded stays."""
    total = await slow(number)
    if context().attempt <= 2:
        raise ValueError("not yet")
    return await half(total)


@task
async def naps(number: int) -> int:
    """Mostly sleeps."""
    for length in (0.2, 1.0, 2.0):
        await sleep(length)
        number = await quick(number)
    return number


@step
async def held(folder: str) -> int:
    """Goes on only when there is a file that lets this very process go on; returns the process."""
    note()
    while not Path(folder, f"go-{os.getpid()}").exists():
        await pause(0.01)
    return os.getpid()


@task
async def tied(folder: str) -> int:
    """A step, one that is held, and another."""
    await quick(1)
    who = await held(folder)
    await quick(2)
    return who


@task(queue=Queue("narrow", **cast("dict[str, Any]", {"concurrency": LIMIT} if LIMITED else {})))
async def narrow(number: int) -> int:
    """Few at once."""
    return await long(await long(number))


@task
async def doomed(number: int) -> int:
    """Cancelled before it ends, with its children; if time leaps it may end before that."""
    parts = await asyncio.gather(half(number), naps(number))
    await sleep(60)
    return sum(parts)


TASKS = [work, half, clerk, stumbles, naps, narrow, doomed, tied]
WEIGHTS: Mapping[str, int] = {"work": 7, "clerk": 4, "stumbles": 2, "naps": 2, "narrow": 3, "doomed": 2}


def _work(number: int, approved: bool) -> int:
    first = number + 1
    total = 2 * first + first + 3 + 2 * (first + 1) + 2 * (first + 2) + first + 1
    return _half(total + int(approved) + 3)


def _half(number: int) -> int:
    return 2 * (number + 1)


def expected(kind: str, number: int, *, approved: bool) -> Any:
    """What a run must return; `approved` is what a person said, if one was asked."""
    results: dict[str, Callable[[], Any]] = {
        "work": lambda: _work(number, approved),
        "half": lambda: _half(number),
        "clerk": lambda: SAID,
        "stumbles": lambda: _half(number + 1),
        "naps": lambda: 8 * number,
        "narrow": lambda: number + 6,
        "doomed": lambda: _half(number) + 8 * number,
    }
    return results[kind]()


@dataclass(frozen=True, slots=True)
class Order:
    """A run to be started `at` seconds; `cancel` seconds later somebody cancels it."""

    at: float
    kind: str
    number: int
    cancel: float | None

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return f"{self.kind}-{self.number}"

    @property
    def payload(self) -> str:
        """Its input, as JSON."""
        return json.dumps({"prompt": f"Is {self.number} done?"} if self.kind == "clerk" else {"number": self.number})


def orders(seed: int, seconds: float, rate: float) -> list[Order]:
    """The runs of a seed, in the order of their times."""
    chance = random.Random(f"{seed}/orders")
    made: list[Order] = []
    at = 0.0
    while (at := at + chance.expovariate(rate)) < seconds:
        kind = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        made.append(Order(at, kind, len(made), chance.uniform(0.05, 4) if kind == "doomed" else None))
    return made
