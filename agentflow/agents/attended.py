"""The tools of an agent with people around them: who asks before a call, and who is told how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from pydantic import ValidationError
from pydantic_ai import RunContext, Tool
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred, ModelRetry
from pydantic_ai.exceptions import ToolFailed as Failed
from pydantic_ai.messages import ToolReturn, ToolReturnPart, is_multi_modal_content
from pydantic_ai.tools import ToolDenied
from pydantic_ai.toolsets import AbstractToolset, FunctionToolset, ToolsetTool, WrapperToolset

from agentflow.agents.answers import READS_ON, edited, keeps, read_result, shortened
from agentflow.agents.approval import AGREED, Approval, ToolCall, denial, refusal, seal
from agentflow.agents.consent import ArgumentsChanged, agreed, consent_of, let_through, stopped
from agentflow.agents.events import plain, shown
from agentflow.agents.offering import offered_to
from agentflow.agents.units import SETTINGS, Loop, ToolSettings, call_place, calling, loops
from agentflow.engine.context import recording
from agentflow.policy import Policy
from agentflow.serde import dumps
from agentflow.streams import events

_READING: FunctionToolset[Any] = FunctionToolset([Tool(read_result, metadata={SETTINGS: ToolSettings(inline=True)})])


@dataclass
class Attended(WrapperToolset[Any]):
    """Asks a person before a tool that needs it runs, and tells viewers how each call ended as soon as it did."""

    agent: str = ""
    policy: Policy | None = None

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        """The tools, and what reads on in a result that was too long to be told, once there is one."""
        tools = _offered(await super().get_tools(ctx), offered_to(self.agent))
        return {**await _READING.get_tools(ctx), **tools} if keeps() or _shows_cut(ctx) else tools

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]) -> Any:
        loop = loops.get()
        settings = ToolSettings.of(tool.tool_def.metadata)
        if loop is None or recording() is None or ctx.tool_call_id is None:
            with settings.telling():
                return await self._run(name, tool_args, ctx, tool)
        schema, target = tool.tool_def.parameters_json_schema, settings.target or _home(tool)
        call = ToolCall(ctx.tool_call_id, name, self.agent, tool_args, plain(tool_args), schema, target, settings.idempotent)
        key = call_place(ctx.run_step, name, call.id)
        loop.settled.add(call.id)
        try:
            result = await self._through(loop, call, settings, ctx, tool)
            if isinstance(result, _Denied):
                await loop.tell(loop.key(f"{key}/told"), name, events.ToolDenied(call.id, result.shown))
                return ToolDenied(result.message) if result.stop is None else await loop.task.stop(result.stop)
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
            await loop.tell(loop.key(f"{key}/told"), name, events.ToolOutput(call.id, shown(plain(_returned(result)))))
        result = _limited(loop, result, settings.limit)
        return _beside(result, edited(name, loop.consents[call.id].call.shown)) if call.id in loop.edited else result

    async def _through(
        self, loop: Loop, call: ToolCall, settings: ToolSettings, ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any | _Denied:
        """The result of a call with the arguments that people agreed to, who are asked again when it comes to its tool with others."""
        arguments = await self._allowed(loop, call, settings, ctx, tool)
        place = loop.key(call_place(ctx.run_step, call.tool, call.id)) if settings.inline else None
        while not isinstance(arguments, _Denied):
            try:
                with settings.telling():
                    return await self._called(place, call.tool, arguments, ctx, tool)
            except ArgumentsChanged as changed:
                seen = loop.consents[call.id]
                now = replace(call, arguments=changed.arguments, shown=plain(changed.arguments), supersedes=seen.waitpoint)
                final = await self._asked(loop, now, seen.approval, ctx, tool)
                if isinstance(final, _Denied):
                    return final
                loop.consents[call.id] = replace(loop.consents[call.id], final=final)
        return arguments

    async def _called(self, place: str | None, name: str, arguments: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]) -> Any:
        if place is None:
            return await self._run(name, arguments, ctx, tool)
        token = calling.set(place)
        try:
            return await self._run(name, arguments, ctx, tool)
        finally:
            calling.reset(token)

    async def _run(self, name: str, arguments: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]) -> Any:
        toolset = _READING if tool.toolset is _READING else self.wrapped
        return await toolset.call_tool(name, arguments, ctx, tool)

    async def _allowed(
        self, loop: Loop, call: ToolCall, settings: ToolSettings, ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> dict[str, Any] | _Denied:
        seen = loop.consents.get(call.id) if ctx.tool_call_approved else None
        if seen is None:
            # Whoever else let it run, the rules hold.
            return await self._asked(loop, call, None if ctx.tool_call_approved else settings.approval, ctx, tool)
        if _read(seen.call.shown, ctx, tool) == call.shown:
            waitpoint = None if call.idempotent else seen.waitpoint
            loop.consents[call.id] = replace(seen, call=call, seal=seal(call), waitpoint=waitpoint)
            return dict(call.arguments)
        return await self._asked(loop, replace(call, supersedes=seen.waitpoint), seen.approval, ctx, tool)

    async def _asked(
        self, loop: Loop, call: ToolCall, approval: Approval | None, ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> dict[str, Any] | _Denied:
        def read(edits: Mapping[str, Any]) -> dict[str, Any]:
            return tool.args_validator.validate_python(edits, context=ctx.validation_context)

        key = loop.key(f"{call_place(ctx.run_step, call.tool, call.id)}/approval")
        settled = await agreed(loop.task, key, replace(call, read=read), approval, self.policy)
        if approval is None and settled is AGREED:
            return dict(call.arguments)
        answer = settled.decision
        if not answer.approved:
            return _Denied(refusal(answer), denial(answer), stopped(answer) if answer.stop else None)
        arguments = dict(call.arguments)
        loop.edited.discard(call.id)
        if answer.edits:
            arguments = read(answer.edits)
            if arguments != call.arguments:
                loop.edited.add(call.id)
        loop.consents[call.id] = consent_of(call, approval, settled, plain(arguments))
        return arguments


@dataclass
class Sealed(WrapperToolset[Any]):
    """The last thing before a tool: what people have not seen does not get through."""

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]) -> Any:
        loop = None if recording() is None else loops.get()
        consent = None if loop is None else loop.consents.get(ctx.tool_call_id or "")
        return await super().call_tool(name, let_through(consent, tool_args, plain), ctx, tool)


@dataclass(frozen=True, slots=True)
class _Denied:
    """A no, as the model is told it and as people are. `stop`: why the run ends with it, if it does."""

    message: str
    shown: str
    stop: str | None


def _offered(tools: dict[str, ToolsetTool[Any]], said: Mapping[str, str | None]) -> dict[str, ToolsetTool[Any]]:
    """The tools that the version of the agent's prompt offers, with what it says of them."""
    if not said:
        return tools
    return {name: _described(tool, said[name]) for name, tool in tools.items() if name in said}


