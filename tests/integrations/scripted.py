"""A provider on the loopback interface whose model says what a test wrote, in the words of three APIs."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from agentflow.testing.contracts import REFUSED, Pace, Turn
from agentflow.testing.models import Said
from tests.traffic.answers import Answer, as_stream, document, failed
from tests.traffic.provider import Gate, Provider, Received, serving


@dataclass(frozen=True)
class Api:
    """How an API writes a turn, and where a request holds what was said and what was told about calls."""

    written: Callable[[int, Sequence[Said]], dict[str, Any]]
    turns: Callable[[Any], int]
    results: Callable[[Any], Mapping[str, str]]


class ScriptedModel(Provider):
    """Says the first turn in a new conversation, the second after it, and so on; refuses as often as the script does."""

    def __init__(self, api: Api, turns: Sequence[Turn], pace: Pace | None) -> None:
        super().__init__(gate=_Paced(pace))
        self._api = api
        self._said: list[Sequence[Said]] = []
        self._refusals: list[int] = []
        for turn in turns:
            if turn is REFUSED:
                self._refusals.append(len(self._said))
            else:
                self._said.append(turn)

    def asked(self) -> int:
        """How often the model was asked. Whoever looks for an answer that it has begun asks nothing."""
        return sum(request.method == "POST" for request in self.requests)

    def results(self) -> Mapping[str, str]:
        """What the last request told about calls."""
        return self._api.results(next(request.body for request in reversed(self.requests) if request.method == "POST"))

    def choose(self, request: Received) -> Answer | None:
        """The answer to a request; one that was begun in the background is told from its second event on."""
        if request.method == "GET":
            number = int(request.path.rpartition("_")[2])
            begun = as_stream(document(self._api.written(number, self._said[number])))
            return replace(begun, chunks=begun.chunks[1:])
        turn = self._api.turns(request.body)
        if turn in self._refusals:
            self._refusals.remove(turn)
            return failed(503)
        return document(self._api.written(turn, self._said[turn]))


class _Paced(Gate):
    def __init__(self, pace: Pace | None) -> None:
        super().__init__()
        self._pace = pace

    async def go(self) -> None:
        if self._pace is not None:
            await self._pace()
        await super().go()


@asynccontextmanager
async def scripted(api: Api, turns: Sequence[Turn], pace: Pace | None) -> AsyncGenerator[ScriptedModel]:
    """A scripted model on a port of its own."""
    model = ScriptedModel(api, turns, pace)
    async with serving(provider=model):
        yield model


def _anthropic(turn: int, parts: Sequence[Said]) -> dict[str, Any]:
    def block(said: Said) -> dict[str, Any]:
        if said.kind == "thinking":
            return {"type": "thinking", "thinking": said.text, "signature": said.signature or f"sig-{turn}"}
        if said.kind == "call":
            return {"type": "tool_use", "id": said.call_id, "name": said.tool, "input": json.loads(said.text)}
        return {"type": "text", "text": said.text}

    called = any(said.kind == "call" for said in parts)
    head = {"id": f"msg_{turn}", "type": "message", "role": "assistant", "model": "claude-sonnet-4-6", "stop_sequence": None}
    used = {"input_tokens": 10, "output_tokens": 20}
    return {**head, "content": [block(said) for said in parts], "stop_reason": "tool_use" if called else "end_turn", "usage": used}


def _responses(turn: int, parts: Sequence[Said]) -> dict[str, Any]:
    def item(place: int, said: Said) -> dict[str, Any]:
        name = f"{turn}_{place}"
        if said.kind == "thinking":
            summary = [{"type": "summary_text", "text": said.text}]
            return {"id": f"rs_{name}", "type": "reasoning", "summary": summary, "encrypted_content": f"sealed-{name}"}
        if said.kind == "call":
            given = {"call_id": said.call_id, "name": said.tool, "arguments": said.text, "status": "completed"}
            return {"id": f"fc_{name}", "type": "function_call", **given}
        content: list[dict[str, Any]] = [{"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}]
        return {"id": f"msg_{name}", "type": "message", "role": "assistant", "status": "completed", "content": content}

    head = {"id": f"resp_{turn}", "object": "response", "created_at": 1, "model": "gpt-5", "status": "completed"}
    used = {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}
    return {**head, "output": [item(place, said) for place, said in enumerate(parts)], "usage": used}


def _chat(turn: int, parts: Sequence[Said]) -> dict[str, Any]:
    def joined(kind: str) -> str | None:
        return "".join(said.text for said in parts if said.kind == kind) or None

    calls = [
        {"id": said.call_id, "type": "function", "function": {"name": said.tool, "arguments": said.text}}
        for said in parts
        if said.kind == "call"
    ]
    message: dict[str, Any] = {"role": "assistant", "content": joined("text"), "reasoning_content": joined("thinking")}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    if calls:
        message["tool_calls"] = calls
    head = {"id": f"chat-{turn}", "object": "chat.completion", "created": 1, "model": "gpt-4o"}
    return {**head, "choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}}


def _messages(body: Any) -> list[dict[str, Any]]:
    return body["messages"]


def _items(body: Any) -> list[dict[str, Any]]:
    return body["input"]


ANTHROPIC = Api(
    _anthropic,
    lambda body: sum(one["role"] == "assistant" for one in _messages(body)),
    lambda body: {block["tool_use_id"]: block["content"] for block in _messages(body)[-1]["content"]},
)
RESPONSES = Api(
    _responses,
    lambda body: len({one["id"].split("_")[1] for one in _items(body) if one.get("id")}),
    lambda body: {one["call_id"]: one["output"] for one in _items(body) if one["type"] == "function_call_output"},
)
CHAT = Api(
    _chat,
    lambda body: sum(one["role"] == "assistant" for one in _messages(body)),
    lambda body: {one["tool_call_id"]: one["content"] for one in _messages(body) if one["role"] == "tool"},
)
