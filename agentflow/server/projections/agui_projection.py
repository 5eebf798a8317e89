"""A run's log as AG-UI 1.0 events: a pure function of the log, one event at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentflow.server.projections.agui_brackets import Brackets, Said, said
from agentflow.server.projections.agui_ending import Ending
from agentflow.server.projections.agui_messages import Message
from agentflow.server.projections.agui_progress import Progress
from agentflow.server.projections.agui_speech import Speech
from agentflow.streams import events as e
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.fold import Fold

PROTOCOL = "1.0"
_TERMINAL = ("RUN_FINISHED", "RUN_ERROR")
_LISTED = 20
"""How many waits `run.waiting` names: with as many, there may be more."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the client calls its conversation and this run of it, and the id of the run that serves it."""

    thread: str
    run: str
    ours: str


class Projection:
    """Tells one reader of one run. `held` are the messages that the client has, `state` is what it shares.

    A reader that is there from the start gets `begin()`, and then what `apply` gives for each event. For one that comes later `absorb`
    takes in what was before: then `begin()` tells where things stand. A client's run ends where people are asked; the same run of ours
    goes on in the client's next one. `finished`: the last event that was given is one that nothing may follow. `answered`: the questions
    that are known to have an answer, though the log does not tell of it yet.
    """

    def __init__(self, names: Names, held: Sequence[Message] = (), state: Mapping[str, Any] | None = None) -> None:
        self.names = names
        self.finished = False
        self._held = held
        self._shared = state or {}
        self._late = False
        self.answered: set[str] = set()
        self._forget()

    def _forget(self) -> None:
        self.fold = Fold()
        self._brackets = Brackets()
        self.speech = Speech(self.names.ours, self._held, self.fold, self._brackets)
        self.progress = Progress(self.fold, self._brackets)
        self.ending = Ending(self.names.thread, self.names.run)
        self.asked: dict[str, e.ApprovalRequested] = {}

    # -- what a reader gets --------------------------------------------------------------------------------------------------------------

    def begin(self) -> list[Said]:
        """The beginning of a stream; for a reader that comes late with where things stand, to the end where that is reached."""
        self.finished = False
        names, about = self.names, {"agentflowRunId": self.names.ours}
        opening = said("RUN_STARTED", threadId=names.thread, runId=names.run, protocolVersion=PROTOCOL, metadata=about)
        if not self._late:
            return [opening]
        if not self.questions():
            self.ending.begin()
        return self._given([opening, *self._standing(self._held, self.progress.children())])

    def apply(self, entry: StoredEvent) -> list[Said]:
        """What an event says to a reader that was told of all before it."""
        if self.fold.ended or not self.fold.apply(entry):
            return []
        teller = _TELLERS.get(type(entry.event))
        return self._given([] if teller is None else teller(self, entry.event))

    def absorb(self, entries: Iterable[StoredEvent], after: Cursor | None) -> None:
        """Take in what the reader is not told event by event; the log goes on after a cursor."""
        for entry in entries:
            self.apply(entry)
        self.fold.cursor = after
        self._late = True

    def restart(self, entries: Iterable[StoredEvent], after: Cursor | None) -> list[Said]:
        """The log begins anew with `entries` and goes on after a cursor: what a reader is told that has heard another beginning."""
        before, held, closing = self.progress, self.speech.messages.held(), self._brackets.close_all()
        self._forget()
        self.absorb(entries, after)
        return self._given([*closing, *self._standing(held, self.progress.instead_of(before))])

    def _standing(self, held: Sequence[Message], children: list[Said]) -> list[Said]:
        told = [*self.state(), *self.speech.instead_of(held), *children, *self._brackets.again()]
        questions = self.questions()
        if self.fold.ended:
            told += self.end()
        elif questions:
            told += [*self._close(), self.ending.interrupt(self.names.ours, questions)]
        return told

    def _given(self, told: list[Said]) -> list[Said]:
        if told:
            self.finished = told[-1]["type"] in _TERMINAL
        return told

    # -- what it is made of --------------------------------------------------------------------------------------------------------------

    def state(self) -> list[Said]:
        """The run's metadata on top of what the client shares; nothing where there is none, for a client replaces its own with it."""
        if not self.fold.metadata:
            return []
        return [said("STATE_SNAPSHOT", snapshot={**self._shared, **self.fold.metadata})]

    def questions(self) -> list[e.ApprovalRequested]:
        """What people must answer before the run, or one that it waits for, goes on; empty while it does anything else."""
        waiting = self.fold.waiting
        if waiting is None:
            return []
        pending = [one for one in self.fold.approvals.values() if not one.decision and one.id in self.asked.keys() - self.answered]
        asks = waiting.on == "approval"
        own = {one.id for one in pending if asks and (one.id in waiting.ids or len(waiting.ids) >= _LISTED)}
        return [self.asked[one.id] for one in pending if one.run is not None or one.id in own]

    def interrupt(self, questions: Sequence[e.ApprovalRequested]) -> list[Said]:
        """The client's run ends here: it goes on with the answers."""
        return [*self._close(), *self.state(), self.speech.snapshot(), self.ending.interrupt(self.names.ours, questions)]

    def retried(self, about: Mapping[str, Any], *, silent: bool = False) -> list[Said]:
        """What was tried in vain is taken back; `silent` where nothing may have been."""
        closing = self.progress.take_back()
        told, gone = self.speech.take_back()
        if silent and not told and not closing:
            return []
        value = {name: one for name, one in about.items() if one is not None}
        return [*closing, *told, custom("attempt", {**value, "supersedes": gone})]

    def end(self) -> list[Said]:
        """The last words of the run."""
        return [*self._brackets.close_all(), *self.progress.abandoned(), self.ending.end(self.fold.state)]

    def _close(self) -> list[Said]:
        return [*self._brackets.close_all(), *self.progress.suspended()]


