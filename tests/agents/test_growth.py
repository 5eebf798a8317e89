"""An agent of two hundred turns: what it stores grows with what is said, not with what was said before."""

from __future__ import annotations

import pytest

from agentflow import Agent
from agentflow.testing import Engine
from agentflow.testing.models import call, scripted_model, text

TURNS = 200


pytestmark = pytest.mark.both_databases


async def test_the_records_of_a_long_run_grow_by_the_same_rows_and_bytes_each_turn(engine: Engine) -> None:
    async def look_up(order: str) -> str:
        return f"{order} left on Monday"

    turns = [[call("look_up", {"order": f"o-{turn:03}"}, id=f"c{turn:03}")] for turn in range(1, TURNS)]
    model = scripted_model(*turns, [text("done")])
    run = await engine.start(Agent("long", model=model, tools=[look_up], turns=None), "go")
    # The clock stands still: there is no limit.
    assert await run.result(timeout="1h") == "done"
    journal = await engine.app.runs.journal(run.id)
    assert len(journal) == 2 * TURNS - 1

    def stored(first: int, last: int) -> int:
        return sum(len(entry.value or "") for entry in journal[first:last])

    assert stored(0, 20) == pytest.approx(stored(-21, -1), rel=0.02)
    assert max(len(entry.value or "") for entry in journal) < 1_500
    assert len(model.requests) == TURNS


async def test_the_messages_of_a_thread_are_stored_once_and_no_run_stores_those_of_others(engine: Engine) -> None:
    model = scripted_model(*([text(f"answer {turn:03}")] for turn in range(40)))
    talker = Agent("talker", model=model)
    sizes: list[int] = []
    for turn in range(40):
        run = await engine.start(talker.using(thread="t-long"), f"question {turn:03}")
        await run.result()
        sizes.append(sum(len(entry.value or "") for entry in await engine.app.runs.journal(run.id)))
    assert max(sizes[1:]) - min(sizes[1:]) < 50
    assert len(await engine.app.thread("t-long").history()) == 80
