"""Where a reader is in a run's stream."""

from __future__ import annotations

import re
from typing import NamedTuple

from agentflow.errors import CursorInvalid

_FORM = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)

RENUMBERED = 10**15
"""A log that lost its beginning counts on from the time in microseconds: above this, so that no id repeats one a reader holds."""


class Cursor(NamedTuple):
    """The id of an event: the epoch that wrote it and its number in that epoch.

    Compared as integers, so `9-2 < 10-0`; its text is the SSE id. A cursor means "everything up to and with this event".

    >>> str(Cursor.parse("3-128"))
    '3-128'
    """

    epoch: int
    seq: int

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read `<epoch>-<seq>`. Raises `CursorInvalid` for anything else."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise CursorInvalid(
                f"{text!r} is not a cursor.", hint="Send back the id of an event as it came, like 3-128, or leave it out.", cursor=text
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    def follows(self, other: Cursor) -> bool:
        """Whether no event can lie between `other` and this one: numbers are dense inside an epoch."""
        return self.epoch == other.epoch and self.seq == other.seq + 1
