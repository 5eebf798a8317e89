"""Which client the loops on raw SDKs talk with: the real one where there is a key, else one whose server is a script."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
from agentflow_anthropic import message
from agentflow_openai import responses
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

Body = Mapping[str, Any]


class Script(httpx2.AsyncBaseTransport):
    """Answers each request as `write` says, as a stream."""

    def __init__(self, write: Callable[[Body], bytes]) -> None:
        self._write = write

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        asked = json.loads(await request.aread())
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=self._write(asked))


def anthropic_client() -> AsyncAnthropic:
    """A client for ANTHROPIC_API_KEY, or a customer's desk by script."""
    if os.environ.get("ANTHROPIC_API_KEY"):
        return AsyncAnthropic()
    return AsyncAnthropic(api_key="none", http_client=httpx2.AsyncClient(transport=Script(_desk)))


def openai_client() -> AsyncOpenAI:
    """A client for OPENAI_API_KEY or OPENAI_BASE_URL, or an analyst by script."""
    if os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL"):
        return AsyncOpenAI(api_key=os.environ.get("OPENAI_API_KEY", "none"))
    return AsyncOpenAI(api_key="none", http_client=httpx2.AsyncClient(transport=Script(_analyst)))


def _desk(body: Body) -> bytes:
    first = len(body["messages"]) == 1
    calls: list[Any] = [
        {"type": "thinking", "thinking": "I look for the parcel, and pay back.", "signature": "script"},
        {"type": "tool_use", "id": "find", "name": "find_parcel", "input": {"order_id": "o-81"}},
        {"type": "tool_use", "id": "pay", "name": "reimburse", "input": {"order_id": "o-81", "cents": 4900}},
    ]
    said: list[Any] = [{"type": "text", "text": "I am sorry. You have your 49 euros back."}]
    head = {"id": f"msg_{len(body['messages'])}", "type": "message", "role": "assistant", "model": "script", "stop_sequence": None}
    ended = {"stop_reason": "tool_use" if first else "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}
    return message.told_again({**head, "content": calls if first else said, **ended})


def _analyst(body: Body) -> bytes:
    first = len(body["input"]) == 1
    call = {"id": "fc_1", "type": "function_call", "call_id": "figures", "name": "sales_figures", "arguments": '{"quarter": 2}'}
    content: list[Any] = [{"type": "output_text", "text": "The north sold 240,000 euros, the south 90,000.", "annotations": []}]
    said = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}
    head = {"id": f"resp_{len(body['input'])}", "object": "response", "created_at": 1, "model": "script", "status": "completed"}
    used = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    return responses.told_again({**head, "output": [call if first else said], "usage": used}, body)