def _described(tool: ToolsetTool[Any], said: str | None) -> ToolsetTool[Any]:
    return tool if said is None else replace(tool, tool_def=replace(tool.tool_def, description=said))


def _read(given: Any, ctx: RunContext[Any], tool: ToolsetTool[Any]) -> Any:
    """Arguments that people saw as the model wrote them, as the tool would get them."""
    try:
        return plain(tool.args_validator.validate_python(given, context=ctx.validation_context))
    except ValidationError:
        return given


def _home(tool: ToolsetTool[Any]) -> str:
    """The toolset that a tool is of, such as a server."""
    found: AbstractToolset[Any] = getattr(tool, "source_toolset", tool.toolset)
    while found.id is None and isinstance(found, WrapperToolset):
        found = found.wrapped
    return found.id or ""


def _shows_cut(ctx: RunContext[Any]) -> bool:
    """Whether the thread's history, of runs before this one, says that a result can be read on."""
    before = (message for message in ctx.messages if message.run_id != ctx.run_id)
    return any(isinstance(part, ToolReturnPart) and READS_ON in str(part.content) for message in before for part in message.parts)


def _limited(loop: Loop, result: Any, limit: int | None) -> Any:
    """A result that the model can bear: the beginning and the end of a long one. Images and files are left as they are."""
    text = _text(result)
    if limit is None or text is None:
        return result
    told = shortened(loop.task, text, limit)
    return result if told == text else _saying(result, told)


def _beside(result: Any, notice: str) -> Any:
    """A result with a notice: in its text, so that it is no word of a person, or behind images and files, which have none."""
    text = _text(result)
    if text is not None:
        return _saying(result, f"{text}\n\n{notice}")
    given = result if type(result) is ToolReturn else ToolReturn(result)
    content = [given.content] if isinstance(given.content, str) else list(given.content or ())
    return replace(given, content=[*content, notice])


def _text(result: Any) -> str | None:
    """What a model reads of a result; None where it sees images or files."""
    value = _returned(result)
    parts: list[Any] = list(cast("list[Any]", value)) if isinstance(value, list) else [value]
    if any(is_multi_modal_content(one) for one in parts):
        return None
    return value if isinstance(value, str) else dumps(plain(value))


def _saying(result: Any, text: str) -> Any:
    return replace(result, return_value=text) if type(result) is ToolReturn else text


def _returned(result: Any) -> Any:
    return result.return_value if type(result) is ToolReturn else result


def _code(error: Exception) -> str:
    return "failed" if isinstance(error, Failed) else "retried"
