"""What a client of AG-UI 1.0 demands of a stream, and what it makes of it. `tests/foreign` holds it against the real one."""

from __future__ import annotations

import copy
from typing import Any

Event = dict[str, Any]
Message = dict[str, Any]

_OPENING = {
    "TEXT_MESSAGE_START": ("text", "messageId"),
    "TOOL_CALL_START": ("call", "toolCallId"),
    "STEP_STARTED": ("step", "stepName"),
    "REASONING_START": ("span", "messageId"),
    "REASONING_MESSAGE_START": ("thought", "messageId"),
    "SUBAGENT_STARTED": ("child", "subagentRunId"),
}
_CLOSING = {
    "TEXT_MESSAGE_END": ("text", "messageId"),
    "TOOL_CALL_END": ("call", "toolCallId"),
    "STEP_FINISHED": ("step", "stepName"),
    "REASONING_END": ("span", "messageId"),
    "REASONING_MESSAGE_END": ("thought", "messageId"),
    "SUBAGENT_FINISHED": ("child", "subagentRunId"),
    "SUBAGENT_ERROR": ("child", "subagentRunId"),
}
_INSIDE = {
    "TEXT_MESSAGE_CONTENT": ("text", "messageId"),
    "TOOL_CALL_ARGS": ("call", "toolCallId"),
    "REASONING_MESSAGE_CONTENT": ("thought", "messageId"),
}
_KNOWN = {
    *_OPENING,
    *_CLOSING,
    *_INSIDE,
    *("RUN_STARTED", "RUN_FINISHED", "RUN_ERROR", "TOOL_CALL_RESULT", "STATE_SNAPSHOT", "MESSAGES_SNAPSHOT", "CUSTOM"),
    "REASONING_ENCRYPTED_VALUE",
}


class AguiReader:
    """A client with its messages, which stay when its run has ended. An `AssertionError` says what it would refuse."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.state: Any = {}
        self.interrupts: list[dict[str, Any]] = []
        self.connect()

    def connect(self) -> None:
        """A new stream begins."""
        self._open: set[tuple[str, str]] = set()
        self._closed: set[tuple[str, str]] = set()
        self._begun = False
        self.over = False

    def take(self, events: list[Event]) -> None:
        """Take events in."""
        for event in events:
            self._check(event)
            self._apply(copy.deepcopy(event))

    # -- what it demands -----------------------------------------------------------------------------------------------------------------

    def _check(self, event: Event) -> None:
        type = event["type"]
        assert type in _KNOWN, event
        assert not self.over, f"{type} after the end"
        assert self._begun or type in ("RUN_STARTED", "RUN_ERROR"), f"{type} comes first"
        assert self._begun is False or type != "RUN_STARTED", "a run begins inside of a run"
        assert all(value is not None for name, value in event.items() if (type, name) != ("CUSTOM", "value")), event
        assert event.get("delta", "x"), "an empty delta"
        self._begun = True
        self._check_brackets(type, event)
        if type == "RUN_FINISHED":
            assert not self._open, f"open at the end: {self._open}"
        self.over = type in ("RUN_FINISHED", "RUN_ERROR")

    def _check_brackets(self, type: str, event: Event) -> None:
        if type in _OPENING:
            kind, field = _OPENING[type]
            key = kind, event[field]
            assert key not in self._open, f"{key} is open already"
            assert kind != "child" or key not in self._closed, f"{key} was closed"
            self._open.add(key)
        elif type in _CLOSING:
            kind, field = _CLOSING[type]
            assert (kind, event[field]) in self._open, f"{type} of what is not open: {event}"
            self._open.remove((kind, event[field]))
            self._closed.add((kind, event[field]))
        elif type in _INSIDE:
            kind, field = _INSIDE[type]
            assert (kind, event[field]) in self._open, f"{type} in what is not open: {event}"

    # -- what it makes of it -------------------------------------------------------------------------------------------------------------

    def _apply(self, event: Event) -> None:
        match event["type"]:
            case "TEXT_MESSAGE_START":
                self._message(event["messageId"], event["role"])
            case "REASONING_MESSAGE_START":
                self._message(event["messageId"], "reasoning")
            case "TEXT_MESSAGE_CONTENT" | "REASONING_MESSAGE_CONTENT":
                message = self._named(event["messageId"])
                message["content"] = message.get("content", "") + event["delta"]
            case "REASONING_ENCRYPTED_VALUE":
                self._named(event["entityId"])["encryptedValue"] = event["encryptedValue"]
            case "TOOL_CALL_START" | "TOOL_CALL_ARGS" | "TOOL_CALL_RESULT":
                self._apply_call(event)
            case _:
                self._apply_whole(event)

    def _apply_whole(self, event: Event) -> None:
        match event["type"]:
            case "MESSAGES_SNAPSHOT":
                self._replace(event["messages"])
            case "STATE_SNAPSHOT":
                self.state = event["snapshot"]
            case "RUN_FINISHED":
                self.interrupts = event["outcome"].get("interrupts", [])
            case _:
                pass

    def _apply_call(self, event: Event) -> None:
        name = event["toolCallId"]
        asking = next((one for one in self.messages if any(call["id"] == name for call in one.get("toolCalls", ()))), None)
        if event["type"] == "TOOL_CALL_RESULT":
            self._answer(event, asking)
        elif event["type"] == "TOOL_CALL_ARGS":
            assert asking is not None
            next(call for call in asking["toolCalls"] if call["id"] == name)["function"]["arguments"] += event["delta"]
        elif asking is None:
            message: Message | None = next((one for one in self.messages if one["id"] == event["parentMessageId"]), None)
            if message is None:
                message = Message(id=event["parentMessageId"], role="assistant")
                self.messages.append(message)
            assert message["role"] == "assistant"
            function = {"name": event["toolCallName"], "arguments": ""}
            message["toolCalls"] = [*message.get("toolCalls", ()), {"id": name, "type": "function", "function": function}]

    def _answer(self, event: Event, asking: Message | None) -> None:
        told = {"id": event["messageId"], "role": "tool", "toolCallId": event["toolCallId"], "content": event["content"]}
        if "metadata" in event:
            told["metadata"] = event["metadata"]
        assert all(one["id"] != told["id"] for one in self.messages), f"{told['id']} is there already"
        place = len(self.messages) if asking is None else self.messages.index(asking) + 1
        while place < len(self.messages) and self.messages[place]["role"] == "tool":
            place += 1
        self.messages.insert(place, told)

    def _replace(self, told: list[Message]) -> None:
        assert len({one["id"] for one in told}) == len(told), "an id twice"
        new = {one["id"]: one for one in told}
        thoughts = any(one["role"] == "reasoning" for one in told)
        kept = [one for one in self.messages if one["id"] in new or (one["role"] == "reasoning" and not thoughts)]
        self.messages = [new.get(one["id"], one) for one in kept]
        there = {one["id"] for one in self.messages}
        self.messages += [one for one in told if one["id"] not in there]

    def _message(self, id: str, role: str) -> None:
        if all(one["id"] != id for one in self.messages):
            self.messages.append({"id": id, "role": role, "content": ""})

    def _named(self, id: str) -> Message:
        return next(one for one in self.messages if one["id"] == id)
