"""A crash after every recorded unit of a run, on the seam."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from agentflow.testing.models import ScriptedModel
from tests.agents.memory import Journal, MemoryRun

Body = Callable[[], Awaitable[Any]]


async def survived(body: Body, *models: ScriptedModel) -> tuple[Any, Journal]:
    """What `body` returns, live and after a crash behind each of its records: the same, nothing of what was recorded done again."""
    journal = Journal()
    output = await MemoryRun(journal).drive(body)
    recorded, asked = list(journal.results), [len(model.requests) for model in models]
    for kept in range(len(recorded) + 1):
        before = [len(model.requests) for model in models]
        again = MemoryRun(Journal(results={key: journal.results[key] for key in recorded[:kept]}))
        assert await again.drive(body) == output
        assert sorted(again.executed) == sorted(recorded[kept:])
        if kept == len(recorded):
            assert [len(model.requests) for model in models] == before
    assert asked == [len(set(_turns(model))) for model in models], "live, no turn is asked for twice"
    return output, journal


def _turns(model: ScriptedModel) -> list[int]:
    return [len(request.messages) for request in model.requests]
