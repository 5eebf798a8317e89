"""Lists of runs that stay up to date: one connection for a page of them. Who reads slowly is told less often, and always how it is now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress

from pydantic_core import to_json

from agentflow.app import Agentflow
from agentflow.errors import StorageError
from agentflow.server.views import run_view
from agentflow.storage.listing import RunFilter
from agentflow.streams.log import CHANGED

GAP = 0.1
"""Seconds between two looks at least."""
LOOK = 5.0
"""Seconds between two looks at most: not everything that changes a run is told of."""


class Index:
    """The lists that readers of this process follow; readers of one list share its looks."""

    def __init__(self, app: Agentflow) -> None:
        self._app = app
        self._lists: dict[RunFilter, Listing] = {}
        self._quiet: Callable[[], None] | None = None

    def enter(self, wanted: RunFilter) -> Listing:
        """Follow a list."""
        if self._quiet is None:
            self._quiet = self._app.streams.on_signal(CHANGED, self._changed)
        listing = self._lists.get(wanted)
        if listing is None:
            listing = self._lists[wanted] = Listing(self._app, wanted)
        listing.readers += 1
        return listing

    def leave(self, listing: Listing) -> None:
        """Follow it no more."""
        listing.readers -= 1
        if not listing.readers:
            listing.close()
            del self._lists[listing.wanted]
        if not self._lists and self._quiet is not None:
            self._quiet()
            self._quiet = None

    def _changed(self, _: str) -> None:
        for listing in self._lists.values():
            listing.changed.set()


class Listing:
    """A page of runs as it is now: the JSON of each, newest first."""

    def __init__(self, app: Agentflow, wanted: RunFilter) -> None:
        self.wanted = wanted
        self.readers = 0
        self.changed = asyncio.Event()
        self.runs: Mapping[str, bytes] | None = None
        self._app = app
        self._waiting: set[asyncio.Future[None]] = set()
        self._task = asyncio.get_running_loop().create_task(self._look_always(), name="agentflow-index")

    def close(self) -> None:
        """Look no more."""
        self._task.cancel()

    async def differs(self, known: Mapping[str, bytes] | None) -> Mapping[str, bytes]:
        """The runs, once they are not `known`."""
        while self.runs is None or self.runs is known:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)
        return self.runs

    async def _look_always(self) -> None:
        while True:
            self.changed.clear()
            with suppress(StorageError):
                await self._look()
            await asyncio.sleep(GAP)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self.changed.wait()

    async def _look(self) -> None:
        page = await self._app.runs.page(self.wanted)
        found = {run.id: run_view(run).model_dump_json().encode() for run in page.runs}
        # In their order, too: a list that only turned round has changed.
        if self.runs is not None and list(found.items()) == list(self.runs.items()):
            return
        self.runs = found
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)


class IndexReading:
    """One reader of a list."""

    run_id = None
    ended = False

    def __init__(self, index: Index, wanted: RunFilter) -> None:
        self._index = index
        self._wanted = wanted

    async def chunks(self, *, live: bool) -> AsyncGenerator[bytes]:
        """The list, then what changes in it."""
        listing = self._index.enter(self._wanted)
        try:
            known = await listing.differs(None)
            yield b'data: {"type":"sync.snapshot","reset":true,"runs":[%b]}\n\n' % b",".join(known.values())
            while live:
                runs = await listing.differs(known)
                yield b"".join(_changes(known, runs))
                known = runs
        finally:
            self._index.leave(listing)

    async def rest(self) -> bytes:
        """Nothing: a list has no end."""
        return b""


def _changes(known: Mapping[str, bytes], runs: Mapping[str, bytes]) -> list[bytes]:
    gone = [b'data: {"type":"run.gone","id":%b}\n\n' % to_json(run_id) for run_id in known if run_id not in runs]
    # Oldest first: who puts each new one in front has the order of the list.
    news = [text for run_id, text in runs.items() if known.get(run_id) != text]
    return gone + [b'data: {"type":"run.changed","run":%b}\n\n' % text for text in reversed(news)]
