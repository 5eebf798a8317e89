"""A response of the Responses API: heard as a stream, kept as JSON, told again as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from agentflow.adapters import Narrator, arguments

_ENDED = frozenset({"completed", "incomplete", "cancelled", "failed"})
_OURS = frozenset({"function_call", "custom_tool_call"})
_THEIRS = frozenset({"code_interpreter_call", "file_search_call", "image_generation_call", "mcp_call", "web_search_call"})
_GIVEN = ("action", "arguments", "code", "queries")


class Hearing:
    """Hears the events of one streamed response and tells them. The last event holds the whole response."""

    def __init__(self, told: Narrator) -> None:
        self._told = told
        self._items: dict[int, dict[str, Any]] = {}
        self.final: dict[str, Any] | None = None

    def hear(self, event: dict[str, Any]) -> None:
        """Take an event in."""
        kind: str = event["type"]
        response: dict[str, Any] = event.get("response") or {}
        if response.get("status") in _ENDED:
            self.final = response
        elif kind == "response.output_item.added":
            self._items[event["output_index"]] = event["item"]
            self._began(event["item"])
        elif kind == "response.output_item.done":
            self._done(event["item"])
        elif kind.endswith(".delta"):
            self._grown(kind, event)
        elif kind.endswith(".done"):
            self._told.end(_place(event))
        self._told.alive()

    def _began(self, item: Mapping[str, Any]) -> None:
        if item["type"] in _OURS:
            self._told.call(item["call_id"], item["name"])

    def _grown(self, kind: str, event: Mapping[str, Any]) -> None:
        delta: Any = event.get("delta")
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            self._told.text(_place(event), delta)
        elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            self._told.thought(_place(event), delta)
        elif kind in ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta"):
            item = self._items[event["output_index"]]
            self._told.call(item["call_id"], item["name"], delta)

    def _done(self, item: Mapping[str, Any]) -> None:
        kind = item["type"]
        if kind in _OURS:
            given = arguments(item["arguments"]) if kind == "function_call" else item["input"]
            self._told.called(item["call_id"], item["name"], given)
        elif kind in _THEIRS:
            given = {name: item[name] for name in _GIVEN if item.get(name)}
            self._told.called(item["id"], item.get("name") or kind.removesuffix("_call"), given, provider=True)


def _place(event: Mapping[str, Any]) -> str:
    """Where in the response an event speaks: each summary and each content of an item is a part."""
    inner = f"s{event['summary_index']}" if "summary_index" in event else str(event.get("content_index", ""))
    kind = "r" if "reasoning_text" in event["type"] else ""
    return f"{event.get('output_index', 0)}.{kind}{inner}"


def streamed(body: Mapping[str, Any]) -> dict[str, Any]:
    """The same request, for a streamed answer."""
    return {**body, "stream": True}


def news(body: Mapping[str, Any]) -> Any:
    """What is new for the model: what follows its own last words."""
    if not isinstance(body.get("input"), list):
        return body.get("input")
    given: list[dict[str, Any]] = body["input"]
    last = max((at for at, item in enumerate(given) if _is_the_model_s(item)), default=-1)
    return given[last + 1 :]


def _is_the_model_s(item: Mapping[str, Any]) -> bool:
    kind: str = item.get("type") or "message"
    return item.get("role") == "assistant" or kind == "reasoning" or kind.endswith("_call")


def calls(response: Mapping[str, Any]) -> list[str]:
    """The ids of the calls that a response asks its reader for."""
    return [item["call_id"] for item in response.get("output") or () if item["type"] in _OURS]


def told_again(response: Mapping[str, Any], body: Mapping[str, Any]) -> bytes:
    """A recorded response as server-sent events: each part in one piece, the same response at the end."""
    events = ({**event, "sequence_number": number} for number, event in enumerate(_events(response)))
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def _events(response: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "response.created", "response": {**response, "status": "in_progress", "output": [], "usage": None}}
    for index, item in enumerate(response["output"]):
        yield {"type": "response.output_item.added", "output_index": index, "item": _opening(item)}
        yield from _inside({"item_id": item.get("id"), "output_index": index}, item)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    kind = response["status"] if response["status"] in ("incomplete", "failed") else "completed"
    yield {"type": f"response.{kind}", "response": response}


def _opening(item: Mapping[str, Any]) -> dict[str, Any]:
    empty: dict[str, dict[str, Any]] = {"message": {"content": []}, "reasoning": {"summary": []}, "function_call": {"arguments": ""}}
    return {**item, **empty.get(item["type"], {})}


def _inside(at: dict[str, Any], item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if item["type"] == "function_call":
        yield {"type": "response.function_call_arguments.delta", **at, "delta": item["arguments"]}
        yield {"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"], "name": item["name"]}
    elif item["type"] == "reasoning":
        yield from _thoughts(at, item.get("summary") or [])
    elif item["type"] == "message":
        yield from _words(at, item["content"])


def _thoughts(at: dict[str, Any], summary: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for index, part in enumerate(summary):
        place = {**at, "summary_index": index}
        yield {"type": "response.reasoning_summary_part.added", **place, "part": {**part, "text": ""}}
        yield {"type": "response.reasoning_summary_text.delta", **place, "delta": part["text"]}
        yield {"type": "response.reasoning_summary_text.done", **place, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **place, "part": part}


def _words(at: dict[str, Any], content: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for index, part in enumerate(content):
        place, name = {**at, "content_index": index}, "refusal" if part["type"] == "refusal" else "text"
        kind = "refusal" if name == "refusal" else "output_text"
        more: dict[str, Any] = {} if name == "refusal" else {"logprobs": []}
        yield {"type": "response.content_part.added", **place, "part": {**part, name: ""}}
        yield {"type": f"response.{kind}.delta", **place, "delta": part[name], **more}
        yield {"type": f"response.{kind}.done", **place, name: part[name], **more}
        yield {"type": "response.content_part.done", **place, "part": part}
