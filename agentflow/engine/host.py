"""What a run in memory asks of the process that it lives in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from agentflow.clock import Clock
from agentflow.database.port import Database
from agentflow.engine.context import StartCall
from agentflow.policy import Policy
from agentflow.records import RunRecord
from agentflow.storage.runs import Lessee
from agentflow.storage.transitions import Ended
from agentflow.streams.log import Streams

ENVIRONMENT = "prod"
"""Where nothing else is said, the prompts of this environment hold."""


class Host(Protocol):
    """What a run in memory asks of its worker."""

    @property
    def policy(self) -> Policy | None:
        """The rules of its app for the calls of models."""
        ...

    def parked(self, run_id: str) -> None:
        """The run waits: its slot is free."""
        ...

    def offer(self, run_id: str, call: StartCall | None = None) -> Lessee | None:
        """This worker, if it has a slot for that run and serves what is to be started; the slot is then reserved for it until `retract`."""
        ...

    def retract(self, lessee: Lessee) -> None:
        """It is known whether what was offered was taken; if so, the run is adopted in the same turn. Each offer is retracted once."""
        ...

    def adopt(self, run: RunRecord) -> None:
        """Take over a run that was leased to this worker."""
        ...

    def queued(self, run: RunRecord) -> None:
        """Tell all workers, and the run's readers, of a new run."""
        ...

    def announce(self, run: RunRecord) -> None:
        """Tell all workers that a run is queued or was woken."""
        ...

    def hint(self, when: int | None) -> None:
        """Something is due at that time."""
        ...

    def keeps(self, run_id: str) -> Lessee | None:
        """This worker, if it keeps that waiting run in memory, which somebody is about to lease to it: until `came`, said once."""
        ...

    def came(self, lessee: Lessee) -> None:
        """It is known whether that run was leased; if so, it is taken up in the same turn."""
        ...

    def ended(self, ended: Ended, epoch: int) -> None:
        """A run ended under that epoch: tell its readers, and whom it woke."""
        ...

    def left(self, execution: Any) -> None:
        """A run left memory."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What every run needs from the process that it lives in. `cancel_grace` is microseconds that cleaning up may take, `public_url` the
    server's address as machines outside reach it, `channels` the names of those on which people can be told, `environment` the one whose
    prompts hold here, `max_open_questions` how many questions of one family people see at once."""

    database: Database
    streams: Streams
    clock: Clock
    host: Host
    cancel_grace: int
    public_url: str | None = None
    channels: frozenset[str] = frozenset()
    environment: str = ENVIRONMENT
    max_open_questions: int | None = None
