"""A crash after every recorded unit of a run, on the seam."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from agentflow.testing.models import ScriptedModel
from tests.agents.memory import Journal, MemoryRun

Body = Callable[[], Awaitable[Any]]


async def survived(body: Body, *models: ScriptedModel) -> tuple[Any, Journal]:
    """What `body` returns, live and after a crash behind each of its records: the same, nothing of what was recorded done again."""
    journal, before = Journal(), [len(model.requests) for model in models]
    output = await MemoryRun(journal).drive(body)
    recorded = list(journal.results)
    assert sum(len(model.requests) for model in models) - sum(before) == sum(_is_turn(key) for key in recorded)
    for kept in range(len(recorded) + 1):
        before = [len(model.requests) for model in models]
        again = MemoryRun(Journal(results={key: journal.results[key] for key in recorded[:kept]}))
        assert await again.drive(body) == output
        assert sorted(again.executed) == sorted(recorded[kept:])
        asked = sum(len(model.requests) for model in models) - sum(before)
        assert asked == sum(_is_turn(key) for key in recorded[kept:])
    return output, journal


def _is_turn(key: str) -> bool:
    return key.rsplit("/", 1)[-1].startswith("turn:")
