"""Tells the workers, and a run's readers, that there is something to take."""

from __future__ import annotations

import asyncio

from agentflow.records import RunRecord, RunState
from agentflow.streams.events import RunQueued
from agentflow.streams.log import Streams


class Announcer:
    """What is said in one turn of the event loop of one queue is said once."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._told: set[str] = set()

    def queued(self, run: RunRecord) -> None:
        """A new run waits in its queue."""
        self._streams.publish(run.id, 0, RunQueued(run.task, parent=run.parent_id, thread=run.thread))
        self.announce(run)

    def announce(self, run: RunRecord) -> None:
        """A run is queued, or was woken where it runs."""
        if run.state is RunState.RUNNING:
            self._streams.signal("woken", run.id)
        elif not run.state.terminal:
            self.look_at(run.queue)

    def look_at(self, queue: str) -> None:
        """There may be something to take in a queue."""
        if not self._told:
            asyncio.get_running_loop().call_soon(self._tell)
        self._told.add(queue)

    def _tell(self) -> None:
        for queue in self._told:
            self._streams.signal("queued", queue)
        self._told.clear()
