"""A run's log as a UI message stream of the AI SDK (protocol v1), for the majors 5, 6 and 7 of its client.

Pure: the same events give the same chunks, so that a reader may go on at the n-th. One run is one message of the assistant. What the client
cannot bear decides the shape: a chunk of an unknown type, a delta without its start and an outcome without its call are fatal to it, and a
response that ends without `finish` is not over.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from agentflow.server.projections.ai_sdk_parts import Call, Chunk, Part, Piece, Shown, Turn
from agentflow.streams import events as e
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor

MAJORS = (5, 6, 7)
REQUEST_INPUT = "request_input"
"""The tool that stands for a question to a person which no tool asked."""
FAILED = "The agent could not finish its answer."
"""All that a browser is told of why a run failed."""
TOOL_FAILED = "The tool failed."


class Projection:
    """One reader's view of one run. `waits`: whether the last thing that happened is that the run waits for a person.

    `sdk` is the major version of the client, `thoughts` whether it may see what the model thinks.
    """

    def __init__(self, run_id: str, sdk: int = 7, *, thoughts: bool = True) -> None:
        self.waits = False
        self._run_id = run_id
        self._sdk = sdk
        self._thoughts = thoughts
        self._turn: Turn | None = None
        self._parts: dict[str, Part] = {}
        self._calls: dict[str, Call] = {}
        self._approvals: dict[str, str] = {}
        self._open: dict[str, e.ApprovalRequested] = {}
        self._parked = False
        self._void: set[str] = set()
        self._settled: set[str] = set()
        self._pieces = 0
        self._usage: dict[str, float] = {}
        self._last: e.RunCompleted | e.RunCancelled | None = None
        self._cursor: Cursor | None = None

    @property
    def asks(self) -> Collection[str]:
        """The questions to people that are open."""
        return self._open.keys()

    def begin(self) -> list[Chunk]:
        """What every response begins with; the message is the same one in all of them."""
        return [{"type": "start", "messageId": f"msg_{self._run_id}", "messageMetadata": {"runId": self._run_id}}]

    def apply(self, entry: StoredEvent) -> list[Chunk]:
        """The chunks that an event adds."""
        self._cursor = entry.id
        tell = _TELL.get(type(entry.event))
        silent = tell is None or (not self._thoughts and entry.type.startswith("reasoning."))
        told = [] if tell is None or silent else tell(self, entry.event)
        self.waits = self._is_up_to_people(entry.event)
        return told

    def _is_up_to_people(self, event: e.Event) -> bool:
        if isinstance(event, e.RunWaiting):
            self._parked = True
            if event.on == "approval":
                return True
        elif isinstance(event, (e.RunStarted, e.RunAttempt)):
            self._parked = False
        # Its own questions open when it begins to wait, those of the runs that it waits for at any time.
        return self._parked and any(one.run is not None for one in self._open.values())

    def pause(self) -> list[Chunk]:
        """What a response ends with while the run waits for a person; `cursor` is where the next one goes on."""
        return [{"type": "finish", "finishReason": "tool-calls", "messageMetadata": {"runId": self._run_id, "cursor": str(self._cursor)}}]

    # -- turns ---------------------------------------------------------------------------------------------------------------------------

    def _show(self, one: Shown, *chunks: Chunk) -> list[Chunk]:
        """Add something to the turn, which begins with the first thing that is said in it."""
        begun: list[Chunk] = []
        if self._turn is None:
            self._turn = Turn()
            begun = [{"type": "start-step"}]
        self._turn.shown.append(one)
        if one.owner not in self._settled:
            self._turn.owners.add(one.owner)
        return [*begun, *chunks]

    def _settle(self, owner: str) -> list[Chunk]:
        """What one of the run's steps said is final; the turn is over once that holds for all that spoke in it."""
        self._settled.add(owner)
        turn = self._turn
        if turn is None or owner not in turn.owners:
            return []
        turn.owners.discard(owner)
        return [*(one.end() for one in turn.unended(owner)), *([] if turn.owners else self._close())]

    def _close(self) -> list[Chunk]:
        turn, self._turn = self._turn, None
        return [] if turn is None else [*(one.end() for one in turn.unended()), {"type": "finish-step"}]

    def _forget(self, owners: set[str], ids: Iterable[str] = (), attempt: int | None = None) -> list[Chunk]:
        """What these steps said, and whatever else is named, is void. What has been recorded never is."""
        turn, named = self._turn, set(ids)
        gone = [] if turn is None else turn.take(owners, named)
        if turn is None or not gone:
            return []
        void = {one.id for one in gone}
        self._void |= void
        for id in void:
            self._parts.pop(id, None)
            self._calls.pop(id, None)
        self._approvals = {approval: call for approval, call in self._approvals.items() if call not in void}
        if self._sdk >= 7:
            return [{"type": "reset-step"}, *(chunk for one in turn.shown for chunk in one.again())]
        told = {"attempt": attempt, "supersedes": sorted(void)}
        return [*(chunk for one in gone for chunk in one.drop()), {"type": "data-agentflow-attempt", "data": told}]

    # -- what is said --------------------------------------------------------------------------------------------------------------------

    def part_started(self, event: e.TextStart | e.ReasoningStart) -> list[Chunk]:
        return self._begin_part(event.part, "text" if isinstance(event, e.TextStart) else "reasoning", event.step)

    def _begin_part(self, id: str, kind: str, step: str | None) -> list[Chunk]:
        known, forgotten = self._parts.get(id), list[Chunk]()
        if known is not None and known.done:
            return []  # It is told again, and has not changed.
        if known is not None:
            forgotten = self._forget(set(), {id})
        self._void.discard(id)
        part = self._parts[id] = Part(kind, id, step or f"part:{id}")
        return [*forgotten, *self._show(part, part.start())]

    def part_grown(self, event: e.TextDelta | e.ReasoningDelta) -> list[Chunk]:
        if event.part in self._void or not event.delta:
            return []
        known = self._parts.get(event.part)
        begun = [] if known else self._begin_part(event.part, "text" if isinstance(event, e.TextDelta) else "reasoning", None)
        part = self._parts[event.part]
        return [] if part.done else [*begun, part.more(event.delta)]

    def part_ended(self, event: e.TextEnd | e.ReasoningEnd) -> list[Chunk]:
        part = self._parts.get(event.part)
        if part is None or part.done:
            return []
        return [part.end(), *(self._settle(part.owner) if part.owner.startswith("part:") else [])]

    def call_started(self, event: e.ToolInputStart) -> list[Chunk]:
        known, forgotten = self._known(event.call, event.step), list[Chunk]()
        if known is not None and known.whole:
            return []
        if known is not None:
            forgotten = self._forget(set(), {event.call})
        call = self._begin_call(Call(event.call, event.name, event.step or f"call:{event.call}"))
        return [*forgotten, *self._show(call, call.start())]

    def call_grown(self, event: e.ToolInputDelta) -> list[Chunk]:
        call = self._calls.get(event.call)
        return [] if call is None or call.whole or not event.delta else [call.more(event.delta)]

    def call_written(self, event: e.ToolInput) -> list[Chunk]:
        call = self._known(event.call, event.step)
        if call is not None and call.whole:
            return []
        if call is not None:
            call.input, call.provider = event.input, event.executed == "provider"
            return [call.available()]
        owner = event.step or f"call:{event.call}"
        call = self._begin_call(Call(event.call, event.name, owner, provider=event.executed == "provider", input=event.input))
        return [*self._show(call, call.available()), *(self._settle(owner) if owner.startswith("call:") else [])]

    def _begin_call(self, call: Call) -> Call:
        self._void.discard(call.id)
        self._calls[call.id] = call
        return call

    def _known(self, id: str, step: str | None) -> Call | None:
        """The call of that id; providers exist that count their calls from 0 in each turn."""
        known = self._calls.get(id)
        return None if known is None or step not in (None, known.owner) else known

    def call_ended(self, event: e.ToolOutput | e.ToolError | e.ToolDenied) -> list[Chunk]:
        call = self._calls.get(event.call)
        if call is None:
            return []
        return self._outcome(call, _outcome(event, self._sdk))

    def _outcome(self, call: Call, chunk: Chunk) -> list[Chunk]:
        if call.outcome == chunk:
            return []
        call.outcome = chunk
        return [chunk]

    # -- people --------------------------------------------------------------------------------------------------------------------------

    def asked(self, event: e.ApprovalRequested) -> list[Chunk]:
        self._open[event.approval] = event
        if event.approval in self._approvals:
            return []
        # A call cannot say what somebody else asks: that is a call of its own, and there may be several.
        known = None if event.call is None or event.run is not None else self._calls.get(event.call)
        if self._sdk < 6:
            self._approvals[event.approval] = event.call or event.approval
            return [_question(event, "open")]
        begun: list[Chunk] = []
        call = known
        if call is None:
            call = self._begin_call(Call(event.approval, REQUEST_INPUT, f"call:{event.approval}", input=_subject(event)))
            begun = [*self._show(call, call.available())]
        self._approvals[event.approval] = call.id
        request = {"type": "tool-approval-request", "approvalId": event.approval, "toolCallId": call.id}
        call.asked.append(request)
        # Questions of others stay in one step while they are open: a client sends answers when those to all of its last step are there.
        return [*begun, request, *([] if known or event.run else self._settle(call.owner))]

    def answered(self, event: e.ApprovalResolved) -> list[Chunk]:
        self._open.pop(event.approval, None)
        id = self._approvals.get(event.approval)
        if id is None:
            return []
        if self._sdk < 6:
            return [{**_question(event, event.decision)}]
        call, agreed = self._calls.get(id), event.decision == "approved"
        if call is None or call.outcome is not None or len(call.asked) > 1:
            return []
        response = {"type": "tool-approval-response", "approvalId": event.approval, "approved": agreed, "reason": event.reason}
        call.asked.append({name: value for name, value in response.items() if value is not None})
        told = call.asked[1:] if self._sdk >= 7 else []
        if call.name != REQUEST_INPUT or id != event.approval:
            return told
        return [*told, *self._replied(call, event), *self._settle(call.owner)]

    def _replied(self, call: Call, event: e.ApprovalResolved) -> list[Chunk]:
        """The question itself is the tool: its answer is its outcome."""
        if event.decision != "approved":
            return self._outcome(call, {"type": "tool-output-denied", "toolCallId": call.id})
        said = {"decision": event.decision, "by": event.by, "reason": event.reason}
        return self._outcome(call, {"type": "tool-output-available", "toolCallId": call.id, "output": said})

    # -- data ----------------------------------------------------------------------------------------------------------------------------

    def data(self, event: e.Data) -> list[Chunk]:
        chunk: Chunk = {"type": f"data-{event.name}", "data": event.data}
        if event.id is not None:
            chunk["id"] = event.id
        if event.transient:
            return [{**chunk, "transient": True}]
        return self._piece(chunk, event.step)

    def source(self, event: e.Source) -> list[Chunk]:
        chunk = {"type": "source-url", "sourceId": f"source-{self._pieces}", "url": event.url, "title": event.title}
        return self._piece({name: value for name, value in chunk.items() if value is not None}, event.step)

    def file(self, event: e.File) -> list[Chunk]:
        return self._piece({"type": "file", "url": event.url, "mediaType": event.media_type}, event.step)

    def progress(self, event: e.RunProgress) -> list[Chunk]:
        return self._piece({"type": "data-agentflow-state", "id": "state", "data": dict(event.data)}, None)

    def waiting(self, event: e.RunWaiting) -> list[Chunk]:
        if event.on == "approval":
            return []
        data = {"status": "waiting", "on": event.on, "until": event.until}
        return [{"type": "data-agentflow-run", "id": "run", "data": data, "transient": True}]

    def _piece(self, chunk: Chunk, step: str | None) -> list[Chunk]:
        self._pieces += 1
        if step is None and self._turn is None:
            return [chunk]
        owner = step or f"piece:{self._pieces}"
        if step is None:
            self._settled.add(owner)
        return self._show(Piece(f"piece:{self._pieces}", owner, chunk), chunk)

    def used(self, event: e.Usage) -> list[Chunk]:
        for name in ("input", "output", "cached", "reasoning", "cost"):
            if (more := getattr(event, name)) is not None:
                self._usage[name] = self._usage.get(name, 0) + more
        return []

    # -- steps, attempts, the end --------------------------------------------------------------------------------------------------------

    def step_completed(self, event: e.StepCompleted) -> list[Chunk]:
        return self._settle(event.step)

    def step_failed(self, event: e.StepFailed) -> list[Chunk]:
        # The run's next attempt may try it anew: until then its turn is not over.
        return [] if self._turn is None else [one.end() for one in self._turn.unended(event.step)]

    def step_retrying(self, event: e.StepRetrying) -> list[Chunk]:
        return self._forget({event.step}, event.supersedes, event.attempt)

    def attempt(self, event: e.RunAttempt) -> list[Chunk]:
        unfinished = set[str]() if self._turn is None else {one for one in self._turn.owners if one.partition(":")[0] not in _LOOSE}
        return self._forget({*event.supersedes, *unfinished} - self._settled, (), event.attempt)

    def last_words(self, event: e.RunCompleted | e.RunCancelled) -> list[Chunk]:
        self._last = event
        return []

    def end(self, event: e.End) -> list[Chunk]:
        closed = self._close()
        metadata: dict[str, Any] = {"runId": self._run_id, **({"usage": self._usage} if self._usage else {})}
        finish = {"type": "finish", "messageMetadata": metadata}
        if event.status == "completed":
            given_up = [call for call in self._calls.values() if call.id in self._open]
            left = [chunk for call in given_up for chunk in self._abandon(call)]
            return [*closed, *left, *self._output(), {**finish, "finishReason": "stop"}]
        left = [chunk for call in self._calls.values() if call.outcome is None for chunk in self._abandon(call)]
        if event.status == "cancelled":
            reason = self._last.reason if isinstance(self._last, e.RunCancelled) else None
            return [*closed, *left, {"type": "abort", **({"reason": reason} if reason else {})}, {**finish, "finishReason": "other"}]
        return [*closed, *left, {"type": "error", "errorText": FAILED}, {**finish, "finishReason": "error"}]

    def _abandon(self, call: Call) -> list[Chunk]:
        return self._outcome(call, {"type": "tool-output-error", "toolCallId": call.id, "errorText": "The call was not finished."})

    def _output(self) -> list[Chunk]:
        """A result that is more than what was said."""
        output = self._last.output if isinstance(self._last, e.RunCompleted) else None
        if output is None or (isinstance(output, str) and any(part.kind == "text" for part in self._parts.values())):
            return []
        return [{"type": "data-agentflow-output", "id": "output", "data": output}]


