"""What the provider answers: recorded cassettes, or answers written by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

CASSETTES = Path(__file__).resolve().parents[3] / "shared" / "traffic"
"""Where the recorded traffic is; not part of this repository."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. A stream has a chunk per server-sent event; `cut_after` closes the socket after so many chunks."""

    chunks: tuple[bytes, ...]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    stream: bool = False
    cut_after: int | None = None
    method: str = ""
    path: str = ""

    @property
    def failed(self) -> bool:
        """Whether it refuses the request."""
        return self.status >= HTTPStatus.BAD_REQUEST

    def fits(self, method: str, path: str) -> bool:
        """Whether it answers that request; an answer without a path fits any."""
        return not self.path or (self.method, self.path) == (method, path)


def streamed(text: str, *, cut_after: int | None = None) -> Answer:
    """A server-sent-event answer."""
    events = tuple(f"{event}\n\n".encode() for event in text.replace("\r\n", "\n").split("\n\n") if event.strip())
    return Answer(events, headers={"content-type": "text/event-stream; charset=utf-8"}, stream=True, cut_after=cut_after)


def failed(status: int, message: str = "try again", *, kind: str = "api_error", **headers: str) -> Answer:
    """An error as Anthropic and OpenAI write it. Header names are written with underscores: `retry_after="7"`."""
    body = {"type": "error", "error": {"type": kind, "message": message, "code": kind}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer((json.dumps(body).encode(),), status=status, headers={"content-type": "application/json", **named})


def document(body: Any) -> Answer:
    """A JSON answer; a recorded message or response asked for as a stream is told as one."""
    return Answer((json.dumps(body).encode(),), headers={"content-type": "application/json"})


def cassette(name: str) -> list[Answer]:
    """The answers of a cassette such as `anthropic/anthropic_web_search_tool_stream`, in order."""
    recorded = yaml.safe_load((CASSETTES / f"{name}.yaml").read_text())
    return [_played(one["request"], one["response"]) for one in recorded["interactions"]]


def _played(request: Mapping[str, Any], response: Mapping[str, Any]) -> Answer:
    text = response.get("body", {}).get("string")
    answer = document(response["parsed_body"]) if text is None else streamed(text)
    return Answer(
        answer.chunks,
        status=response["status"]["code"],
        headers=answer.headers,
        stream=answer.stream,
        method=request["method"],
        path=urlsplit(str(request["uri"])).path,
    )


def as_stream(answer: Answer) -> Answer:
    """A recorded whole answer, told as the stream that the same provider would have sent."""
    body = json.loads(b"".join(answer.chunks))
    if body.get("object") == "chat.completion":
        lines = [*map(json.dumps, _chat(body)), "[DONE]"]
        chunks = tuple(f"data: {line}\n\n".encode() for line in lines)
    else:
        told = _anthropic(body) if body.get("type") == "message" else _responses(body)
        chunks = tuple(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in told)
    return Answer(chunks, headers={"content-type": "text/event-stream"}, stream=True, method=answer.method, path=answer.path)


def _anthropic(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}
    for index, block in enumerate(message["content"]):
        start, deltas = _block(block)
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": message["usage"]["output_tokens"]}}
    yield {"type": "message_stop"}


def _block(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if block["type"] == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])]
        return {**block, "thinking": "", "signature": ""}, [*deltas, {"type": "signature_delta", "signature": block["signature"]}]
    if block["type"] == "tool_use":
        pieces = _pieces(json.dumps(block["input"]))
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return dict(block), []


def _responses(response: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    started: dict[str, Any] = {**response, "status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": started}]
    for index, item in enumerate(response["output"]):
        events += _item(index, item)
    events.append({"type": "response.completed", "response": response})
    for number, event in enumerate(events):
        yield {**event, "sequence_number": number}


def _item(index: int, item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    at = {"item_id": item["id"], "output_index": index}
    if item["type"] == "function_call":
        yield {"type": "response.output_item.added", "output_index": index, "item": {**item, "arguments": ""}}
        for piece in _pieces(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
        yield {"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"], "name": item["name"]}
    elif item["type"] == "message":
        yield {"type": "response.output_item.added", "output_index": index, "item": {**item, "content": []}}
        yield from _content(at, item["content"])
    elif item["type"] == "reasoning":
        yield {"type": "response.output_item.added", "output_index": index, "item": {**item, "summary": []}}
        yield from _summary(at, item["summary"])
    else:
        yield {"type": "response.output_item.added", "output_index": index, "item": item}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _summary(at: Mapping[str, Any], summary: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for index, part in enumerate(summary):
        place = {**at, "summary_index": index}
        yield {"type": "response.reasoning_summary_part.added", **place, "part": {**part, "text": ""}}
        for piece in _pieces(part["text"]):
            yield {"type": "response.reasoning_summary_text.delta", **place, "delta": piece}
        yield {"type": "response.reasoning_summary_text.done", **place, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **place, "part": part}


def _content(at: Mapping[str, Any], content: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for index, part in enumerate(content):
        place = {**at, "content_index": index}
        yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
        for piece in _pieces(part["text"]):
            yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
        yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
        yield {"type": "response.content_part.done", **place, "part": part}


def _chat(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    head = {**answer, "object": "chat.completion.chunk", "usage": None}
    for choice in answer["choices"]:
        for delta in _deltas(choice["message"]):
            yield {**head, "choices": [{"index": choice["index"], "delta": delta, "finish_reason": None}]}
        yield {**head, "choices": [{"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}]}
    yield {**head, "choices": [], "usage": answer["usage"]}


def _deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": None}
    for name in ("reasoning_content", "content"):
        for piece in _pieces(message.get(name) or ""):
            yield {name: piece}
    for index, call in enumerate(message.get("tool_calls") or ()):
        yield {"tool_calls": [{"index": index, **call, "function": {**call["function"], "arguments": ""}}]}
        for piece in _pieces(call["function"]["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _pieces(text: str, size: int = 24) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]
