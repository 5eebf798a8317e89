"""By which version of a prompt code speaks to a model."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

spoken_by: ContextVar[str | None] = ContextVar("agentflow_prompt", default=None)
"""The version of a prompt, as `support@v3#9f2c1a`, by which the code around speaks to a model."""


@contextmanager
def speaking_by(ref: str | None) -> Generator[None]:
    """What model calls use in this block counts for a version of a prompt."""
    token = spoken_by.set(ref)
    try:
        yield
    finally:
        spoken_by.reset(token)
