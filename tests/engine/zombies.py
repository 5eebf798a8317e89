"""Workers that are dead to all others and do not know it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from agentflow import Agentflow
from agentflow.database import open_database
from agentflow.engine.task import Task
from agentflow.handle import RunHandle
from agentflow.testing import Engine
from tests.faults.flaky import StoppedHeart


class Gates:
    """Lets each call of a body go on when the test says so; the first call gets gate 0."""

    def __init__(self) -> None:
        self._gates: list[asyncio.Event] = []
        self.entered = 0

    async def wait(self) -> int:
        """Wait at this call's gate; returns its number."""
        number = self.entered
        self.entered += 1
        await self[number].wait()
        return number

    def __getitem__(self, number: int) -> asyncio.Event:
        while len(self._gates) <= number:
            self._gates.append(asyncio.Event())
        return self._gates[number]


@asynccontextmanager
async def zombie(engine: Engine, redis: str, *tasks: Task[..., Any]) -> AsyncGenerator[Agentflow]:
    """A second process whose heart does not beat: it works on as if it held its lease."""
    database = open_database(engine.database_url)
    app = Agentflow(tasks, database=database, redis=redis, worker=engine.settings, clock=StoppedHeart(engine.clock))
    await app.open()
    yield app
    assert app.worker is not None
    assert app.worker.active == {}
    await app.worker.kill()
    await app.streams.close()
    await app.database.close()


async def taken(engine: Engine, run: RunHandle[Any], gates: Gates) -> None:
    """The lease of whoever holds the run ends, and the engine's own worker takes over."""
    await swept(engine)
    await reach(lambda: gates.entered == 2)
    assert (await engine.app.runs.get(run.id)).epoch == 2


async def swept(engine: Engine) -> None:
    """The engine's own worker finds the lease of another run out. It looks at once: the other may have joined without being heard."""
    worker = engine.app.worker
    assert worker is not None
    worker.maintenance.look()
    await engine.clock.advance("31s")


async def idle(app: Agentflow) -> None:
    """Return once the app's worker works on nothing any more."""
    worker = app.worker
    assert worker is not None
    await reach(lambda: not worker.active)


async def reach(test: Callable[[], bool]) -> None:
    """Turn the event loop until something is so."""
    async with asyncio.timeout(10):
        while not test():
            await asyncio.sleep(0)
