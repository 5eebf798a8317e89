"""Which of an agent's tools the version of the prompt that it speaks by has the model offered."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_offered: ContextVar[tuple[str, Mapping[str, str | None]]] = ContextVar("agentflow_offered")


@contextmanager
def offering(agent: str, tools: Mapping[str, str | None]) -> Generator[None]:
    """Have the model of an agent offered these tools alone, described like this; all as they are where there are none."""
    token = _offered.set((agent, tools))
    try:
        yield
    finally:
        _offered.reset(token)


def offered_to(agent: str) -> Mapping[str, str | None]:
    """The tools that are offered to an agent's model; none for all that it has. Another agent in a tool of it has its own."""
    name, tools = _offered.get((agent, {}))
    return tools if name == agent else {}
