"""Waits that their run has given up: ended, and recorded, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentflow.database.port import Transaction, transaction
from agentflow.records import Failure, JournalEntry, RunRecord, WaitpointRecord, WaitState
from agentflow.serde import encode_failure
from agentflow.storage import asking, audit, journal, outbox, rows, runs, waitpoints
from agentflow.storage.audit import Note
from agentflow.storage.runs import Lease
from agentflow.storage.statements import SQL
from agentflow.storage.waitpoints import Ending

_GONE = Failure(code="superseded", type="WaitpointTimedOut", message="Its run went on without an answer.")
SUPERSEDED = Ending(WaitState.CANCELLED, encode_failure(_GONE), "system:race")


@dataclass(frozen=True, slots=True)
class Superseded:
    """Waitpoints that were ended, and runs of others that this woke."""

    waits: Sequence[WaitpointRecord]
    woken: Sequence[RunRecord]


def given_up(key: str, dropped: Sequence[str]) -> bool:
    """Whether a key is among what was given up: keys, and all that is below those which end with a slash."""
    return any(key == one or (one.endswith("/") and key.startswith(one)) for one in dropped)


@transaction
def supersede(lease: Lease, entry: JournalEntry | None, dropped: Sequence[str], now: int) -> Transaction[Superseded]:
    """End what a run has open under the keys `dropped`, and record `entry`. What was answered before stays answered. Raises `LeaseLost`."""
    yield from runs.held(lease)
    waits: list[WaitpointRecord] = []
    woken: list[RunRecord] = []
    for row in (yield SQL.waitpoints.open_of_run(run_id=lease.run_id)):
        if not given_up(row["step"], dropped):
            continue
        for ended in (
            yield SQL.waitpoints.end(
                id=row["id"], state=SUPERSEDED.state.value, answer=SUPERSEDED.answer, by=SUPERSEDED.by, now=now, wake=0
            )
        ):
            waits.append(rows.waitpoint(ended))
            if waitpoints.is_question(ended):
                yield from audit.tell(_told(waits[-1]), now)
            if outbox.is_told(ended["subject"]):
                yield from outbox.end(row["id"], now)
            woken += (yield from waitpoints.end_targets(row["id"], SUPERSEDED, now))[0]
    if entry is not None and not (yield SQL.journal.found(run=lease.run, seq=entry.seq)):
        yield from journal.record(lease, entry)
    yield from asking.leave(waits, now)
    return Superseded(waits, woken)


def _told(one: WaitpointRecord) -> Note:
    detail = {"state": WaitState.CANCELLED.value, "why": _GONE.message}
    return Note(type="supersede", waitpoint=one.id, run_id=one.run_id, actor="system:race", via="run", detail=detail)
