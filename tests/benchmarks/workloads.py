"""The workloads as agentflow's tasks, and how each is timed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any

from agentflow import Agentflow, RunHandle, approve, sleep, step, task
from agentflow.engine.worker import Worker
from agentflow.records import RunState
from tests.benchmarks.sizes import Sizes


@step
async def add(total: int, number: int) -> int:
    """A step that does nothing much."""
    return total + number


@task
async def adds(count: int) -> int:
    """A run of `count` steps."""
    total = 0
    for number in range(count):
        total = await add(total, number)
    return total


_passed: list[float] = []


@task
async def asks() -> bool:
    """A run that waits for an answer."""
    decision = await approve("Go on?", expires=None)
    _passed.append(perf_counter())
    return decision.approved


@task
async def naps() -> None:
    """A run that waits for a time."""
    await sleep("30d")


async def milliseconds(work: Coroutine[Any, Any, RunHandle[Any]]) -> float:
    """From start to result."""
    began = perf_counter()
    await (await work).result()
    return (perf_counter() - began) * 1e3


async def per_step(steps: int) -> float:
    """W1: milliseconds for each step of one run, from start to result."""
    return await milliseconds(adds.start(steps)) / steps


async def per_second(sizes: Sizes) -> float:
    """W2: all started at once, until the last result is there."""
    began = perf_counter()
    started = await asyncio.gather(*(adds.start(sizes.short_steps) for _ in range(sizes.runs)))
    await asyncio.gather(*(run.result() for run in started))
    return sizes.runs / (perf_counter() - began)


def waits_in_memory(worker: Worker, run_id: str) -> bool:
    """Whether an answer finds the run where it is."""
    return run_id in worker.hot


def has_left(worker: Worker, run_id: str) -> bool:
    """Whether an answer needs a replay."""
    return run_id not in worker.active and run_id not in worker.hot


async def answered(app: Agentflow, waits: Callable[[Worker, str], bool]) -> float:
    """W4: milliseconds from an answer to the line after the wait."""
    worker = app.worker
    assert worker is not None
    run = await asks.start()
    while not waits(worker, run.id):
        await asyncio.sleep(0)
    (question,) = await app.waitpoints.list(run_id=run.id)
    asked = perf_counter()
    await app.waitpoints.approve(question.id, by="a person")
    await run.result()
    return (_passed[-1] - asked) * 1e3


async def answered_here(app: Agentflow) -> float:
    """As `answered`, beside other workers: a run that another one has taken is answered and not counted."""
    worker = app.worker
    assert worker is not None
    while True:
        run = await asks.start()
        passed = len(_passed)
        while not waits_in_memory(worker, run.id):
            if has_left(worker, run.id) and (await app.runs.get(run.id)).state is RunState.WAITING:
                break
            await asyncio.sleep(0)
        (question,) = await app.waitpoints.list(run_id=run.id)
        asked = perf_counter()
        await app.waitpoints.approve(question.id, by="a person")
        await run.result()
        if len(_passed) > passed:
            return (_passed[-1] - asked) * 1e3
