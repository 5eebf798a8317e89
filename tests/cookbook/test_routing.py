"""The route: chosen once, whatever happens afterwards."""

from __future__ import annotations

import asyncio

import pytest

from agentflow.testing import Engine, call, scripted_model, text
from cookbook import scripts
from cookbook.routing import DESKS, Reply, answer_customer, billing_desk, dispatcher, technical_desk
from tests.cookbook.conftest import Play, Silence


@pytest.mark.parametrize(
    ("question", "desk"),
    [("I was charged twice.", "billing"), ("It says error 42.", "technical"), ("Where are you?", "general")],
)
async def test_a_question_is_answered_at_its_desk_alone(engine: Engine, play: Play, question: str, desk: str) -> None:
    await play(dispatcher, scripts.dispatcher())
    desks = {name: await play(agent, scripted_model([text(f"{name} answers")])) for name, agent in DESKS.items()}
    run = await engine.start(answer_customer, question)
    assert await run.result() == Reply.model_validate({"desk": desk, "text": f"{desk} answers"})
    assert [name for name, model in desks.items() if model.requests] == [desk]
    assert (await engine.get(run)).metadata == f'{{"desk":"{desk}"}}'


async def test_a_crash_while_the_desk_speaks_does_not_ask_for_the_way_again(engine: Engine, play: Play) -> None:
    # Asked a second time, this dispatcher would send the customer elsewhere.
    silence, ways = Silence(after=1), ["technical", "billing"]
    chosen = await play(dispatcher, scripted_model(lambda _: [call("final_result", {"desk": ways.pop(), "reason": "money"})]))
    await play(technical_desk, scripted_model([text("Have you tried to restart?")]))
    await play(billing_desk, scripted_model([text("You have your money back.")], pace=silence))
    run = await engine.start(answer_customer, "I was charged twice.")
    await asyncio.wait_for(silence.reached.wait(), 10)
    await engine.stop()
    silence.over.set()
    await engine.go_on()
    assert await run.result() == Reply(desk="billing", text="You have your money back.")
    assert len(chosen.requests) == 1
