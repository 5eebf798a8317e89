"""The host of a process that starts and follows runs but works on none."""

from __future__ import annotations

from typing import Any

from agentflow.engine.announcer import Announcer
from agentflow.engine.context import StartCall
from agentflow.engine.telling import tell_end
from agentflow.policy import Policy
from agentflow.records import RunRecord
from agentflow.storage.runs import Lessee
from agentflow.storage.transitions import Ended
from agentflow.streams.log import Streams


class Bystander:
    """Has no slot and keeps no run; it tells those who do."""

    policy: Policy | None = None

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._announcer = Announcer(streams)

    def parked(self, run_id: str) -> None:
        """Never called: no run lives here."""

    def offer(self, run_id: str, call: StartCall | None = None) -> Lessee | None:
        """No slot."""
        return None

    def retract(self, lessee: Lessee) -> None:
        """Never called: nothing was offered."""

    def adopt(self, run: RunRecord) -> None:
        """Never called: nothing was offered."""

    def keeps(self, run_id: str) -> Lessee | None:
        """No run is in memory."""
        return None

    def came(self, lessee: Lessee) -> None:
        """Never called: no run is in memory."""

    def queued(self, run: RunRecord) -> None:
        """Tell the workers, and the run's readers, of a new run."""
        self._announcer.queued(run)

    def announce(self, run: RunRecord) -> None:
        """Tell the workers that a run is queued or was woken."""
        self._announcer.announce(run)

    def hint(self, when: int | None) -> None:
        """Tell the workers that something is due at that time."""
        if when is not None:
            self._streams.signal("due", str(when))

    def ended(self, ended: Ended, epoch: int) -> None:
        """Tell the readers of a run that it has ended, and the runs that this woke."""
        tell_end(self._streams, ended, epoch)
        for run in ended.woken:
            self.announce(run)

    def left(self, execution: Any) -> None:
        """Never called: no run lives here."""
