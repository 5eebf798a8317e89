"""Lists of runs that stay up to date: one connection for a page of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from pydantic_core import to_json

from agentflow.server.feeds import Feeds
from agentflow.server.views import run_view
from agentflow.storage.listing import RunFilter
from agentflow.streams.log import CHANGED

Runs = Mapping[str, bytes]
"""The JSON of each run of a page by its id, newest first."""


class Index(Feeds[RunFilter, Runs]):
    """The lists that are followed."""

    signal = CHANGED

    async def look(self, wanted: RunFilter, known: Runs | None) -> Runs:
        """The page of a list as it is now."""
        page = await self.app.runs.page(wanted)
        found = {run.id: run_view(run).model_dump_json().encode() for run in page.runs}
        # In their order, too: a list that only turned round has changed.
        return known if known is not None and list(found.items()) == list(known.items()) else found


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


def _changes(known: Runs, runs: Runs) -> list[bytes]:
    gone = [b'data: {"type":"run.gone","id":%b}\n\n' % to_json(run_id) for run_id in known if run_id not in runs]
    # Oldest first: who puts each new one in front has the order of the list.
    news = [text for run_id, text in runs.items() if known.get(run_id) != text]
    return gone + [b'data: {"type":"run.changed","run":%b}\n\n' % text for text in reversed(news)]
