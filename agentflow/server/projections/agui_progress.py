"""What a run does besides speaking, as AG-UI tells it: its steps, and the child runs that it starts."""

from __future__ import annotations

from collections import Counter
from typing import Any

from agentflow.server.projections.agui_brackets import Brackets, Said, said
from agentflow.streams import events as e
from agentflow.streams.fold import Fold


class Progress:
    """Each verb takes an event that the fold has taken already, and returns what a client is told of it."""

    def __init__(self, fold: Fold, brackets: Brackets) -> None:
        self._fold = fold
        self._brackets = brackets
        self._names: dict[str, str] = {}
        self._counted: Counter[str] = Counter()
        self._recorded: set[str] = set()
        self._children: dict[str, Said] = {}
        self._known: set[str] = set()

    def step_started(self, event: e.StepStarted) -> list[Said]:
        return self._open(event.step, event.name, event.kind, event.attempt)

    def step_ended(self, event: e.StepCompleted | e.StepFailed) -> list[Said]:
        """A short step says only this: then it begins here, too."""
        told = self._open(event.step, event.name or event.step, event.kind, event.attempt)
        if isinstance(event, e.StepCompleted):
            self._recorded.add(event.step)
        return [*told, *self._brackets.close(_step(event.step))]

    def take_back(self) -> list[Said]:
        """Close the steps that a new attempt of the run has made void."""
        gone = [step for step in self._names if _step(step) in self._brackets and step not in self._fold.steps]
        return [event for step in gone for event in self._brackets.close(_step(step))]

    def _open(self, step: str, name: str, kind: str | None, attempt: int | None) -> list[Said]:
        if step in self._recorded or _step(step) in self._brackets:
            return []
        shown = self._shown(step, name)
        about: dict[str, Any] = {"step": step, "kind": kind, "attempt": attempt}
        metadata = {"agentflow": {key: value for key, value in about.items() if value is not None}}
        opening = [said("STEP_STARTED", stepName=shown, metadata=metadata)]
        return self._brackets.open(_step(step), opening, [said("STEP_FINISHED", stepName=shown)])

    def _shown(self, step: str, name: str) -> str:
        """The name of a step with its number: a client knows open steps by their names."""
        if step not in self._names:
            self._counted[name] += 1
            self._names[step] = f"{name}#{self._counted[name]}"
        return self._names[step]

    # -- child runs ----------------------------------------------------------------------------------------------------------------------

    def child_started(self, event: e.ChildStarted, call: str | None) -> list[Said]:
        if event.run in self._known:
            return []
        self._known.add(event.run)
        self._children[event.run] = said("SUBAGENT_STARTED", subagentRunId=event.run, name=event.name, parentToolCallId=call)
        return [self._children[event.run]]

    def child_finished(self, event: e.ChildFinished) -> list[Said]:
        began = self._children.pop(event.run, None)
        if began is None:
            return []
        if event.status == "completed":
            return [said("SUBAGENT_FINISHED", subagentRunId=event.run, outcome={"type": "success"})]
        return [_failed(event.run, began, event.status)]

    def children(self) -> list[Said]:
        """What tells a newcomer of the child runs that go on."""
        return list(self._children.values())

    def instead_of(self, before: Progress) -> list[Said]:
        """What tells a reader that has heard `before` of the child runs that go on here: one that has ended for it begins no more."""
        ended = before._known - before._children.keys()
        self._children = {run: began for run, began in self._children.items() if run not in ended}
        gone = {run: began for run, began in before._children.items() if run not in self._children}
        new = [began for run, began in self._children.items() if run not in before._known]
        self._known |= before._known
        return [*(_failed(run, began, "lost") for run, began in gone.items()), *new]

    def suspended(self) -> list[Said]:
        """What closes the child runs that go on while this stream does not."""
        return [said("SUBAGENT_FINISHED", subagentRunId=run, outcome={"type": "suspended"}) for run in self._children]

    def abandoned(self) -> list[Said]:
        """What closes the child runs that are not heard of any more."""
        gone, self._children = self._children, {}
        return [_failed(run, began, "cancelled") for run, began in gone.items()]


def _step(step: str) -> str:
    return f"step:{step}"


def _failed(run: str, began: Said, status: str) -> Said:
    return said("SUBAGENT_ERROR", subagentRunId=run, message=f"{began['name']} ended as {status}.", code=status)
