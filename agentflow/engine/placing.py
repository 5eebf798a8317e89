"""Runs to start: what a call asks for, and where it goes once it is stored."""

from __future__ import annotations

from agentflow.database.port import Transaction, transaction
from agentflow.engine.context import StartCall
from agentflow.engine.debounce import Debounce
from agentflow.engine.host import Host
from agentflow.engine.session import Session
from agentflow.engine.starting import thread_tag
from agentflow.records import EntryKind, new_id
from agentflow.serde import dumps
from agentflow.storage.runs import Debounced, Lease, NewRun, Started, start_detached
from agentflow.storage.statements import SQL


def new_run(call: StartCall, now: int, *, scope: str, host: Host, key: str | None = None, started_by: str | None = None) -> NewRun:
    """The run that a call asks for, with a slot of this process if it has one; `scope` is where an idempotency key counts unless global.

    `key` is that of the call, in the run that makes it, `started_by` the person in whose name that is, unless the call says otherwise.
    """
    run_id, chosen = new_id("run", now), call.options
    delay = chosen.delay if chosen.debounce is None else chosen.debounce.delay
    return NewRun(
        id=run_id,
        task=call.task,
        queue=call.queue,
        input=call.payload,
        ready_at=None if not delay else now + delay,
        expires_at=None if chosen.ttl is None else now + (delay or 0) + chosen.ttl,
        idempotency_key=chosen.idempotency_key,
        call_key=None if key is None else f"{scope}:{key}",
        idempotency_scope="" if chosen.idempotency_scope == "global" else scope,
        dedupe_key=chosen.dedupe_key,
        debounce=None if chosen.debounce is None else _debounced(chosen.debounce, now),
        tags=chosen.tags if chosen.thread is None else tuple(dict.fromkeys((*chosen.tags, thread_tag(chosen.thread)))),
        thread=chosen.thread,
        started_by=chosen.started_by or started_by,
        metadata=dumps(chosen.metadata) if chosen.metadata else "{}",
        priority=chosen.priority,
        weight=chosen.weight,
        concurrency_key=chosen.concurrency_key,
        on_parent_cancel=chosen.on_parent_cancel or ("leave" if call.detached else "cancel"),
        inherit_prompts=chosen.inherit_prompts,
        version=call.version,
        hooked=call.hooked,
        lessee=None if delay or chosen.debounce is not None else host.offer(run_id, call),
    )


def _debounced(how: Debounce, now: int) -> Debounced:
    return Debounced(how.key, now + how.max_delay, how.trailing)


def place(host: Host, new: NewRun, started: Started | None) -> None:
    """After a start, once: the run goes to the worker whose slot was reserved for it, or to whoever claims it first."""
    if new.lessee is not None:
        host.retract(new.lessee)
    if started is None or started.existed:
        return
    if new.lessee is not None and started.run.worker == new.lessee.worker and started.run.epoch == new.epoch + 1:
        host.adopt(started.run)
        return
    if started.run.epoch > new.epoch:
        # Another worker was quicker than the word that it is stored.
        return
    if started.run.worker is None:
        host.queued(started.run)
        host.hint(new.ready_at if new.expires_at is None else min(new.ready_at or new.expires_at, new.expires_at))


@transaction
def start_and_record(lease: Lease, new: NewRun, key: str, seq: int, session: Session, now: int) -> Transaction[Started]:
    """Start a run that nobody waits for, and record which it is, under the key of the call."""
    started = yield from start_detached(new, now, lease)
    if (yield SQL.journal.found(run=lease.run, seq=seq)):
        return started  # The connection broke after the commit.
    yield SQL.journal.append(
        run=lease.run,
        seq=seq,
        kind=EntryKind.VALUE.value,
        step=key,
        value=dumps(started.run.id),
        digest=None,
        code=session.code,
        attempt=session.run.attempt,
        tries=1,
        epoch=lease.epoch,
        started_at=now,
        ended_at=now,
    )
    return started
