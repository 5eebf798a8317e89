"""What an agent is asked: text, or a list of texts, images and files, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, cast

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_ai.messages import UserContent

    Prompt = str | Sequence[UserContent]
else:
    Prompt = Any

__all__ = ["Prompt", "as_json", "content", "prompt_type"]


def content(prompt: str | Sequence[Any]) -> str | list[UserContent]:
    """What a stored prompt asks a model."""
    return prompt if isinstance(prompt, str) else _parts().validate_python(list(prompt))


@lru_cache(maxsize=1)
def prompt_type() -> Any:
    """The annotation of a prompt. Parts of a list are checked where the prompt is given; a list loads pydantic-ai, a text does not.

    A model that calls the agent as its tool is told of the text alone.
    """
    from pydantic import BeforeValidator, WithJsonSchema

    told = {"type": "string", "description": "What the agent is asked. It knows nothing else of this conversation."}
    return Annotated[str | list[str | dict[str, Any]], BeforeValidator(as_json), WithJsonSchema(told)]


def as_json(prompt: object) -> object:
    """A prompt in the form that is stored: its parts as JSON. Raises `ValidationError` for a list with something that is no part."""
    if isinstance(prompt, str) or not isinstance(prompt, (list, tuple)):
        return prompt
    found = _parts().validate_python(list(cast("Sequence[Any]", prompt)))
    return _parts().dump_python(found, mode="json")


@lru_cache(maxsize=1)
def _parts() -> TypeAdapter[list[UserContent]]:
    from pydantic import TypeAdapter
    from pydantic_ai.messages import UserContent

    return TypeAdapter(list[UserContent])
