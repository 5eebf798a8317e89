"""What the Claude Agent SDK talks to, in place of Claude Code: it calls tools of an in-process MCP server, all at once, and ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from claude_agent_sdk import Transport

ENDED = {
    "type": "result",
    "subtype": "success",
    "duration_ms": 1,
    "duration_api_ms": 1,
    "is_error": False,
    "num_turns": 1,
    "session_id": "session",
    "total_cost_usd": 0,
    "result": "done",
}
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "claude-code", "version": "2"}}


class ScriptedCli(Transport):
    """Makes one call of each tool that it is given, and keeps what it was answered in `results`, in that order."""

    def __init__(self, server: str, calls: Sequence[tuple[str, Mapping[str, Any]]], session: str = "1") -> None:
        self._session = session
        self.results: list[dict[str, Any]] = []
        self.listed: list[dict[str, Any]] = []
        self._server = server
        self._calls = calls
        self._said: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._asked: dict[str, asyncio.Future[Any]] = {}
        self._work: asyncio.Task[None] | None = None
        self._hooks: list[str] = []

    async def connect(self) -> None:
        """Nothing has to be started."""

    async def write(self, data: str) -> None:
        """Hear the SDK."""
        said: dict[str, Any] = json.loads(data)
        match said["type"]:
            case "control_request":
                hooks: dict[str, Any] = said["request"].get("hooks") or {}
                self._hooks += [one for matcher in hooks.get("PreToolUse", ()) for one in matcher["hookCallbackIds"]]
                told: dict[str, Any] = {
                    "subtype": "success",
                    "request_id": said["request_id"],
                    "response": {"commands": [], "hook_on_failure_supported": True},
                }
                self._said.put_nowait({"type": "control_response", "response": told})
            case "control_response":
                answered = said["response"]
                self._asked.pop(answered["request_id"]).set_result(answered)
            case "user":
                self._work = asyncio.create_task(self._talk())
            case _:
                pass

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        """What the SDK hears."""
        while (said := await self._said.get()) is not None:
            yield said

    async def close(self) -> None:
        """Hang up."""
        if self._work is not None:
            self._work.cancel()
        self._said.put_nowait(None)

    def is_ready(self) -> bool:
        """Always."""
        return True

    async def end_input(self) -> None:
        """The SDK has nothing more to say."""

    async def _talk(self) -> None:
        await self._ask(1, "initialize", HELLO)
        self.listed = (await self._ask(2, "tools/list", {}))["result"]["tools"]
        calls = [{"name": name, "arguments": dict(given)} for name, given in self._calls]
        self.results = [one.get("result", one) for one in await asyncio.gather(*(self._call(3 + n, one) for n, one in enumerate(calls)))]
        self._said.put_nowait(ENDED)

    async def _call(self, number: int, params: dict[str, Any]) -> dict[str, Any]:
        for hook in self._hooks:
            told = {
                "hook_event_name": "PreToolUse",
                "tool_name": f"mcp__{self._server}__{params['name']}",
                "tool_input": params["arguments"],
            }
            request = {"subtype": "hook_callback", "callback_id": hook, "tool_use_id": f"toolu_{self._session}_{number}", "input": told}
            await self._control(f"h{number}", request)
        return await self._ask(number, "tools/call", params)

    async def _ask(self, number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        answered = await self._control(f"r{number}", {"subtype": "mcp_message", "server_name": self._server, "message": message})
        return answered["response"]["mcp_response"] if answered["subtype"] == "success" else {"error": answered["error"]}

    async def _control(self, number: str, request: dict[str, Any]) -> dict[str, Any]:
        asked = self._asked[number] = asyncio.get_running_loop().create_future()
        self._said.put_nowait({"type": "control_request", "request_id": number, "request": request})
        return await asked
