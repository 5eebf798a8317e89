"""A run's append-only records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agentflow.control import LeaseLost
from agentflow.database.port import Database, Transaction, transaction
from agentflow.records import JournalEntry
from agentflow.storage import blobs, generations, rows, usage
from agentflow.storage.runs import Lease, hold
from agentflow.storage.statements import SQL
from agentflow.storage.usage import Metered


@dataclass(frozen=True, slots=True)
class Words:
    """What a step said, as JSON: in the stream of its run (`here`), and in those of other runs by their ids (`elsewhere`)."""

    here: str | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict[str, str])


async def append(database: Database, lease: Lease, entry: JournalEntry, said: Words | None = None, metered: Metered | None = None) -> None:
    """Record an entry, what was said by it and what it used; durable on return. Raises `LeaseLost` when the lease no longer holds.

    An entry that is there already was written by this very epoch before the connection broke: it counts.
    """
    value = entry.value
    if said is not None or metered is not None or (value is not None and len(value) > blobs.LIMIT):
        await database.transact(record(lease, entry, said, metered))
        return
    written = await database.execute(SQL.journal.append(run=lease.run, **_columns(entry)))
    if not written:
        raise LeaseLost(lease.run_id)


@transaction
def record(lease: Lease, entry: JournalEntry, said: Words | None = None, metered: Metered | None = None) -> Transaction[None]:
    """As `append`, as a part of what is written together. Raises `LeaseLost`."""
    value = entry.value
    if value is not None and len(value) > blobs.LIMIT:
        # Before the record, which is fenced by itself: a stale worker leaves no blob behind.
        yield from hold(lease)
        value = yield from blobs.stow(value, entry.ended_at)
    if not (yield SQL.journal.append(run=lease.run, **_columns(replace(entry, value=value)))):
        raise LeaseLost(lease.run_id)
    if said is not None:
        yield from _say(lease.run, entry, said)
    if metered is not None:
        yield from usage.put(lease.run, entry.seq, lease.epoch, metered, entry.ended_at)
        for one in metered.generated:
            yield from generations.put(lease.run, entry, one)


def _say(run: int, entry: JournalEntry, said: Words) -> Transaction[None]:
    if said.here is not None:
        yield SQL.transcripts.put(run=run, seq=entry.seq, events=said.here)
    # Children are locked before those above them, and here later runs are below.
    for target in sorted(said.elsewhere, reverse=True):
        yield SQL.joined.put(target=target, origin=run, seq=entry.seq, at=entry.ended_at, events=said.elsewhere[target])


def _columns(entry: JournalEntry) -> dict[str, object]:
    return {
        "seq": entry.seq,
        "kind": entry.kind.value,
        "step": entry.key,
        "value": entry.value,
        "digest": entry.digest,
        "code": entry.code,
        "attempt": entry.attempt,
        "tries": entry.tries,
        "epoch": entry.epoch,
        "started_at": entry.started_at,
        "ended_at": entry.ended_at,
    }


def load(run: int) -> Transaction[list[JournalEntry]]:
    """All records of a run, in order."""
    found = yield SQL.journal.load(run=run)
    large = yield from blobs.resolve(row["value"] for row in found)
    if not large:
        return [rows.entry(row, row["value"]) for row in found]
    return [rows.entry(row, large.get(row["value"], row["value"])) for row in found]


def transcripts(run: int, since: int = 0) -> Transaction[dict[int, str]]:
    """What the records of a run from `since` on said, by their numbers."""
    return {row["seq"]: row["events"] for row in (yield SQL.transcripts.load(run=run, since=since))}


def joined(run: int) -> Transaction[list[tuple[int, str]]]:
    """What other runs said in a run's stream, in the order of the times at which they recorded it."""
    return [(row["at"], row["events"]) for row in (yield SQL.joined.of_run(run=run))]
