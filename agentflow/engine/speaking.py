"""By which version of a prompt code speaks to a model: what the code around says, or what a request repeats word by word."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

from agentflow.storage.generations import Spoken

_KNOWN = 128
"""How many filled prompts of a run are remembered, the last ones."""

spoken_by: ContextVar[Spoken | None] = ContextVar("agentflow_prompt", default=None)
"""The version of a prompt by which the code around speaks to a model."""


class Speaker(Protocol):
    """A prompt that was filled: `texts` are its own words, in each of the ways in which a request may hold them."""

    @property
    def texts(self) -> Sequence[Collection[str]]: ...

    @property
    def spoken(self) -> Spoken: ...


_filled: WeakKeyDictionary[Any, OrderedDict[Collection[str], Speaker]] = WeakKeyDictionary()


@contextmanager
def speaking_by(spoken: Spoken | None) -> Generator[None]:
    """Model calls in this block are those of a version of a prompt."""
    token = spoken_by.set(spoken)
    try:
        yield
    finally:
        spoken_by.reset(token)


def remember(run: object, one: Speaker) -> None:
    """A run has filled a prompt: a request of it that says the same words is made by that."""
    known = _filled.setdefault(run, OrderedDict())
    for texts in one.texts:
        known[texts] = one
        known.move_to_end(texts)
    while len(known) > _KNOWN:
        known.popitem(last=False)


def speaker_of(run: object, request: Any) -> Spoken | None:
    """By which version a request is made: the one around; else of those whose words are all in it the one that has most of them."""
    around, known = spoken_by.get(), _filled.get(run)
    if around is not None or not known:
        return around
    said = set(_texts(request))
    fitting = [(sum(map(len, texts)), at, one) for at, (texts, one) in enumerate(known.items()) if said.issuperset(texts)]
    return max(fitting, key=lambda one: one[:2])[2].spoken if fitting else None


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in cast("Mapping[str, Any]", value).values():
            yield from _texts(one)
    elif isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        for one in cast("Sequence[Any]", value):
            yield from _texts(one)
