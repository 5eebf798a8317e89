"""A call that was cut off, on the review page: a person who has looked says what became of it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from agentflow import Agent, Approval, ai, step
from agentflow.app.outbox import question_of
from agentflow.channels import Notice
from agentflow.channels.cards import card
from agentflow.testing import Engine, Waiting
from agentflow.testing.models import call, scripted_model, text
from tests.server.reviewer import Browser
from tests.server.site import PATIENCE, site_of


class Door:
    """Where the tool stands still until its worker dies."""

    def __init__(self) -> None:
        self.reached, self.open, self.count = asyncio.Event(), asyncio.Event(), 0


@pytest.fixture(autouse=True)
async def door() -> Door:
    global _door
    _door = Door()
    return _door


_door: Door


@step(name="outcome-pay")
async def pay(order: str, cents: int) -> str:
    """Pay an order back."""
    _door.count += 1
    _door.reached.set()
    await _door.open.wait()
    return f"paid {cents} for {order}"


async def cut_off(engine: Engine, door: Door) -> tuple[Any, Any, Waiting]:
    """A run whose worker died in a call that Maria agreed to, its model, and the question what became of it."""
    model = scripted_model([call("outcome-pay", {"order": "o-1", "cents": 5}, id="c")], [text("done")])
    run = await engine.start(Agent("outcome-cash", model=model, tools=[ai.tool(pay, approval=Approval(users=["maria"]))]), "go")
    [question] = await engine.waiting(run, kind="approval")
    await question.approve(by="maria")
    await asyncio.wait_for(door.reached.wait(), PATIENCE)
    await engine.crash()
    door.open.set()
    [question] = await engine.waiting(run, kind="approval")
    return run, model, question


async def reviewed(engine: Engine, door: Door, *forms: dict[str, Any]) -> tuple[list[httpx.Response], Any, int, list[str]]:
    """What Maria sees as she sends forms about a call whose worker died in it; the run, how often it began, and what the model heard."""
    run, model, question = await cut_off(engine, door)
    async with site_of(engine.app) as site, Browser(site.url) as maria:
        pages = [await maria.open((await engine.app.waitpoints.link(question.id, actor="maria")).path)]
        for form in forms:
            pages.append(await maria.send(pages[-1], **form))
        assert await run.result() == "done"
    told = [str(getattr(part, "content", "")) for part in model.requests[1].messages[-1].parts]
    return pages, run, door.count, told


async def test_the_page_shows_the_call_and_three_things_to_say(engine: Engine, door: Door) -> None:
    pages, _, began, told = await reviewed(engine, door, {"choice": "approve"})
    page = pages[0].text
    assert "Run outcome-pay again? It began and nobody knows how it ended." in page
    assert "&quot;order&quot;: &quot;o-1&quot;" in page or '"order": "o-1"' in page
    assert [word in page for word in ("Run it again", "It was done", "It failed", ">Approve<")] == [True, True, True, False]
    assert "It runs again, as told by maria" in pages[1].text
    assert (began, told) == (2, ["paid 5 for o-1"])


async def test_a_message_shows_the_call_and_leaves_what_became_of_it_to_the_page(engine: Engine, door: Door) -> None:
    run, _, waiting = await cut_off(engine, door)
    question = question_of(waiting.record)
    assert (question.about, question.body, question.can_decide) == ("outcome", {"order": "o-1", "cents": 5}, True)
    told = card(question, Notice(id="1", event="requested", at=1, address="#ops", question=question, link="https://a.test/w/1"))
    assert [one["action_id"] for one in told.blocks[-1]["elements"]] == ["deny", "open"]
    await waiting.approve(by="maria", edits={"outcome": "done", "value": "paid"})
    assert await run.result() == "done"


async def test_what_the_call_has_returned_is_told_and_what_is_no_json_is_refused_at_its_field(engine: Engine, door: Door) -> None:
    pages, _, began, told = await reviewed(
        engine, door, {"choice": "done", "f1": "paid by hand"}, {"choice": "done", "f1": '"paid by hand"', "reason": "I looked."}
    )
    assert (pages[1].status_code, "This is not JSON" in pages[1].text, "paid by hand" in pages[1].text) == (422, True, True)
    assert "It was done, as told by maria" in pages[2].text
    assert "I looked." in pages[2].text
    assert (began, told) == (1, ["paid by hand"])


async def test_a_call_that_failed_is_told_to_the_model_with_the_reason(engine: Engine, door: Door) -> None:
    pages, _, began, told = await reviewed(engine, door, {"choice": "deny", "reason": "No such payment."})
    assert "It failed, as told by maria" in pages[1].text
    assert began == 1
    assert "a person says that it failed" in told[0]
    assert "No such payment." in told[0]
