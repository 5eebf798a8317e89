"""Where pydantic-ai's durable units meet our steps: which key a unit has, and how its result is recorded."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_ai.durable_exec import (
    BoundDurableOperation,
    CapabilityOperationId,
    DurableOperation,
    DurableOperationBackend,
    DynamicToolsetCallToolParams,
    ModelRequestParams,
    ToolsetCallToolId,
    ToolsetCallToolParams,
    ToolsetGetInstructionsId,
    ToolsetGetToolsId,
    ToolsetValidateToolArgumentsId,
    durable_unit_scope,
    record_durable_unit,
)
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred, ModelAPIError, ModelRetry, ToolFailed
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RetryFeedbackPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.toolsets import ToolsetTool

from agentflow.agents.answers import Errors, told
from agentflow.agents.approval import Approval
from agentflow.agents.budget import said_so_far
from agentflow.agents.consent import ArgumentsChanged, Consent, told_by_people
from agentflow.agents.events import Narrator, plain, shown
from agentflow.agents.failures import ModelFailed
from agentflow.agents.handoff import TRANSFER
from agentflow.agents.mcp import MCP, conversed, server_of
from agentflow.agents.models import whole
from agentflow.agents.size import request_size
from agentflow.clock import SECOND, microseconds
from agentflow.engine.context import StepCall, StepOptions, TaskContext, WaitRequest, current_step, recording
from agentflow.engine.speaking import speaker_of, speaking_by
from agentflow.errors import BudgetExceeded, DefinitionError, StepFailed, UnserializableValue
from agentflow.records import WaitKind
from agentflow.retry import NO_RETRY
from agentflow.serde import ANY, digest
from agentflow.streams.events import Event, ToolDenied, ToolError, ToolOutput

SETTINGS = "agentflow"
"""The key of our settings in a pydantic-ai tool's metadata."""

_TOOL = StepOptions(kind="tool")
_KNOWN = frozenset({"inline", "approval", "retry", "timeout", "errors", "limit", "idempotent"})

narrator: ContextVar[Narrator | None] = ContextVar("agentflow_narrator", default=None)
"""Tells the model request that is running in this step's body."""


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """What a tool's metadata says: `{"agentflow": {"approval": True, "retry": Retry(3), "timeout": "30s", "inline": False}}`.

    `inline` runs the tool in the agent's own code and not as a step: it may wait and start runs, and must be safe to run again.
    `errors`, `limit` and `idempotent` are those of `ai.tool`; `target` is what the tool is of.
    """

    inline: bool = False
    approval: Approval | None = None
    options: StepOptions = _TOOL
    errors: Errors = "raise"
    limit: int | None = None
    idempotent: bool = False
    target: str = ""

    @classmethod
    def of(cls, metadata: Mapping[str, Any] | None) -> ToolSettings:
        """Read a tool's metadata. Raises `DefinitionError` for a setting that does not exist."""
        found: Any = (metadata or {}).get(SETTINGS)
        if found is None:
            return _DEFAULT
        if isinstance(found, cls):
            return found
        if found is False:
            return cls(inline=True)
        if unknown := set(found) - _KNOWN:
            raise DefinitionError(f"Tool settings do not know {sorted(unknown)}.", hint=f"They are {sorted(_KNOWN)}.")
        approval = found.get("approval") or None
        timeout = found.get("timeout")
        options = StepOptions(kind="tool", retry=found.get("retry", NO_RETRY), timeout=None if timeout is None else microseconds(timeout))
        asked = Approval() if approval is True else approval
        errors, limit, idempotent = found.get("errors", "raise"), found.get("limit"), bool(found.get("idempotent"))
        return cls(bool(found.get("inline")), asked, options, errors, limit, idempotent)

    @contextmanager
    def telling(self) -> Generator[None]:
        """Turn an error of a tool into what the model is told of it, if it is for the model."""
        try:
            yield
        except (ModelRetry, ToolFailed, ApprovalRequired, CallDeferred, ValidationError, ArgumentsChanged):
            raise
        except Exception as error:
            raise ToolFailed(told(error, self.errors)) from error


