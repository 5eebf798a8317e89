"""The capability that makes a pydantic-ai agent durable."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable
from dataclasses import dataclass, replace
from typing import Any, cast

from pydantic import ValidationError
from pydantic_ai import RunContext, Tool
from pydantic_ai.capabilities import WrapRunHandler
from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    DurabilityEngineSpec,
    DurableOperationBackend,
    conversation_id_from_run_id,
    replay_scope,
)
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred, ModelRetry
from pydantic_ai.exceptions import ToolFailed as Failed
from pydantic_ai.messages import AgentStreamEvent, ToolCallPart, ToolReturn, is_multi_modal_content
from pydantic_ai.models import Model
from pydantic_ai.run import AgentRunResult
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, ToolApproved, ToolDenied
from pydantic_ai.toolsets import AbstractToolset, FunctionToolset, ToolsetTool, WrapperToolset

from agentflow.agents.answers import keeps, read_result, shortened
from agentflow.agents.approval import Approval, ToolCall, decided, refusal
from agentflow.agents.events import plain, read
from agentflow.agents.models import MODEL_RETRY
from agentflow.agents.units import SETTINGS, Backend, Loop, ToolSettings, call_place, calling, loops, narrator
from agentflow.clock import Duration, microseconds
from agentflow.engine.context import StepOptions, recording
from agentflow.engine.waits import Decision
from agentflow.errors import UnserializableValue
from agentflow.retry import Retry
from agentflow.serde import dumps
from agentflow.streams import events

IDLE: Duration = "5m"
"""How long a model may say nothing before its request is tried again."""


def _unserializable(error: Exception) -> BaseException:
    return UnserializableValue(
        f"A tool's result cannot be stored: {error}", hint="Return JSON types, pydantic models or dataclasses from tools."
    )


class Durability(BaseDurabilityCapability[Any]):
    """Makes a pydantic-ai agent durable inside a task: model requests, tool and MCP calls are steps, tokens go to the run's stream.

    `models` are the model objects that a run may switch to by name; `retry` is how a model request is tried (default: 5 times, for
    failures that another try can cure), `idle_timeout` how long a model may say nothing. `name` is needed if the agent has none.
    Outside of a run the agent works as if the capability were not there.

        existing = pydantic_ai.Agent("anthropic:claude-sonnet-4-6", name="support", capabilities=[Durability()])
    """

    engine_spec = DurabilityEngineSpec(
        engine_name="agentflow",
        durable_unit_noun="step",
        durable_container_noun="run",
        codec=JSON_CODEC,
        serialization_failure=_unserializable,
        toolset_lifecycles={"function": "enter-always", "mcp": "enter-in-durable-unit", "dynamic": "enter-never"},
        unsupported_runtime_toolset_kinds=frozenset({"function", "mcp", "dynamic"}),
        tool_config_key=SETTINGS,
    )

    def __init__(
        self,
        *,
        models: dict[str, Model] | None = None,
        name: str | None = None,
        retry: Retry = MODEL_RETRY,
        idle_timeout: Duration = IDLE,
    ) -> None:
        super().__init__(models=models, event_stream_handler=_narrate, name=name)
        self._model_options = StepOptions(kind="llm", retry=retry, idle_timeout=microseconds(idle_timeout))

    @property
    def in_durable_context(self) -> bool:
        """Whether a run records what happens here."""
        return recording() is not None

    @property
    def has_wrap_run_event_stream(self) -> bool:
        """Models are streamed inside a run; outside nothing changes."""
        return self.in_durable_context

    def get_durable_operation_backend(self) -> DurableOperationBackend[Any]:
        """Steps of the run."""
        return Backend(self._model_options)

    def get_default_run_id(self) -> str | None:
        """An id that a replay sees again; it holds the prefix of the keys."""
        task = recording()
        return None if task is None else f"{task.run_id}/{task.key(self.name)}"

    def get_default_conversation_id(self, run_id: str) -> str | None:
        """An id that a replay sees again."""
        return conversation_id_from_run_id(run_id) if self.in_durable_context else None

    async def wrap_run(self, ctx: RunContext[Any], *, handler: WrapRunHandler) -> AgentRunResult[Any]:
        """Take the prefix of all keys, and let every call of a turn settle before an error or a suspension goes on."""
        task = recording()
        if task is None or self._agent is None:
            return await handler()
        given = f"{task.run_id}/"
        prefix = (ctx.run_id or "").removeprefix(given) if (ctx.run_id or "").startswith(given) else task.key(self.name)
        token = loops.set(Loop(task, prefix))
        try:
            with self._agent.parallel_tool_call_execution_mode("parallel_ordered_events"), replay_scope():
                return await super().wrap_run(ctx, handler=handler)
        finally:
            loops.reset(token)

    def get_wrapper_toolset(self, toolset: AbstractToolset[Any]) -> AbstractToolset[Any] | None:
        """The toolsets as steps, and around them the questions to people."""
        return Attended(super().get_wrapper_toolset(toolset) or toolset, self.name)

    async def handle_deferred_tool_calls(self, ctx: RunContext[Any], *, requests: DeferredToolRequests) -> DeferredToolResults | None:
        """Ask for the calls of tools with pydantic-ai's own `requires_approval=True`."""
        loop = loops.get()
        if loop is None or not self.in_durable_context or not requests.approvals:
            return None
        asked = [self._asked(loop, ctx.run_step, part) for part in requests.approvals]
        # A suspension of one question must not cut off the others, which would not be asked then.
        answers = await asyncio.gather(*asked, return_exceptions=True)
        results = DeferredToolResults()
        for part, answer in zip(requests.approvals, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            edits = None if answer.edits is None else dict(answer.edits)
            allowed = ToolApproved(override_args=edits) if answer.approved else ToolDenied(refusal(answer))
            results.approvals[part.tool_call_id] = allowed
        return results

    async def _asked(self, loop: Loop, turn: int, part: ToolCallPart) -> Decision:
        key = loop.key(f"{call_place(turn, part.tool_name, part.tool_call_id)}/approval")
        return await decided(loop.task, key, ToolCall(part.tool_call_id, part.tool_name, self.name, {}, read(part)), Approval())


_READING: FunctionToolset[Any] = FunctionToolset([Tool(read_result, metadata={SETTINGS: ToolSettings(inline=True)})])


async def _narrate(ctx: RunContext[Any], stream: AsyncIterable[AgentStreamEvent]) -> None:
    told = narrator.get()
    async for event in stream:
        if told is not None:
            told.hear(event)


@dataclass
class Attended(WrapperToolset[Any]):
    """Asks a person before a tool that needs it runs, and tells viewers how each call ended as soon as it did."""

    agent: str = ""

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        """The tools, and what reads on in a result that was too long to be told, once there is one."""
        tools = await super().get_tools(ctx)
        return {**await _READING.get_tools(ctx), **tools} if keeps() else tools

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]) -> Any:
        loop = loops.get()
        settings = ToolSettings.of(tool.tool_def.metadata)
        if loop is None or recording() is None or ctx.tool_call_id is None:
            with settings.telling():
                return await self._run(name, tool_args, ctx, tool)
        call = ToolCall(ctx.tool_call_id, name, self.agent, tool_args, plain(tool_args))
        key = call_place(ctx.run_step, name, call.id)
        loop.settled.add(call.id)
        try:
            arguments = await self._allowed(loop, call, settings, ctx, tool)
            if isinstance(arguments, ToolDenied):
                await loop.tell(loop.key(f"{key}/told"), name, events.ToolDenied(call.id, arguments.message))
                return arguments
            with settings.telling():
                result: Any = await self._called(loop, call, arguments, ctx, tool)
        except (ApprovalRequired, CallDeferred):
            loop.settled.discard(call.id)
            raise
        except (ModelRetry, Failed, ValidationError) as error:
            if settings.inline or isinstance(error, ValidationError):
                told = events.ToolError(call.id, {"code": _code(error), "message": str(error)})
                await loop.tell(loop.key(f"{key}/told"), name, told)
            raise
        except Exception as error:
            loop.task.publish(events.ToolError(call.id, {"code": "error", "message": str(error)}))
            raise
        if settings.inline:
            await loop.tell(loop.key(f"{key}/told"), name, events.ToolOutput(call.id, plain(_returned(result))))
        result = _limited(loop, result, settings.limit)
        return result if arguments == call.arguments else _with_notice(result, name, arguments)

    async def _called(self, loop: Loop, call: ToolCall, arguments: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]) -> Any:
        if not ToolSettings.of(tool.tool_def.metadata).inline:
            return await self._run(call.tool, arguments, ctx, tool)
        token = calling.set(loop.key(call_place(ctx.run_step, call.tool, call.id)))
        try:
            return await self._run(call.tool, arguments, ctx, tool)
        finally:
            calling.reset(token)

    async def _run(self, name: str, arguments: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]) -> Any:
        toolset = _READING if tool.toolset is _READING else self.wrapped
        return await toolset.call_tool(name, arguments, ctx, tool)

    async def _allowed(
        self, loop: Loop, call: ToolCall, settings: ToolSettings, ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> dict[str, Any] | ToolDenied:
        if settings.approval is None or ctx.tool_call_approved:
            return dict(call.arguments)
        key = loop.key(f"{call_place(ctx.run_step, call.tool, call.id)}/approval")
        answer = await decided(loop.task, key, call, settings.approval)
        if not answer.approved:
            return ToolDenied(refusal(answer))
        if not answer.edits or not settings.approval.can_edit:
            return dict(call.arguments)
        return tool.args_validator.validate_python(answer.edits, context=ctx.validation_context)


def _limited(loop: Loop, result: Any, limit: int | None) -> Any:
    """A result that the model can bear: the beginning and the end of a long one. Images and files are left as they are."""
    value = _returned(result)
    parts: list[Any] = list(cast("list[Any]", value)) if isinstance(value, list) else [value]
    if limit is None or any(is_multi_modal_content(one) for one in parts):
        return result
    text = value if isinstance(value, str) else dumps(plain(value))
    told = shortened(loop.task, text, limit)
    if told == text:
        return result
    return replace(result, return_value=told) if type(result) is ToolReturn else told


def _with_notice(result: Any, tool: str, arguments: dict[str, Any]) -> Any:
    """Without it the model believes in its own arguments, and may ask for them again."""
    if type(result) is ToolReturn:
        return result
    return ToolReturn(result, content=f"A person changed the arguments of {tool} before it ran, to {json.dumps(plain(arguments))}.")


def _returned(result: Any) -> Any:
    return result.return_value if type(result) is ToolReturn else result


def _code(error: Exception) -> str:
    return "failed" if isinstance(error, Failed) else "retried"
