"""Our tools as pydantic-ai's, and an agent's settings as a pydantic-ai agent."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import Tool as PydanticTool
from pydantic_ai.exceptions import ModelRetry, RunCancelled, ToolFailed
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import UsageLimits

from agentflow.agents.compaction import Compaction
from agentflow.agents.durability import IDLE, Durability
from agentflow.agents.messages import closed, written
from agentflow.agents.models import MODEL_RETRY, named
from agentflow.agents.options import AgentOptions
from agentflow.agents.recalling import recalled
from agentflow.agents.steering import Steering
from agentflow.agents.units import SETTINGS, ToolSettings, called_id, calling
from agentflow.engine.context import recording
from agentflow.engine.task import Task
from agentflow.errors import InvalidPayload, RunError


def build(name: str, output: Any, options: AgentOptions, tools: list[PydanticTool[Any]]) -> PydanticAgent[None, Any]:
    """The pydantic-ai agent behind ours. Raises `ConfigurationError` for a model that does not exist."""
    durability = Durability(retry=options.get("model_retry") or MODEL_RETRY, idle_timeout=options.get("idle_timeout", IDLE))
    return PydanticAgent(
        named(options["model"], options.get("base_url")),
        name=name,
        output_type=output,
        instructions=options.get("instructions"),
        tools=tools,
        toolsets=list(options.get("toolsets", ())),
        model_settings=cast("ModelSettings | None", options.get("settings")),
        retries=options.get("corrections", 1),
        capabilities=[durability, Steering(), *options.get("capabilities", ())],
    )


async def converse(agent: PydanticAgent[None, Any], prompt: str, turns: int | None, compact: Compaction | None) -> Any:
    """Drive one conversation to its result; in a thread, as its next turn: what was said before is known, what is said now is kept.

    A run that is stopped keeps what it said until then.
    """
    run = recording()
    limits = UsageLimits(request_limit=turns)
    if run is None or run.thread is None:
        return (await agent.run(prompt, usage_limits=limits)).output
    before = await recalled(run, run.thread, agent, compact)
    try:
        result = await agent.run(prompt, message_history=before, usage_limits=limits)
    except asyncio.CancelledError as stop:
        stopped = RunCancelled.from_cancellation(stop)
        if run.cancelled is not None and stopped is not None:
            await run.thread.append(written(closed([one for one in stopped.new_messages() if one.parts])))
        raise
    await run.thread.append(written(result.new_messages()))
    return result.output


async def close(agent: PydanticAgent[None, Any]) -> None:
    """Close the connections to the provider."""
    client: Any = getattr(agent.model, "client", None)
    if client is not None:
        await client.close()


def bind(name: str, description: str, target: Callable[..., Any] | Task[..., Any], settings: ToolSettings) -> PydanticTool[Any]:
    """The pydantic-ai tool of a task or function. A task runs in the agent's own code, which starts the child; all else is a step."""
    inline = isinstance(target, Task)
    function = _child(cast("Task[..., Any]", target)) if inline else target
    metadata = {SETTINGS: replace(settings, inline=inline)}
    return PydanticTool(function, name=name, description=description or None, metadata=metadata)


def _child(task: Task[..., Any]) -> Callable[..., Any]:
    @functools.wraps(task.function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        key = calling.get()
        if key is None:
            return await task.plain(*args, **kwargs)
        try:
            return await task.child(key, task.payload.encode(args, kwargs), tool_call=called_id(key))
        except InvalidPayload as error:
            raise ModelRetry(str(error)) from error
        except RunError as error:
            # The child has used up its own retries: the model hears of it and can go another way.
            raise ToolFailed(str(error)) from error

    return call
