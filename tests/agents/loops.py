"""The loops in which a model may call a tool of ours, each with one call, and what the model was told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anthropic.types import Message
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.messages import ModelMessage, ToolReturnPart

from agentflow import Agent, Durability, ai, task
from agentflow.agents.tools import Tool
from agentflow.engine.task import Task
from agentflow.retry import Retry
from agentflow.testing.models import Said, call, scripted_model, text

TWICE = Retry(attempts=2, initial=0, jitter=0)


@dataclass(frozen=True, slots=True)
class Told:
    """What the model was told of a call."""

    text: str
    failed: bool


@dataclass
class Loop:
    """A run in which the model makes calls of tools in one turn, and what it was told in the next."""

    task: Task[Any, Any]
    told: list[Told] = field(default_factory=list[Told])


Make = Callable[[Sequence[Tool], Sequence[tuple[str, Mapping[str, Any]]]], Loop]


def asked(calls: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Said]:
    return [call(name, arguments, id=f"c{place}") for place, (name, arguments) in enumerate(calls)]


def _heard(into: list[Told]) -> Callable[[list[ModelMessage]], Sequence[Said]]:
    def listen(messages: list[ModelMessage]) -> Sequence[Said]:
        parts = [part for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
        into[:] = [Told(str(part.content), part.outcome != "success") for part in parts]
        return [text("done")]

    return listen


def our_agent(tools: Sequence[Tool], calls: Sequence[tuple[str, Mapping[str, Any]]]) -> Loop:
    told: list[Told] = []
    model = scripted_model(asked(calls), _heard(told))
    return Loop(Agent("loop-agent", model=model, tools=list(tools), retry=TWICE), told)


def their_agent(tools: Sequence[Tool], calls: Sequence[tuple[str, Mapping[str, Any]]]) -> Loop:
    told: list[Told] = []
    model = scripted_model(asked(calls), _heard(told))
    existing = PydanticAgent(model, name="loop", tools=[one.to_pydantic_ai() for one in tools], capabilities=[Durability()])

    @task(name="loop-pydantic-ai", retry=TWICE)
    async def loop_pydantic_ai(prompt: str) -> str:
        return (await existing.run(prompt)).output

    return Loop(loop_pydantic_ai, told)


def own_loop(tools: Sequence[Tool], calls: Sequence[tuple[str, Mapping[str, Any]]]) -> Loop:
    told: list[Told] = []
    blocks = [{"type": "tool_use", "id": f"c{place}", "name": name, "input": dict(given)} for place, (name, given) in enumerate(calls)]
    usage = {"input_tokens": 1, "output_tokens": 1}
    said = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use", "usage": usage}
    response = Message.model_validate({**said, "content": blocks})

    @task(name="loop-own", retry=TWICE)
    async def loop_own(prompt: str) -> str:
        results = await ai.run_tools(response, tools)
        told[:] = [Told(one["content"], one["is_error"]) for one in results]
        return "done"

    return Loop(loop_own, told)


LOOPS: list[Make] = [our_agent, their_agent, own_loop]
