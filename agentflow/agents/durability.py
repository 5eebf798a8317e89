"""The capability that makes a pydantic-ai agent durable."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, cast, get_args

from pydantic_ai import RunContext
from pydantic_ai.agent import Agent, EventStreamHandler
from pydantic_ai.capabilities import CapabilityOrdering, RequestInput, WrapRunHandler
from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    DurabilityEngineSpec,
    DurableOperationBackend,
    ModelRequestParams,
    conversation_id_from_run_id,
    external_event_scope,
    replay_scope,
)
from pydantic_ai.messages import AgentStreamEvent, ModelMessage, ModelRequest, ModelResponse, ToolReturnPart
from pydantic_ai.models import Model, ModelRequestContext
from pydantic_ai.run import AgentRunResult
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults
from pydantic_ai.toolsets import AbstractToolset, FunctionToolset

from agentflow.adapters import IDLE_TIMEOUT
from agentflow.agents.attended import Attended, Sealed
from agentflow.agents.deferred import Questions, Waiter
from agentflow.agents.failures import of_requests
from agentflow.agents.models import MODEL_RETRY
from agentflow.agents.options import AgentOptions
from agentflow.agents.units import SETTINGS, Backend, Loop, hidden, loops, narrator
from agentflow.clock import Duration, microseconds
from agentflow.engine.context import StepOptions, recording
from agentflow.errors import DefinitionError, UnserializableValue
from agentflow.policy import Policy
from agentflow.retry import Retry


def patience(options: AgentOptions) -> tuple[Retry, Duration]:
    """How an agent's model requests are tried, and how long its model may say nothing."""
    return options.get("model_retry") or MODEL_RETRY, options.get("idle_timeout", IDLE_TIMEOUT)


def request_step(retry: Retry, idle_timeout: Duration) -> StepOptions:
    """The options of a step that asks a model."""
    return StepOptions(kind="llm", retry=of_requests(retry), idle_timeout=microseconds(idle_timeout))


def _unserializable(error: Exception) -> BaseException:
    return UnserializableValue(
        f"A tool's result cannot be stored: {error}", hint="Return JSON types, pydantic models or dataclasses from tools."
    )


