"""Messages for an agent that is at work: heard between its turns, once, whatever crashes; and the end of a turn that is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage

from agentflow import Agent, Retry, RunHandle, ai, approve, step, task
from agentflow.engine.worker import WorkerSettings
from agentflow.errors import DefinitionError, IdempotencyConflict, RunCancelled, RunNotFound
from agentflow.records import RunState
from agentflow.streams.events import Data, End
from agentflow.streams.events import RunCancelled as Cancelled
from agentflow.testing import Engine
from agentflow.testing.models import call, scripted_model, text, thinking
from tests.agents.test_threads import words

pytestmark = pytest.mark.both_databases


@step
async def look(order: str) -> str:
    """Look an order up."""
    return f"{order}: sent"


@task
async def give(order: str) -> str:
    """Give money back."""
    return f"gave for {order}"


class Gate:
    """Holds a model up while it speaks, until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def pace(self, kind: str) -> None:
        if kind == "text":
            self.reached.set()
            await self.open.wait()


async def history(engine: Engine, thread: str = "t-7") -> list[str]:
    return words(await engine.app.thread(thread).history())


async def test_a_message_is_heard_between_two_turns_of_the_run_at_work(engine: Engine) -> None:
    model = scripted_model([call("give", {"order": "o-1"}, id="c1")], [text("gave, and no more")])
    support = Agent("support", model=model, tools=[ai.tool(give, approval=True)])
    run = await engine.start(support.using(thread="t-7"), "money back")
    [question] = await engine.waiting(run, kind="approval")
    thread = engine.app.thread("t-7")
    steered = await thread.send("only once", mode="steer", idempotency_key="k")
    assert steered.id == run.id
    assert (await thread.send("only once", mode="steer", idempotency_key="k")).id == run.id
    with pytest.raises(IdempotencyConflict):
        await thread.send("twice", mode="steer", idempotency_key="k")
    await question.approve(by="maria")
    assert await run.result() == "gave, and no more"
    assert await history(engine) == ["money back", "give", "gave for o-1", "only once", "gave, and no more"]
    assert words(model.requests[1].messages)[-1] == "only once"
    assert [one.id for one in await thread.runs()] == [run.id], "it was no run of its own"
    told = [stored.event for stored in await engine.events(run)]
    assert [event.data for event in told if isinstance(event, Data)] == [{"text": "only once"}]
    report = await engine.replay(run)
    assert not report.diverges, report
    assert report.answered >= len(await engine.app.runs.journal(run.id)), "it went to the end"


async def test_what_comes_while_the_last_word_is_said_makes_the_run_go_on(engine: Engine) -> None:
    gate = Gate()
    model = scripted_model([text("It is red.")], [text("It is blue.")], pace=gate.pace)
    support = Agent("support", model=model)
    run = await engine.start(support.using(thread="t-7"), "which colour?")
    await gate.reached.wait()
    for said in ("in German?", "no, blue"):
        await engine.app.thread("t-7").send(said, mode="steer")
    gate.open.set()
    assert await run.result() == "It is blue."
    assert await history(engine) == ["which colour?", "It is red.", "in German?", "no, blue", "It is blue."]


async def test_where_nobody_is_at_work_steering_is_a_plain_message(engine: Engine) -> None:
    support = Agent("support", model=scripted_model([text("one")], [text("two")]))
    assert await (await engine.start(support.using(thread="t-7"), "q1")).result() == "one"
    second = await engine.app.thread("t-7").send("q2", mode="steer")
    assert await second.result() == "two"
    assert await history(engine) == ["q1", "one", "q2", "two"]
    with pytest.raises(DefinitionError, match="mode"):
        await engine.app.thread("t-7").send("q3", mode="shout")  # type: ignore[arg-type] # what a caller may get wrong


async def test_what_is_for_another_agent_is_its_next_run(engine: Engine) -> None:
    gate = Gate()
    support = Agent("support", model=scripted_model([text("one")], pace=gate.pace))
    sales = Agent("sales", model=scripted_model([text("no")], [text("two")]))
    run = await engine.start(support.using(thread="t-7"), "q1")
    await gate.reached.wait()
    assert sales.name in engine.app.tasks
    handed = await engine.app.thread("t-7").send("q2", mode="steer", agent="sales")
    assert handed.id != run.id
    gate.open.set()
    assert (await run.result(), await handed.result()) == ("one", "two")


