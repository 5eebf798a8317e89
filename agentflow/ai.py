"""Tools for models, whoever runs the loop.

support = Agent("support", model=…, tools=[ai.tool(fulfil), ai.tool(refund, approval=True)])    # our loop
existing = pydantic_ai.Agent(…, tools=[ai.tool(fulfil).to_pydantic_ai()], capabilities=[Durability()])
response = await client.messages.create(…, tools=[ai.tool(fulfil).to_anthropic()])              # your loop
results = await ai.run_tools(response, [fulfil])
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Unpack, cast

from agentflow.agents import answers
from agentflow.agents.agent import Agent
from agentflow.agents.approval import Approval
from agentflow.agents.calls import Answer, Call, answer
from agentflow.agents.handoff import Handoff
from agentflow.agents.tools import Tool, ToolOptions, as_tool
from agentflow.engine.context import recording
from agentflow.errors import NotInRun

__all__ = ["Approval", "Handoff", "Tool", "claude_hooks", "handoff", "read_result", "run_tools", "tool"]


def tool(target: Callable[..., Any] | Tool, **options: Unpack[ToolOptions]) -> Tool:
    """A task, agent, step or function as a tool of a model.

    A task or an agent becomes a child run, with its own retries; a step or function becomes a step, tried by `retry` within `timeout` (a
    duration for one try). Inside of it `context().idempotency_key` is the same text however often the call is carried out again.

    What the model sees: `name` (default: its own), `description` (default: the docstring without its sections on arguments and errors),
    and a schema from the annotations, with the docstring's words for each argument or those of `Annotated[…, Field(description=…)]`. An
    agent has one argument, its prompt. `strict` has the provider enforce the schema; the model must then give each argument, also one
    that has a default.

    `approval` asks a person first: `True` for each call, or an `Approval`. What they agreed to is what runs, and once: where arguments
    change on their way to the tool they are asked again, and after a crash in the middle of the call they are asked what became of it,
    unless it is `idempotent`: then it runs again, with the same key. A task is one run in any case.

    `limit` is how many bytes of a result the model is told (default 32 KiB, None for all): of a longer one it sees the beginning and the
    end, and reads on with `read_result`.

    `errors` says what becomes of an error. `TellModel`, a refusal and arguments that do not fit are always told. Of any other error,
    `"raise"` raises it in the run that asked for the call (the default of functions and steps), `"hide"` tells the model that the tool
    failed and nothing else (of tasks and agents), `"show"` tells it the error's type and message. What the model was told stays told: a
    later attempt of the run does not call again.

    Raises `DefinitionError` for what is not callable or has no name, and for what `strict` cannot say.

        tools=[ai.tool(research), ai.tool(refund, approval=Approval(when=lambda a: a.cents > 10_000))]
    """
    return as_tool(target, **options)


read_result = Tool(answers.read_result, "read_result", limit=None)
"""The tool with which a model reads on in a result that was too long to be told. Agents and `Durability` have it by themselves."""


def claude_hooks() -> dict[Any, Any]:
    """Hooks for `ClaudeAgentOptions(hooks=…)`, with which calls of `to_claude_agent_sdk()` tools have the ids that the model gave them.

    Raises `ConfigurationError` where the Claude Agent SDK is missing.

        shop = create_sdk_mcp_server("shop", tools=[ai.tool(refund).to_claude_agent_sdk()])
        options = ClaudeAgentOptions(mcp_servers={"shop": shop}, hooks=ai.claude_hooks())
    """
    from agentflow.agents.foreign import claude

    return claude.hooks()


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
    told: Callable[[Answer], dict[str, Any]]


async def run_tools(response: Any, tools: Iterable[Any]) -> list[dict[str, Any]]:
    """Run the tool calls of a raw SDK response, all at once: tasks as child runs, the rest as steps, each once by the id of its call.

    `response` is a message of Anthropic, a response of OpenAI, or a chat completion; `tools` are those that may be called (`ai.tool(…)`, or
    tasks and functions). Returns the results in the shape that the next request wants. A response that did not stop for its tools has none:
    a call that was cut off is never run. An unknown tool, arguments that do not fit and errors that are for the model (see `errors` of
    `tool`) are results that say so; anything else is raised, when all calls are settled. Give `ai.read_result` to the model and among
    `tools` for results that are too long.

    Raises `NotInRun` outside of a run.
    """
    run = recording()
    if run is None:
        raise NotInRun("ai.run_tools() was called outside of a run.", hint="Call it from a task, between its steps.")
    known = {one.name: one for one in map(as_tool, tools)}
    asked = _calls(response)
    scope = str(getattr(response, "id", ""))
    calls = [Call(one.id, one.tool, one.arguments, f"{scope}/{one.tool}:{one.id}") for one in asked]
    settled = await asyncio.gather(*(answer(run, known.get(call.tool), call) for call in calls), return_exceptions=True)
    for one in settled:
        if isinstance(one, BaseException):
            raise one
    return [one.told(ended) for one, ended in zip(asked, settled, strict=True) if not isinstance(ended, BaseException)]


def _calls(response: Any) -> list[_Asked]:
    if getattr(response, "choices", None):
        return _of_chat(response.choices[0])
    if hasattr(response, "output"):
        return _of_responses(response)
    return _of_anthropic(response)


def _of_anthropic(message: Any) -> list[_Asked]:
    if message.stop_reason != "tool_use":
        return []

    def told(call: str) -> Callable[[Answer], dict[str, Any]]:
        return lambda said: {"type": "tool_result", "tool_use_id": call, "content": said.text, "is_error": said.failed}

    blocks = [block for block in cast("Sequence[Any]", message.content) if block.type == "tool_use"]
    return [_Asked(block.id, block.name, json.dumps(block.input), told(block.id)) for block in blocks]


def _of_responses(response: Any) -> list[_Asked]:
    if response.status not in ("completed", None):
        return []

    def told(call: str) -> Callable[[Answer], dict[str, Any]]:
        return lambda said: {"type": "function_call_output", "call_id": call, "output": said.text}

    items = [item for item in cast("Sequence[Any]", response.output) if item.type == "function_call"]
    return [_Asked(item.call_id, item.name, item.arguments, told(item.call_id)) for item in items]


def _of_chat(choice: Any) -> list[_Asked]:
    if choice.finish_reason != "tool_calls":
        return []

    def told(call: str) -> Callable[[Answer], dict[str, Any]]:
        return lambda said: {"role": "tool", "tool_call_id": call, "content": said.text}

    calls = [call for call in cast("Sequence[Any]", choice.message.tool_calls or ()) if call.type == "function"]
    return [_Asked(call.id, call.function.name, call.function.arguments, told(call.id)) for call in calls]