def custom(name: str, value: Mapping[str, Any]) -> Said:
    """An event of our own."""
    return said("CUSTOM", name=f"agentflow.{name}", value={key: one for key, one in value.items() if one is not None})


def _run_attempt(told: Projection, event: e.RunAttempt) -> list[Said]:
    about = {"attempt": event.attempt, "epoch": event.epoch, "reason": event.reason}
    return told.retried(about, silent=event.reason == "resume")


def _run_waiting(told: Projection, event: e.RunWaiting) -> list[Said]:
    questions = told.questions()
    if questions:
        return told.interrupt(questions)
    return [custom("waiting", {"on": event.on, "until": event.until})]


def _step_retrying(told: Projection, event: e.StepRetrying) -> list[Said]:
    error = None if event.error is None else dict(event.error)
    return told.retried({"step": event.step, "attempt": event.attempt, "error": error, "delayMs": event.delay_ms, "reason": "retry"})


def _child_started(told: Projection, event: e.ChildStarted) -> list[Said]:
    messages = told.speech.messages
    call = None if event.call is None or messages.of_call(event.call) is None else messages.name(event.call)
    return told.progress.child_started(event, call)


def _approval_requested(told: Projection, event: e.ApprovalRequested) -> list[Said]:
    told.asked[event.approval] = event
    questions = told.questions() if event.run is not None else []
    # A run that this one waits for asks while this one waits already.
    return told.interrupt(questions) if questions else []


def _approval_resolved(told: Projection, event: e.ApprovalResolved) -> list[Said]:
    return [custom("approval", {"id": event.approval, "decision": event.decision, "by": event.by, "reason": event.reason})]


def _usage(told: Projection, event: e.Usage) -> list[Said]:
    told.ending.used(event)
    return []


def _outcome(told: Projection, event: e.RunCompleted | e.RunFailed | e.RunCancelled | e.RunExpired) -> list[Said]:
    told.ending.remember(event)
    return []


def _data(told: Projection, event: e.Data) -> list[Said]:
    metadata = None if event.id is None else {"agentflow": {"id": event.id}}
    said_of_it = {"type": "CUSTOM", "name": event.name, "value": event.data}
    return [said_of_it if metadata is None else {**said_of_it, "metadata": metadata}]


_TELLERS: dict[type[Any], Callable[[Projection, Any], list[Said]]] = {
    e.RunAttempt: _run_attempt,
    e.RunWaiting: _run_waiting,
    e.RunProgress: lambda told, event: told.state(),
    e.StepStarted: lambda told, event: told.progress.step_started(event),
    e.StepRetrying: _step_retrying,
    e.StepCompleted: lambda told, event: told.progress.step_ended(event),
    e.StepFailed: lambda told, event: told.progress.step_ended(event),
    e.MessageStarted: lambda told, event: told.speech.message_started(event),
    e.TextStart: lambda told, event: told.speech.text_started(event),
    e.TextDelta: lambda told, event: told.speech.text_grown(event),
    e.TextEnd: lambda told, event: told.speech.part_ended(event),
    e.ReasoningStart: lambda told, event: told.speech.thought_started(event),
    e.ReasoningDelta: lambda told, event: told.speech.thought_grown(event),
    e.ReasoningEnd: lambda told, event: told.speech.part_ended(event),
    e.ToolInputStart: lambda told, event: told.speech.call_started(event),
    e.ToolInputDelta: lambda told, event: told.speech.call_grown(event),
    e.ToolInput: lambda told, event: told.speech.call_given(event),
    e.ToolOutput: lambda told, event: told.speech.call_ended(event),
    e.ToolError: lambda told, event: told.speech.call_ended(event),
    e.ToolDenied: lambda told, event: told.speech.call_ended(event),
    e.ApprovalRequested: _approval_requested,
    e.ApprovalResolved: _approval_resolved,
    e.Data: _data,
    e.Source: lambda told, event: [custom("source", {"url": event.url, "title": event.title})],
    e.File: lambda told, event: [custom("file", {"url": event.url, "mediaType": event.media_type, "name": event.name})],
    e.ChildStarted: _child_started,
    e.ChildFinished: lambda told, event: told.progress.child_finished(event),
    e.Usage: _usage,
    e.RunCompleted: _outcome,
    e.RunFailed: _outcome,
    e.RunCancelled: _outcome,
    e.RunExpired: _outcome,
    e.End: lambda told, event: told.end(),
}