_DEFAULT = ToolSettings()


@dataclass(slots=True)
class Loop:
    """One pydantic-ai run inside a task: its keys all begin with one prefix, taken where the run began."""

    task: TaskContext
    prefix: str
    taken: Counter[str] = field(default_factory=Counter[str])
    settled: set[str] = field(default_factory=set[str])
    edited: set[str] = field(default_factory=set[str])
    consents: dict[str, Consent] = field(default_factory=dict[str, Consent])
    hidden: frozenset[str] = frozenset()
    told: Narrator | None = None
    spent: bool = False

    def key(self, place: str) -> str:
        """The key of a place in the loop; a place that is reached again is counted."""
        self.taken[place] += 1
        count = self.taken[place]
        return f"{self.prefix}/{place}" if count == 1 else f"{self.prefix}/{place}.{count}"

    async def sleep(self, seconds: float) -> None:
        """Wait until a model's work in the background is worth another look."""
        if seconds > 0:
            await self.task.wait(self.key("look-again"), WaitRequest(kind=WaitKind.TIMER, due_after=int(seconds * SECOND)))

    async def tell(self, key: str, name: str, event: Event) -> None:
        """Tell viewers how a call ended that is no step of its own. As a step, so that no replay tells it again."""

        async def body() -> None:
            current_step().publish(event)

        await self.task.step(key, StepCall(name, body, ANY, "", _TOOL))

    async def tell_result(self, part: ToolReturnPart) -> None:
        """Tell viewers of a call that ended before its tool began, as one with arguments that do not fit."""
        if part.tool_call_id in self.settled or part.outcome == "success":
            return
        self.settled.add(part.tool_call_id)
        told = part.model_response_str()
        denied = ToolDenied(part.tool_call_id, told)
        error = ToolError(part.tool_call_id, {"code": part.outcome, "message": told})
        await self.tell(self.key(f"unmade:{part.tool_call_id}"), part.tool_name, denied if part.outcome == "denied" else error)


calling: ContextVar[str | None] = ContextVar("agentflow_calling", default=None)
"""The key of the tool call that runs in the agent's own code."""

loops: ContextVar[Loop | None] = ContextVar("agentflow_loop", default=None)


def hidden(asked: ModelRequestParameters) -> frozenset[str]:
    """The tools whose calls are the agent's answer, and no event."""
    return frozenset(one.name for one in asked.output_tools if not one.name.startswith(TRANSFER))


def call_place(turn: int, tool: str, call_id: str | None) -> str:
    """Where a tool call is: ids are unique in a turn, and servers exist that count them from 0 in each."""
    return f"turn:{turn}/{tool}:{call_id}"


def called_id(key: str) -> str:
    """The id of the call whose key ends with its `call_place`."""
    return key.rsplit("/", 1)[-1].partition(":")[2]


@dataclass(frozen=True, slots=True)
class _Unit:
    place: str
    name: str
    digest: str
    options: StepOptions
    errors: Errors | None = None
    inner: bool = False


class Backend(DurableOperationBackend[Any]):
    """Runs durable units as steps of the run around them."""

    def __init__(self, model: StepOptions) -> None:
        self.model = model

    def bind(self, operation: DurableOperation[Any, Any, Any]) -> BoundDurableOperation[Any, Any, Any]:
        return _Bound(operation, self.model)

    def config_for_tool(
        self, operation: DurableOperation[Any, Any, Any], *, tool: object | None, tool_name: str
    ) -> ToolSettings | Literal[False]:
        settings = ToolSettings.of(tool.tool_def.metadata) if isinstance(tool, ToolsetTool) else _DEFAULT
        if settings.inline:
            return False
        of_server = settings.options is _TOOL and server_of(operation.operation_id)
        return replace(settings, options=MCP) if of_server else settings

    def registrations(self) -> Sequence[Any]:
        return ()


