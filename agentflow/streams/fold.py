"""What a stream says so far: the client's model, in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from agentflow.streams import events as e
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor

RESET = "sync.snapshot"
"""The type of what a reader over HTTP is told when part of a stream is gone; it is in no log."""


@dataclass(slots=True)
class Step:
    """A step as far as it is known. States: running, retrying, completed, failed."""

    id: str
    name: str = ""
    kind: str = "code"
    state: str = "running"
    attempt: int = 1
    parent: str | None = None
    output: Any = None
    usage: e.Record | None = None
    error: e.Record | None = None


@dataclass(slots=True)
class Part:
    """A part of text or reasoning."""

    id: str
    kind: str
    text: str = ""
    done: bool = False
    step: str | None = None
    message: str | None = None


@dataclass(slots=True)
class Call:
    """A tool call. States: writing, running, completed, failed, denied."""

    id: str
    name: str = ""
    state: str = "writing"
    written: str = ""
    input: Any = None
    output: Any = None
    error: e.Record | None = None
    step: str | None = None


@dataclass(slots=True)
class Approval:
    """A question to a person; `decision` is empty while it is open. `run` is the run that asks, where that is another one."""

    id: str
    title: str
    call: str | None = None
    step: str | None = None
    decision: str = ""
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a stream of the user's own."""

    data: Any
    step: str | None = None
    origin: str | None = None


@dataclass(slots=True)
class Fold:
    """A run as its events tell it. Applying an event twice changes nothing; what a retry voids is gone.

    >>> fold = Fold()
    >>> async for entry in streams.follow(run_id):
    ...     fold.apply(entry)
    >>> fold.text
    'Hello'
    """

    state: str = "queued"
    attempt: int = 1
    ended: bool = False
    cursor: Cursor | None = None
    steps: dict[str, Step] = field(default_factory=dict[str, Step])
    parts: dict[str, Part] = field(default_factory=dict[str, Part])
    calls: dict[str, Call] = field(default_factory=dict[str, Call])
    approvals: dict[str, Approval] = field(default_factory=dict[str, Approval])
    metadata: e.Record = field(default_factory=dict[str, Any])
    data: dict[tuple[str, str], Any] = field(default_factory=dict[tuple[str, str], Any])
    items: dict[str, dict[str, Item]] = field(default_factory=dict[str, dict[str, Item]])
    waiting: e.RunWaiting | None = None
    output: Any = None
    error: e.Record | None = None
    _void: set[str] = field(default_factory=set[str])
    _said: dict[str, list[tuple[str, str]]] = field(default_factory=dict[str, list[tuple[str, str]]])

    @property
    def text(self) -> str:
        """All the text that counts, in order."""
        return "".join(part.text for part in self.parts.values() if part.kind == "text")

    @property
    def reasoning(self) -> str:
        """All the thoughts that count, in order."""
        return "".join(part.text for part in self.parts.values() if part.kind == "reasoning")

    def stream(self, name: str) -> list[Any]:
        """The values of all items of a stream that count, in order."""
        return [one.data for one in self.items.get(name, {}).values()]

    def apply(self, entry: StoredEvent) -> bool:
        """Take an event in. False when it was known already."""
        if entry.type == RESET:
            # What was heard before counts no more: the run is told from its start, as far as it is known.
            self.__init__()
            return True
        if self.cursor is not None and entry.id <= self.cursor:
            return False
        self.cursor = entry.id
        change = _CHANGES.get(type(entry.event))
        if change is not None:
            change(self, entry.event)
        return True

    def apply_all(self, entries: Iterable[StoredEvent]) -> Fold:
        """Take events in; returns this fold."""
        for entry in entries:
            self.apply(entry)
        return self

    def step(self, id: str) -> Step:
        """The step, which begins to exist when something is said of it."""
        return self.steps.setdefault(id, Step(id))

    def call(self, id: str) -> Call:
        """The tool call, which begins to exist when something is said of it."""
        return self.calls.setdefault(id, Call(id))

    def delta(self, kind: str, id: str, text: str) -> None:
        """Add to a part, unless it is void."""
        if id not in self._void:
            self.parts.setdefault(id, Part(id, kind)).text += text

    def finish(self, id: str) -> None:
        """The part is complete."""
        if id in self.parts:
            self.parts[id].done = True

    def is_void(self, call: str) -> bool:
        """Whether a call or part was superseded."""
        return call in self._void

    def revive(self, id: str) -> None:
        """The same id is used anew."""
        self._void.discard(id)

    def void_steps(self, steps: Iterable[str]) -> None:
        """Forget the steps, unless they are completed, and all that they said."""
        for id in steps:
            step = self.steps.get(id)
            if step is None or step.state != "completed":
                self.void_content(id)
                self.steps.pop(id, None)

    def void_content(self, step: str, ids: Iterable[str] = ()) -> None:
        """Forget what a step said, and whatever else is named, with the open approvals of that."""
        void = {*ids}
        void.update(part.id for part in self.parts.values() if part.step == step)
        void.update(call.id for call in self.calls.values() if call.step == step)
        self.void_items(step)
        self._void |= void
        for id in void:
            self.parts.pop(id, None)
            self.calls.pop(id, None)
        for approval in [one for one in self.approvals.values() if not one.decision and one.call in void]:
            del self.approvals[approval.id]

    def said(self, step: str, stream: str, item: str) -> None:
        """A step said an item."""
        self._said.setdefault(step, []).append((stream, item))

    def void_items(self, step: str) -> None:
        """Forget the items that a step said."""
        for stream, name in self._said.pop(step, ()):
            self.items[stream].pop(name, None)