async def test_what_a_run_that_hears_nothing_was_sent_becomes_the_next_run(engine: Engine) -> None:
    """A task of one's own need not listen."""

    @task(name="support")
    async def deaf(prompt: str) -> str:
        await approve("go on?", expires=None)
        return prompt

    run = await engine.start(deaf.using(thread="t-7"), "q1")
    [question] = await engine.waiting(run, kind="approval")
    await engine.app.thread("t-7").send("q2", mode="steer")
    queued = await engine.start(deaf.using(thread="t-7"), "q3")
    await question.approve(by="maria")
    assert await run.result() == "q1"
    became = await engine.app.thread("t-7").active()
    assert became is not None
    assert became.id not in (run.id, queued.id)
    for _ in range(2):
        active = await engine.app.thread("t-7").active()
        assert active is not None
        while not (waiting := await engine.app.waitpoints.list(kind="approval")):
            await engine.settle()
        await engine.app.waitpoints.approve(waiting[0].id, by="maria")
        await engine.app.runs.ended(active.id)
    assert (await engine.app.runs.get(became.id)).output == '"q2"'
    assert await queued.result() == "q3"


async def test_a_crash_after_a_message_was_heard_hears_it_again_and_once(engine: Engine) -> None:
    model = scripted_model(
        [call("give", {"order": "o-1"}, id="c1")],
        [call("give", {"order": "o-2"}, id="c2")],
        [text("both")],
    )
    support = Agent("support", model=model, tools=[ai.tool(give, approval=True)])
    run = await engine.start(support.using(thread="t-7"), "money back")
    [question] = await engine.waiting(run, kind="approval")
    await engine.app.thread("t-7").send("and o-2", mode="steer")
    await engine.crash()
    await engine.app.waitpoints.approve(question.id, by="maria")
    [again] = await engine.waiting(run, kind="approval")
    await engine.crash()
    await engine.app.thread("t-7").send("hurry", mode="steer")
    await engine.app.waitpoints.approve(again.id, by="maria")
    assert await run.result() == "both"
    assert len(model.requests) == 3
    expected = ["money back", "give", "gave for o-1", "and o-2", "give", "gave for o-2", "hurry", "both"]
    assert await history(engine) == expected


async def test_a_failing_request_is_tried_again_with_what_was_heard_once(engine: Engine) -> None:
    model = scripted_model([call("look", {"order": "o-1"}, id="c1")], ConnectionError("away"), [text("done")])
    support = Agent("support", model=model, tools=[look], model_retry=Retry(attempts=3, initial="1s", on=ConnectionError))
    run = await engine.start(support.using(thread="t-7"), "go")
    await engine.app.thread("t-7").send("quick", mode="steer")
    result = asyncio.ensure_future(run.result())
    while not result.done():
        await engine.clock.advance("1s")
    assert await result == "done"
    assert (await history(engine)).count("quick") == 1


async def stop_while(engine: Engine, support: Agent[str], gate: Gate) -> str:
    run = await engine.start(support.using(thread="t-7"), "tell me all")
    await gate.reached.wait()
    await engine.settle()
    stopped = await engine.app.thread("t-7").stop(reason="enough")
    assert stopped is not None
    assert stopped.id == run.id
    with pytest.raises(RunCancelled, match="enough"):
        await run.result()
    return run.id


async def test_a_stop_ends_the_turn_and_keeps_the_text_that_was_said(engine: Engine) -> None:
    said: list[str] = []
    gate = Gate()

    async def pace(kind: str) -> None:
        if kind == "text":
            said.append(kind)
            if len(said) == 3:
                await gate.pace(kind)

    def after(messages: list[ModelMessage]) -> list[object]:
        return [text(" | ".join(words(messages)))]

    model = scripted_model([thinking("long"), text("Once upon a time there was")], after, pace=pace)  # type: ignore[arg-type] # a turn
    support = Agent("support", model=model)
    first = await stop_while(engine, support, gate)
    assert await history(engine) == ["tell me all", "Once upon a time"]
    gate.open.set()
    assert await (await engine.app.thread("t-7").send("go on")).result() == "tell me all | Once upon a time | go on"
    assert (await engine.app.runs.get(first)).state is RunState.CANCELLED


async def test_a_stop_never_swallows_the_next_message(engine: Engine) -> None:
    """39 of the forty: queued, steered, or sent afterwards; and the same stop again hits nobody else."""
    gate = Gate()
    model = scripted_model([text("one")], [text("two")], [text("three")], [text("four")], pace=gate.pace)
    support = Agent("support", model=model)
    run = await engine.start(support.using(thread="t-7"), "q1")
    await gate.reached.wait()
    thread = engine.app.thread("t-7")
    queued = await thread.send("q2")
    await thread.send("q3", mode="steer")
    for _ in range(2):
        await thread.stop(run=run.id)
    after = await thread.send("q4")
    with pytest.raises(RunCancelled):
        await run.result()
    gate.open.set()
    assert (await queued.result(), await after.result())[0] == "one"
    for _ in range(2):
        await thread.stop(run=run.id)
    assert (await engine.app.runs.get(queued.id)).state is RunState.COMPLETED
    assert [word for word in await history(engine) if word.startswith("q")] == ["q1", "q2", "q3", "q4"]
    with pytest.raises(RunNotFound):
        await engine.app.thread("t-8").stop(run=run.id)
    assert await thread.stop() is None, "nobody is at work"


