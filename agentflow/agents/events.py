"""What a model says, as the events of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from pydantic_ai.messages import (
    AgentStreamEvent,
    BaseToolCallPart,
    ModelResponse,
    ModelResponsePart,
    NativeToolCallPart,
    NativeToolReturnPart,
    PartDeltaEvent,
    PartEndEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_core import to_jsonable_python

from agentflow.adapters import arguments
from agentflow.engine.context import StepScope
from agentflow.streams.events import (
    Event,
    MessageStarted,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    TextDelta,
    TextEnd,
    TextStart,
    ToolInput,
    ToolInputDelta,
    ToolInputStart,
    ToolOutput,
    Usage,
)


class Narrator:
    """Tells one try of one model request to the run's stream, token by token.

    Ids of parts carry the try, so that what a failed try said is never continued by the next. `hidden` are the tools whose calls are the
    agent's own result and no event.
    """

    def __init__(self, step: StepScope, hidden: frozenset[str]) -> None:
        self._step = step
        self._hidden = hidden
        self._message = f"{step.id}.{step.attempt}"
        self._calls: dict[int, str] = {}
        self._begun = False
        self._texts: dict[int, str] = {}

    @property
    def texts(self) -> list[str]:
        """The parts of text so far: of a request that is cut short, all that there will be."""
        return [text for text in self._texts.values() if text]

    def hear(self, event: AgentStreamEvent) -> None:
        """Publish what `event` says; an event that says nothing is proof of life."""
        told = list(self._tell(event))
        if not told:
            self._step.touch()
        elif not self._begun:
            self._begun = True
            self._step.publish(MessageStarted(self._message, step=self._step.id))
        for one in told:
            self._step.publish(one)

    def finish(self, response: ModelResponse) -> None:
        """Publish what the finished request used."""
        usage = response.usage
        self._step.publish(
            Usage(
                step=self._step.id,
                provider=response.provider_name,
                model=response.model_name,
                input=usage.input_tokens,
                output=usage.output_tokens,
                cached=usage.cache_read_tokens or None,
                reasoning=usage.details.get("reasoning_tokens") or usage.details.get("thinking_tokens"),
                cost=_cost(response),
            )
        )

    def break_off(self, response: ModelResponse) -> None:
        """Publish what a request used that broke off, or was cut off, as far as its provider had told it by then."""
        if response.usage.has_values():
            self.finish(response)

    def _tell(self, event: AgentStreamEvent) -> list[Event]:
        if isinstance(event, PartStartEvent):
            return self._started(event.index, event.part)
        if isinstance(event, PartDeltaEvent):
            return self._grown(event)
        if isinstance(event, PartEndEvent):
            return self._ended(event.index, event.part)
        return []

    def _part(self, index: int) -> str:
        return f"{self._message}.{index}"

    def _started(self, index: int, part: ModelResponsePart) -> list[Event]:
        named, step = self._part(index), self._step.id
        if isinstance(part, TextPart):
            self._texts[index] = part.content
            start: Event = TextStart(named, self._message, step)
            return [start, TextDelta(named, part.content)] if part.content else [start]
        if isinstance(part, ThinkingPart):
            start = ReasoningStart(named, self._message, step, redacted=True if part.id == "redacted_thinking" else None)
            return [start, ReasoningDelta(named, part.content)] if part.content else [start]
        if isinstance(part, (ToolCallPart, NativeToolCallPart)) and part.tool_name not in self._hidden:
            self._calls[index] = part.tool_call_id
            start = ToolInputStart(part.tool_call_id, part.tool_name, self._message, step)
            return [start, ToolInputDelta(part.tool_call_id, _text(part.args))] if part.args else [start]
        if isinstance(part, NativeToolReturnPart):
            return [ToolOutput(part.tool_call_id, shown(plain(part.content)))]
        return []

    def _grown(self, event: PartDeltaEvent) -> list[Event]:
        delta = event.delta
        if isinstance(delta, TextPartDelta) and delta.content_delta:
            self._texts[event.index] = self._texts.get(event.index, "") + delta.content_delta
            return [TextDelta(self._part(event.index), delta.content_delta)]
        if isinstance(delta, ThinkingPartDelta) and delta.content_delta:
            return [ReasoningDelta(self._part(event.index), delta.content_delta)]
        if isinstance(delta, ToolCallPartDelta) and delta.args_delta and event.index in self._calls:
            return [ToolInputDelta(self._calls[event.index], _text(delta.args_delta))]
        return []

    def _ended(self, index: int, part: ModelResponsePart) -> list[Event]:
        if isinstance(part, TextPart):
            return [TextEnd(self._part(index))]
        if isinstance(part, ThinkingPart):
            return [ReasoningEnd(self._part(index), part.signature)]
        if isinstance(part, (ToolCallPart, NativeToolCallPart)) and index in self._calls:
            executed = "server" if isinstance(part, ToolCallPart) else "provider"
            return [ToolInput(part.tool_call_id, part.tool_name, read(part), executed, self._message, self._step.id)]
        return []


def read(part: BaseToolCallPart[Any]) -> Any:
    """The input of a call; text that is not JSON stays text, for people to see."""
    return arguments(part.args) if isinstance(part.args, str) else plain(part.args or {})


def plain(value: Any) -> Any:
    """A tool's input or result as JSON; what JSON cannot say is told by its `str`."""
    return to_jsonable_python(value, fallback=str, serialize_unknown=True, bytes_mode="base64")


def shown(result: Any) -> Any:
    """A tool's result for viewers, of whom each would get the bytes of a file otherwise; they are in the record."""
    if isinstance(result, list):
        return [shown(one) for one in cast("list[Any]", result)]
    if not isinstance(result, dict):
        return result
    parts = cast("dict[str, Any]", result)
    if parts.get("kind") == "binary" and isinstance(data := parts.get("data"), str):
        return {"kind": "binary", "media_type": parts.get("media_type"), "bytes": len(data.rstrip("=")) * 3 // 4}
    return {name: shown(one) for name, one in parts.items()}


def _text(args: object) -> str:
    return args if isinstance(args, str) else json.dumps(plain(args))


def _cost(response: ModelResponse) -> float | None:
    price: Callable[[], Any] = response.cost
    try:
        return float(price().total_price)
    except (LookupError, ValueError, AssertionError):
        return None
