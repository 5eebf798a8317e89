"""What an AG-UI stream has begun and not ended: all of it must be closed before the run may finish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Said = dict[str, Any]
"""An AG-UI event."""


def said(type: str, **fields: Any) -> Said:
    """An event without the fields that are None: a client refuses null."""
    return {"type": type, **{name: value for name, value in fields.items() if value is not None}}


class Brackets:
    """Open brackets by key, each with the events that open it and those that close it."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Sequence[Said], Sequence[Said]]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._open

    def open(self, key: str, opening: Sequence[Said], closing: Sequence[Said]) -> list[Said]:
        """Begin; returns what says so."""
        self._open[key] = (opening, closing)
        return list(opening)

    def close(self, key: str) -> list[Said]:
        """End what is open under a key; nothing where nothing is."""
        _, closing = self._open.pop(key, ((), ()))
        return list(closing)

    def close_all(self) -> list[Said]:
        """End everything, the last first."""
        return [event for key in reversed(tuple(self._open)) for event in self.close(key)]

    def again(self) -> list[Said]:
        """What tells a newcomer of all that is open."""
        return [event for opening, _ in self._open.values() for event in opening]
