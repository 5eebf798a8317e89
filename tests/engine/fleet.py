"""Further workers beside the engine under test: on its database and its clock, each with connections of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from weakref import WeakSet

from agentflow import Agentflow
from agentflow.database import open_database
from agentflow.engine.task import Task
from agentflow.engine.worker import WorkerSettings
from agentflow.handle import RunHandle
from agentflow.records import RunRecord, RunState
from agentflow.testing import Engine

NEVER = 3_600.0
"""Seconds between polls where a test shows that something needs none."""
PATIENCE = 20.0


@asynccontextmanager
async def working(
    engine: Engine, streams: str, tasks: Sequence[Task[..., Any]], *, alone: bool = False, **settings: Any
) -> AsyncGenerator[Agentflow]:
    """Another process that works, as far as database and stream server can tell. It never polls. `alone`: the engine is stopped."""
    worker = WorkerSettings(poll=NEVER, **settings)
    app = Agentflow(tasks, database=engine.watched(open_database(engine.database_url)), redis=streams, worker=worker, clock=engine.clock)
    await app.open()
    if not alone:
        await _heard(app, engine.app)
    yield app
    if app in _dead:
        return
    closing = asyncio.ensure_future(app.close())
    while not closing.done():
        await engine.settle()
        await engine.clock.advance(0 if closing.done() else 1)
    await closing


_dead: WeakSet[Agentflow] = WeakSet()


async def killed(app: Agentflow) -> None:
    """Stop a process as `kill -9` does."""
    _dead.add(app)
    assert app.worker is not None
    await app.worker.kill()
    await app.streams.close()
    await app.database.close()


async def _heard(one: Agentflow, other: Agentflow) -> None:
    """Return once each hears the other: what is said before somebody listens is lost, and nobody polls here."""
    for speaker, listener in ((one, other), (other, one)):
        heard = asyncio.Event()
        stop = listener.streams.on_signal("due", lambda _, heard=heard: heard.set())
        async with asyncio.timeout(PATIENCE):
            while not heard.is_set():
                speaker.streams.signal("due", str(one.clock.now()))
                with suppress(TimeoutError):
                    await asyncio.wait_for(heard.wait(), 0.05)
        stop()


async def until(test: Callable[[], Awaitable[bool]]) -> None:
    """Return once a test holds."""
    async with asyncio.timeout(PATIENCE):
        while not await test():
            await asyncio.sleep(0)


async def now(app: Agentflow, runs: Sequence[RunHandle[Any]]) -> list[RunRecord]:
    """The runs as they are."""
    return [await app.runs.get(run.id) for run in runs]


async def count(app: Agentflow, runs: Sequence[RunHandle[Any]], state: RunState) -> int:
    """How many of the runs are in a state."""
    return sum(run.state is state for run in await now(app, runs))


async def until_so_many(app: Agentflow, runs: Sequence[RunHandle[Any]], number: int, state: RunState) -> None:
    """Return once that many of the runs are in a state."""

    async def test() -> bool:
        return await count(app, runs, state) == number

    try:
        await until(test)
    except TimeoutError:
        states = [(run.state.value, run.note, run.worker) for run in await now(app, runs)]
        raise AssertionError(f"{number} did not become {state.value}: {states}") from None
