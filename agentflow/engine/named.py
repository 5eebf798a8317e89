"""What streams of the user's own have in common: a name, and the type in the brackets."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Generic, TypeVar, get_args

from agentflow.engine.queue import NAME
from agentflow.errors import DefinitionError, ItemTooLarge
from agentflow.serde import ANY, Codec, codec

T = TypeVar("T")

LIMIT = 256 * 1024
"""Bytes of JSON that an item or message may have."""

_LONGEST = 200


class Named(Generic[T]):
    """A name and the type of what goes by it."""

    def __init__(self, name: str) -> None:
        check_name(name)
        self._name = name

    @property
    def name(self) -> str:
        """Its name, the same in Python, HTTP and events."""
        return self._name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    @cached_property
    def codec(self) -> Codec:
        """How values of its type are stored; without brackets, any JSON value."""
        # `Stream[Progress]("progress")`: typing notes the brackets on the instance once it is made.
        made: Any = getattr(self, "__orig_class__", None)
        return ANY if made is None else codec(get_args(made)[0])

    def text(self, value: T, what: str) -> str:
        """JSON text of a value. Raises `UnserializableValue` and `ItemTooLarge`."""
        text = self.codec.encode(value, what=f"{what} {self._name!r}")
        check_size(text, f"{what} {self._name!r}")
        return text


def check_name(name: str) -> None:
    """Raise `DefinitionError` for what cannot be the name of a stream."""
    if not NAME.fullmatch(name) or len(name) > _LONGEST:
        hint = f"Use letters, digits, '_', '-' and '.', at most {_LONGEST} characters."
        raise DefinitionError(f"{name[:_LONGEST]!r} is no name for a stream.", hint=hint)


def check_size(text: str, what: str) -> None:
    """Raise `ItemTooLarge` for JSON text that no stream takes."""
    size = len(text.encode())
    if size > LIMIT:
        hint = "Store it elsewhere and put a reference to it in its place: a path, a URL, a key."
        told = f"{what[:1].upper()}{what[1:]} has {size} bytes of JSON; {LIMIT} is the most."
        raise ItemTooLarge(told, hint=hint, size=size, limit=LIMIT)