class Durability(BaseDurabilityCapability[Any]):
    """Makes a pydantic-ai agent durable inside a task: model requests, tool and MCP calls are steps, tokens go to the run's stream.

    `models` are the model objects that a run may switch to by name; `retry` is how a model request is tried (default: 5 times, for
    failures that another try can cure), `idle_timeout` how long a model may say nothing. `event_stream_handler` is pydantic-ai's: inside a
    run it hears what the model says inside the step that asks it, and each other event in a step of its own, so a replay is silent. `name`
    is needed if the agent has none, `policy` has rules for its calls beside those of the app. Outside of a run the agent works as if the
    capability were not there.

    Calls that need approval ask people, and calls of external tools wait for their result (a waitpoint of kind `callback`), unless another
    capability answers them, or the agent's output may be `DeferredToolRequests`.

        existing = pydantic_ai.Agent("anthropic:claude-sonnet-4-6", name="support", capabilities=[Durability()])
    """

    engine_spec = DurabilityEngineSpec(
        engine_name="agentflow",
        durable_unit_noun="step",
        durable_container_noun="run",
        codec=JSON_CODEC,
        serialization_failure=_unserializable,
        toolset_lifecycles={"function": "enter-always", "mcp": "enter-in-durable-unit", "dynamic": "enter-never"},
        tool_config_key=SETTINGS,
    )

    def __init__(
        self,
        *,
        models: Mapping[str, Model] | None = None,
        event_stream_handler: EventStreamHandler[Any] | None = None,
        name: str | None = None,
        retry: Retry = MODEL_RETRY,
        idle_timeout: Duration = IDLE_TIMEOUT,
        policy: Policy | None = None,
    ) -> None:
        super().__init__(models=models, event_stream_handler=event_stream_handler, name=name)
        self._model_options = request_step(retry, idle_timeout)
        self._policy = policy

    @property
    def in_durable_context(self) -> bool:
        """Whether a run records what happens here."""
        return recording() is not None

    def get_ordering(self) -> CapabilityOrdering:
        """Innermost, and behind whoever else answers deferred calls."""
        ordering = super().get_ordering()
        return replace(ordering, wrapped_by=(*ordering.wrapped_by, RequestInput))

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
        loop = Loop(task, prefix)
        with _inside(loop), self._agent.parallel_tool_call_execution_mode("parallel_ordered_events"):
            result = await super().wrap_run(ctx, handler=handler)
            await _tell_unmade(loop, ctx.run_id, result.all_messages())
            return result

    async def before_model_request(self, ctx: RunContext[Any], request_context: ModelRequestContext) -> ModelRequestContext:
        """Tell of the calls of the turn before that came to nothing."""
        loop = loops.get()
        if loop is not None and self.in_durable_context:
            await _tell_unmade(loop, ctx.run_id, ctx.messages)
            loop.hidden = hidden(request_context.model_request_parameters)
        return await super().before_model_request(ctx, request_context)

    async def _model_request_operation(self, params: ModelRequestParams) -> ModelResponse:
        # Streamed inside of its step even where the loop around it is not, which costs a third of a turn.
        return await self._model_request_stream_operation(params)

    async def _withdraw_unreturned_response(self, params: ModelRequestParams, response: ModelResponse | None) -> None:
        # Whoever does not hear its end, it was asked: what it used counts.
        if response is not None and (told := narrator.get()) is not None:
            told.break_off(response)
        await super()._withdraw_unreturned_response(params, response)

    def _model_stream_event_handler(self) -> EventStreamHandler[Any]:
        return partial(_narrate, self._event_stream_handler)

    def _reject_runtime_toolsets(self, toolset: AbstractToolset[Any]) -> None:
        """Nothing has to be known before a run: a toolset becomes steps when it comes."""

    def get_wrapper_toolset(self, toolset: AbstractToolset[Any]) -> AbstractToolset[Any] | None:
        """The toolsets as steps, also those that came after construction, and around them the questions to people."""
        steps = toolset.visit_and_replace(lambda leaf: Sealed(self._as_steps(leaf))) if self.in_durable_context else toolset
        return Attended(steps, self.name, self._policy)

    def _as_steps(self, leaf: AbstractToolset[Any]) -> AbstractToolset[Any]:
        known = self._toolsets_by_id.get(leaf.id or "")
        if known is not None and known.wrapped is leaf:
            return known
        made = self._wrap_leaf_toolset(leaf)
        if made is not None and leaf.id is None and not isinstance(leaf, FunctionToolset):
            raise DefinitionError(f"{leaf.label} has no id, which its steps are named by.", hint='Give it one: id="crm".')
        return made or leaf

    async def handle_deferred_tool_calls(self, ctx: RunContext[Any], *, requests: DeferredToolRequests) -> DeferredToolResults | None:
        """Ask people for approvals, and wait for the results of external tools."""
        loop = loops.get()
        if loop is None or not self.in_durable_context or self._agent is None or _ends_deferred(self._agent.output_type):
            return None
        return await Questions(loop, self.name, ctx.run_step, self._policy).answers(requests)


@contextmanager
def _inside(loop: Loop) -> Generator[None]:
    """What the code of one pydantic-ai run inside a task finds around it."""
    token = loops.set(loop)
    try:
        with replay_scope(), external_event_scope(Waiter(loop)), Agent.using_sleep(loop.sleep):
            yield
    finally:
        loops.reset(token)


async def _narrate(handler: EventStreamHandler[Any] | None, ctx: RunContext[Any], stream: AsyncIterable[AgentStreamEvent]) -> None:
    told = narrator.get()

    async def heard() -> AsyncIterator[AgentStreamEvent]:
        async for event in stream:
            if told is not None:
                told.hear(event)
            yield event

    if handler is not None:
        await handler(ctx, heard())
    async for _ in heard():
        pass


async def _tell_unmade(loop: Loop, run_id: str | None, messages: Sequence[ModelMessage]) -> None:
    """Tell how those calls of the last turn ended whose tool never began: unknown ones, and those with arguments that do not fit."""
    last = messages[-1] if messages else None
    if isinstance(last, ModelRequest) and last.run_id == run_id:
        for part in last.parts:
            if isinstance(part, ToolReturnPart) and part.tool_name not in loop.hidden:
                await loop.tell_result(part)
    # Ids of calls are unique in a turn only.
    loop.settled.clear()
    loop.edited.clear()
    loop.consents.clear()


def _ends_deferred(output: Any) -> bool:
    """Whether a run may end with the calls that wait, as its output."""
    parts = cast("Sequence[Any]", output) if isinstance(output, (list, tuple)) else get_args(output) or (output,)
    return DeferredToolRequests in parts
