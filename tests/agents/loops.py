"""The loops in which a model may call a tool of ours, each with one call, and what the model was told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import agents
from agents.testing import ScriptedModel, assistant_message, function_call
from anthropic.types import Message
from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, create_sdk_mcp_server
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.messages import ModelMessage, ToolReturnPart

from agentflow import Agent, Durability, ai, task
from agentflow.agents.tools import Tool
from agentflow.engine.task import Task
from agentflow.retry import Retry
from agentflow.testing.models import Said, call, scripted_model, text
from tests.agents.claude_cli import ScriptedCli

TWICE = Retry(attempts=2, initial=0, jitter=0)


@dataclass(frozen=True, slots=True)
class Told:
    """What the model was told of a call."""

    text: str
    failed: bool | None


@dataclass
class Loop:
    """A run in which the model makes calls of tools in one turn, and what it was told in the next; `marks` failures as such, or not."""

    task: Task[Any, Any]
    told: list[Told] = field(default_factory=list[Told])
    marks: bool = True

    def failure(self, told: str) -> Told:
        """A failure, as this loop tells it."""
        return Told(told, failed=True if self.marks else None)


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


def openai_sdk(tools: Sequence[Tool], calls: Sequence[tuple[str, Mapping[str, Any]]]) -> Loop:
    told: list[Told] = []
    asking = [function_call(name, dict(given), call_id=f"c{place}") for place, (name, given) in enumerate(calls)]

    @task(name="loop-openai-agents", retry=TWICE)
    async def loop_openai_agents(prompt: str) -> str:
        # Made anew at each replay: its turns stand for recorded ones.
        model = ScriptedModel([asking, [assistant_message("done")]])
        agent = agents.Agent(name="loop", model=model, tools=[one.to_openai_agents() for one in tools])
        result = await agents.Runner.run(agent, prompt, run_config=agents.RunConfig(tracing_disabled=True))
        heard: Any = model.calls[-1].input
        told[:] = [Told(one["output"], failed=None) for one in heard if one.get("type") == "function_call_output"]
        return str(result.final_output)

    return Loop(loop_openai_agents, told, marks=False)


def claude_sdk(tools: Sequence[Tool], calls: Sequence[tuple[str, Mapping[str, Any]]]) -> Loop:
    told: list[Told] = []

    @task(name="loop-claude", retry=TWICE)
    async def loop_claude(prompt: str) -> str:
        cli, said = ScriptedCli("tools", calls), list[Any]()
        server = create_sdk_mcp_server("tools", tools=[one.to_claude_agent_sdk() for one in tools])
        async with ClaudeSDKClient(ClaudeAgentOptions(mcp_servers={"tools": server}), transport=cli) as client:
            await client.query(prompt)
            said += [message async for message in client.receive_response()]
        told[:] = [Told(one["content"][0]["text"], failed=one["isError"]) for one in cli.results]
        return str(said[-1].result)

    return Loop(loop_claude, told)


LETTING_OUT: list[Make] = [our_agent, their_agent, own_loop, openai_sdk]
"""The loops in which an error of a tool can end the run."""

LOOPS: list[Make] = [*LETTING_OUT, claude_sdk]