class _Bound(BoundDurableOperation[Any, Any, Any]):
    def __init__(self, operation: DurableOperation[Any, Any, Any], model: StepOptions) -> None:
        self._operation = operation
        self._model = model

    @property
    def operation(self) -> DurableOperation[Any, Any, Any]:
        return self._operation

    async def __call__(self, params: Any, *, config: object | None = None) -> Any:
        loop = loops.get()
        if loop is None or recording() is None:
            return await self._operation.handler(params)
        unit = self._unit(params, config)
        try:
            return await self._recorded(loop, unit, params)
        except BudgetExceeded as exceeded:
            answer = said_so_far(exceeded, params)
            loop.spent = True
            return answer

    async def _recorded(self, loop: Loop, unit: _Unit, params: Any) -> Any:
        ran = False

        async def body() -> Any:
            nonlocal ran
            ran = True
            return await self._carried_out(params)

        def rescue(error: Exception) -> Any:
            payload = {"kind": "tool_failed", "message": told(error, unit.errors or "raise")}
            _tell_outcome(params.ctx.tool_call_id, payload)
            return payload

        size = partial(request_size, params) if isinstance(params, ModelRequestParams) else None
        call = StepCall(unit.name, body, ANY, unit.digest, unit.options, None if unit.errors is None else rescue, size, inner=unit.inner)
        key = loop.key(unit.place)
        if isinstance(params, ToolsetCallToolParams) and isinstance(self._operation.operation_id, ToolsetCallToolId):
            call = await _once(loop, key, call, params.ctx.tool_call_id or "")
        try:
            with speaking_by(speaker_of(loop.task, _told(params))):
                payload = await loop.task.step(key, call)
        except ModelFailed as failed:
            raise failed.restored() from failed
        record_durable_unit(executed=ran)
        try:
            return self._operation.result_codec.load(payload)
        except ValidationError as error:
            # A ValidationError would read as bad arguments, and the model would be asked to call the tool again.
            raise UnserializableValue(
                f"The record of {unit.name} cannot be read: {error.errors()[0]['msg']}.",
                hint="It was written by another version of pydantic-ai, or its type has changed.",
            ) from None

    async def _carried_out(self, params: Any) -> Any:
        try:
            with durable_unit_scope():
                result = await self._run(params)
        except StepFailed as failed:
            # Hidden from pydantic-ai alone: retries, the record and viewers see what was raised.
            if isinstance(failed.__cause__, ValidationError):
                raise failed.__cause__ from None
            raise
        payload = self._operation.result_codec.dump(result)
        if isinstance(self._operation.operation_id, ToolsetCallToolId):
            _tell_outcome(params.ctx.tool_call_id, payload)
        return payload

    async def _run(self, params: Any) -> Any:
        server = server_of(self._operation.operation_id)
        if server is not None:
            return await conversed(server, params.ctx, lambda: self._operation.handler(params))
        if not isinstance(params, ModelRequestParams):
            return await self._operation.handler(params)
        with _speaking(Narrator(current_step(), hidden(params.model_request_parameters))) as told:
            try:
                response = await self._operation.handler(params)
                if isinstance(response, ModelResponse):
                    _finish(told, response)
            except ModelAPIError as error:
                raise ModelFailed.of(error) from error
            return response

    def _unit(self, params: Any, config: object | None) -> _Unit:
        if isinstance(params, ModelRequestParams):
            return _Unit(f"turn:{params.run_context.run_step}", "llm", _asked(params.messages), self._model)
        if isinstance(params, (ToolsetCallToolParams, DynamicToolsetCallToolParams)):
            place = call_place(params.ctx.run_step, params.name, params.ctx.tool_call_id)
            if isinstance(self._operation.operation_id, ToolsetValidateToolArgumentsId):
                return _Unit(f"{place}/validate", f"{params.name}.validate", digest(plain(params.tool_args)), _TOOL, inner=True)
            settings = config if isinstance(config, ToolSettings) else _DEFAULT
            return _Unit(place, params.name, digest(plain(params.tool_args)), settings.options, settings.errors)
        name = _name(self._operation.operation_id)
        options = MCP if server_of(self._operation.operation_id) else _TOOL
        return _Unit(name, name, "", self._model if self._operation.config_role == "model" else options)


