"""Tools for the Claude Agent SDK: in-process MCP tools."""

from __future__ import annotations

from typing import Any

from agentflow.agents.calls import Answer, plainly
from agentflow.agents.definition import Definition
from agentflow.agents.foreign.desk import desk
from agentflow.engine.context import recording
from agentflow.errors import ConfigurationError
from agentflow.serde import dumps

try:
    from claude_agent_sdk import HookMatcher, SdkMcpTool
except ImportError as error:
    raise ConfigurationError("The Claude Agent SDK is not installed.", hint="pip install claude-agent-sdk") from error


def sdk_tool(tool: Definition) -> SdkMcpTool[Any]:
    """An `SdkMcpTool` that records what it does in the run around it."""

    async def handle(given: dict[str, Any]) -> dict[str, Any]:
        try:
            said = await _answered(tool, dumps(given))
        except Exception:  # noqa: BLE001 - the SDK would tell the model what it says, and go on
            said = Answer("The tool failed.", failed=True)
        return {"content": [{"type": "text", "text": said.text}], "is_error": said.failed}

    return SdkMcpTool(tool.name, tool.description, tool.schema, handle)


def hooks() -> dict[Any, list[HookMatcher]]:
    """The hooks that say which call of the model the next call of a tool is."""
    return {"PreToolUse": [HookMatcher(matcher="mcp__.*", hooks=[_announce], on_failure="block")]}


async def _announce(told: Any, tool_use_id: str | None, context: Any) -> Any:
    run = recording()
    if run is not None and tool_use_id is not None:
        desk(run).announce(told["tool_name"].rpartition("__")[2], tool_use_id, dumps(told["tool_input"]))
    return {}


async def _answered(tool: Definition, arguments: str) -> Answer:
    run = recording()
    if run is None:
        return await plainly(tool, arguments)
    desks = desk(run)
    return await desks.answer(tool, desks.counted(tool.name, arguments))
