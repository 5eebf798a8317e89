"""How the engine unwinds a run: no errors, and never caught by users."""

from __future__ import annotations

from typing import Any


class ControlFlow(BaseException):
    """The engine unwinding a run. Let it pass: catching it changes nothing, for the run's context remembers it."""


class Suspend(ControlFlow):
    """The run leaves memory while it waits; it will be replayed to this point."""


class LeaseLost(ControlFlow):
    """Another worker holds the run, or it has ended: nothing this worker writes counts any more."""


class RunPaused(ControlFlow):
    """The code no longer fits what the run has recorded; an operator decides."""

    def __init__(self, difference: dict[str, Any]) -> None:
        super().__init__("recorded and asked for differ")
        self.difference = difference