_LOOSE = ("part", "call", "piece")
"""What begins the name of an owner that is no step."""


def _outcome(event: e.ToolOutput | e.ToolError | e.ToolDenied, sdk: int) -> Chunk:
    if isinstance(event, e.ToolOutput):
        preliminary = {"preliminary": True} if event.preliminary else {}
        return {"type": "tool-output-available", "toolCallId": event.call, "output": event.output, **preliminary}
    if isinstance(event, e.ToolError):
        # What was written for the model may be read by people; what an exception says may not.
        told = str(event.error.get("message", TOOL_FAILED)) if event.error.get("code") in ("retried", "failed") else TOOL_FAILED
        return {"type": "tool-output-error", "toolCallId": event.call, "errorText": told}
    if sdk < 6:
        return {"type": "tool-output-error", "toolCallId": event.call, "errorText": event.reason or "The call was denied."}
    return {"type": "tool-output-denied", "toolCallId": event.call}


def _subject(event: e.ApprovalRequested) -> Chunk:
    told = {"title": event.title, "body": event.input, "schema": event.schema, "expiresAt": event.expires_at, "runId": event.run}
    if event.run is not None:
        told["toolCallId"] = event.call
    return {name: value for name, value in told.items() if value is not None}


def _question(event: e.ApprovalRequested | e.ApprovalResolved, state: str) -> Chunk:
    """An approval for a client that knows none."""
    told: Chunk = {"approvalId": event.approval, "state": state}
    if isinstance(event, e.ApprovalRequested):
        told |= {**_subject(event), **({"toolCallId": event.call} if event.call else {})}
    return {"type": "data-agentflow-approval", "id": event.approval, "data": told}