def _finish(told: Narrator, response: ModelResponse) -> None:
    try:
        whole(response)
    except ModelAPIError:
        told.break_off(response)
        raise
    told.finish(response)


@contextmanager
def _speaking(told: Narrator) -> Generator[Narrator]:
    """Who tells what the model says. Of a request that is cut off the loop still knows it, and keeps what was said."""
    loop, token = loops.get(), narrator.set(told)
    if loop is not None:
        loop.told = told
    cut = False
    try:
        yield told
    except asyncio.CancelledError:
        cut = True
        raise
    finally:
        narrator.reset(token)
        if loop is not None and not cut:
            loop.told = None


def _tell_outcome(call: str, payload: Any) -> None:
    """Tell how a tool's step ended, from inside of it: what a crash before the record leaves in the stream is void.

    The payload is pydantic-ai's stored form of a tool call's result, which it keeps readable.
    """
    publish, kind = current_step().publish, payload["kind"]
    if kind in ("tool_return", "tool_content_result"):
        wrapped = kind == "tool_return" and type(payload["result"]) is dict and payload["result"].get("kind") == "tool-return"
        publish(ToolOutput(call, shown(payload["result"]["return_value"] if wrapped else payload["result"])))
    elif kind in ("model_retry", "tool_failed", "run_cancelled"):
        publish(ToolError(call, {"code": "retried" if kind == "model_retry" else "failed", "message": payload["message"]}))
    elif kind == "validation_error":
        publish(ToolError(call, {"code": "retried", "message": "; ".join(one["msg"] for one in payload["errors"])}))


async def _once(loop: Loop, key: str, call: StepCall, call_id: str) -> StepCall:
    """The call, which is carried out once where people agreed to it: how it ended that began before, they are asked."""
    consent = loop.consents.get(call_id)
    if consent is None:
        return call
    known = await told_by_people(loop.task, key, consent)
    if known is None:
        return replace(call, consent=consent.waitpoint)
    return replace(call, body=partial(_retold, call_id, known.payload))


async def _retold(call: str, payload: Any) -> Any:
    """In place of a call whose end people know."""
    _tell_outcome(call, payload)
    return payload


def _name(operation: object) -> str:
    if isinstance(operation, CapabilityOperationId):
        return f"{operation.capability_id}.{operation.operation}"
    if isinstance(operation, ToolsetGetToolsId):
        return f"{operation.toolset_id}.tools"
    if isinstance(operation, ToolsetGetInstructionsId):
        return f"{operation.toolset_id}.instructions"
    return type(operation).__name__.removesuffix("Id")


def _told(params: Any) -> list[Any]:
    """All the words that a model is sent."""
    if not isinstance(params, ModelRequestParams):
        return []
    requests = [one for one in params.messages if isinstance(one, ModelRequest)]
    return [[one.instructions or "", *(getattr(part, "content", "") for part in one.parts)] for one in requests]


def _asked(messages: list[ModelMessage]) -> str:
    """A digest of what is new for the model, without times: a changed prompt must not pause each run that waits for a person."""
    last = messages[-1] if messages else None
    if not isinstance(last, ModelRequest):
        return ""
    new = [part for part in last.parts if isinstance(part, (UserPromptPart, ToolReturnPart, RetryFeedbackPart))]
    return digest([[part.part_kind, plain(part.content)] for part in new])
