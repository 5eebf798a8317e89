"""pydantic-ai's messages, as a thread stores them: one JSON text each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from pydantic_ai.messages import (
    INTERRUPTED_TOOL_RETURN_CONTENT,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    ToolReturnPart,
    UserPromptPart,
)

from agentflow.agents.prompt import as_json
from agentflow.errors import UnserializableValue
from agentflow.records import MessageRecord
from agentflow.serde import dumps

__all__ = ["ModelMessage", "closed", "last_question", "read", "written"]


def written(messages: Sequence[ModelMessage]) -> list[str]:
    """Messages as JSON texts."""
    return [dumps(one) for one in ModelMessagesTypeAdapter.dump_python(list(messages), mode="json")]


def read(texts: Iterable[str]) -> list[ModelMessage]:
    """Messages of JSON texts. Raises `UnserializableValue` for what is none."""
    try:
        return ModelMessagesTypeAdapter.validate_json(f"[{','.join(texts)}]")
    except ValueError as error:
        raise UnserializableValue(
            f"The messages of the thread cannot be read: {error}.",
            hint="They were written by another version of pydantic-ai, or by code that is no agent.",
        ) from error


def closed(messages: Sequence[ModelMessage]) -> list[ModelMessage]:
    """Messages that a model can be asked with: calls that nobody will answer any more are told as interrupted."""
    last = messages[-1] if messages else None
    if not isinstance(last, ModelResponse) or not last.tool_calls:
        return list(messages)
    told = [
        ToolReturnPart(one.tool_name, INTERRUPTED_TOOL_RETURN_CONTENT, one.tool_call_id, timestamp=last.timestamp, outcome="interrupted")
        for one in last.tool_calls
    ]
    return [*messages, ModelRequest(parts=told, run_id=last.run_id)]


class Question(NamedTuple):
    """What a person asked, as a run's input has it, and in which of the messages."""

    prompt: Any
    place: int


def last_question(said: Sequence[MessageRecord]) -> Question | None:
    """The last question of a person among messages of a thread. What comes with the results of tools belongs to these."""
    for place in reversed(range(len(said))):
        [message] = read([said[place].body])
        if not isinstance(message, ModelRequest):
            continue
        parts = message.parts
        asked = [part for part in parts if isinstance(part, UserPromptPart)]
        if asked and not any(isinstance(part, ToolReturnPart) for part in parts):
            return Question(as_json(asked[-1].content), place)
    return None
