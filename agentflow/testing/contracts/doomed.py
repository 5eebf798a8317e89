"""A worker that dies at a chosen write of a conversation, and the one that takes over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

from agentflow.database.port import Database
from agentflow.engine.task import Task
from agentflow.errors import WaitpointAlreadyAnswered
from agentflow.handle import RunHandle
from agentflow.testing.engine import Engine
from agentflow.testing.faults import Crashed, CrashingDatabase

T = TypeVar("T")
PATIENCE = 20.0


class Doomed:
    """An engine whose worker dies right after its n-th write is committed, once; people agree to everything."""

    def __init__(self, engine: Engine, number: int) -> None:
        self._engine = engine
        self._number = number
        self._database: CrashingDatabase | None = None
        self.died = False

    async def __aenter__(self) -> Doomed:
        engine = self._engine
        await engine.stop()
        engine.wrap = self._doom
        await engine.go_on()
        if self._database is not None:
            self._database.arm(self._number)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self.died:
            await self._replace()
            self.died = False

    def _doom(self, database: Database) -> Database:
        self._database = CrashingDatabase(database, mode="after")
        return self._database

    async def run(self, task: Task[..., str], prompt: str) -> tuple[RunHandle[str], str]:
        """A run of the task, and its result."""
        run = await self._surely(lambda: self._engine.start(task.using(idempotency_key=f"write {self._number}"), prompt))
        async with asyncio.timeout(PATIENCE):
            while not await self._surely(lambda: self._moved(run.id)):
                pass
        return run, await self._surely(run.result)

    async def _moved(self, run_id: str) -> bool:
        """Answer what is asked and let time pass; whether the run has ended."""
        app = self._engine.app
        for one in await app.waitpoints.list(kind="approval"):
            with suppress(WaitpointAlreadyAnswered):
                await app.waitpoints.approve(one.id, by="maria")
        await self._engine.clock.advance("2s")
        return (await app.runs.get(run_id)).state.terminal

    async def _surely(self, work: Callable[[], Awaitable[T]]) -> T:
        while True:
            with suppress(Crashed):
                result = await work()
                if not self._dead:
                    return result
            if self._dead:
                await self._replace()

    @property
    def _dead(self) -> bool:
        return not self.died and self._database is not None and self._database.crashed.is_set()

    async def _replace(self) -> None:
        self.died = True
        self._engine.wrap = lambda database: database
        await self._engine.stop()
        await self._engine.go_on()
