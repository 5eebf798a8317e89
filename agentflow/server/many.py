"""Several runs over one connection, for pages that show more of them than a browser opens connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

from agentflow.app import Agentflow
from agentflow.errors import RunNotFound, StorageError
from agentflow.records import RunRecord
from agentflow.server.reading import Reading

LOOK = 5.0
"""Seconds between looks for runs that have ended and whose stream does not say so."""


class ManyReadings:
    """The streams of some runs, as one; over when all have ended."""

    run_id = None

    def __init__(self, app: Agentflow, readings: Sequence[Reading]) -> None:
        self._app = app
        self._readings = readings
        # Whoever reads slowly is waited for: nothing is kept for it but what is on its way.
        self._told: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._working = len(readings)

    @property
    def ended(self) -> bool:
        """Whether every run has told its end."""
        return all(reading.ended for reading in self._readings)

    async def chunks(self, *, live: bool) -> AsyncGenerator[bytes]:
        """Frames of whichever run says something."""
        loop = asyncio.get_running_loop()
        self._pumps = {reading.run_id: loop.create_task(self._pump(reading, live)) for reading in self._readings}
        watching = loop.create_task(self._watch()) if live else None
        try:
            async with aclosing(self._taken()) as taken:
                async for chunk in taken:
                    yield chunk
        finally:
            left = [*self._pumps.values(), *([] if watching is None else [watching])]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def rest(self) -> bytes:
        """Nothing: each run tells its own end."""
        return b""

    async def _taken(self) -> AsyncGenerator[bytes]:
        while self._working or not self._told.empty():
            chunk = await self._told.get()
            if chunk:
                yield chunk

    async def _pump(self, reading: Reading, live: bool) -> None:
        try:
            if await reading.begin():
                async with aclosing(reading.chunks(live=live)) as chunks:
                    async for chunk in chunks:
                        await self._told.put(chunk)
            else:
                reading.ended = True
        except RunNotFound:
            await self._told.put(reading.framing.notice({"type": "end", "status": "deleted"}))
            reading.ended = True
        await self._stopped()

    async def _stopped(self) -> None:
        self._working -= 1
        # Whoever waits for more looks whether anybody is left to say it.
        await self._told.put(b"")

    async def _watch(self) -> None:
        """See to runs that have ended though nobody said so: seen twice, the word is not on its way."""
        suspected: set[str] = set()
        while True:
            await asyncio.sleep(LOOK)
            open_ones = {reading.run_id: reading for reading in self._readings if not reading.ended}
            with suppress(StorageError):
                over = {run_id for run_id in open_ones if await self._is_over(run_id)}
                for run_id in over & suspected:
                    await self._finish(open_ones[run_id])
                suspected = over

    async def _is_over(self, run_id: str) -> bool:
        try:
            run: RunRecord = await self._app.runs.get(run_id)
        except RunNotFound:
            return True
        return run.state.terminal

    async def _finish(self, reading: Reading) -> None:
        pump = self._pumps[reading.run_id]
        if pump.done():
            return
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
        with suppress(RunNotFound):
            await self._told.put(await reading.rest())
        reading.ended = True
        await self._stopped()
