"""An answer of Chat Completions: heard as a stream, kept as JSON, told again as a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agentflow.adapters import Narrator, arguments

_PASSING = ("choices", "obfuscation")
_THOUGHTS = ("reasoning_content", "reasoning")
"""Where servers that speak this API put thoughts."""


class Hearing:
    """Hears the chunks of one streamed answer, tells them, and puts the answer together as the provider would have sent it at once."""

    def __init__(self, told: Narrator) -> None:
        self._told = told
        self._head: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    @property
    def final(self) -> dict[str, Any] | None:
        """The whole answer, once each choice said how it ended."""
        choices = [self._choices[index].told for index in sorted(self._choices)]
        if not choices or any(one["finish_reason"] is None for one in choices):
            return None
        return {**self._head, "object": "chat.completion", "choices": choices}

    def hear(self, event: dict[str, Any]) -> None:
        """Take a chunk in."""
        self._head.update({name: value for name, value in event.items() if name not in _PASSING and value is not None})
        for choice in event.get("choices") or ():
            index = choice["index"]
            if index not in self._choices:
                self._choices[index] = _Choice(index, self._told)
            self._choices[index].hear(choice)
        self._told.alive()


class _Choice:
    def __init__(self, index: int, told: Narrator) -> None:
        self._told = told
        self._place = str(index)
        self._message: dict[str, Any] = {"role": "assistant", "content": None}
        self._pieces: dict[str, list[str]] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._rest: dict[str, Any] = {"index": index, "finish_reason": None}

    @property
    def told(self) -> dict[str, Any]:
        """The choice so far."""
        message = {**self._message, **{name: "".join(pieces) for name, pieces in self._pieces.items()}}
        if self._calls:
            message["tool_calls"] = [_joined(self._calls[at]) for at in sorted(self._calls)]
        return {**self._rest, "message": message}

    def hear(self, choice: Mapping[str, Any]) -> None:
        delta: dict[str, Any] = choice.get("delta") or {}
        for name, value in delta.items():
            if name == "tool_calls":
                for call in value or ():
                    self._called(call)
            elif isinstance(value, str) and name != "role":
                self._said(name, value)
            elif value is not None or name not in self._message:
                self._message[name] = value
        self._note_logprobs(choice)
        if choice.get("finish_reason") is not None:
            self._rest["finish_reason"] = choice["finish_reason"]
            self._end()

    def _said(self, name: str, value: str) -> None:
        self._pieces.setdefault(name, []).append(value)
        if name in ("content", "refusal") and value:
            self._told.end(f"{self._place}.thought")
            self._told.text(f"{self._place}.{name}", value)
        elif name in _THOUGHTS and value:
            self._told.thought(f"{self._place}.thought", value)

    def _called(self, delta: Mapping[str, Any]) -> None:
        call = self._calls.setdefault(delta.get("index", len(self._calls)), {"type": "function", "function": {"arguments": []}})
        function = dict(delta.get("function") or {})
        more = function.pop("arguments", None) or ""
        call.update({name: value for name, value in delta.items() if name not in ("index", "function") and value is not None})
        call["function"].update({name: value for name, value in function.items() if value is not None})
        call["function"]["arguments"].append(more)
        self._told.call(call["id"], call["function"]["name"], more)

    def _note_logprobs(self, choice: Mapping[str, Any]) -> None:
        if "logprobs" not in choice:
            return
        known: dict[str, Any] = self._rest.setdefault("logprobs", None) or {}
        given: dict[str, Any] = choice["logprobs"] or {}
        more: dict[str, Any] = {name: [*(known.get(name) or []), *value] if value else known.get(name) for name, value in given.items()}
        self._rest["logprobs"] = {**known, **more} or None

    def _end(self) -> None:
        for name in ("thought", "content", "refusal"):
            self._told.end(f"{self._place}.{name}")
        for call in map(_joined, self._calls.values()):
            self._told.called(call["id"], call["function"]["name"], arguments(call["function"]["arguments"]))


def _joined(call: Mapping[str, Any]) -> dict[str, Any]:
    return {**call, "function": {**call["function"], "arguments": "".join(call["function"]["arguments"])}}


def streamed(body: Mapping[str, Any]) -> dict[str, Any]:
    """The same request, for a streamed answer that says what it used."""
    return {**body, "stream": True, "stream_options": {**(body.get("stream_options") or {}), "include_usage": True}}


def news(body: Mapping[str, Any]) -> Any:
    """What is new for the model: what follows its own last words."""
    said: list[Any] = list(body.get("messages") or ())
    last = max((at for at, one in enumerate(said) if one.get("role") == "assistant"), default=-1)
    return said[last + 1 :]


def calls(answer: Mapping[str, Any]) -> list[str]:
    """The ids of the calls that an answer asks its reader for."""
    return [call["id"] for choice in answer["choices"] for call in choice["message"].get("tool_calls") or ()]


def told_again(answer: Mapping[str, Any], body: Mapping[str, Any]) -> bytes:
    """A recorded answer as server-sent events: each choice in one piece, then how it ended, and what was used if that was asked for."""
    head = {name: value for name, value in answer.items() if name not in ("choices", "usage")}
    head["object"] = "chat.completion.chunk"
    chunks: list[dict[str, Any]] = []
    for choice in answer["choices"]:
        rest = {name: value for name, value in choice.items() if name not in ("message", "finish_reason")}
        chunks.append({**head, "choices": [{**rest, "delta": _delta(choice["message"]), "finish_reason": None}]})
        chunks.append({**head, "choices": [{"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}]})
    options: dict[str, Any] = body.get("stream_options") or {}
    if options.get("include_usage"):
        chunks.append({**head, "choices": [], "usage": answer.get("usage")})
    return b"".join(f"data: {text}\n\n".encode() for text in [*map(json.dumps, chunks), "[DONE]"])


def _delta(message: Mapping[str, Any]) -> dict[str, Any]:
    asked: list[dict[str, Any]] = message.get("tool_calls") or []
    calls = [{"index": at, **call} for at, call in enumerate(asked)]
    return {**message, "tool_calls": calls} if calls else dict(message)
