"""Tools for models, whoever runs the loop.

support = Agent("support", model=…, tools=[ai.tool(fulfil), ai.tool(refund, approval=True)])    # our loop
existing = pydantic_ai.Agent(…, tools=[ai.tool(fulfil).to_pydantic_ai()], capabilities=[Durability()])
response = await client.messages.create(…, tools=[ai.tool(fulfil).to_anthropic()])              # your loop
results = await ai.run_tools(response, [fulfil])
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from agentflow.agents.agent import Agent
from agentflow.agents.approval import Approval, ToolCall, decided, refusal
from agentflow.agents.handoff import Handoff
from agentflow.agents.tools import Tool, as_tool
from agentflow.clock import Duration, microseconds
from agentflow.engine.calls import in_thread
from agentflow.engine.context import StepCall, TaskContext, recording
from agentflow.errors import InvalidPayload, NotInRun, RunError
from agentflow.retry import Retry
from agentflow.serde import digest, dumps, result_codec
from agentflow.streams.events import ToolDenied, ToolError, ToolInput, ToolOutput

__all__ = ["Approval", "Handoff", "Tool", "handoff", "run_tools", "tool"]


def tool(
    target: Callable[..., Any],
    *,
    name: str | None = None,
    approval: Approval | bool = False,
    retry: Retry | None = None,
    timeout: Duration | None = None,
) -> Tool:
    """A task, step or function as a tool of a model.

    A task becomes a child run, with its own retries; a step or function becomes a step, tried by `retry` within `timeout` (a duration for
    one try). `approval` asks a person first: `True` for each call, or an `Approval`. `name` is what the model calls it (default: its own).

    Raises `DefinitionError` for what is not callable or has no name.

        tools=[ai.tool(research), ai.tool(refund, approval=Approval(when=lambda a: a.cents > 10_000))]
    """
    made = as_tool(target, name=name, approval=approval)
    options = made.options if retry is None else replace(made.options, retry=retry)
    return replace(made, options=options if timeout is None else replace(options, timeout=microseconds(timeout)))


def handoff(agent: Agent[Any] | str, *, description: str = "") -> Handoff:
    """A tool with which an agent hands the conversation over: the other one goes on in the same run, and its answer is the run's.

    It has its own instructions, tools and deps, and knows all that was said. `agent` is an `Agent`, or the name of one that is made later,
    so that two may hand over to each other; `description` is what the model is told of it. The next run of a thread begins again with the
    agent that it is started with.

        triage = Agent("triage", model=…, tools=[ai.handoff(billing), ai.handoff("support", description="For technical questions.")])
    """
    return Handoff(agent, description)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call in a response; `told` writes its result the way the response's API wants it back."""

    id: str
    tool: str
    arguments: str
    told: Callable[[str, bool], dict[str, Any]]


async def run_tools(response: Any, tools: Iterable[Any]) -> list[dict[str, Any]]:
    """Run the tool calls of a raw SDK response, all at once: tasks as child runs, the rest as steps, each once by the id of its call.

    `response` is a message of Anthropic, a response of OpenAI, or a chat completion; `tools` are those that may be called (`ai.tool(…)`, or
    tasks and functions). Returns the results in the shape that the next request wants. A response that did not stop for its tools has none:
    a call that was cut off is never run. A failed call, an unknown tool and arguments that do not fit are results that say so; suspensions
    wait until all calls are settled.

    Raises `NotInRun` outside of a run.
    """
    run = recording()
    if run is None:
        raise NotInRun("ai.run_tools() was called outside of a run.", hint="Call it from a task, between its steps.")
    known = {one.name: one for one in map(as_tool, tools)}
    calls = _calls(response)
    scope = str(getattr(response, "id", ""))
    settled = await asyncio.gather(*(_answer(run, known.get(call.tool), call, scope) for call in calls), return_exceptions=True)
    for one in settled:
        if isinstance(one, BaseException):
            raise one
    return [one for one in settled if not isinstance(one, BaseException)]


async def _answer(run: TaskContext, found: Tool | None, call: _Asked, scope: str) -> dict[str, Any]:
    run.publish(ToolInput(call.id, call.tool, _shown(call.arguments)))
    try:
        if found is None:
            raise InvalidPayload(f"There is no tool {call.tool!r}.")
        denied, result = await _perform(run, found, call, f"{scope}/{call.tool}:{call.id}")
    except (InvalidPayload, RunError) as error:
        run.publish(ToolError(call.id, {"code": error.code, "message": str(error)}))
        return call.told(str(error), True)
    run.publish(ToolDenied(call.id, result) if denied else ToolOutput(call.id, result))
    return call.told(result if isinstance(result, str) else dumps(result), denied)


async def _perform(run: TaskContext, found: Tool, call: _Asked, key: str) -> tuple[bool, Any]:
    payload = found.payload.check(call.arguments or "{}")
    if found.approval is not None:
        asked = ToolCall(call.id, call.tool, run.task, found.payload.arguments(payload)[1], json.loads(payload))
        decision = await decided(run, f"{key}/approval", asked, found.approval)
        if not decision.approved:
            return True, refusal(decision)
        if decision.edits and found.approval.can_edit:
            payload = found.payload.check(dumps(dict(decision.edits)))
    if found.task is not None:
        child = await found.task.child(key, payload, tool_call=call.id)
        return False, json.loads(found.task.codec.encode(child, what=f"the result of {call.tool}"))
    return False, await _step(run, found, payload, key)


async def _step(run: TaskContext, found: Tool, payload: str, key: str) -> Any:
    codec = result_codec(found.function)

    async def body() -> Any:
        positional, named = found.payload.arguments(payload)
        function = found.body
        if inspect.iscoroutinefunction(function):
            return await function(*positional, **named)
        return await in_thread(function, *positional, **named)

    result = await run.step(key, StepCall(found.name, body, codec, digest(payload), found.options))
    return json.loads(codec.encode(result, what=f"the result of {found.name}"))


def _shown(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def _calls(response: Any) -> list[_Asked]:
    if getattr(response, "choices", None):
        return _of_chat(response.choices[0])
    if hasattr(response, "output"):
        return _of_responses(response)
    return _of_anthropic(response)


def _of_anthropic(message: Any) -> list[_Asked]:
    if message.stop_reason != "tool_use":
        return []

    def told(call: str) -> Callable[[str, bool], dict[str, Any]]:
        return lambda text, failed: {"type": "tool_result", "tool_use_id": call, "content": text, "is_error": failed}

    blocks = [block for block in cast("Sequence[Any]", message.content) if block.type == "tool_use"]
    return [_Asked(block.id, block.name, json.dumps(block.input), told(block.id)) for block in blocks]


def _of_responses(response: Any) -> list[_Asked]:
    if response.status not in ("completed", None):
        return []

    def told(call: str) -> Callable[[str, bool], dict[str, Any]]:
        return lambda text, failed: {"type": "function_call_output", "call_id": call, "output": text}

    items = [item for item in cast("Sequence[Any]", response.output) if item.type == "function_call"]
    return [_Asked(item.call_id, item.name, item.arguments, told(item.call_id)) for item in items]


def _of_chat(choice: Any) -> list[_Asked]:
    if choice.finish_reason != "tool_calls":
        return []

    def told(call: str) -> Callable[[str, bool], dict[str, Any]]:
        return lambda text, failed: {"role": "tool", "tool_call_id": call, "content": text}

    calls = [call for call in cast("Sequence[Any]", choice.message.tool_calls or ()) if call.type == "function"]
    return [_Asked(call.id, call.function.name, call.function.arguments, told(call.id)) for call in calls]
