"""Rows to records."""

from __future__ import annotations

from dataclasses import fields

from agentflow.database.port import Row
from agentflow.records import (
    DeliveryRecord,
    DeliveryState,
    EntryKind,
    JournalEntry,
    MessageRecord,
    QueueRecord,
    RunRecord,
    RunState,
    TaskRecord,
    ThreadRecord,
    WaitKind,
    WaitpointRecord,
    WaitState,
    WorkerRecord,
)
from agentflow.serde import loads

_RUN_STATES = {state.value: state for state in RunState}
_ENTRY_KINDS = {kind.value: kind for kind in EntryKind}


def run(row: Row) -> RunRecord:
    """A row of `runs`."""
    tags = row["tags"]
    return RunRecord(
        key=row["key"],
        id=row["id"],
        task=row["task"],
        queue=row["queue"],
        state=_RUN_STATES[row["state"]],
        epoch=row["epoch"],
        attempt=row["attempt"],
        recoveries=row["recoveries"],
        worker=row["worker"],
        ready_at=row["ready_at"],
        expires_at=row["expires_at"],
        input=row["input"],
        output=row["output"],
        error=row["error"],
        parent_id=row["parent_id"],
        tags=() if tags == "[]" else _tags(tags),
        metadata=row["metadata"],
        idempotency_key=row["idempotency_key"],
        concurrency_key=row["concurrency_key"],
        priority=row["priority"],
        version=row["version"],
        code=row["code"],
        cancel_reason=row["cancel_reason"],
        wakes=row["wakes"],
        active=row["active"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        note=row["note"],
        weight=row["weight"],
        thread=row["thread"],
        turn=row["turn"],
        follows=row["follows"],
        started_by=row["started_by"],
    )


def _tags(text: str) -> tuple[str, ...]:
    """One row that somebody has spoilt must not keep the others from being claimed, recovered or shown."""
    try:
        return tuple(loads(text))
    except ValueError:
        return ()


def waitpoint(row: Row) -> WaitpointRecord:
    """A row of `waitpoints`."""
    return WaitpointRecord(
        id=row["id"],
        kind=WaitKind(row["kind"]),
        state=WaitState(row["state"]),
        run_id=row["run_id"],
        key=row["step"],
        target=row["target"],
        subject=row["subject"],
        schema=row["schema"],
        answer=row["answer"],
        answered_by=row["answered_by"],
        due_at=row["due_at"],
        attempt=row["attempt"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
        wake=row["wake"],
    )


def delivery(row: Row) -> DeliveryRecord:
    """A row of `deliveries`."""
    return DeliveryRecord(
        waitpoint=row["waitpoint"],
        seq=row["seq"],
        channel=row["channel"],
        address=row["address"],
        person=row["person"],
        event=row["event"],
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        due_at=row["due_at"],
        reference=row["reference"],
        error=row["error"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )


def entry(row: Row, value: str | None) -> JournalEntry:
    """A row of `journal`, with its value where that is a blob."""
    return JournalEntry(
        row["seq"],
        _ENTRY_KINDS[row["kind"]],
        row["step"],
        value,
        row["digest"],
        row["code"],
        row["attempt"],
        row["tries"],
        row["started_at"],
        row["ended_at"],
        row["epoch"],
    )


def worker(row: Row) -> WorkerRecord:
    """A row of `workers`."""
    return WorkerRecord(
        id=row["id"],
        host=row["host"],
        pid=row["pid"],
        slots=row["slots"],
        queues=tuple(loads(row["queues"])),
        tasks=tuple(loads(row["tasks"])),
        state=row["state"],
        started_at=row["started_at"],
        expires_at=row["expires_at"],
        claimed_at=row["claimed_at"],
    )


def task(row: Row) -> TaskRecord:
    """A row of `tasks`."""
    return TaskRecord(
        name=row["name"],
        queue=row["queue"],
        description=row["description"],
        schema=row["schema"],
        kind=row["kind"],
        hooked=bool(row["hooked"]),
        version=row["version"],
    )


def queue(row: Row) -> QueueRecord:
    """A row of `queues`."""
    return QueueRecord(**{field.name: row[field.name] for field in fields(QueueRecord)})


def thread(row: Row) -> ThreadRecord:
    """A row of `threads`."""
    return ThreadRecord(**{field.name: row[field.name] for field in fields(ThreadRecord)})


def message(row: Row, body: str) -> MessageRecord:
    """A row of `messages`, with its body where that is a blob."""
    return MessageRecord(row["seq"], row["run_id"], body, row["created_at"])
