"""The tools of an agent with people around them: who asks before a call, and who is told how it ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_ai import RunContext
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred, ModelRetry
from pydantic_ai.exceptions import ToolFailed as Failed
from pydantic_ai.messages import ToolReturn
from pydantic_ai.tools import ToolDenied
from pydantic_ai.toolsets import ToolsetTool, WrapperToolset

from agentflow.agents.approval import ToolCall, decided, refusal
from agentflow.agents.events import plain, shown
from agentflow.agents.units import Loop, ToolSettings, call_place, calling, loops
from agentflow.engine.context import recording
from agentflow.streams import events


@dataclass
class Attended(WrapperToolset[Any]):
    """Asks a person before a tool that needs it runs, and tells viewers how each call ended as soon as it did."""

    agent: str = ""

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]) -> Any:
        loop = loops.get()
        if loop is None or recording() is None or ctx.tool_call_id is None:
            return await super().call_tool(name, tool_args, ctx, tool)
        call = ToolCall(ctx.tool_call_id, name, self.agent, tool_args, plain(tool_args))
        key = call_place(ctx.run_step, name, call.id)
        settings = ToolSettings.of(tool.tool_def.metadata)
        loop.settled.add(call.id)
        try:
            arguments = await self._allowed(loop, call, settings, ctx, tool)
            if isinstance(arguments, ToolDenied):
                await loop.tell(loop.key(f"{key}/told"), name, events.ToolDenied(call.id, arguments.message))
                return arguments
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
            await loop.tell(loop.key(f"{key}/told"), name, events.ToolOutput(call.id, shown(plain(_returned(result)))))
        return result if arguments == call.arguments else _with_notice(result, name, arguments)

    async def _called(self, loop: Loop, call: ToolCall, arguments: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]) -> Any:
        if not ToolSettings.of(tool.tool_def.metadata).inline:
            return await super().call_tool(call.tool, arguments, ctx, tool)
        token = calling.set(loop.key(call_place(ctx.run_step, call.tool, call.id)))
        try:
            return await super().call_tool(call.tool, arguments, ctx, tool)
        finally:
            calling.reset(token)

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


def _with_notice(result: Any, tool: str, arguments: dict[str, Any]) -> Any:
    """Without it the model believes in its own arguments, and may ask for them again."""
    if type(result) is ToolReturn:
        return result
    return ToolReturn(result, content=f"A person changed the arguments of {tool} before it ran, to {json.dumps(plain(arguments))}.")


def _returned(result: Any) -> Any:
    return result.return_value if type(result) is ToolReturn else result


def _code(error: Exception) -> str:
    return "failed" if isinstance(error, Failed) else "retried"
