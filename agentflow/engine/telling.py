"""What the engine tells the readers of a run, from what is stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from agentflow.engine.context import WaitResult
from agentflow.engine.waits import silence
from agentflow.records import Failure, RunRecord, RunState, WaitKind, WaitpointRecord, WaitState
from agentflow.serde import decode_failure, loads
from agentflow.storage import outbox
from agentflow.storage.ladder import BY, Climbed
from agentflow.storage.showing import Sight
from agentflow.storage.transitions import Ended
from agentflow.storage.waitpoints import Woken
from agentflow.streams.events import (
    ApprovalEscalated,
    ApprovalReminded,
    ApprovalRequested,
    ApprovalResolved,
    ChildFinished,
    End,
    Event,
    RunCancelled,
    RunCompleted,
    RunExpired,
    RunFailed,
    RunWaiting,
)
from agentflow.streams.log import Streams

LARGE = 16 * 1024
"""Characters of JSON above which an output is left to the run itself."""

_TELLING = (WaitKind.APPROVAL, WaitKind.INPUT, WaitKind.CALLBACK, WaitKind.TOKEN, WaitKind.SIGNAL, WaitKind.CHILD, WaitKind.TIMER)


def waits_for(waits: list[WaitpointRecord]) -> RunWaiting:
    """What a run that suspends says: the wait that a reader can do most about, the ids of the first ones, and when one ends by itself."""
    first = min(waits, key=lambda one: _TELLING.index(one.kind), default=None)
    due = min((one.due_at for one in waits if one.due_at is not None), default=None)
    kind = "event" if first is None else "concurrency" if _is_turn(first) else first.kind.value
    return RunWaiting(kind, tuple(one.id for one in waits[:20]), None if due is None else due // 1_000)


def _is_turn(one: WaitpointRecord) -> bool:
    """Whether it is the wait for the run before in a thread."""
    return one.kind is WaitKind.CALLBACK and "thread" in loads(one.subject)


def last_words(run: RunRecord) -> list[Event]:
    """The last events of a run that has ended; an output too large for the stream is left to the run itself."""
    failed = Failure(code="error", type="", message="") if run.error is None else decode_failure(run.error)
    said: Event
    match run.state:
        case RunState.COMPLETED:
            small = run.output is not None and len(run.output) <= LARGE and not run.output.startswith("@")
            said = RunCompleted(loads(run.output or "null") if small else None)
        case RunState.CANCELLED:
            said = RunCancelled(reason=failed.message)
        case RunState.EXPIRED:
            said = RunExpired(failed.message)
        case _:
            said = RunFailed({"code": failed.code, "type": failed.type, "message": failed.message, "hint": failed.hint})
    return [said, End(run.state.value)]


def tell_answer(streams: Streams, woken: Woken) -> None:
    """Show an approval's answer to the readers of its run, and have those told who were told of the question."""
    one = woken.waitpoint
    tell_people(streams, one)
    if one.kind is not WaitKind.APPROVAL or one.run_id is None:
        return
    epoch = max((run.epoch for run in [*woken.runs, *woken.leased] if run.id == one.run_id), default=0)
    streams.publish(one.run_id, epoch, resolved(one))
    tell_above(streams, one, woken.sights)


def tell_above(streams: Streams, one: WaitpointRecord, sights: Iterable[Sight]) -> None:
    """Show a question as it is now to the readers of the runs that it holds up."""
    for sight in sights:
        streams.join(sight.run_id, seen_from_above(one, sight.call) if one.state is WaitState.PENDING else ended_below(one))


def tell_end(streams: Streams, ended: Ended, epoch: int) -> None:
    """Tell the readers of a run that it has ended, and those of the runs that its questions held up that nobody is asked any more."""
    for one, sights in ended.unanswered:
        tell_above(streams, one, sights)
    for event in last_words(ended.run):
        streams.publish(ended.run.id, epoch, event)


def tell_people(streams: Streams, one: WaitpointRecord) -> None:
    """Something about a waitpoint is to be told on channels, perhaps: have whoever sends it look."""
    if outbox.is_told(one.subject):
        streams.signal(outbox.TOLD, "")


def tell_rung(streams: Streams, climbed: Climbed) -> None:
    """Show the readers of a run that people were reminded, or others brought in."""
    one = climbed.waitpoint
    tell_people(streams, one)
    if one.kind is not WaitKind.APPROVAL or one.run_id is None:
        return
    by = None if climbed.by == BY else climbed.by
    event = ApprovalReminded(one.id, by) if climbed.to is None else ApprovalEscalated(one.id, climbed.to)
    streams.publish(one.run_id, climbed.epoch, event)


def child_finished(wait: WaitResult | WaitpointRecord, child: str, step: str | None, call: str | None = None) -> ChildFinished:
    """A child run ended, as its parent's wait for it tells."""
    return ChildFinished(child, _end_of_child(wait).value, call, step)


def _end_of_child(wait: WaitResult | WaitpointRecord) -> RunState:
    if wait.state is WaitState.ANSWERED:
        return RunState.COMPLETED
    code = decode_failure(wait.answer).code if wait.state is WaitState.FAILED and wait.answer else wait.state.value
    return {"cancelled": RunState.CANCELLED, "expired": RunState.EXPIRED}.get(code, RunState.FAILED)


def requested(one: WaitpointRecord) -> ApprovalRequested:
    """An approval that was asked for."""
    subject = loads(one.subject)
    return ApprovalRequested(
        one.id,
        str(subject.get("title", "")),
        kind=str(subject.get("kind", "confirm")),
        call=subject.get("call"),
        step=one.key,
        input=subject.get("body"),
        schema=None if one.schema is None else loads(one.schema),
        expires_at=None if one.due_at is None else one.due_at // 1_000,
        can_edit=subject.get("can_edit"),
    )


def seen_from_above(one: WaitpointRecord, call: str | None) -> ApprovalRequested:
    """As `requested`, for the readers of a run that it holds up; `call` is the tool call there that waits for the answer."""
    return replace(requested(one), run=one.run_id, call=call, step=None)


def ended_below(one: WaitpointRecord) -> ApprovalResolved:
    """As `resolved`, for the readers of a run that it held up."""
    return replace(resolved(one), run=one.run_id)


def resolved(one: WaitpointRecord) -> ApprovalResolved:
    """An approval that has ended."""
    answer: dict[str, Any] = loads(one.answer or "{}") if one.state is WaitState.ANSWERED else {}
    return ApprovalResolved(one.id, decided(one), one.answered_by, answer.get("reason"))


def decided(one: WaitpointRecord) -> str:
    """The word for an approval's end: approved, denied, expired or cancelled."""
    if one.state is WaitState.ANSWERED:
        return "approved" if loads(one.answer or "{}").get("approved") is True else "denied"
    if one.state is not WaitState.TIMED_OUT:
        return "cancelled"
    return "approved" if silence(one.answer) == "approve" else "expired"
