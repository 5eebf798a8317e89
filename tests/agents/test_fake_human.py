"""`fake_human`: what it decides, and that nobody waits in silence for what it has no answer to."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest
from pydantic import BaseModel

from agentflow import Agent, Approval, ai, approve, ask, task
from agentflow.errors import WaitpointError
from agentflow.serde import loads
from agentflow.testing import Engine, fake_human
from agentflow.testing.models import call, scripted_model, text


class Parcel(BaseModel):
    carrier: Literal["dhl", "ups"]
    insured: bool = True


given: list[int] = []


async def give_back(cents: int) -> str:
    """Give money back."""
    given.append(cents)
    return f"gave {cents}"


async def look_up(order: str) -> str:
    """Look an order up."""
    return f"{order} is on its way"


def agent(name: str, *cents: int) -> Agent[str]:
    calls = [call("give_back", {"cents": one}, id=f"c{one}") for one in cents]
    tools = [ai.tool(give_back, approval=Approval(need=2, groups=["finance"])), ai.tool(look_up, approval=True)]
    return Agent(name, model=scripted_model([*calls, call("look_up", {"order": "o-1"}, id="c0")], [text("done")]), tools=tools)


@pytest.fixture(autouse=True)
def nothing_given() -> None:
    given.clear()


async def test_it_decides_by_tool_one_after_the_other_and_approves_the_rest(engine: Engine) -> None:
    with fake_human(engine, approve_all=True) as human:
        human.decide("give_back", "approve")
        human.decide("give_back", "deny", reason="too much")
        run = await engine.start(agent("human-shop", 1, 2, 3), "go")
        assert await run.result() == "done"
    assert len(given) == 1
    assert sorted(loads(one.subject)["tool"] for one in human.asked) == ["give_back", "give_back", "give_back", "look_up"]
    votes = await engine.app.waitpoints.votes(human.asked[0].id)
    assert {vote.actor for vote in votes} in ({"human", "human-2"}, {"human"})


async def test_it_answers_forms_by_their_model_and_questions_by_their_title(engine: Engine) -> None:
    @task(name="human-forms")
    async def packs() -> str:
        parcel = await ask(Parcel, title="How?", assign="user:maria")
        decision = await approve("Send it?", users=["otto", "maria"], need=2)
        note = await ask(str, title="What to write?")
        return f"{parcel.carrier} {parcel.insured} {decision.approved} {decision.by} {note}"

    with fake_human(engine) as human:
        human.answer(Parcel, Parcel(carrier="dhl", insured=False))
        human.answer("What to write?", "with love")
        human.decide("Send it?", "approve")
        run = await engine.start(packs)
        assert await run.result() == "dhl False True maria, otto with love"


async def test_a_question_that_no_rule_is_about_fails_the_test_at_once_and_says_what_is_open(engine: Engine) -> None:
    async def goes() -> None:
        with fake_human(engine) as human:
            human.decide("look_up", "approve")
            run = await engine.start(agent("human-unknown", 7), "go")
            await run.result()

    with pytest.raises(AssertionError, match=r"give_back.*'cents': 7"):
        await goes()
    assert given == []
    test = asyncio.current_task()
    assert test is not None
    assert test.cancelling() == 0


async def test_what_it_may_not_decide_fails_the_test(engine: Engine) -> None:
    engine.app.waitpoints.groups = lambda name: ["sales"]

    async def goes() -> None:
        with fake_human(engine, approve_all=True):
            run = await engine.start(agent("human-outsider", 7), "go")
            await run.result()

    with pytest.raises(AssertionError, match="human may not decide"):
        await goes()


async def test_it_waits_through_a_crash_and_says_what_became_of_a_call(engine: Engine) -> None:
    reached = asyncio.Event()

    async def send(order: str) -> str:
        """Send an order."""
        reached.set()
        await asyncio.get_running_loop().create_future()
        return order

    model = scripted_model([call("send", {"order": "o-1"}, id="c1")], [text("done")])
    sender = Agent("human-crash", model=model, tools=[ai.tool(send, approval=True)])
    with fake_human(engine, approve_all=True) as human:
        human.decide("send", "done", value="sent by hand")
        run = await engine.start(sender, "go")
        await asyncio.wait_for(reached.wait(), 10)
        await engine.crash()
        assert await run.result() == "done"
    assert [loads(one.subject)["kind"] for one in human.asked] == ["tool", "outcome"]


async def test_it_stops_a_run_and_a_test_may_answer_itself_outside_of_it(engine: Engine) -> None:
    with fake_human(engine, approve_all=True) as human:
        human.decide("give_back", "deny", stop=True)
        run = await engine.start(agent("human-stop", 7), "go")
        await engine.until(run, "cancelled")
    other = await engine.start(agent("human-outside", 8), "go")
    for question in await engine.waiting(other, 2):
        with_two = loads(question.record.subject).get("need", 1)
        for name in ["ana", "otto"][:with_two]:
            await question.approve(by=name)
    assert await other.result() == "done"
    with pytest.raises(WaitpointError):
        await engine.app.waitpoints.approve("wp_unknown", by="ana")
