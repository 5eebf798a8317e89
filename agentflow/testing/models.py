"""A language model that says what a test wrote."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.models.function import (
    AgentInfo,
    BuiltinToolCallsReturns,
    DeltaThinkingCalls,
    DeltaThinkingPart,
    DeltaToolCall,
    DeltaToolCalls,
    FunctionModel,
)
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import RunContext
from pydantic_ai.usage import RequestUsage

from agentflow.errors import DefinitionError

Delta = str | DeltaToolCalls | DeltaThinkingCalls | BuiltinToolCallsReturns


@dataclass(frozen=True, slots=True)
class Said:
    """One part of a turn: `kind` is text, thinking, call or tokens."""

    kind: str
    text: str
    tool: str = ""
    call_id: str | None = None
    signature: str | None = None
    usage: RequestUsage | None = None


def text(said: str) -> Said:
    """A part of text."""
    return Said("text", said)


def thinking(said: str, *, signature: str | None = None) -> Said:
    """A part of thoughts; `signature` is what a provider would want back with them."""
    return Said("thinking", said, signature=signature)


def call(tool: str, arguments: Mapping[str, Any] | str | None = None, *, id: str | None = None) -> Said:
    """A call of a tool. `arguments` may be raw text, to try what is no JSON; `id` defaults to one made of turn and place."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return Said("call", written, tool, id)


def tokens(input: int, output: int = 0, *, cached: int = 0) -> Said:
    """What the turn is said to have used, instead of an estimate; write it among the parts of the turn."""
    return Said("tokens", "", usage=RequestUsage(input_tokens=input, output_tokens=output, cache_read_tokens=cached))


Told = Sequence[Said] | Callable[[list[ModelMessage]], Sequence[Said]]
Turn = Told | Exception
"""What the model says in one turn: parts, or a function of the messages so far that returns them. An exception fails a request once."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the model was asked."""

    messages: list[ModelMessage]
    tools: list[str]
    instructions: str | None


class ScriptedModel(FunctionModel):
    """See `scripted_model`. `requests` are the requests it was really asked: a replay asks nothing."""

    def __init__(self, turns: Sequence[Turn], pace: Callable[[str], Awaitable[None]] | None, size: int) -> None:
        super().__init__(stream_function=self._answer, model_name="scripted")
        self.requests: list[Request] = []
        self._turns, self._failures = _script(turns)
        self._pace = pace
        self._size = size
        self._streams: dict[int, StreamedResponse] = {}

    @property
    def model_id(self) -> str:
        """`scripted:scripted`, so that it is known by name."""
        return "scripted:scripted"

    async def request(
        self, messages: list[ModelMessage], model_settings: ModelSettings | None, model_request_parameters: ModelRequestParameters
    ) -> ModelResponse:
        """The whole turn at once, for code that does not stream."""
        async with self.request_stream(messages, model_settings, model_request_parameters) as stream:
            async for _ in stream:
                pass
            return stream.get()

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """The turn in pieces."""
        async with super().request_stream(messages, model_settings, model_request_parameters, run_context) as stream:
            self._streams[id(messages)] = stream
            try:
                yield stream
            finally:
                del self._streams[id(messages)]

    async def _answer(self, messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Delta]:
        tools = [tool.name for tool in [*info.function_tools, *info.output_tools]]
        self.requests.append(Request(list(messages), tools, info.instructions))
        number = sum(isinstance(message, ModelResponse) for message in messages)
        if self._failures.get(number):
            raise self._failures[number].pop(0)
        if number >= len(self._turns):
            raise DefinitionError(f"scripted_model has {len(self._turns)} turns and was asked for one more.", hint="Write another turn.")
        turn = self._turns[number]
        parts = turn(messages) if callable(turn) else turn
        for place, said in enumerate(parts):
            for delta in self._deltas(said, place, f"call_{number + 1}_{place}"):
                if self._pace is not None:
                    await self._pace(said.kind)
                yield delta
        for said in parts:
            if said.usage is not None:
                told = self._streams[id(messages)].usage
                told.input_tokens, told.output_tokens = said.usage.input_tokens, said.usage.output_tokens
                told.cache_read_tokens = said.usage.cache_read_tokens

    def _deltas(self, said: Said, place: int, call_id: str) -> list[Delta]:
        pieces = [said.text[at : at + self._size] for at in range(0, len(said.text), self._size)]
        if said.kind in ("text", "tokens"):
            return list(pieces)
        if said.kind == "thinking":
            last: list[Delta] = [{place: DeltaThinkingPart(content="", signature=said.signature)}] if said.signature else []
            return [*({place: DeltaThinkingPart(content=piece)} for piece in pieces), *last]
        start: Delta = {place: DeltaToolCall(name=said.tool, json_args="", tool_call_id=said.call_id or call_id)}
        return [start, *({place: DeltaToolCall(json_args=piece)} for piece in pieces)]


def _script(turns: Sequence[Turn]) -> tuple[list[Told], dict[int, list[Exception]]]:
    told: list[Told] = []
    failures: dict[int, list[Exception]] = {}
    for turn in turns:
        if isinstance(turn, Exception):
            failures.setdefault(len(told), []).append(turn)
        else:
            told.append(turn)
    return told, failures


def scripted_model(*turns: Turn, pace: Callable[[str], Awaitable[None]] | None = None, size: int = 8) -> ScriptedModel:
    """A model that says the first turn in a new conversation, the second after it, and so on, streamed in pieces of `size` characters.

    Any number of runs may share it. An exception among the turns fails the request of the turn after it, once. `pace` is awaited before
    each piece with the part's kind, so a test (or a demo) decides when it comes. Asked for more turns than there are it raises
    `DefinitionError`.

        model = scripted_model([thinking("hm"), call("look_up", {"order": "o-1"}, id="c1")], [text("It left on Monday.")])
        agent = Agent("support", model=model, tools=[look_up])
        assert len(model.requests) == 2
    """
    return ScriptedModel(turns, pace, size)