async def test_two_who_watch_see_the_same_end_of_a_stopped_run(engine: Engine) -> None:
    gate = Gate()
    support = Agent("support", model=scripted_model([text("Once upon a time")], pace=gate.pace))
    run = await engine.start(support.using(thread="t-7"), "q1")

    async def watch() -> list[object]:
        return [stored async for stored in engine.app.runs.events(run.id)]

    tabs = [asyncio.ensure_future(watch()) for _ in range(2)]
    await gate.reached.wait()
    await asyncio.gather(*(engine.app.thread("t-7").stop(reason=reason) for reason in ("one", "other")))
    first, second = await asyncio.gather(*tabs)
    assert first == second
    events = [stored.event for stored in await engine.events(run)]
    assert [type(event) for event in events[-2:]] == [Cancelled, End]


async def test_a_stop_at_a_question_closes_the_call_that_it_was_about(engine: Engine) -> None:
    def answer(messages: list[ModelMessage]) -> list[object]:
        return [text(" | ".join(words(messages)))]

    calls = [call("look", {"order": "o-1"}, id="c1"), call("give", {"order": "o-1"}, id="c2")]
    model = scripted_model(calls, answer)  # type: ignore[arg-type] # a turn of the script
    support = Agent("support", model=model, tools=[look, ai.tool(give, approval=True)])
    run = await engine.start(support.using(thread="t-7"), "money back")
    await engine.waiting(run, kind="approval")
    await engine.crash()
    await engine.app.thread("t-7").stop()
    with pytest.raises(RunCancelled):
        await run.result()
    told = await (await engine.app.thread("t-7").send("what happened?")).result()
    assert "o-1: sent" in told
    assert "interrupted" in told
    assert told.endswith("| what happened?")


async def test_a_run_that_is_cancelled_in_the_line_adds_nothing(engine: Engine) -> None:
    gate = Gate()
    support = Agent("support", model=scripted_model([text("one")], [text("three")], pace=gate.pace))
    run = await engine.start(support.using(thread="t-7"), "q1")
    await gate.reached.wait()
    second = await engine.start(support.using(thread="t-7"), "q2")
    await engine.waiting(second)
    await second.cancel("never mind")
    gate.open.set()
    assert await run.result() == "one"
    assert await (await engine.app.thread("t-7").send("q3")).result() == "three"
    assert await history(engine) == ["q1", "one", "q3", "three"]


async def test_a_crash_in_the_middle_of_an_answer_with_a_queued_message(engine: Engine) -> None:
    """40 of the forty: what was said before, this turn once, and the queued message is answered."""
    gate = Gate()
    model = scripted_model([text("hello")], [text("It was a long day.")], [text("bye")], pace=gate.pace)
    support = Agent("support", model=model)
    gate.open.set()
    assert await (await engine.start(support.using(thread="t-7"), "hi")).result() == "hello"
    gate.open.clear()
    gate.reached.clear()
    run = await engine.start(support.using(thread="t-7"), "how was it?")
    await gate.reached.wait()
    queued = await engine.app.thread("t-7").send("good night")
    # The worker that dies stays where it is.
    gate.open = asyncio.Event()
    gate.open.set()
    await engine.crash()
    assert await run.result() == "It was a long day."
    assert (await engine.app.runs.ended(queued.id)).output == '"bye"'
    assert await history(engine) == ["hi", "hello", "how was it?", "It was a long day.", "good night", "bye"]


async def test_the_run_ends_or_hears_it_however_close_the_message_comes(tmp_path: Path, stream_server: str) -> None:
    """A race without gates: each message is heard by the run or answered by the next, and is in the history once."""
    support = Agent("support", model=scripted_model(*[[text("ok")]] * 60))
    engine = Engine(tmp_path, stream_server, WorkerSettings(slots=4))
    await engine.open()
    thread = engine.app.thread("t-7")
    for number in range(10):
        run = await engine.start(support.using(thread="t-7"), f"q{number}")
        sent = await asyncio.gather(*(_after(turns, thread.send, f"s{number}.{turns}") for turns in (0, 8, 20, 60)))
        for one in (run, *sent):
            await engine.app.runs.ended(one.id)
        while (active := await thread.active()) is not None:
            await engine.app.runs.ended(active.id)
    asked = [word for word in words(await thread.history()) if word != "ok"]
    assert sorted(asked) == sorted([*(f"q{n}" for n in range(10)), *(f"s{n}.{turns}" for n in range(10) for turns in (0, 8, 20, 60))])
    await engine.close()


async def _after(turns: int, send: Callable[..., Awaitable[RunHandle[Any]]], said: str) -> RunHandle[Any]:
    for _ in range(turns):
        await asyncio.sleep(0)
    return await send(said, mode="steer")
