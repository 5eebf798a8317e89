"""Logs that a run may leave: turns that speak, tries that fail, workers that are lost, people who are asked, tellings that repeat."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from agentflow.streams import events as e
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor

WORDS = ("a", "bc", " d", "\n", "é", '"')
VALUES: tuple[Any, ...] = ({}, {"order": "o-1"}, {"n": [1, None, "x"]})


@dataclass
class Part:
    """Something that a turn says: its first event, its deltas, and its last event, if it got that far."""

    id: str
    start: e.Event
    deltas: list[e.Event]
    end: e.Event | None

    @property
    def events(self) -> list[e.Event]:
        return [self.start, *self.deltas, *([self.end] if self.end else [])]

    @property
    def retold(self) -> list[e.Event]:
        """What a transcript keeps of it: whole parts, and of an input only the last word."""
        text = "".join(getattr(delta, "delta", "") for delta in self.deltas)
        kept: list[e.Event] = []
        if text and isinstance(self.start, e.TextStart):
            kept = [e.TextDelta(self.id, text)]
        elif text and isinstance(self.start, e.ReasoningStart):
            kept = [e.ReasoningDelta(self.id, text)]
        return [self.start, *kept, *([self.end] if self.end else [])]


@dataclass
class Writer:
    """Writes a log."""

    draw: st.DrawFn
    epoch: int = 1
    seq: int = 0
    log: list[StoredEvent] = field(default_factory=list[StoredEvent])
    asked: int = 0
    calls: int = 0
    late: list[str] = field(default_factory=list[str])

    def say(self, *events: e.Event) -> None:
        for event in events:
            self.log.append(StoredEvent(Cursor(self.epoch, self.seq), 1_000 + len(self.log), event))
            self.seq += 1

    def lease(self, reason: str, void: tuple[str, ...] = ()) -> None:
        self.epoch, self.seq = self.epoch + 1, 0
        self.say(e.RunAttempt(self.epoch, reason, 1, void))

    def chance(self, of: int) -> bool:
        # The simplest log is one in which nothing happens.
        return self.draw(st.integers(1, of)) == of

    # -- a turn of the model -------------------------------------------------------------------------------------------------------------

    def turn(self, number: int, *, last: bool) -> list[Part]:
        """A model's turn, tried until it is recorded; returns its calls."""
        step, attempt = f"agent#0/turn:{number}", 1
        while self.chance(3):
            parts = self.attempt(step, attempt, last=False, whole=False)
            if self.chance(2):
                named = tuple(part.id for part in parts) if self.chance(2) else ()
                self.say(e.StepRetrying(step, attempt + 1, {"type": "TimeoutError", "message": "gone"}, 10, named))
                attempt += 1
            else:
                reason = self.draw(st.sampled_from(("worker_lost", "resume")))
                self.lease(reason, (step,) if self.chance(2) else ())
        parts = self.attempt(step, attempt, last=last, whole=True)
        if self.chance(3):
            # Recorded, but the worker was lost before it said so.
            self.lease("worker_lost", (step,) if self.chance(2) else ())
            self.retell(step, attempt, parts)
        else:
            self.say(*self.recorded(step, attempt))
            if self.chance(5):
                self.lease("resume")
                self.retell(step, attempt, parts)
        return [part for part in parts if isinstance(part.start, e.ToolInputStart)]

    def attempt(self, step: str, attempt: int, *, last: bool, whole: bool) -> list[Part]:
        message = f"{step}.{attempt}"
        self.say(e.StepStarted(step, "llm", "llm", attempt), e.MessageStarted(message, step=step))
        kinds = self.draw(st.lists(st.sampled_from(("text", "thought", *(() if last else ("call",)))), max_size=4))
        parts = [self.part(kind, step, message, index, whole=whole) for index, kind in enumerate(kinds)]
        told = [part.events for part in parts]
        if len(told) > 1 and self.chance(4):
            first, second, *rest = told
            told = [[event for pair in zip(first, second, strict=False) for event in pair], *rest]
            short = min(len(first), len(second))
            told.insert(1, [*first[short:], *second[short:]])
        flat = [event for events in told for event in events]
        self.say(*(flat if whole else flat[: self.draw(st.integers(0, len(flat)))]))
        return parts

    def part(self, kind: str, step: str, message: str, index: int, *, whole: bool) -> Part:
        deltas = self.draw(st.lists(st.sampled_from(WORDS), max_size=3))
        id = f"{message}.{index}"
        if kind == "text":
            return Part(id, e.TextStart(id, message, step), [e.TextDelta(id, one) for one in deltas], e.TextEnd(id))
        if kind == "thought":
            end = e.ReasoningEnd(id, "sig" if self.chance(2) else None)
            return Part(id, e.ReasoningStart(id, message, step), [e.ReasoningDelta(id, one) for one in deltas], end)
        self.calls += 1
        call, value = f"c{self.calls}", self.draw(st.sampled_from(VALUES))
        written: list[e.Event] = [e.ToolInputDelta(call, '{"order"'), e.ToolInputDelta(call, ': "o-1"}')] if self.chance(2) else []
        return Part(
            call, e.ToolInputStart(call, "look_up", message, step), written, e.ToolInput(call, "look_up", value, "server", message, step)
        )

    def recorded(self, step: str, attempt: int) -> list[e.Event]:
        used = e.Usage(step, "test", "scripted", input=10, output=self.draw(st.integers(0, 5)), cost=0.5)
        return [used, e.StepCompleted(step, "llm", "llm", attempt)]

    def retell(self, step: str, attempt: int, parts: list[Part]) -> None:
        self.say(e.StepStarted(step, "llm", "llm", attempt), e.MessageStarted(f"{step}.{attempt}", step=step))
        for part in parts:
            self.say(*part.retold)
        self.say(*self.recorded(step, attempt))

    # -- its tools -----------------------------------------------------------------------------------------------------------------------

    def tools(self, number: int, calls: list[Part]) -> None:
        asking = [part.id for part in calls if self.chance(2)]
        if asking:
            self.ask(asking)
        late, self.late = self.late, []
        for part in calls:
            # What a provider's own tool returns may come after the words that follow.
            if self.chance(4):
                self.late.append(part.id)
            else:
                self.tool(number, part.id)
        for call in late:
            self.tool(number - 1, call)

    def ask(self, calls: list[str]) -> None:
        pending: list[str] = []
        for call in calls:
            self.asked += 1
            pending.append(f"wp_{self.asked}")
            self.say(e.ApprovalRequested(pending[-1], "Really?", "tool", call, f"step/{call}", {"a": 1}, can_edit=self.chance(2)))
        while pending:
            if self.chance(2):
                self.say(e.RunWaiting("approval", tuple(pending), 9_999))
                if self.chance(3):
                    self.lease("resume")
                    continue
            self.say(e.ApprovalResolved(pending.pop(0), self.draw(st.sampled_from(("approved", "denied", "expired"))), "maria"))
            if self.chance(2):
                self.lease("resume")

    def tool(self, number: int, call: str) -> None:
        step, name = f"agent#0/turn:{number}/look_up:{call}", "look_up"
        if self.chance(2):
            self.say(e.StepStarted(step, name, "tool"))
        if self.chance(3):
            self.say(e.ChildStarted(f"run_{call}", "fulfil", call, step))
            if self.chance(3):
                self.lease("worker_lost")
                if self.chance(2):
                    self.say(e.ChildStarted(f"run_{call}", "fulfil", call, step))
            if not self.chance(4):
                self.say(e.ChildFinished(f"run_{call}", self.draw(st.sampled_from(("completed", "failed"))), call, step))
        if self.chance(3):
            self.say(e.ToolOutput(call, "half", preliminary=True))
        ends: list[e.Event] = [
            e.ToolOutput(call, self.draw(st.sampled_from((None, "done", {"km": 3})))),
            e.ToolError(call, {"code": "failed", "message": "no stock"}),
            e.ToolDenied(call, "no"),
        ]
        end = self.draw(st.sampled_from(ends))
        self.say(*([end, end] if self.chance(5) else [end]), e.StepCompleted(step, name, "tool"))

    def aside(self) -> None:
        """Something that belongs to no turn."""
        asides: list[list[e.Event]] = [
            [e.RunProgress({"stage": "packing"})],
            [e.Data("note", self.draw(st.sampled_from((None, 3, {"x": None}))), "n1")],
            [e.Source("https://example.org"), e.File("https://example.org/a.pdf", "application/pdf")],
            [e.StepStarted("charge#0", "charge"), e.StepFailed("charge#0", {"message": "no"}, "charge")],
            [e.RunWaiting("timer", ("wp_t",), 5)],
        ]
        self.say(*self.draw(st.sampled_from(asides)))


@st.composite
def logs(draw: st.DrawFn) -> list[StoredEvent]:
    """The whole log of a run that has ended."""
    writer = Writer(draw)
    writer.say(e.RunStarted("agent"))
    turns = draw(st.integers(1, 3))
    for number in range(1, turns + 1):
        if writer.chance(3):
            writer.aside()
        writer.tools(number, writer.turn(number, last=number == turns))
    for call in writer.late:
        writer.tool(turns, call)
    outcomes: list[tuple[e.Event, str]] = [
        (e.RunCompleted("done"), "completed"),
        (e.RunCompleted(None), "completed"),
        (e.RunFailed({"code": "error", "message": "broke"}), "failed"),
        (e.RunCancelled("maria", "enough"), "cancelled"),
    ]
    outcome, status = draw(st.sampled_from(outcomes))
    writer.say(outcome, e.End(status))
    return writer.log
