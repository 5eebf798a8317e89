"""What the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know: `level` is ok, warning or problem, `code` is for programs, `hint` says what to do next, `runs` are ids."""

    level: str
    code: str
    message: str
    hint: str = ""
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    runs: tuple[str, ...] = ()


def many(count: int, word: str) -> str:
    """A count of things in words."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
