"""All that can be done with questions and grants over HTTP, by the Python client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agent, Agentflow, Approval, ai, ask
from agentflow import task as task_of
from agentflow.channels import Notice
from agentflow.channels.notice import EVENTS
from agentflow.client import Client
from agentflow.errors import AgentflowError, WaitpointAlreadyAnswered
from agentflow.records import DeliveryState
from agentflow.storage.policy import NotEligible, SubjectChanged
from agentflow.testing import call, scripted_model, text
from tests.server.site import Site, site_of


async def pay(to: str) -> str:
    """Pay somebody."""
    return f"paid {to}"


@task_of(name="client-form")
async def form() -> int:
    return await ask(int, title="How many?", assign="user:otto")


class Board:
    """A channel that takes every message."""

    name = "board"
    reaches_people = True
    events = EVENTS

    def owner(self, address: str) -> str | None:
        return None

    async def send(self, notice: Notice) -> str | None:
        return f"note {notice.event}"


def payer() -> Agent[str]:
    turn = [call("pay", {"to": to}, id=id) for id, to in (("c1", "ana"), ("c2", "ben"), ("c3", "ana"))]
    approval = Approval(users=["maria", "zoe"], notify=["board:wall"], risk="medium")
    return Agent("client-payer", model=scripted_model(turn, [text("done")]), tools=[ai.tool(pay, approval=approval)])


@pytest.fixture
async def site(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    tasks: list[Any] = [form, payer()]
    async with Agentflow(tasks, directory=tmp_path, redis=stream_server, channels=[Board()]) as app, site_of(app) as site:
        yield site


@pytest.fixture
async def client(site: Site) -> AsyncIterator[Client]:
    async with Client(site.url) as opened:
        yield opened


async def test_a_question_is_found_told_of_linked_decided_and_stands_for_others(client: Client, site: Site) -> None:
    run = await client.start("client-payer", prompt="pay")
    while len(await client.waitpoints.list(run_id=run.id)) < 3:
        await site.waiting(run.id)
    ana, ben = sorted(await client.waitpoints.inbox(assignee="maria", risk=["medium"], tool="pay"), key=lambda one: -one.times)
    assert (ana.times, ana.held, ben.times) == (2, None, 1)
    assert sorted(str(one.held) for one in await client.waitpoints.list(run_id=run.id)) == ["None", "None", "same"]
    assert await client.waitpoints.inbox(assignee="otto") == []
    path = client.waitpoints
    link = await path.link(ana.id, actor="zoe", expires="1h", choices=["deny"], by="maria")
    assert (link.waitpoint_id, link.actor, link.choices, link.path[:3], link.path in repr(link)) == (ana.id, "zoe", ("deny",), "/w/", False)
    assert "2 times" in (await site.client.get(link.path)).text
    assert (await path.remind(ana.id, by="maria")).id == ana.id
    for error, by, seen in ((NotEligible, "otto", None), (SubjectChanged, "maria", "other")):
        with pytest.raises(error):
            await path.decide(ana.id, {"approved": True}, by=by, seen=seen)
    assert [(one.actor, one.choice, one.why) for one in await path.votes(ana.id)][1:] == [
        ("otto", "approve", "not_eligible"),
        ("maria", "approve", "subject_changed"),
    ]
    done = await path.decide(ana.id, {"approved": True}, by="maria", idempotency_key="k", always={"scope": "agent", "max_uses": 5})
    assert (done.resolved, done.need, done.have, done.others) == (True, 1, 1, ())
    [grant] = await client.grants.list()
    assert (grant.id, grant.scope, grant.waitpoint, grant.granted_by) == (done.grant, "agent", ana.id, "maria")
    [kept] = await path.decide_many([{"id": ben.id, "approved": False, "reason": "no"}], by="zoe", whole=False)
    assert not isinstance(kept, AgentflowError)
    assert kept.resolved
    [lost] = await path.decide_many([{"id": ben.id, "approved": True}], by="zoe", whole=False)
    assert isinstance(lost, WaitpointAlreadyAnswered)
    assert await run.result() == "done"
    await has_told_and_stands(client, ana.id, grant.id)


async def has_told_and_stands(client: Client, question: str, grant_id: str) -> None:
    told = await client.waitpoints.deliveries(question)
    assert ([one.event for one in told], told[0].id) == (["requested", "reminded", "resolved"], f"{question}.1")
    assert {one.state for one in told} <= {DeliveryState.SENT, DeliveryState.PENDING}

    gone = await client.grants.revoke(grant_id, by="zoe")
    assert (gone.revoked_by, await client.grants.list()) == ("zoe", [])
    made = await client.grants.create("pay", by="boss", match={"args": {"to": {"is": "x"}}}, always={"scope": "all", "expires": "1h"})
    assert {one.id for one in await client.grants.list(tool="pay", every=True)} == {grant_id, made.id}


async def test_a_form_and_a_token_are_answered(client: Client, site: Site) -> None:
    run = await client.start("client-form")
    one = await client.waitpoints.get((await site.waiting(run.id))["id"])
    assert (await client.waitpoints.decide(one.id, {"value": 5}, by="otto")).resolved
    assert await run.result() == 5
    token = await client.waitpoints.create(title="When it is done", timeout="1h", idempotency_key="k")
    assert (await client.waitpoints.create(title="When it is done", timeout="1h", idempotency_key="k")).id == token.id
    assert (await client.waitpoints.answer(token.id, 7, by="farm")).answer == "7"
