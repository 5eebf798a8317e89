"""`DurableStreams`: what the server's durable-streams projection works with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager

from agentflow.streams.durable.forks import Forks
from agentflow.streams.durable.records import (
    Addition,
    Draft,
    DurableStreamGone,
    Part,
    Place,
    Standing,
    Verdict,
)
from agentflow.streams.durable.shelf import Keys, Shelf, gone, not_found, taken
from agentflow.streams.hub import Watch
from agentflow.streams.link import Channels, Link


class DurableStreams:
    """The durable streams of a Redis, from one process: one subscription for all readers of a stream, and one read for all at one place.

    `kept`: seconds that a stream stays without a read or write if it says nothing about it; `sweep`: seconds of silence until a reader
    looks by itself.
    """

    def __init__(self, link: Link, channels: Channels, *, kept: float, sweep: float) -> None:
        self._shelf = Shelf(link, kept)
        self._forks = Forks(self._shelf)
        self._channels = channels
        self._sweep = sweep
        self._watches: dict[str, Watch] = {}
        self._parts: dict[tuple[str, Place, int], asyncio.Task[Part]] = {}

    @property
    def followed(self) -> int:
        """How many streams somebody follows here."""
        return len(self._watches)

    async def create(self, path: str, draft: Draft) -> tuple[Standing, bool]:
        """Make a stream unless there is one; returns it, and whether it is new.

        Raises `NameTaken`, for a fork `DurableStreamNotFound`, `ForkConflict` and `ForkRefused`, and `StreamUnavailable`.
        """
        standing, made = await self._made(path, draft)
        if standing.gone:
            # Its forks may have gone since.
            await self._forks.sweep(path)
            standing, made = await self._made(path, draft)
        if standing.gone:
            raise taken(path)
        return standing, made

    async def _made(self, path: str, draft: Draft) -> tuple[Standing, bool]:
        if draft.fork is None:
            return await self._shelf.make(path, draft)
        return await self._forks.make(path, draft, draft.fork)

    async def append(self, path: str, addition: Addition) -> Verdict:
        """Append, or say why not. Raises `DurableStreamNotFound`, `DurableStreamGone` and `StreamUnavailable`."""
        try:
            return await self._shelf.append(path, addition)
        except DurableStreamGone:
            await self._check(path)
            raise

    async def part(self, path: str, after: Place | None, *, keep: bool = False) -> Part:
        """What follows a place, or with None the tail. `keep`: whether this counts as a read, which keeps an idle stream alive.

        Raises `DurableStreamNotFound`, `DurableStreamGone` and `StreamUnavailable`.
        """
        try:
            return await self._shelf.part(path, after, keep=keep)
        except DurableStreamGone:
            await self._check(path)
            raise

    async def follow(self, path: str, after: Place) -> AsyncGenerator[Part]:
        """What follows a place, as it comes, until the stream is closed; the last part says so. Raises as `part` does."""
        with self._watching(path) as watch:
            while True:
                turn = watch.turn
                part = await self._shared(path, after, turn)
                closed = part.standing.closed and part.caught_up
                if part.entries or closed:
                    yield part
                if closed:
                    return
                after = part.end
                if part.caught_up:
                    await watch.changed(turn, self._sweep)

    async def delete(self, path: str) -> None:
        """Delete a stream; its name stays taken while forks of it live.

        Raises `DurableStreamNotFound`, `DurableStreamGone` and `StreamUnavailable`.
        """
        await self._forks.sweep(path)
        word, source = await self._shelf.delete(path)
        if word == "missing":
            raise not_found(path)
        if word == "gone":
            raise gone(path)
        await self._forks.deleted(path, source)

    def back(self, _: float) -> None:
        """A server is back: every reader looks what is there now."""
        for watch in self._watches.values():
            watch.doubt()

    async def _check(self, path: str) -> None:
        """Raise `DurableStreamNotFound` for a stream that was deleted and whose last fork has gone since."""
        await self._forks.sweep(path)
        if await self._shelf.look(path) is None:
            raise not_found(path)

    @contextmanager
    def _watching(self, path: str) -> Generator[Watch]:
        channel = Keys.of(path).channel
        watch = self._watches.get(path)
        if watch is None:
            watch = self._watches[path] = Watch(path)
            self._channels.add(channel, watch.message)
        watch.readers += 1
        try:
            yield watch
        finally:
            watch.readers -= 1
            if not watch.readers:
                del self._watches[path]
                self._channels.remove(channel)

    async def _shared(self, path: str, after: Place, turn: int) -> Part:
        """Readers at one place share one read, unless it began before what woke them."""
        at = (path, after, turn)
        task = self._parts.get(at)
        if task is None:
            task = self._parts[at] = asyncio.create_task(self._shelf.part(path, after))
            task.add_done_callback(lambda done: self._read(at, done))
        return await asyncio.shield(task)

    def _read(self, at: tuple[str, Place, int], done: asyncio.Task[Part]) -> None:
        del self._parts[at]
        if not done.cancelled():
            # Whoever still waits is told by the task; if nobody does, nobody asks.
            done.exception()
