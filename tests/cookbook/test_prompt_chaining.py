"""The chain: a gate between its calls, and a crash in the middle of one."""

from __future__ import annotations

import pytest

from agentflow import RunFailed
from agentflow.testing import Engine, call, scripted_model, text
from cookbook.prompt_chaining import article_writer, headliner, outliner, write_article
from tests.cookbook.conftest import Play, Silence

OUTLINE = {"title": "Fencing", "points": ["Two workers believe in one lease.", "A number decides.", "It costs a column."]}


async def test_after_a_crash_the_chain_goes_on_with_the_call_that_was_under_way(engine: Engine, play: Play) -> None:
    silence = Silence(after=1)
    outlines = play(outliner, scripted_model([call("final_result", OUTLINE)]))
    articles = play(article_writer, scripted_model([text("The article.")], pace=silence))
    headlines = play(headliner, scripted_model([text("The headline.")]))
    run = await engine.start(write_article, "fencing")
    await silence.broken_by_crash_of(engine)
    assert await run.result() == "The article.\n\n> The headline."
    assert [len(one.requests) for one in (outlines, articles, headlines)] == [1, 2, 1]


async def test_an_outline_that_does_not_pass_the_gate_costs_no_article(engine: Engine, play: Play) -> None:
    play(outliner, scripted_model([call("final_result", {"title": "Fencing", "points": ["Only one."]})]))
    articles = play(article_writer, scripted_model([text("The article.")]))
    run = await engine.start(write_article, "fencing")
    with pytest.raises(RunFailed, match="'Fencing' has 1 points, and the article has room for 3 to 5"):
        await run.result()
    assert articles.requests == []
