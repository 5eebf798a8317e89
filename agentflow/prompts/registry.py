"""The prompts that the code of this process has, by name: a worker registers them when it starts."""

from __future__ import annotations

from typing import Protocol
from weakref import WeakValueDictionary

from agentflow.storage.prompts import Own


class Coded(Protocol):
    """A prompt that code has.

    `trusting` lets text from outside stand in its system messages, `own` is it as it is registered.
    """

    trusting: bool
    own: Own


known: WeakValueDictionary[str, Coded] = WeakValueDictionary()
"""Of several prompts with one name the one that was defined last."""
