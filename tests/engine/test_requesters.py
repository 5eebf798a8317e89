"""Whoever a run has heard before it asks is one of those who asked for it, and does not decide about it where they may not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from agentflow import Agent, Approval, InputStream, ai, approve, task
from agentflow.app.grants import Always
from agentflow.records import RunState, WaitKind
from agentflow.serde import loads
from agentflow.storage.policy import NotEligible
from agentflow.testing import Engine, Waiting, call, scripted_model, text

orders = InputStream[str]("requesters-orders")
wired: list[str] = []
broken: list[str] = []


@task(name="requesters-wire")
async def wire(to: str, policy: dict[str, Any]) -> str:
    decision = await approve(f"Wire to {to}?", **policy)
    return f"{decision.approved} by {decision.by}"


@task(name="requesters-obedient")
async def obedient(policy: dict[str, Any], *, below: bool = False) -> str:
    to = await orders.next()
    if broken:
        raise RuntimeError(broken.pop())
    if below:
        return await wire(to, policy)
    decision = await approve(f"Wire to {to}?", **policy)
    return f"{decision.approved} by {decision.by}"


async def pay(to: str) -> str:
    """Pay somebody."""
    wired.append(to)
    return f"paid {to}"


def payer(*turns: Any, **approval: Any) -> Agent[str]:
    tool = ai.tool(pay, approval=Approval(**approval or {"risk": "high"}))
    return Agent("requesters-payer", model=scripted_model(*turns), tools=[tool])


async def refused(question: Waiting, names: Sequence[str]) -> None:
    for name in names:
        with pytest.raises(NotEligible) as found:
            await question.approve(by=name)
        assert found.value.details["reason"] == "self_approval", name


async def test_whose_message_a_run_has_received_asks_for_it_as_whoever_started_it_does(engine: Engine) -> None:
    send = engine.app.runs.send
    run = await engine.start(obedient.using(started_by="maria"), {"risk": "high"})
    await engine.waiting(run)
    await send(run.id, orders, "bob", sent_by="user:bob")
    [question] = await engine.waiting(run, kind="approval")
    # What nobody has received has asked for nothing.
    await send(run.id, orders, "later", sent_by="zoe")
    await refused(question, ["maria", "bob", "user:bob"])
    await question.approve(by="zoe")
    assert await run.result() == "True by zoe"

    run = await engine.start(obedient.using(started_by="maria"), {"risk": "low"})
    await engine.waiting(run)
    await send(run.id, orders, "bob", sent_by="bob")
    [question] = await engine.waiting(run, kind="approval")
    await question.approve(by="bob")
    assert await run.result() == "True by bob"

    run = await engine.start(obedient.using(started_by="maria"), {"risk": "high", "users": ["maria", "bob"]})
    await engine.waiting(run)
    await send(run.id, orders, "bob", sent_by="bob")
    ended = await engine.app.runs.ended(run.id)
    assert (ended.state, "Nobody could decide" in loads(ended.error or "")["message"]) == (RunState.FAILED, True)


async def asked_of(engine: Engine, run_id: str) -> Waiting:
    """The question that a run waits for."""
    async with asyncio.timeout(30):
        while not (found := [one for one in await engine.app.runs.waiting_for(run_id) if one.kind is WaitKind.APPROVAL]):
            await asyncio.sleep(0)
    return Waiting(engine, found[0])


async def test_runs_below_and_runs_that_take_one_up_know_who_asked_and_so_does_whom_a_run_tells(engine: Engine) -> None:
    run = await engine.start(obedient.using(started_by="maria"), {"risk": "high"}, below=True)
    await engine.waiting(run)

    @task(name="requesters-courier")
    async def courier() -> None:
        await run.send(orders, "bob")

    # Who has a run send a message is who sends it.
    await (await engine.start(courier.using(started_by="bob"))).result()
    [child] = await engine.waiting(run, kind="child")
    question = await asked_of(engine, child.record.target or "")
    await refused(question, ["maria", "bob"])
    await question.approve(by="zoe")
    assert await run.result() == "True by zoe"

    run = await engine.start(obedient.using(started_by="maria"), {"risk": "high"})
    await engine.waiting(run)
    broken.append("for once")
    await engine.app.runs.send(run.id, orders, "bob", sent_by="bob")
    assert (await engine.app.runs.ended(run.id)).state is RunState.FAILED
    again = await engine.app.runs.revive(run.id)
    question = await asked_of(engine, again.id)
    await refused(question, ["maria", "bob"])
    await question.approve(by="zoe")
    assert (await engine.app.runs.ended(again.id)).state is RunState.COMPLETED


async def test_who_steers_an_agent_or_spoke_before_in_its_thread_decides_about_none_of_its_calls(engine: Engine) -> None:
    wired.clear()
    first = [call("pay", {"to": "maria"}, id="c1")], [call("pay", {"to": "bob"}, id="c2")], [text("paid")]
    run = await engine.start(payer(*first).using(thread="requesters-1", started_by="maria"), "pay me")
    [question] = await engine.waiting(run, kind="approval")
    thread = engine.app.thread("requesters-1")
    await thread.send("and bob", mode="steer", started_by="bob")
    await question.approve(by="bob")
    # That was asked before he said anything; what he has said is heard now.
    async with asyncio.timeout(30):
        while wired != ["maria"]:
            await asyncio.sleep(0)
    question = await asked_of(engine, run.id)
    await refused(question, ["maria", "bob"])
    await question.approve(by="zoe")
    assert (await run.result(), wired) == ("paid", ["maria", "bob"])

    fork = await thread.fork()
    for id in ("requesters-1", fork.id):
        model = payer(*first, [call("pay", {"to": "bob"}, id=f"c{id}")], [text("again")])
        run = await engine.start(model.using(thread=id, started_by="zoe"), "yes, do")
        [question] = await engine.waiting(run, kind="approval")
        await refused(question, ["bob", "maria", "zoe"])
        await question.approve(by="ana")
        assert await run.result() == "again"

    # Nor does a grant of his count.
    await engine.app.grants.create("pay", by="bob", match={"args": {"to": {"is": "bob"}}}, always=Always(scope="all"))
    model = payer(*first, *first[:2], [call("pay", {"to": "bob"}, id="c9")], [text("granted")], exclude_requester=True)
    run = await engine.start(model.using(thread="requesters-1", started_by="zoe"), "once more")
    [question] = await engine.waiting(run, kind="approval")
    await question.approve(by="ana")
    assert await run.result() == "granted"
