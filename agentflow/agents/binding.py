"""Our tools as pydantic-ai's, and an agent's settings as a pydantic-ai agent."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import ValidationError
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import StructuredDict
from pydantic_ai import Tool as PydanticTool
from pydantic_ai.exceptions import ModelRetry, RunCancelled
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import UsageLimits

from agentflow.agents.compaction import Compaction
from agentflow.agents.definition import Definition
from agentflow.agents.durability import Durability, patience
from agentflow.agents.handoff import Speaker
from agentflow.agents.messages import closed, written
from agentflow.agents.models import chosen
from agentflow.agents.options import AgentOptions, instructions_of, models_of
from agentflow.agents.prompt import Prompt
from agentflow.agents.recalling import recalled
from agentflow.agents.steering import Steering
from agentflow.agents.units import SETTINGS, ToolSettings, called_id, calling
from agentflow.engine.context import recording
from agentflow.engine.task import Task
from agentflow.errors import InvalidPayload, StepFailed
from agentflow.serde import failure


def build(name: str, output: Any, options: AgentOptions, tools: list[PydanticTool[Any]]) -> PydanticAgent[Any, Any]:
    """The pydantic-ai agent behind ours. Raises `ConfigurationError` for a model that does not exist."""
    retry, idle_timeout = patience(options)
    made: PydanticAgent[Any, Any] = PydanticAgent(
        chosen(models_of(options), options.get("base_url")),
        name=name,
        output_type=output,
        instructions=instructions_of(options),
        tools=tools,
        toolsets=list(options.get("toolsets", ())),
        model_settings=cast("ModelSettings | None", options.get("settings")),
        retries=options.get("corrections", 1),
        capabilities=[
            Durability(retry=retry, idle_timeout=idle_timeout, policy=options.get("policy")),
            Steering(),
            *options.get("capabilities", ()),
        ],
    )
    for validator in options.get("validators", ()):
        made.output_validator(validator)
    return made


def answer_of(schema: Mapping[str, Any]) -> Any:
    """The output type of an answer with that JSON schema, which is one of an object."""
    return StructuredDict(dict(schema), name="answer")


async def converse(speaker: Speaker, prompt: Prompt, turns: int | None, compact: Compaction | None) -> Any:
    """Drive one conversation to its result; in a thread, as its next turn: what was said before is known, what is said now is kept.

    A run that is stopped keeps what it said until then.
    """
    run = recording()
    limits = UsageLimits(request_limit=turns)
    if run is None or run.thread is None:
        return (await speaker.run(prompt, usage_limits=limits)).output
    before = await recalled(run, run.thread, speaker.agent, compact)
    try:
        result = await speaker.run(prompt, message_history=before, usage_limits=limits)
    except asyncio.CancelledError as stop:
        stopped = RunCancelled.from_cancellation(stop)
        said = [*speaker.said, *(one for one in ([] if stopped is None else stopped.new_messages()) if one.parts)]
        if run.cancelled is not None and said:
            await run.thread.append(written(closed(said)))
        raise
    await run.thread.append(written(result.new_messages()))
    return result.output


async def close(agent: PydanticAgent[Any, Any], options: AgentOptions) -> None:
    """Close the connections to those models that were given by name; others belong to who made them."""
    given = models_of(options)
    one_by_one = [given] if isinstance(given, (str, Model)) else given
    models = agent.model.models if isinstance(agent.model, FallbackModel) and len(one_by_one) > 1 else [agent.model]
    for one, model in zip(one_by_one, models, strict=True):
        client: Any = getattr(model, "client", None)
        if client is not None and isinstance(one, str):
            await client.close()


def bind(tool: Definition) -> PydanticTool[Any]:
    """The pydantic-ai tool of one of ours. A task runs in the agent's own code, which starts the child; all else is a step."""
    task = tool.task
    function = tool.body if task is None else _child(task, final=tool.errors != "raise")
    settings = ToolSettings(task is not None, tool.approval, tool.options, tool.errors, tool.limit, tool.idempotent, tool.home)
    description, strict = tool.description or None, tool.strict or None
    return PydanticTool(_unmistaken(function), name=tool.name, description=description, strict=strict, metadata={SETTINGS: settings})


def _unmistaken(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, without pydantic's errors: pydantic-ai takes each for bad arguments, tells it to the model and has the call made again.

    Arguments were checked before the call, so these are errors of the body, like any other.
    """

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except ValidationError as error:
            raise _of_body(error) from error

    @functools.wraps(function)
    def call_in_thread(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ValidationError as error:
            raise _of_body(error) from error

    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
    return call if is_async else call_in_thread


def _of_body(error: ValidationError) -> StepFailed:
    failed = failure(error)
    return StepFailed(f"{failed.type}: {failed.message}", error={"type": failed.type, "message": failed.message})


def _child(task: Task[..., Any], *, final: bool) -> Callable[..., Any]:
    @functools.wraps(task.function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        key = calling.get()
        if key is None:
            return await task.plain(*args, **kwargs)
        try:
            payload = task.payload.encode(args, kwargs)
        except InvalidPayload as error:
            raise ModelRetry(str(error)) from error
        return await task.child(key, payload, tool_call=called_id(key), final=final)

    return call
