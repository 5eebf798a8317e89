"""Tools for the OpenAI Agents SDK."""

from __future__ import annotations

from typing import Any

from agentflow.agents.calls import plainly
from agentflow.agents.definition import Definition
from agentflow.agents.foreign.desk import desk
from agentflow.engine.context import recording
from agentflow.errors import ConfigurationError

try:
    from agents import FunctionTool
    from agents.tool_context import ToolContext
except ImportError as error:
    raise ConfigurationError("The OpenAI Agents SDK is not installed.", hint="pip install openai-agents") from error


def function_tool(tool: Definition) -> FunctionTool:
    """A `FunctionTool` that records what it does in the run around it."""

    async def invoke(context: ToolContext[Any], arguments: str) -> str:
        run = recording()
        if run is None:
            return (await plainly(tool, arguments)).text
        desks = desk(run)
        return (await desks.answer(tool, desks.named(tool.name, context.tool_call_id, arguments))).text

    return FunctionTool(
        name=tool.name,
        description=tool.description,
        params_json_schema=tool.schema,
        on_invoke_tool=invoke,
        strict_json_schema=tool.strict,
    )
