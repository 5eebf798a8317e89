"""The host of a process that starts and follows runs but works on none."""

from __future__ import annotations

from typing import Any

from agentflow.engine.context import StartCall
from agentflow.engine.telling import last_words
from agentflow.records import RunRecord, RunState
from agentflow.storage.runs import Lessee
from agentflow.storage.transitions import Ended
from agentflow.streams.events import RunQueued
from agentflow.streams.log import Streams


class Bystander:
    """Has no slot and keeps no run; it tells those who do."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def parked(self, run_id: str) -> None:
        """Never called: no run lives here."""

    def offer(self, run_id: str, call: StartCall | None = None) -> Lessee | None:
        """No slot."""
        return None

    def retract(self, run_id: str) -> None:
        """Nothing was reserved."""

    def adopt(self, run: RunRecord) -> None:
        """Never called: nothing was offered."""

    def keeps(self, run_id: str) -> Lessee | None:
        """No run is in memory."""
        return None

    def queued(self, run: RunRecord) -> None:
        """Tell the workers, and the run's readers, of a new run."""
        self._streams.publish(run.id, 0, RunQueued(run.task, parent=run.parent_id))
        self.announce(run)

    def announce(self, run: RunRecord) -> None:
        """Tell the workers that a run is queued or was woken."""
        if run.state is RunState.RUNNING:
            self._streams.signal("woken", run.id)
        elif not run.state.terminal:
            self._streams.signal("queued", run.queue)

    def hint(self, when: int | None) -> None:
        """Tell the workers that something is due at that time."""
        if when is not None:
            self._streams.signal("due", str(when))

    def ended(self, ended: Ended, epoch: int) -> None:
        """Tell the readers of a run that it has ended, and the runs that this woke."""
        for event in last_words(ended.run):
            self._streams.publish(ended.run.id, epoch, event)
        for run in ended.woken:
            self.announce(run)

    def left(self, execution: Any) -> None:
        """Never called: no run lives here."""
