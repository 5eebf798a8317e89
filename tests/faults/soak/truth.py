"""What the database holds in the end, and what the bodies of the steps wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from agentflow.database.port import Database
from agentflow.records import EntryKind, JournalEntry, RunRecord, WaitKind, WaitpointRecord, WaitState
from agentflow.serde import loads
from agentflow.storage import journal, listing, waitpoints
from agentflow.storage.listing import RunFilter

EVERY = 1_000_000


@dataclass(frozen=True, slots=True)
class Body:
    """A body of a step that began."""

    run: str
    step: str
    epoch: int
    attempt: int
    tries: int
    pid: int
    at: int


@dataclass(frozen=True, slots=True)
class Truth:
    """All runs by their ids, with what is recorded and waited for, and all bodies."""

    runs: Mapping[str, RunRecord]
    journals: Mapping[str, Sequence[JournalEntry]]
    waits: Mapping[str, Sequence[WaitpointRecord]]
    bodies: Sequence[Body]

    @property
    def roots(self) -> list[RunRecord]:
        """The runs that clients started."""
        return [run for run in self.runs.values() if run.parent_id is None]

    @property
    def standstill(self) -> int:
        """The longest time in which no body began anywhere, in milliseconds."""
        at = sorted(body.at for body in self.bodies)
        return max((after - before for before, after in pairwise(at)), default=0) // 1_000

    def results(self, run_id: str) -> list[JournalEntry]:
        """The recorded results of a run's steps."""
        return [entry for entry in self.journals[run_id] if entry.kind is EntryKind.RESULT]

    def approvals(self, run_id: str) -> list[WaitpointRecord]:
        """What a run asked people."""
        return [one for one in self.waits[run_id] if one.kind is WaitKind.APPROVAL]

    def root_of(self, run: RunRecord) -> RunRecord:
        """The run that a client started."""
        while run.parent_id is not None:
            run = self.runs[run.parent_id]
        return run


async def every_run(database: Database) -> list[RunRecord]:
    """All runs, with children."""
    return list((await database.read(listing.page(RunFilter(limit=EVERY)))).runs)


async def read_truth(database: Database, bodies: Path) -> Truth:
    """Read everything."""
    found = await every_run(database)
    journals = {run.id: await database.read(journal.load(run.key)) for run in found}
    waits = {run.id: await database.read(waitpoints.of_run(run.key)) for run in found}
    lines = bodies.read_text(encoding="utf-8").splitlines() if bodies.exists() else []
    return Truth({run.id: run for run in found}, journals, waits, list(_bodies(lines)))


def _bodies(lines: Iterable[str]) -> Iterable[Body]:
    for line in lines:
        said = json.loads(line)
        yield Body(said["run"], said["step"], said["epoch"], said["attempt"], said["try"], said["pid"], said["at"])


def approved(one: WaitpointRecord) -> bool:
    """Whether people said yes."""
    return one.state is WaitState.ANSWERED and loads(one.answer or "{}").get("approved") is True
