"""What one step says while it runs, as it is recorded with its result: whole parts instead of deltas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pydantic_core import from_json, to_json

from agentflow.streams.codec import decode, encode
from agentflow.streams.events import Data, Event, ReasoningDelta, StepStarted, TextDelta, ToolInputDelta, ToolOutput


class Transcript:
    """Collects a step's events. Whoever hears it instead of them, or after some of them, knows the same at its end."""

    __slots__ = ("_began", "_events", "_growing")

    def __init__(self, began: StepStarted) -> None:
        self._began = began
        self._events: list[Event] = []
        self._growing: list[str] = []

    def add(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, (TextDelta, ReasoningDelta)):
            self._grow(event)
        elif not _passing(event):
            self._settle()
            self._events.append(event)

    def text(self) -> str | None:
        """All of it as JSON; None of a step that said nothing."""
        self._settle()
        if not self._events:
            return None
        return written((self._began, *self._events))

    def _grow(self, event: TextDelta | ReasoningDelta) -> None:
        last: Any = self._events[-1] if self._growing else None
        if type(last) is type(event) and last.part == event.part:
            self._growing.append(event.delta)
            return
        self._settle()
        self._events.append(event)
        self._growing = [event.delta]

    def _settle(self) -> None:
        if len(self._growing) > 1:
            last: Any = self._events[-1]
            self._events[-1] = replace(last, delta="".join(self._growing))
        self._growing = []


def _passing(event: Event) -> bool:
    """Whether something later says it all: the whole input of a call, its last output, data that is not to be kept."""
    return (
        isinstance(event, ToolInputDelta)
        or (isinstance(event, ToolOutput) and bool(event.preliminary))
        or (isinstance(event, Data) and bool(event.transient))
    )


def written(events: Iterable[Event]) -> str:
    """Events as JSON, as `read_transcript` reads them."""
    return to_json([_fields(event) for event in events]).decode()


def _fields(event: Event) -> list[str]:
    kind, about, data = encode(event)
    return [kind, about, data.decode()]


def read_transcript(text: str) -> list[Event]:
    """The events of a recorded transcript; the first says which step it was."""
    return [decode(*fields) for fields in from_json(text)]