def _run_started(fold: Fold, event: e.RunStarted) -> None:
    fold.state, fold.attempt, fold.waiting = "running", event.attempt, None


def _run_attempt(fold: Fold, event: e.RunAttempt) -> None:
    fold.state, fold.waiting = "running", None
    fold.attempt = event.attempt or fold.attempt
    # A lost worker may have begun more after the new one looked: whatever an earlier epoch left open is void, named or not.
    fold.void_steps({*event.supersedes, *(step.id for step in fold.steps.values() if step.state in ("running", "retrying"))})


def _run_waiting(fold: Fold, event: e.RunWaiting) -> None:
    fold.state, fold.waiting = "waiting", event


def _run_progress(fold: Fold, event: e.RunProgress) -> None:
    fold.metadata = event.data


def _step_started(fold: Fold, event: e.StepStarted) -> None:
    # It says all that it has to say from here on: anew, or again.
    fold.void_items(event.step)
    fold.steps[event.step] = Step(event.step, event.name, event.kind, "running", event.attempt, event.parent)


def _step_retrying(fold: Fold, event: e.StepRetrying) -> None:
    step = fold.step(event.step)
    step.state, step.attempt, step.error = "retrying", event.attempt, event.error
    fold.void_content(event.step, event.supersedes)


def _step_completed(fold: Fold, event: e.StepCompleted) -> None:
    fold.steps[event.step] = Step(event.step, event.name, event.kind, "completed", event.attempt, event.parent, event.output, event.usage)


def _step_failed(fold: Fold, event: e.StepFailed) -> None:
    step = fold.step(event.step)
    step.state, step.error = "failed", event.error
    step.name, step.kind = event.name or step.name, event.kind or step.kind


def _part_started(fold: Fold, event: e.TextStart | e.ReasoningStart) -> None:
    fold.revive(event.part)
    kind = "text" if isinstance(event, e.TextStart) else "reasoning"
    fold.parts[event.part] = Part(event.part, kind, step=event.step, message=event.message)


def _tool_started(fold: Fold, event: e.ToolInputStart) -> None:
    fold.revive(event.call)
    fold.calls[event.call] = Call(event.call, event.name, step=event.step)


def _tool_delta(fold: Fold, event: e.ToolInputDelta) -> None:
    if not fold.is_void(event.call):
        fold.call(event.call).written += event.delta


def _tool_input(fold: Fold, event: e.ToolInput) -> None:
    fold.revive(event.call)
    call = fold.call(event.call)
    call.name, call.input, call.state, call.step = event.name, event.input, "running", event.step or call.step


def _tool_ended(fold: Fold, event: e.ToolOutput | e.ToolError | e.ToolDenied) -> None:
    if fold.is_void(event.call):
        return
    call = fold.call(event.call)
    if isinstance(event, e.ToolOutput):
        call.output, call.state = event.output, "running" if event.preliminary else "completed"
    elif isinstance(event, e.ToolError):
        call.error, call.state = event.error, "failed"
    else:
        call.state = "denied"


def _approval_requested(fold: Fold, event: e.ApprovalRequested) -> None:
    fold.approvals[event.approval] = Approval(event.approval, event.title, event.call, event.step, run=event.run)


def _approval_resolved(fold: Fold, event: e.ApprovalResolved) -> None:
    fold.approvals.setdefault(event.approval, Approval(event.approval, "", run=event.run)).decision = event.decision


def _data(fold: Fold, event: e.Data) -> None:
    fold.data[event.name, event.id or ""] = event.data


def _item(fold: Fold, event: e.StreamItem) -> None:
    name = event.item or str(fold.cursor)
    fold.items.setdefault(event.stream, {})[name] = Item(event.data, event.step, event.origin)
    if event.step is not None:
        fold.said(event.step, event.stream, name)


def _completed(fold: Fold, event: e.RunCompleted) -> None:
    fold.state, fold.output = "completed", event.output


def _failed(fold: Fold, event: e.RunFailed) -> None:
    fold.state, fold.error = "failed", event.error


def _stopped(fold: Fold, event: e.RunCancelled | e.RunExpired) -> None:
    fold.state = "cancelled" if isinstance(event, e.RunCancelled) else "expired"


def _end(fold: Fold, event: e.End) -> None:
    fold.state, fold.ended, fold.waiting = event.status, True, None


_CHANGES: dict[type[Any], Callable[[Fold, Any], None]] = {
    e.RunStarted: _run_started,
    e.RunAttempt: _run_attempt,
    e.RunWaiting: _run_waiting,
    e.RunProgress: _run_progress,
    e.StepStarted: _step_started,
    e.StepRetrying: _step_retrying,
    e.StepCompleted: _step_completed,
    e.StepFailed: _step_failed,
    e.TextStart: _part_started,
    e.TextDelta: lambda fold, event: fold.delta("text", event.part, event.delta),
    e.TextEnd: lambda fold, event: fold.finish(event.part),
    e.ReasoningStart: _part_started,
    e.ReasoningDelta: lambda fold, event: fold.delta("reasoning", event.part, event.delta),
    e.ReasoningEnd: lambda fold, event: fold.finish(event.part),
    e.ToolInputStart: _tool_started,
    e.ToolInputDelta: _tool_delta,
    e.ToolInput: _tool_input,
    e.ToolOutput: _tool_ended,
    e.ToolError: _tool_ended,
    e.ToolDenied: _tool_ended,
    e.ApprovalRequested: _approval_requested,
    e.ApprovalResolved: _approval_resolved,
    e.Data: _data,
    e.StreamItem: _item,
    e.RunCompleted: _completed,
    e.RunFailed: _failed,
    e.RunCancelled: _stopped,
    e.RunExpired: _stopped,
    e.End: _end,
}
