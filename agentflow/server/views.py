"""Records as they are shown over HTTP."""

from __future__ import annotations

from typing import Any

from agentflow import records
from agentflow.app.waitpoints import Vote
from agentflow.records import DeliveryRecord, JournalEntry, RunRecord, UsageRecord, WaitpointRecord, WorkerRecord
from agentflow.serde import decode_failure, loads
from agentflow.server.models import (
    DeliveryInfo,
    JournalRecord,
    Run,
    RunDetail,
    RunFailure,
    RunUsage,
    ServedTask,
    UsageTotal,
    VoteInfo,
    Waitpoint,
    WorkerInfo,
)

NONE_YET = records.RunUsage()


def _millis(micros: int) -> int:
    return micros // 1_000


def _maybe_millis(micros: int | None) -> int | None:
    return None if micros is None else micros // 1_000


def value(text: str | None) -> Any:
    """The value of a JSON text; None for a pointer to a blob that nobody read."""
    return None if text is None or text.startswith("@") else loads(text)


def _failure(text: str | None) -> RunFailure | None:
    if text is None:
        return None
    found = decode_failure(text)
    return RunFailure(code=found.code, type=found.type, message=found.message, hint=found.hint, details=found.details)


def _fields(run: RunRecord) -> dict[str, Any]:
    return {
        "id": run.id,
        "task": run.task,
        "queue": run.queue,
        "status": run.state,
        "attempt": run.attempt,
        "recoveries": run.recoveries,
        "worker": run.worker,
        "parent": run.parent_id,
        "tags": list(run.tags),
        "metadata": loads(run.metadata),
        "idempotency_key": run.idempotency_key,
        "concurrency_key": run.concurrency_key,
        "priority": run.priority,
        "version": run.version,
        "started_by": run.started_by,
        "error": _failure(run.error),
        "cancel_reason": run.cancel_reason,
        "note": run.note,
        "active_ms": _millis(run.active),
        "created_at": _millis(run.created_at),
        "ready_at": _maybe_millis(run.ready_at),
        "expires_at": _maybe_millis(run.expires_at),
        "started_at": _maybe_millis(run.started_at),
        "finished_at": _maybe_millis(run.finished_at),
    }


def run_view(run: RunRecord) -> Run:
    """A run without its values."""
    return Run(**_fields(run))


def run_detail(run: RunRecord, waiting: list[WaitpointRecord], cursor: str | None, used: records.RunUsage = NONE_YET) -> RunDetail:
    """A run with all there is to know."""
    seen = [waitpoint_view(one) for one in waiting]
    usage = RunUsage(own=usage_view(used.own), total=usage_view(used.total))
    return RunDetail(**_fields(run), input=value(run.input), output=value(run.output), waiting=seen, usage=usage, cursor=cursor)


def usage_view(used: UsageRecord) -> UsageTotal:
    """What was used."""
    return UsageTotal(**{name: getattr(used, name) for name in UsageTotal.model_fields})


def waitpoint_view(one: WaitpointRecord) -> Waitpoint:
    """A waitpoint."""
    return Waitpoint(
        id=one.id,
        kind=one.kind,
        state=one.state,
        run=one.run_id,
        step=one.key,
        target=one.target,
        subject=value(one.subject),
        schema_=value(one.schema),
        answer=value(one.answer),
        answered_by=one.answered_by,
        due_at=_maybe_millis(one.due_at),
        created_at=_millis(one.created_at),
        ended_at=_maybe_millis(one.ended_at),
        times=one.times,
        held=one.held,
    )


def vote_view(one: Vote) -> VoteInfo:
    """What somebody said."""
    return VoteInfo(actor=one.actor, choice=one.choice, said=one.said, counted=one.counted, why=one.why, at=_millis(one.at))


def delivery_view(one: DeliveryRecord) -> DeliveryInfo:
    """A message about a waitpoint."""
    return DeliveryInfo(
        id=one.id,
        channel=one.channel,
        address=one.address,
        person=one.person,
        event=one.event,
        state=one.state,
        attempts=one.attempts,
        error=one.error,
        reference=one.reference,
        created_at=_millis(one.created_at),
        ended_at=_maybe_millis(one.ended_at),
    )


def entry_view(entry: JournalEntry, used: UsageRecord | None) -> JournalRecord:
    """A journal entry, and what it used."""
    return JournalRecord(
        seq=entry.seq,
        kind=entry.kind.value,
        step=entry.key,
        value=value(entry.value),
        attempt=entry.attempt,
        tries=entry.tries,
        started_at=_millis(entry.started_at),
        ended_at=_millis(entry.ended_at),
        usage=None if used is None else usage_view(used),
    )


def worker_view(one: WorkerRecord, runs: int, now: int) -> WorkerInfo:
    """A worker that holds that many runs."""
    return WorkerInfo(
        id=one.id,
        host=one.host,
        pid=one.pid,
        slots=one.slots,
        runs=runs,
        state=one.state,
        live=one.expires_at > now,
        queues=list(one.queues),
        tasks=[ServedTask(name=name, versions=versions) for name, versions in one.served.items()],
        started_at=_millis(one.started_at),
        claimed_at=_millis(one.claimed_at),
        expires_at=_millis(one.expires_at),
    )
