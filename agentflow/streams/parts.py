"""What an agent says inside a step: messages, text, thoughts, tool calls, approvals, data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

Record = Mapping[str, Any]
"""A JSON object: an error is `{"code", "message", ...}`, a usage `{"input", "output", "cost", ...}`."""


@dataclass(frozen=True, slots=True)
class MessageStarted:
    """A message begins: one turn of the assistant, or the user's."""

    type: ClassVar[str] = "message.started"
    message: str
    role: str = "assistant"
    step: str | None = None


@dataclass(frozen=True, slots=True)
class TextStart:
    """A part of text begins."""

    type: ClassVar[str] = "text.start"
    part: str
    message: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of a part."""

    type: ClassVar[str] = "text.delta"
    part: str
    delta: str


@dataclass(frozen=True, slots=True)
class TextEnd:
    """The part of text is complete."""

    type: ClassVar[str] = "text.end"
    part: str


@dataclass(frozen=True, slots=True)
class ReasoningStart:
    """A part of the model's thoughts begins."""

    type: ClassVar[str] = "reasoning.start"
    part: str
    message: str | None = None
    step: str | None = None
    redacted: bool | None = None


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More thoughts of a part."""

    type: ClassVar[str] = "reasoning.delta"
    part: str
    delta: str


@dataclass(frozen=True, slots=True)
class ReasoningEnd:
    """The part of thoughts is complete; the provider's signature lets it be sent back."""

    type: ClassVar[str] = "reasoning.end"
    part: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ToolInputStart:
    """The model begins to write the input of a tool call."""

    type: ClassVar[str] = "tool.input.start"
    call: str
    name: str
    message: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class ToolInputDelta:
    """More of the input's JSON text."""

    type: ClassVar[str] = "tool.input.delta"
    call: str
    delta: str


@dataclass(frozen=True, slots=True)
class ToolInput:
    """The final, validated input of a call. `executed` is server or client."""

    type: ClassVar[str] = "tool.input"
    call: str
    name: str
    input: Any
    executed: str = "server"
    message: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What the call returned; a preliminary output is replaced by the next one."""

    type: ClassVar[str] = "tool.output"
    call: str
    output: Any = None
    preliminary: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolError:
    """The call failed."""

    type: ClassVar[str] = "tool.error"
    call: str
    error: Record


@dataclass(frozen=True, slots=True)
class ToolDenied:
    """Somebody refused the call."""

    type: ClassVar[str] = "tool.denied"
    call: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ApprovalRequested:
    """A person is asked. Kinds: tool, input, confirm. `expires_at` in milliseconds since 1970.

    `run` is the run that asks, where that is another one, for which this one waits; `call` is the tool call here that waits for it.
    """

    type: ClassVar[str] = "approval.requested"
    approval: str
    title: str
    kind: str = "tool"
    call: str | None = None
    step: str | None = None
    input: Any = None
    schema: Record | None = None
    expires_at: int | None = None
    can_edit: bool | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class ApprovalReminded:
    """Whoever was told of the question is told again, by the time that was set for it or because somebody asked (`by`)."""

    type: ClassVar[str] = "approval.reminded"
    approval: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class ApprovalEscalated:
    """Nobody has decided in time: `to` may decide from now on, too, as `group:ops` or `user:maria`."""

    type: ClassVar[str] = "approval.escalated"
    approval: str
    to: str


@dataclass(frozen=True, slots=True)
class ApprovalResolved:
    """The answer, from whatever channel: approved, denied, expired or cancelled."""

    type: ClassVar[str] = "approval.resolved"
    approval: str
    decision: str
    by: str | None = None
    reason: str | None = None
    input: Any = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """The user's own event. The same name and id replaces; a transient one need not be kept."""

    type: ClassVar[str] = "data"
    name: str
    data: Any
    id: str | None = None
    transient: bool | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class StreamItem:
    """An item of a stream of the user's own, with a JSON value.

    `item` names it: told again it has the same name, and counts once. `origin` is the run that said it, where that is another one.
    """

    type: ClassVar[str] = "stream.item"
    stream: str
    data: Any = None
    step: str | None = None
    item: str | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Something the answer rests on."""

    type: ClassVar[str] = "source"
    url: str
    title: str | None = None
    message: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file by reference: a stream never carries binary."""

    type: ClassVar[str] = "file"
    url: str
    media_type: str
    name: str | None = None
    message: str | None = None
    step: str | None = None
