"""A message of the Messages API: heard as a stream, kept as JSON, told again as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import from_json

from agentflow.adapters import Narrator

_GROWING = {"text_delta": "text", "thinking_delta": "thinking"}
_CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")


class Hearing:
    """Hears the events of one streamed message, tells them, and puts the message together as the provider would have sent it at once."""

    def __init__(self, told: Narrator) -> None:
        self._told = told
        self._pieces: dict[int, list[str]] = {}
        self.message: dict[str, Any] = {}

    @property
    def whole(self) -> bool:
        """Whether the provider said why it stopped."""
        return self.message.get("stop_reason") is not None

    def hear(self, event: dict[str, Any]) -> None:
        """Take an event in."""
        kind = event["type"]
        if kind == "message_start":
            self.message = {**event["message"], "content": []}
        elif kind == "content_block_start":
            self.message["content"].append(event["content_block"])
            self._started(event["index"], event["content_block"])
        elif kind == "content_block_delta":
            self._grown(event["index"], event["delta"])
        elif kind == "content_block_stop":
            self._ended(event["index"])
        elif kind == "message_delta":
            self._settled(event)
        self._told.alive()

    def _block(self, index: int) -> dict[str, Any]:
        return self.message["content"][index]

    def _started(self, index: int, block: Mapping[str, Any]) -> None:
        kind, told = block["type"], self._told
        if kind == "text":
            told.text(str(index), block["text"])
        elif kind == "thinking":
            told.thought(str(index), block["thinking"])
        elif kind == "redacted_thinking":
            told.thought(str(index), redacted=True)
        elif kind in _CALLS:
            told.call(block["id"], block["name"])
        elif "tool_use_id" in block:
            told.returned(block["tool_use_id"], block.get("content"))

    def _grown(self, index: int, delta: dict[str, Any]) -> None:
        block, kind = self._block(index), delta["type"]
        if kind in _GROWING:
            self._pieces.setdefault(index, [block[_GROWING[kind]]]).append(delta[_GROWING[kind]])
            (self._told.text if kind == "text_delta" else self._told.thought)(str(index), delta[_GROWING[kind]])
        elif kind == "input_json_delta":
            self._pieces.setdefault(index, []).append(delta["partial_json"])
            if "id" in block and "name" in block:
                self._told.call(block["id"], block["name"], delta["partial_json"])
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]
        else:
            block.update({name: value for name, value in delta.items() if name != "type"})

    def _ended(self, index: int) -> None:
        block, said = self._block(index), "".join(self._pieces.pop(index, []))
        kind = block["type"]
        if kind in ("text", "thinking"):
            block[kind] = said or block[kind]
            self._told.end(str(index), block.get("signature"))
        elif kind == "redacted_thinking":
            self._told.end(str(index))
        elif "input" in block:
            # A call that was cut off ends in the middle of its JSON.
            block["input"] = from_json(said, allow_partial=True) if said else block["input"]
            if kind in _CALLS:
                self._told.called(block["id"], block["name"], block["input"], provider=kind != "tool_use")

    def _settled(self, event: Mapping[str, Any]) -> None:
        self.message["usage"] = {**_given(self.message.get("usage")), **_given(event.get("usage"))}
        self.message.update(event["delta"])
        self.message.update({name: value for name, value in _given(event).items() if name not in ("type", "delta", "usage")})


def _given(told: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a delta says: nothing is no change."""
    return {name: value for name, value in (told or {}).items() if value is not None}


def calls(message: Mapping[str, Any]) -> list[str]:
    """The ids of the calls that a message asks its reader for."""
    return [block["id"] for block in message["content"] if block["type"] == "tool_use"]


def told_again(message: Mapping[str, Any]) -> bytes:
    """A recorded message as server-sent events: each part in one piece, the same message at the end."""
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in _events(message))


def _events(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None, "stop_sequence": None}}
    for index, block in enumerate(message["content"]):
        started, deltas = _pieces(block)
        yield {"type": "content_block_start", "index": index, "content_block": started}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ended = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details", "container") if name in message}
    yield {"type": "message_delta", "delta": ended, "usage": message.get("usage") or {"output_tokens": 0}}
    yield {"type": "message_stop"}


def _pieces(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    kind = block["type"]
    if kind == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": block["text"]}]
    if kind == "thinking":
        said = {"type": "thinking_delta", "thinking": block["thinking"]}
        return {**block, "thinking": "", "signature": ""}, [said, {"type": "signature_delta", "signature": block["signature"]}]
    if kind in ("tool_use", "server_tool_use"):
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    return block, []
