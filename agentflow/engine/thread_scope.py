"""The seam between a run's code and the conversation that the run belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class ThreadScope(Protocol):
    """What code inside a run can reach of the conversation that the run belongs to. Messages are JSON texts."""

    @property
    def id(self) -> str:
        """The thread's id."""
        ...

    async def history(self) -> list[str]:
        """What was said before this run, a summary of the older part first if there is one: recorded as a position, so that a replay sees

        the same.
        """
        ...

    async def append(self, messages: Sequence[str]) -> None:
        """Add messages at the end of the conversation: once, whatever crashes, in the transaction that records it.

        The first ones of a run that answers the last question anew take the place of what was answered before.
        """
        ...

    async def sum_up(self, count: int, summary: str) -> None:
        """Have the message `summary` stand for the first `count` messages of the history: what comes later begins with it."""
        ...

    async def heard(self, key: str) -> Any | None:
        """The next payload that was sent for this run to hear while it works, recorded under `key`; None when there is none.

        Each is heard once. What was recorded behind this point is replayed as it was, and nothing new is heard before it.
        """
        ...
