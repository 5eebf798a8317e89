"""The tool calls that a loop of others makes in a run: each is answered once, and no error of one cuts off the work of another."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from agentflow.agents.calls import Answer, Call, answer, at_rest
from agentflow.agents.definition import Definition
from agentflow.engine.context import TaskContext
from agentflow.serde import digest, loads


@dataclass(eq=False, slots=True)
class Desk:
    """The calls of one run, in this process."""

    run: TaskContext
    _answers: dict[str, asyncio.Future[Answer]] = field(default_factory=dict[str, "asyncio.Future[Answer]"])
    _given: dict[str, str] = field(default_factory=dict[str, str])
    _counts: Counter[str] = field(default_factory=Counter[str])
    _coming: defaultdict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque[str]))

    def named(self, tool: str, call_id: str, arguments: str) -> Call:
        """A call with an id of its own. The same id again is the same call, unless it has other arguments."""
        key, given = f"tool/{tool}:{call_id}", digest(_value(arguments))
        if self._given.setdefault(key, given) != given:
            key = f"{key}.{given}"
        return Call(call_id, tool, arguments, key)

    def announce(self, tool: str, call_id: str, arguments: str) -> None:
        """A call with this id is about to come, without it."""
        self._coming[f"{tool}:{digest(_value(arguments))}"].append(call_id)

    def counted(self, tool: str, arguments: str) -> Call:
        """A call without an id: that of one that was announced, or else how many there were of this tool with these arguments."""
        given = f"{tool}:{digest(_value(arguments))}"
        if self._coming[given]:
            return self.named(tool, self._coming[given].popleft(), arguments)
        self._counts[given] += 1
        return Call(f"{given}#{self._counts[given]}", tool, arguments, f"tool/{given}#{self._counts[given]}")

    async def answer(self, found: Definition, call: Call) -> Answer:
        """The answer to a call: carried out, or what it was when it was asked before.

        An error or a suspension goes on when no step of the run's other calls is at work: these SDKs cancel them then, and what a step had
        done would be done again.
        """
        held = self._answers.get(call.key)
        if held is not None:
            return await asyncio.shield(held)
        future = self._answers[call.key] = asyncio.get_running_loop().create_future()
        try:
            ended = await answer(self.run, found, call)
        except BaseException as error:
            del self._answers[call.key]
            future.cancel()
            if not isinstance(error, asyncio.CancelledError):
                await at_rest(self.run)
            raise
        future.set_result(ended)
        return ended


_desks: WeakKeyDictionary[TaskContext, Desk] = WeakKeyDictionary()


def desk(run: TaskContext) -> Desk:
    """The desk of a run."""
    found = _desks.get(run)
    if found is None:
        found = _desks[run] = Desk(run)
    return found


def _value(arguments: str) -> object:
    try:
        return loads(arguments or "{}")
    except ValueError:
        return arguments
