"""Experiments: runs that ended are repeated by several versions, their world answers as it did, and what comes of them is compared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import Agent, Retry, ai, approve, ask, current_step, prompt, sleep, step, system, task
from agentflow.errors import DefinitionError, PromptError
from agentflow.prompts.intervals import difference_of, mean_of
from agentflow.prompts.prompt import Prompt
from agentflow.prompts.report import Report, Tried
from agentflow.serde import dumps, loads
from agentflow.streams.events import Usage
from agentflow.testing import Engine
from agentflow.testing.models import Said, call, scripted_model, text
from tests.prompts.saving import save


class Ticket(BaseModel):
    order: str


def triage() -> Prompt[Any]:
    return prompt("experiment_triage", vars=Ticket, text="Refund {{order}}?")


@pytest.fixture(autouse=True)
def deployed() -> list[Prompt[Any]]:
    """They are there before the engine opens, and live as long as the test."""
    global may_answer
    may_answer = asyncio.Event()
    may_answer.set()
    return [triage(), prompt("experiment_desk", messages=[system("You help.")])]


asked: list[str] = []
may_answer = asyncio.Event()


@step(kind="llm")
async def think(said: str) -> str:
    current_step().publish(Usage(provider="test", model="m", input=3, output=len(said)))
    asked.append(said)
    await may_answer.wait()
    return "yes" if said.startswith("Refund") else f"no: {said}"


@step
async def look_up(order: str) -> int:
    return len(order)


@step
async def charge_back(order: str, verdict: str) -> str:
    return f"{order} {verdict}"


@task(name="experiment_booking")
async def booking(order: str) -> str:
    return f"booked {order}"


@task(name="experiment_child")
async def judge(order: str) -> str:
    said = await triage().get(order=order)
    return await think(said.text)


@task(name="experiment_task")
async def handle(order: str) -> str:
    size = await look_up(order)
    verdict = await judge(order)
    await sleep("1d")
    if not await said_yes(order):
        return "denied"
    told = await charge_back(order, "yes" if verdict == "yes" else "no")
    return f"{told} {size} {await booking(order)}"


async def said_yes(order: str) -> bool:
    return (await approve(f"Refund {order}?")).approved


def polite(given: Any, output: Any, run: Tried) -> bool:
    assert given["order"] in output
    return run.version == 2


async def length(given: Any, output: str, run: Tried) -> int:
    return len(output)


async def ended(engine: Engine, *orders: str) -> list[str]:
    runs = [await engine.start(handle, order) for order in orders]
    for run in runs:
        await engine.settle()
        await engine.clock.advance("1d")
        [one] = await engine.waiting(run, kind="approval")
        await one.approve(by="maria")
        await run.result()
    return [one.id for one in runs]


async def until(test: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not test():
            await asyncio.sleep(0)


async def kill(engine: Engine, going: asyncio.Task[Report]) -> None:
    """Kill an experiment and its worker once three of its runs ask the model."""
    await until(lambda: len(asked) >= 3)
    going.cancel()
    with suppress(asyncio.CancelledError):
        await going
    await engine.crash()
    may_answer.set()


async def test_a_killed_experiment_goes_on_and_does_nothing_again_but_ask_the_model(engine: Engine) -> None:
    sources = await ended(engine, "o-1", "o-22")
    two = await save("experiment_triage", engine, "Refund, please, {{order}}?")
    started, charged = engine.calls(booking), engine.calls(charge_back)
    prompts: Any = {"versions": [1, two], "last": 5, "scorers": [polite, length, "failed", "tokens"], "actor": "maria", "id": "e-1"}

    may_answer.clear()
    asked.clear()
    await kill(engine, asyncio.create_task(engine.app.prompts.experiment("experiment_triage", concurrency=3, **prompts)))
    report = await engine.app.prompts.experiment("experiment_triage", **prompts)

    runs = await engine.app.runs.list(tag="experiment:e-1", limit=50)
    assert [one.error for one in runs] == [None] * 4
    assert {one.run for one in report.runs} == {one.id for one in runs}
    assert {(one.source, one.version) for one in report.runs} == {(source, version) for source in sources for version in (1, two)}
    assert {one.state for one in report.runs} == {"completed"}, [one.error for one in runs]
    assert (engine.calls(booking), engine.calls(charge_back)) == (started, charged)
    assert await engine.app.waitpoints.list() == []
    assert {one.started_by for one in runs} == {f"experiment:experiment_triage:e-1:{source}" for source in sources}
    outputs = {one.id: loads(one.output or "") for one in runs}
    assert outputs[next(one.run for one in report.runs if (one.source, one.version) == (sources[1], two))] == "o-22 yes 4 booked o-22"

    look_at(report, two)
    again = await engine.app.prompts.experiment("experiment_triage", **prompts)
    assert again == report
    with pytest.raises(PromptError, match="compares v1, v2"):
        await engine.app.prompts.experiment("experiment_triage", actor="maria", id="e-1", versions=[1])
    [told] = [one for one in await engine.app.prompts.events("experiment_triage") if one.type == "experiment"]
    assert told.actor == "maria"
    with pytest.raises(DefinitionError, match="no name of a person"):
        handle.using(started_by=runs[0].started_by)
    # Runs of an experiment are not the runs of the next one.
    later = await engine.app.prompts.experiment("experiment_triage", versions=[two], actor="maria", scorers=["failed"])
    assert {one.source for one in later.runs} == set(sources)


def look_at(report: Report, two: int) -> None:
    assert (report.cell(1, "polite").estimate.mean, report.cell(two, "polite").estimate.mean) == (0, 1)
    tokens = report.cell(two, "tokens").difference
    assert tokens is not None
    assert (tokens.n, tokens.mean, tokens.low, tokens.high) == (2, 9, 9, 9)
    assert report.cell(two, "failed").estimate.mean == 0
    assert "Bonett-Price, Wilson, t." in str(report)
    assert loads(dumps(report.json()))["cells"][1]["estimate"]["method"] == "Wilson"


async def test_what_was_not_recorded_fails_the_run_and_what_only_reads_may_be_called_again(engine: Engine) -> None:
    [source] = await ended(engine, "o-1")
    two = await save("experiment_triage", engine, "Keep {{order}}?")
    charged = engine.calls(charge_back)
    prompts: Any = {"versions": [1, two], "runs": [source], "scorers": [length, "failed"], "actor": "maria"}
    report = await engine.app.prompts.experiment("experiment_triage", **prompts)
    assert [(one.state, one.unrecorded) for one in report.runs] == [("completed", False), ("failed", True)]
    assert report.cell(two, "length").estimate.n == 0
    assert report.cell(two, "failed").estimate.mean == 1
    assert "v2: 1 of 1 runs failed, 1 of them for they asked for what is not recorded." in str(report)
    assert engine.calls(charge_back) == charged

    report = await engine.app.prompts.experiment("experiment_triage", live=["charge_back"], **prompts)
    assert [one.state for one in report.runs] == ["completed", "completed"]
    assert engine.calls(charge_back) == charged + 2


async def test_all_may_be_carried_out_again_but_nobody_is_asked(engine: Engine) -> None:
    [source] = await ended(engine, "o-1")
    looked = engine.calls(look_up)
    trying = asyncio.create_task(
        engine.app.prompts.experiment("experiment_triage", versions=[1], runs=[source], scorers=["latency"], tools="live", actor="maria")
    )
    await until(lambda: engine.calls(look_up) != looked)
    await engine.settle()
    await engine.clock.advance("1d")
    report = await trying
    assert report.cell(1, "latency").estimate.mean == 86_400
    assert loads((await engine.app.runs.get(report.runs[0].run)).output or "") == "denied"
    assert await engine.app.waitpoints.list() == []


@step
async def refund(order: str) -> str:
    """Refund an order."""
    return f"refunded {order}"


async def test_an_agent_in_a_thread_is_repeated_with_what_it_knew_and_tells_the_thread_nothing(
    engine: Engine, deployed: list[Prompt[Any]]
) -> None:
    orders = iter([("o-1", "c1"), ("o-1", "c7"), ("o-2", "c8"), ("o-1", "c9")])

    def ask(_: object) -> list[Said]:
        order, id = next(orders)
        return [call("refund", {"order": order}, id=id)]

    model = scripted_model([text("Hello.")], ask, [text("Done.")])
    agent = Agent("experiment_agent", model=model, prompt=deployed[1], tools=[ai.tool(refund, approval=True, errors="show")])
    await (await engine.start(agent.using(thread="t-exp"), "Hi.")).result()
    run = await engine.start(agent.using(thread="t-exp"), "Refund o-1.")
    [asked] = await engine.waiting(run)
    await asked.approve(by="maria")
    assert await run.result() == "Done."
    history = await engine.app.thread("t-exp").history()
    refunded = engine.calls(refund)

    options: Any = {"versions": [1], "runs": [run.id], "scorers": ["failed"], "actor": "maria"}
    report = await engine.app.prompts.experiment("experiment_desk", **options)
    [tried] = [await engine.app.runs.get(one.run) for one in report.runs]
    assert (tried.state, loads(tried.output or "null")) == ("completed", "Done.")
    assert "Hello." in repr(model.requests[3].messages)
    assert "refunded o-1" in repr(model.requests[4].messages)
    assert await engine.app.thread("t-exp").history() == history

    report = await engine.app.prompts.experiment("experiment_desk", **options)
    assert [one.unrecorded for one in report.runs] == [True]
    # Nobody said yes to another refund of the same order.
    report = await engine.app.prompts.experiment("experiment_desk", live=["refund"], **options)
    assert [one.state for one in report.runs] == ["completed"]
    assert "The call was denied" in repr(model.requests[-1].messages)
    assert engine.calls(refund) == refunded


async def test_a_yes_to_a_task_under_another_name_is_no_yes_to_carry_it_out_again(engine: Engine, deployed: list[Prompt[Any]]) -> None:
    said = [call("book", {"order": "o-1"}, id="c1")], [text("Done.")], [call("book", {"order": "o-1"}, id="c2")], [text("Done.")]
    tool = ai.tool(booking, name="book", approval=True)
    agent = Agent("experiment_porter", model=scripted_model(*said), prompt=deployed[1], tools=[tool])
    run = await engine.start(agent, "Book o-1.")
    [question] = await engine.waiting(run)
    await question.approve(by="maria")
    await run.result()
    booked = engine.calls(booking)
    options: Any = {"versions": [1], "runs": [run.id], "scorers": ["failed"], "live": ["experiment_booking"], "actor": "maria"}
    report = await engine.app.prompts.experiment("experiment_desk", **options)
    assert [(one.state, one.unrecorded) for one in report.runs] == [("failed", True)]
    assert engine.calls(booking) == booked


@step
async def look_twice(order: str) -> str:
    failures.append(order)
    if len(failures) == 1:
        raise ValueError("once")
    return "found"


@task(name="experiment_fragile")
async def fragile(order: str) -> str:
    failures.append(order)
    if len(failures) == 3:
        raise ValueError("once")
    return "whole"


failures: list[str] = []
wording = ["Pay?"]


@task(name="experiment_single")
async def single(order: str) -> str:
    return await think((await triage().get(order=order)).text)


@task(name="experiment_mixed", retry=Retry(attempts=3))
async def mixed(order: str) -> str:
    found = await look_twice(order), await fragile(order)
    pinned = await triage().get(order=order, pin="step", label="beta")
    labelled = await triage().get(order=order, label="beta")
    below = await single.using(idempotency_key=f"k-{order}", idempotency_scope="global")(order)
    paid = await approve(wording[-1], users=["maria"], expires=None)
    return f"{found} {pinned.text} {labelled.text} {below} {paid.approved}"


async def test_a_run_that_recovered_is_repeated_by_the_version_alone_and_its_yes_is_to_what_it_said(engine: Engine) -> None:
    failures.clear()
    wording[:] = ["Pay?"]
    source = await engine.start(mixed, "o-1")
    while not any(one.kind == "approval" for one in await engine.app.waitpoints.list()):
        await engine.settle()
        await engine.clock.advance("1m")
    [question] = await engine.waiting(source, kind="approval")
    await question.approve(by="maria")
    assert await source.result() == "('found', 'whole') Refund o-1? Refund o-1? yes True"
    two = await save("experiment_triage", engine, "Keep {{order}}?")
    options: Any = {"versions": [1, two], "runs": [source.id], "scorers": ["failed"], "actor": "maria"}

    report = await engine.app.prompts.experiment("experiment_triage", id="e-mixed", **options)
    runs = [await engine.app.runs.get(one.run) for one in report.runs]
    assert [one.error for one in runs] == [None, None]
    kept = "('found', 'whole') Keep o-1? Keep o-1? no: Keep o-1? True"
    assert [loads(one.output or "") for one in runs] == [await source.result(), kept]
    assert len(failures) == 4

    # An id that another prompt has an experiment under is another experiment.
    desk: Any = {**options, "versions": [1]}
    other = await engine.app.prompts.experiment("experiment_desk", id="e-mixed", **desk)
    assert other.runs[0].run not in [one.id for one in runs]
    wording.append("Pay twice?")
    report = await engine.app.prompts.experiment("experiment_triage", **options)
    assert [one.unrecorded for one in report.runs] == [True, True]


@task(name="experiment_form")
async def form(order: str) -> str:
    said = await think((await triage().get(order=order)).text)
    await triage().get(order=order, label="beta")
    return f"{said} {(await ask(Ticket, title='Which?')).order}"


async def test_nobody_fills_a_form_and_a_trial_that_pauses_has_failed(engine: Engine) -> None:
    source = await engine.start(form, "o-1")
    [question] = await engine.waiting(source)
    await question.answer({"order": "o-2"}, by="maria")
    await source.result()
    options: Any = {"versions": [1], "runs": [source.id], "scorers": ["failed"], "actor": "maria"}
    report = await engine.app.prompts.experiment("experiment_triage", tools="live", **options)
    assert [one.unrecorded for one in report.runs] == [True]
    assert await engine.app.waitpoints.list() == []

    may_answer.clear()
    asked_before = len(asked)
    trying = asyncio.create_task(engine.app.prompts.experiment("experiment_triage", **options))
    await until(lambda: len(asked) != asked_before)
    await engine.app.prompts.revoke("experiment_triage", 1, policy="pause", actor="maria", reason="test")
    may_answer.set()
    async with asyncio.timeout(30):
        while not (paused := await engine.app.runs.list(status="paused")):
            await asyncio.sleep(0)
    await engine.clock.advance("1m")
    report = await asyncio.wait_for(trying, 10)
    assert [(one.run, one.state, one.scores["failed"]) for one in report.runs] == [(paused[0].id, "paused", 1)]


def test_intervals_are_those_of_the_books() -> None:
    numbers = mean_of([2, 4, 4, 5, 10])
    assert (numbers.n, numbers.mean, numbers.method) == (5, 5, "t")
    assert (round(numbers.low or 0, 3), round(numbers.high or 0, 3)) == (1.275, 8.725)
    share = mean_of([True] * 81 + [False] * 182)  # Newcombe 1998, table I.
    assert (round(share.low or 0, 4), round(share.high or 0, 4), share.method) == (0.2553, 0.3662, "Wilson")
    shift = difference_of([(True, True)] * 50 + [(True, False)] * 4 + [(False, True)] * 14 + [(False, False)] * 2)
    assert (round(shift.mean or 0, 4), round(shift.low or 0, 4), round(shift.high or 0, 4)) == (0.1429, 0.0215, 0.2563)
    assert (mean_of([3.0]).low, mean_of([]).mean) == (None, None)
    paired = difference_of([(1, 2), (10, 11), (100, 101)])
    assert (paired.mean, paired.low, paired.high) == (1, 1, 1)
