"""What an agent says, as AG-UI tells it: text, thoughts, tool calls and their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json, to_json

from agentflow.server.projections.agui_brackets import Brackets, Said, said
from agentflow.server.projections.agui_messages import Entry, Message, Messages
from agentflow.streams import events as e
from agentflow.streams.fold import Fold

_ROLES = ("developer", "system", "assistant", "user")


class Speech:
    """Each verb takes an event that the fold has taken already, and returns what a client is told of it."""

    def __init__(self, run_id: str, held: Sequence[Message], fold: Fold, brackets: Brackets) -> None:
        self.messages = Messages(run_id, held, fold)
        self._fold = fold
        self._brackets = brackets
        self._roles: dict[str, str] = {}

    def snapshot(self) -> Said:
        """All messages, the user's too: those that are left out disappear."""
        return said("MESSAGES_SNAPSHOT", messages=self.messages.snapshot())

    def instead_of(self, held: Sequence[Message]) -> list[Said]:
        """All messages, to a client that holds others."""
        return [said("MESSAGES_SNAPSHOT", messages=messages) for messages in self.messages.instead_of(held)]

    def take_back(self) -> tuple[list[Said], list[str]]:
        """After a retry: close what is void, and tell what is left. Returns that, and the client's ids of what is gone."""
        parts, calls = self.messages.void()
        if not parts and not calls:
            return [], []
        gone = [entry.id for part in parts if (entry := self.messages.of_part(part)) is not None]
        closing = [event for part in parts for event in self._brackets.close(_part(part))]
        closing += [event for call in calls for event in self._brackets.close(_call(call))]
        before = self.messages.held()
        self.messages.drop(parts, calls)
        return [*closing, *self.instead_of(before)], [*dict.fromkeys(gone), *map(self.messages.name, calls)]

    # -- text and thoughts ---------------------------------------------------------------------------------------------------------------

    def message_started(self, event: e.MessageStarted) -> list[Said]:
        self._roles[event.message] = event.role if event.role in _ROLES else "assistant"
        return []

    def text_started(self, event: e.TextStart) -> list[Said]:
        known = self.messages.of_part(event.part)
        if known is not None:
            return self._again(event.part, known)
        id = self.messages.name(event.message or event.part)
        message = self.messages.named(id)
        if message is not None and any(_part(part) in self._brackets for part in message.parts):
            # Two parts of one message at the same time: a client has one text for an open message.
            id = self.messages.name(event.part)
        return self._open(event.part, self.messages.say(event.part, id, self._roles.get(event.message or "", "assistant")))

    def thought_started(self, event: e.ReasoningStart) -> list[Said]:
        known = self.messages.of_part(event.part)
        return self._open(event.part, self.messages.think(event.part)) if known is None else self._again(event.part, known)

    def text_grown(self, event: e.TextDelta) -> list[Said]:
        known = self.messages.of_part(event.part)
        opening = self.text_started(e.TextStart(event.part)) if known is None and self._counts(event) else []
        return [*opening, *self._grown(event, "TEXT_MESSAGE_CONTENT")]

    def thought_grown(self, event: e.ReasoningDelta) -> list[Said]:
        known = self.messages.of_part(event.part)
        opening = self.thought_started(e.ReasoningStart(event.part)) if known is None and self._counts(event) else []
        return [*opening, *self._grown(event, "REASONING_MESSAGE_CONTENT")]

    def part_ended(self, event: e.TextEnd | e.ReasoningEnd) -> list[Said]:
        told = self._brackets.close(_part(event.part))
        entry = self.messages.of_part(event.part)
        if isinstance(event, e.ReasoningEnd) and event.signature and entry is not None:
            entry.secret = event.signature
            told.append(said("REASONING_ENCRYPTED_VALUE", subtype="message", entityId=entry.id, encryptedValue=event.signature))
        return told

    def _counts(self, event: e.TextDelta | e.ReasoningDelta) -> bool:
        return bool(event.delta) and not self._fold.is_void(event.part)

    def _grown(self, event: e.TextDelta | e.ReasoningDelta, type: str) -> list[Said]:
        entry = self.messages.of_part(event.part)
        if entry is None or not self._counts(event):
            return []
        opening = [] if _part(event.part) in self._brackets else self._open(event.part, entry)
        return [*opening, said(type, messageId=entry.id, delta=event.delta)]

    def _again(self, part: str, entry: Entry) -> list[Said]:
        """A part is told anew, from its first word: what was heard of it is replaced."""
        closing = self._brackets.close(_part(part))
        self.messages.repeat(part)
        return [*closing, self.snapshot(), *self._open(part, entry)]

    def _open(self, part: str, entry: Entry) -> list[Said]:
        if entry.role != "reasoning":
            opening = [said("TEXT_MESSAGE_START", messageId=entry.id, role=entry.role)]
            return self._brackets.open(_part(part), opening, [said("TEXT_MESSAGE_END", messageId=entry.id)])
        opening = [said("REASONING_START", messageId=entry.id), said("REASONING_MESSAGE_START", messageId=entry.id, role="reasoning")]
        closing = [said("REASONING_MESSAGE_END", messageId=entry.id), said("REASONING_END", messageId=entry.id)]
        return self._brackets.open(_part(part), opening, closing)

    # -- tool calls ----------------------------------------------------------------------------------------------------------------------

    def call_started(self, event: e.ToolInputStart | e.ToolInput) -> list[Said]:
        told: list[Said] = []
        if self.messages.of_call(event.call) is not None:
            told = self._brackets.close(_call(event.call))
            self.messages.drop((), [event.call])
            told.append(self.snapshot())
        asking = self.messages.ask(event.call, self.messages.name(event.message or event.call))
        return [*told, *self._open_call(event.call, asking)]

    def call_grown(self, event: e.ToolInputDelta) -> list[Said]:
        if not event.delta or self.messages.of_call(event.call) is None or _call(event.call) not in self._brackets:
            return []
        return [self._argued(event.call, event.delta)]

    def call_given(self, event: e.ToolInput) -> list[Said]:
        """The final input: told where no word of it was, and again where it differs from what was heard."""
        told = [] if self.messages.of_call(event.call) is not None else self.call_started(event)
        heard = self.messages.arguments[event.call]
        if not heard:
            asking = self.messages.of_call(event.call)
            if asking is not None and _call(event.call) not in self._brackets:
                told += self._open_call(event.call, asking)
            told.append(self._argued(event.call, _text(event.input)))
        elif not _says(heard, event.input):
            self.messages.arguments[event.call] = _text(event.input)
            told.append(self.snapshot())
        return [*told, *self._brackets.close(_call(event.call))]

    def call_ended(self, event: e.ToolOutput | e.ToolError | e.ToolDenied) -> list[Said]:
        preliminary = isinstance(event, e.ToolOutput) and event.preliminary
        if preliminary or self.messages.of_call(event.call) is None:
            return []
        told = self._brackets.close(_call(event.call))
        content, metadata = _result(event)
        known = self.messages.result(event.call)
        if known is not None:
            same = (known.content, known.metadata) == (content, metadata)
            known.content, known.metadata = content, metadata
            return told if same else [*told, self.snapshot()]
        entry = self.messages.answer(event.call, content, metadata)
        name = self.messages.name(event.call)
        return [*told, said("TOOL_CALL_RESULT", messageId=entry.id, toolCallId=name, content=content, metadata=metadata)]

    def _argued(self, call: str, delta: str) -> Said:
        self.messages.arguments[call] += delta
        return said("TOOL_CALL_ARGS", toolCallId=self.messages.name(call), delta=delta)

    def _open_call(self, call: str, asking: Entry) -> list[Said]:
        name, tool = self.messages.name(call), self._fold.calls[call].name
        opening = [said("TOOL_CALL_START", toolCallId=name, toolCallName=tool, parentMessageId=asking.id)]
        return self._brackets.open(_call(call), opening, [said("TOOL_CALL_END", toolCallId=name)])


def _part(part: str) -> str:
    return f"part:{part}"


def _call(call: str) -> str:
    return f"call:{call}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


def _says(text: str, value: Any) -> bool:
    try:
        return text == value or from_json(text) == value
    except ValueError:
        return False


def _result(event: e.ToolOutput | e.ToolError | e.ToolDenied) -> tuple[str, dict[str, Any] | None]:
    """What a tool message says; a call that did not succeed is marked, for the text alone does not tell."""
    if isinstance(event, e.ToolOutput):
        return _text(event.output), None
    if isinstance(event, e.ToolDenied):
        return event.reason or "The call was denied.", {"agentflow": {"outcome": "denied"}}
    error: Mapping[str, Any] = event.error
    return str(error.get("message") or error.get("code") or "The call failed."), {"agentflow": {"outcome": "failed", "error": dict(error)}}
