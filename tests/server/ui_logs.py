"""Logs of runs as agents write them, with what may go wrong: tries that fail, workers that die, people asked, words told twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from agentflow.streams import events as e
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor

Draw = st.DrawFn
WORDS = st.lists(st.sampled_from(["a", "bc", "d ", "é", "\n\n", "data: x"]), min_size=1, max_size=4)


@dataclass
class Script:
    """A log as it grows."""

    draw: Draw
    log: list[StoredEvent] = field(default_factory=list[StoredEvent])
    epoch: int = 1
    seq: int = -1
    calls: int = 0

    def say(self, *events: e.Event) -> None:
        for event in events:
            self.seq += 1
            self.log.append(StoredEvent(Cursor(self.epoch, self.seq), len(self.log), event))

    def lease(self, reason: str, supersedes: tuple[str, ...] = ()) -> None:
        """Another epoch begins."""
        self.epoch, self.seq = self.epoch + 1, -1
        self.say(e.RunAttempt(self.epoch, reason, 1, supersedes))

    def flip(self) -> bool:
        return self.draw(st.booleans())


def part_of(script: Script, step: str, name: str) -> list[e.Event]:
    words = script.draw(WORDS)
    if script.flip():
        return [e.TextStart(name, step=step), *(e.TextDelta(name, word) for word in words), e.TextEnd(name)]
    return [e.ReasoningStart(name, step=step), *(e.ReasoningDelta(name, word) for word in words), e.ReasoningEnd(name)]


def call_of(script: Script, step: str, id: str) -> list[e.Event]:
    written = e.ToolInput(id, "look_up", {"order": id}, step=step)
    if script.flip():
        return [e.ToolInputStart(id, "look_up", step=step), e.ToolInputDelta(id, '{"order":'), e.ToolInputDelta(id, f'"{id}"}}'), written]
    return [written]


def whole(events: list[e.Event]) -> list[e.Event]:
    """The same as a transcript has it: deltas of inputs are left out, those of a part are one."""
    told: list[Any] = []
    for event in events:
        last: Any = told[-1] if told else None
        if isinstance(event, e.ToolInputDelta):
            continue
        if isinstance(event, (e.TextDelta, e.ReasoningDelta)) and type(last) is type(event) and last.part == event.part:
            told[-1] = type(event)(event.part, last.delta + event.delta)
        else:
            told.append(event)
    return told


def model_turn(script: Script, number: int) -> list[str]:
    """One request of the model, after so many tries; returns the calls that it asked for."""
    step, tries = f"turn:{number}", 1
    while True:
        parts = [f"{step}.{tries}.{place}" for place in range(script.draw(st.integers(1, 2)))]
        calls = [f"c{number}.{script.calls + place}" for place in range(script.draw(st.integers(0, 2)))]
        words = [event for part in parts for event in part_of(script, step, part)]
        words += [event for id in calls for event in call_of(script, step, id)]
        if script.flip():
            words.insert(
                script.draw(st.integers(0, len(words))), e.Data("note", tries, id=script.draw(st.sampled_from([None, "n"])), step=step)
            )
        done = e.StepCompleted(step, "llm", "llm", tries)
        script.say(e.StepStarted(step, "llm", "llm", tries))
        fate = script.draw(st.sampled_from(["fine", "fine", "fine", "fails", "dies", "dies recorded"]))
        if fate == "fine":
            script.say(*words, done)
            if script.flip():
                again(script, step, words, done)
            break
        heard = words[: script.draw(st.integers(0, len(words)))]
        script.say(*heard)
        if fate == "fails":
            script.say(e.StepRetrying(step, tries + 1, None, 0, (*parts, *calls)))
        else:
            script.lease("worker_lost", (step,) if script.flip() else ())
        if fate == "dies recorded":
            script.say(e.StepStarted(step, "llm", "llm", tries), *whole(words), done)
            break
        tries = tries + 1 if fate == "fails" else 1
        script.calls += len(calls)
    script.calls += len(calls)
    return calls


def again(script: Script, step: str, words: list[e.Event], done: e.Event) -> None:
    """A new holder cannot see what was said, and says it again."""
    script.lease("resume")
    script.say(e.StepStarted(step, "llm", "llm"), *whole(words), done)


def outcome(script: Script, id: str) -> e.Event:
    kinds = (e.ToolOutput(id, f"about {id}"), e.ToolError(id, {"code": "failed", "message": "no"}), e.ToolDenied(id, "no"))
    return script.draw(st.sampled_from(kinds))


def child_of(script: Script, id: str) -> None:
    """A call is a child run, which may ask: the run waits for it, and is asked with it."""
    script.say(e.ChildStarted(f"run_{id}", "look_up", id), e.RunWaiting("child", (f"wp_{id}",)))
    asked = [f"below:{id}:{number}" for number in range(script.draw(st.integers(0, 2)))]
    for question in asked:
        script.say(e.ApprovalRequested(question, "Publish?", call=id, run=f"run_{id}"))
    for question in script.draw(st.permutations(asked)):
        decision = script.draw(st.sampled_from(["approved", "denied", "cancelled"]))
        script.say(e.ApprovalResolved(question, decision, run=f"run_{id}"))
    script.lease("resume")


def tool_calls(script: Script, calls: list[str]) -> None:
    """The calls of a turn, some of which a person is asked about."""
    asked = [id for id in calls if script.flip()]
    for id in asked:
        script.say(e.ApprovalRequested(f"wp:{id}", "May it?", call=id, step=f"{id}/approval"))
    if asked:
        script.say(e.RunWaiting("approval", tuple(f"wp:{id}" for id in asked)))
        for id in asked:
            script.say(e.ApprovalResolved(f"wp:{id}", script.draw(st.sampled_from(["approved", "denied", "expired"])), by="maria"))
        script.lease("resume")
    for id in script.draw(st.permutations(calls)):
        step = f"{id}/tool"
        if script.flip():
            child_of(script, id)
        script.say(e.StepStarted(step, "look_up", "tool"), outcome(script, id), e.StepCompleted(step, "look_up", "tool"))
        if id in asked and script.flip():
            script.say(e.ApprovalResolved(f"wp:{id}", "approved"))


@st.composite
def logs(draw: Draw) -> list[StoredEvent]:
    """The log of a run from its first event to its last."""
    script = Script(draw)
    script.say(e.RunStarted("support"))
    for number in range(1, draw(st.integers(1, 3)) + 1):
        tool_calls(script, model_turn(script, number))
        if script.flip():
            script.say(e.RunProgress({"stage": number}))
    end = draw(st.sampled_from(["completed", "completed", "failed", "cancelled"]))
    last = {"completed": e.RunCompleted("done"), "failed": e.RunFailed({"code": "error"}), "cancelled": e.RunCancelled(reason="enough")}
    script.say(last[end], e.End(end))
    return script.log