_TELL: dict[type[Any], Callable[[Projection, Any], list[Chunk]]] = {
    e.TextStart: Projection.part_started,
    e.TextDelta: Projection.part_grown,
    e.TextEnd: Projection.part_ended,
    e.ReasoningStart: Projection.part_started,
    e.ReasoningDelta: Projection.part_grown,
    e.ReasoningEnd: Projection.part_ended,
    e.ToolInputStart: Projection.call_started,
    e.ToolInputDelta: Projection.call_grown,
    e.ToolInput: Projection.call_written,
    e.ToolOutput: Projection.call_ended,
    e.ToolError: Projection.call_ended,
    e.ToolDenied: Projection.call_ended,
    e.ApprovalRequested: Projection.asked,
    e.ApprovalResolved: Projection.answered,
    e.Data: Projection.data,
    e.Source: Projection.source,
    e.File: Projection.file,
    e.RunProgress: Projection.progress,
    e.RunWaiting: Projection.waiting,
    e.Usage: Projection.used,
    e.StepCompleted: Projection.step_completed,
    e.StepFailed: Projection.step_failed,
    e.StepRetrying: Projection.step_retrying,
    e.RunAttempt: Projection.attempt,
    e.RunCompleted: Projection.last_words,
    e.RunCancelled: Projection.last_words,
    e.End: Projection.end,
}
