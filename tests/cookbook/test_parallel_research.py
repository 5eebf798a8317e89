"""Sub-agents side by side: each a child run, and only those that had not finished are asked again."""

from __future__ import annotations

import asyncio

from agentflow import RunHandle
from agentflow.records import RunState
from agentflow.testing import Engine, call, scripted_model, text
from cookbook import scripts
from cookbook.parallel_research import find, planner, research_report, researcher, synthesizer
from cookbook.scripts import told
from tests.cookbook.conftest import PATIENCE, Play, Silence

QUESTIONS = ["Who holds the lease?", "Who waits?", "Who pays?"]


async def states(engine: Engine, run: RunHandle[str]) -> list[RunState]:
    """How far the sub-agents are."""
    return [one.state for one in await engine.app.runs.list(parent=run.id) if one.task == "researcher"]


async def test_a_crash_asks_only_the_sub_agent_again_that_had_not_finished(engine: Engine, play: Play) -> None:
    silence = Silence(after=2)
    plans = play(planner, scripted_model([call("final_result", {"questions": QUESTIONS})]))
    answers = play(researcher, scripted_model(lambda asked: [text(f"To {told(asked)} I say yes.")], pace=silence, size=100))
    reports = play(synthesizer, scripted_model(lambda asked: [text(told(asked))]))
    run = await engine.start(research_report, "Who?")
    await silence.begun()
    async with asyncio.timeout(PATIENCE):
        while (await states(engine, run)).count(RunState.COMPLETED) < 2:
            await asyncio.sleep(0)
    await silence.broken_by_crash_of(engine)
    report = await run.result()
    assert [report.index(f"{one}\nTo {one} I say yes.") for one in QUESTIONS] == sorted(report.index(one) for one in QUESTIONS)
    assert [len(one.requests) for one in (plans, answers, reports)] == [1, 4, 1]
    assert await states(engine, run) == [RunState.COMPLETED] * 3


async def test_a_sub_agent_reads_the_documents_with_its_tool(engine: Engine, play: Play) -> None:
    play(planner, scripted_model([call("final_result", {"questions": ["What is a lease?"]})]))
    answers = play(researcher, scripts.researcher())
    play(synthesizer, scripts.synthesizer())
    run = await engine.start(research_report, "What is a lease?")
    assert ".md: " in await run.result()
    assert engine.calls(find) == 1
    assert answers.requests[0].tools == ["find"]


async def test_the_tool_finds_paragraphs_that_have_all_words() -> None:
    [vocabulary, *_] = await find("epoch leased")
    assert vocabulary.startswith("ARCHITECTURE.md: ")
    assert await find("epoch aardvark") == []
