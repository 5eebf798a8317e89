"""The steps that talk to an MCP server: a session that broke is left, and a server that is away is tried again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.durable_exec import ToolsetCallToolId, ToolsetGetInstructionsId, ToolsetGetToolsId

from agentflow.agents.failures import ToolServerUnreachable, unconnected
from agentflow.engine.context import StepOptions
from agentflow.retry import Retry

MCP = StepOptions(kind="tool", retry=Retry(attempts=5, initial="1s", factor=2, max="1m", on=ToolServerUnreachable))
"""How a step that talks to a server is tried by default: again only when nothing was sent, for a call may have had its effect."""

_LOST = "Connection closed"
"""How the MCP SDK tells of a call whose connection was lost before its answer came."""


def server_of(operation: object) -> str | None:
    """The id of the MCP server that a unit talks to, if it does."""
    if isinstance(operation, ToolsetGetInstructionsId):
        return operation.toolset_id
    if isinstance(operation, (ToolsetGetToolsId, ToolsetCallToolId)) and operation.toolset_kind == "mcp":
        return operation.toolset_id
    return None


async def conversed(server: str, ctx: RunContext[Any], talk: Callable[[], Awaitable[Any]]) -> Any:
    """What `talk` brings. Raises `ToolServerUnreachable` when there was no connection to talk over.

    A session whose connection is lost is left, so that the next step opens another; one that only refuses something may hold a state.
    """
    try:
        result = await talk()
    except Exception as error:
        await _leave(server, ctx)
        if not unconnected(error):
            raise
        hint = "Start it, or correct its address; a run that failed goes on from here when it is taken up again."
        raise ToolServerUnreachable(f"The MCP server {server!r} cannot be reached: {error}", hint=hint) from error
    if getattr(result, "message", None) == _LOST:
        await _leave(server, ctx)
    return result


async def _leave(server: str, ctx: RunContext[Any]) -> None:
    held = (ctx._run_held_toolsets or {}).get(server)  # pyright: ignore[reportPrivateUsage] # the run's session is nowhere else
    if held is not None:
        with suppress(Exception):
            await held.aclose(None, None, None)
