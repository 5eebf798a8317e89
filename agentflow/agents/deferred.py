"""What an agent cannot answer itself: calls that wait for a person, calls whose result comes from elsewhere, events from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

from pydantic import JsonValue
from pydantic_ai.durable_exec import ExternalEventError, ExternalEventWaiter
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, ToolApproved, ToolDenied

from agentflow.agents.approval import Approval, ToolCall, decided, denial, refusal
from agentflow.agents.consent import consent_of, stopped
from agentflow.agents.events import plain, read
from agentflow.agents.units import Loop, call_place
from agentflow.engine.context import StepCall, StepOptions, WaitRequest, WaitResult
from agentflow.engine.waits import Decision
from agentflow.policy import Policy
from agentflow.records import WaitKind, WaitState
from agentflow.retry import Retry
from agentflow.serde import ANY, decode_failure, loads
from agentflow.streams import events
from agentflow.streams.events import ToolOutput

_ASK = StepOptions(retry=Retry(attempts=5))


class Questions:
    """The deferred calls of one turn: approvals are asked of people, results of others are waited for, all at once."""

    def __init__(self, loop: Loop, agent: str, turn: int, policy: Policy | None = None) -> None:
        self._loop = loop
        self._agent = agent
        self._turn = turn
        self._policy = policy

    async def answers(self, requests: DeferredToolRequests) -> DeferredToolResults:
        """What was answered, each at its own call."""
        asked: list[Coroutine[Any, Any, None]] = []
        results = DeferredToolResults()
        asked += [self._approval(part, results) for part in requests.approvals]
        asked += [self._result(part, requests.metadata.get(part.tool_call_id), results) for part in requests.calls]
        # A suspension of one question must not cut off the others, which would not be asked then.
        for one in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(one, BaseException):
                raise one
        return results

    async def _approval(self, part: ToolCallPart, results: DeferredToolResults) -> None:
        call = ToolCall(part.tool_call_id, part.tool_name, self._agent, {}, read(part))
        settled = await decided(self._loop.task, self._loop.key(f"{self._place(part)}/approval"), call, Approval(), self._policy)
        answer = settled.decision
        if not answer.approved:
            results.approvals[call.id] = await self._denied(part, answer)
            return
        edits = None if answer.edits is None else dict(answer.edits)
        if edits is not None and edits != call.shown:
            self._loop.edited.add(call.id)
        results.approvals[call.id] = ToolApproved(override_args=edits)
        self._loop.consents[call.id] = consent_of(call, Approval(), settled, edits or call.shown)

    async def _denied(self, part: ToolCallPart, answer: Decision) -> ToolDenied:
        loop, call = self._loop, part.tool_call_id
        loop.settled.add(call)
        await loop.tell(loop.key(f"{self._place(part)}/told"), part.tool_name, events.ToolDenied(call, denial(answer)))
        return ToolDenied(refusal(answer)) if not answer.stop else await loop.task.stop(stopped(answer))

    async def _result(self, part: ToolCallPart, details: dict[str, Any] | None, results: DeferredToolResults) -> None:
        key, name, call = self._loop.key(f"{self._place(part)}/result"), part.tool_name, part.tool_call_id
        subject = {"kind": "tool", "title": f"The result of {name}", "body": read(part), "agent": self._agent, "tool": name, "call": call}
        if details:
            subject["details"] = plain(details)
        ended = await self._loop.task.wait(key, WaitRequest(kind=WaitKind.CALLBACK, subject=subject))
        results.calls[call] = answer_of(ended)
        await self._loop.tell(f"{key}/told", name, ToolOutput(call, results.calls[call]))

    def _place(self, part: ToolCallPart) -> str:
        return call_place(self._turn, part.tool_name, part.tool_call_id)


class Waiter(ExternalEventWaiter):
    """Events from outside as waitpoints of the run: its id is the token, and whoever has it answers with `app.waitpoints.answer`."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    async def wait(self, name: str, *, ask: Callable[[str], Awaitable[JsonValue]], timeout: timedelta | None) -> JsonValue:
        run, key = self._loop.task, self._loop.key(f"event:{name}")
        due = None if timeout is None else timeout // timedelta(microseconds=1)
        request = WaitRequest(kind=WaitKind.CALLBACK, subject={"kind": "event", "title": name}, due_after=due)
        token = await run.open(key, request)
        at_once = await run.step(f"{key}/ask", StepCall(f"{name}.ask", lambda: ask(token), ANY, "", _ASK))
        return answer_of(await run.wait(key, request)) if at_once is None else at_once


def answer_of(ended: WaitResult) -> Any:
    """The value that somebody answered with. Raises `ExternalEventError` when nobody did."""
    if ended.state is WaitState.ANSWERED:
        return loads(ended.answer or "null")
    if ended.state is WaitState.FAILED and ended.answer:
        raise ExternalEventError(decode_failure(ended.answer).message)
    what = "was not answered in time" if ended.state is WaitState.TIMED_OUT else "was cancelled"
    raise ExternalEventError(f"{ended.id} {what}.")
