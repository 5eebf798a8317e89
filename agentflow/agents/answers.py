"""What a model is told of a call that has ended: results of any size, and errors that are for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Literal, cast
from weakref import WeakKeyDictionary

from agentflow.engine.context import TaskContext, current
from agentflow.errors import RunCancelled, RunError, RunExpired, StepTimeout, TellModel

Errors = Literal["raise", "hide", "show"]
"""What becomes of an error that is not for the model: it is raised in the run, or the model hears that, or how, the tool failed."""

LIMIT = 32 * 1024
"""Bytes of a result that a model is told."""

READS_ON = "read_result(result="
"""Stands where a result was cut."""

LONGEST_PAGE = 20_000
_LONGEST_ERROR = 2_000
_OUT_OF_TIME = "The tool took too long."

_kept: WeakKeyDictionary[TaskContext, dict[str, str]] = WeakKeyDictionary()
"""The long results of each run in this process. A replay goes through the same calls, so they are here again after a crash."""


def told(error: Exception, rule: Errors) -> str:
    """What the model is told of an error of a tool. Raises the error itself when it is not for the model."""
    if isinstance(error, TellModel):
        return str(error)
    kind, message = _origin(error)
    if kind == TellModel.__name__:
        return message
    if rule == "raise":
        raise error
    if isinstance(error, RunCancelled):
        return "The tool was cancelled."
    if isinstance(error, (StepTimeout, RunExpired)) or kind in (StepTimeout.__name__, "RunTimeout"):
        return _OUT_OF_TIME
    return "The tool failed." if rule == "hide" else f"The tool failed: {kind}: {message}"[:_LONGEST_ERROR]


def _origin(error: Exception) -> tuple[str, str]:
    """The type and message of what a run or step failed with, or of the error itself."""
    found: Any = error.details.get("error") if isinstance(error, RunError) else None
    if isinstance(found, dict):
        known = cast("dict[str, Any]", found)
        return str(known.get("type", "")), str(known.get("message", ""))
    return type(error).__name__, str(error)


def edited(tool: str, arguments: Any) -> str:
    """What the model is told beside a result: it believes in its own arguments otherwise, and may ask for them again."""
    note = {"executed_args": arguments, "edited_by": "human reviewer", "do_not_repeat_original": True}
    return f"A person changed the arguments of {tool} before it ran: {json.dumps(note, ensure_ascii=False)}"


def shortened(run: TaskContext | None, text: str, limit: int | None) -> str:
    """The text, or its beginning and its end around a notice that says how to read on.

    Inside a run the whole is kept for `read_result` under a name made of what it says: a replay gives it the same.
    """
    if run is None:
        return cut(text, limit)
    name = blake2b(text.encode(), digest_size=4).hexdigest()
    told = cut(text, limit, lambda offset: f'{READS_ON}"{name}", offset={offset})')
    if told != text:
        _kept.setdefault(run, {})[name] = text
    return told


def cut(text: str, limit: int | None, reads_on: Callable[[int], str] | None = None) -> str:
    """A text of at most `limit` bytes and a notice where it was cut; `reads_on` is the call that goes on from a character."""
    encoded = text.encode()
    if limit is None or len(encoded) <= limit:
        return text
    head = encoded[: limit * 3 // 4].decode(errors="ignore")
    tail = encoded[-(limit // 4) :].decode(errors="ignore") if limit >= 4 else ""
    notice = f"{len(text) - len(head) - len(tail)} of {len(text)} characters are left out here."
    if reads_on is not None:
        notice += f" {reads_on(len(head))} reads on."
    return f"{head}\n[… {notice} …]\n{tail}"


def page(text: str, offset: int, limit: int, reads_on: Callable[[int], str]) -> str:
    """A stretch of a text, and where it is in the whole."""
    begin = max(0, offset)
    end = begin + max(1, min(limit, LONGEST_PAGE))
    more = f"{reads_on(end)} reads on." if end < len(text) else "This is the end."
    return f"{text[begin:end]}\n[… characters {begin} to {min(end, len(text))} of {len(text)}. {more} …]"


def keeps() -> bool:
    """Whether the run around this code has a result that was too long to be told."""
    run = current.get()
    return run is not None and bool(_kept.get(run))


async def read_result(result: str, offset: int = 0, limit: int = LONGEST_PAGE) -> str:
    """Read on in the result of a tool that was too long to be shown as a whole.

    Args:
        result: The name that stands where the result was cut.
        offset: The number of the first character to read, from 0.
        limit: How many characters to read, at most 20000.
    """
    run = current.get()
    text = None if run is None else _kept.get(run, {}).get(result)
    if text is None:
        raise TellModel(f"There is no result {result!r} in this run. Call the tool again that gave it.")
    return page(text, offset, limit, lambda place: f'read_result(result="{result}", offset={place})')
