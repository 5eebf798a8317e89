"""pydantic-ai's messages, as a thread stores them: one JSON text each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter

from agentflow.errors import UnserializableValue
from agentflow.serde import dumps

__all__ = ["ModelMessage", "read", "written"]


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
