"""The prompts that the code of this process has, by name: a worker registers them when it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from agentflow.prompts.prompt import Prompt

known: WeakValueDictionary[str, Prompt[Any]] = WeakValueDictionary()
"""Of several prompts with one name the one that was defined last."""
