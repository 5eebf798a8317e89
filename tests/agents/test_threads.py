"""Conversations of many runs, on the real engine: turns, history, crashes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TypeVar

import pytest
from pydantic_ai.messages import ModelMessage

from agentflow import Agent, Agentflow, ai, approve, context, step, task
from agentflow.database.port import Database, Transaction
from agentflow.errors import ConnectionLost, DefinitionError, RunCancelled, RunFailed, ThreadNotFound, UnknownTask
from agentflow.records import RunState, WaitKind
from agentflow.streams.events import RunStarted, RunWaiting
from agentflow.testing import Engine
from agentflow.testing.models import call, scripted_model, text
from tests.faults.flaky import FlakyDatabase

T = TypeVar("T")


pytestmark = pytest.mark.both_databases


@step
async def charge(order: str) -> str:
    """Charge an order."""
    return f"charged {order}"


@task
async def refund(order: str) -> str:
    """Give money back."""
    return f"refunded {order}"


def words(messages: list[ModelMessage]) -> list[str]:
    """What was said, in order: texts, calls and returns."""
    return [str(getattr(part, "content", None) or getattr(part, "tool_name", "")) for message in messages for part in message.parts]


async def test_a_run_of_a_thread_knows_what_was_said_before_and_adds_what_it_says(engine: Engine) -> None:
    model = scripted_model([text("hello Ann")], [call("charge", {"order": "o-1"}, id="c1")], [text("done, Ann")])
    support = Agent("support", model=model, tools=[charge])
    first = await engine.start(support.using(thread="t-7"), "I am Ann")
    assert await first.result() == "hello Ann"
    second = await engine.start(support.using(thread="t-7"), "charge o-1")
    assert await second.result() == "done, Ann"
    assert words(model.requests[1].messages) == ["I am Ann", "hello Ann", "charge o-1"]
    thread = engine.app.thread("t-7")
    assert words(await thread.history()) == ["I am Ann", "hello Ann", "charge o-1", "charge", "charged o-1", "done, Ann"]
    assert [run.id for run in await thread.runs()] == [second.id, first.id]
    assert (await engine.get(first)).tags == ("thread:t-7",)
    assert await thread.active() is None
    told = [stored.event for stored in await engine.events(second)]
    assert [event.thread for event in told if isinstance(event, RunStarted)] == ["t-7"]


async def test_a_run_without_a_thread_is_no_part_of_a_conversation(engine: Engine) -> None:
    support = Agent("support", model=scripted_model([text("hello")]))
    run = await engine.start(support, "hi")
    assert await run.result() == "hello"
    assert (await engine.get(run)).thread is None
    assert await engine.app.threads.list() == []
    assert await engine.app.runs.journal(run.id) != []


async def test_a_thread_is_sent_to_by_its_id_and_answered_by_who_answered_last(engine: Engine) -> None:
    support = Agent("support", model=scripted_model([text("one")], [text("two")]))
    sales = Agent("sales", model=scripted_model([text("nobody")], [text("nobody")], [text("three")]))
    thread = engine.app.thread("t-7")
    await (await engine.start(support.using(thread="t-7"), "q1")).result()
    assert await (await thread.send("q2")).result() == "two"
    handed = await thread.send("q3", agent="sales", idempotency_key="k")
    assert await handed.result() == "three"
    assert (await thread.send("q3", agent="sales", idempotency_key="k")).id == handed.id
    assert (await engine.app.threads.get("t-7")).agent == sales.name
    assert words(await thread.history()) == ["q1", "one", "q2", "two", "q3", "three"]


async def test_sends_at_once_are_answered_one_after_the_other_in_their_order(engine: Engine) -> None:
    def answer(messages: list[ModelMessage]) -> list[object]:
        return [text(f"after {len(messages)}")]

    support = Agent("support", model=scripted_model(*[answer] * 5))  # type: ignore[arg-type] # a turn of the script
    runs = [await engine.start(support.using(thread="t-7"), f"q{number}") for number in range(5)]
    assert [await run.result() for run in runs] == [f"after {2 * number + 1}" for number in range(5)]
    history = words(await engine.app.thread("t-7").history())
    assert history[::2] == [f"q{number}" for number in range(5)]


async def test_a_run_waits_for_its_turn_without_a_slot_and_says_for_whom(engine: Engine) -> None:
    model = scripted_model([call("refund", {"order": "o-1"}, id="c1")], [text("done")], [text("next")])
    support = Agent("support", model=model, tools=[ai.tool(refund, approval=True)])
    first = await engine.start(support.using(thread="t-7"), "refund o-1")
    [question] = await engine.waiting(first)
    second = await engine.start(support.using(thread="t-7"), "and now?")
    [turn] = await engine.waiting(second)
    assert turn.record.kind is WaitKind.CALLBACK
    assert turn.record.target == first.id
    active = await engine.app.thread("t-7").active()
    assert active is not None
    assert (active.id, active.state) == (first.id, RunState.WAITING)
    assert [event.on for stored in await engine.events(second) if isinstance(event := stored.event, RunWaiting)] == ["concurrency"]
    assert len(model.requests) == 1
    await question.approve(by="maria")
    assert (await first.result(), await second.result()) == ("done", "next")


async def test_who_answers_the_wait_for_a_turn_from_outside_changes_nothing(engine: Engine) -> None:
    support = Agent("support", model=scripted_model([call("refund", {"order": "o"}, id="c1")], [text("done")], [text("next")]))
    support = Agent("support", model=support.agent_options.get("model", ""), tools=[ai.tool(refund, approval=True)])
    first = await engine.start(support.using(thread="t-7"), "go")
    [question] = await engine.waiting(first)
    second = await engine.start(support.using(thread="t-7"), "and?")
    [turn] = await engine.waiting(second)
    await turn.answer("let me through")
    [again] = await engine.waiting(second)
    assert again.id != turn.id
    await question.deny(by="maria")
    assert await second.result() == "next"


async def test_a_cancelled_run_in_the_line_lets_nobody_overtake(engine: Engine) -> None:
    model = scripted_model([call("refund", {"order": "o-1"}, id="c1")], [text("done")], [text("third")])
    support = Agent("support", model=model, tools=[ai.tool(refund, approval=True)])
    first, second, third = [await engine.start(support.using(thread="t-7"), word) for word in ("one", "two", "three")]
    [question] = await engine.waiting(first)
    await engine.waiting(third)
    await second.cancel("never mind")
    with pytest.raises(RunCancelled):
        await second.result()
    [turn] = await engine.waiting(third)
    assert turn.record.target == first.id
    assert len(model.requests) == 1
    await question.approve(by="maria")
    assert await third.result() == "third"
    assert words(await engine.app.thread("t-7").history())[0::4] == ["one", "three"]


async def test_a_run_that_fails_leaves_nothing_in_the_thread_and_lets_the_next_one_go(engine: Engine) -> None:
    @task(name="support")
    async def broken(prompt: str) -> str:
        raise ValueError(prompt)

    first = await engine.start(broken.using(thread="t-7"), "one")
    with pytest.raises(RunFailed):
        await first.result()
    support = Agent("support", model=scripted_model([text("fine")]))
    assert await (await engine.start(support.using(thread="t-7"), "two")).result() == "fine"
    assert words(await engine.app.thread("t-7").history()) == ["two", "fine"]


async def test_a_crash_changes_neither_the_history_nor_the_number_of_messages(engine: Engine) -> None:
    model = scripted_model([text("one")], [call("refund", {"order": "o-1"}, id="c1")], [text("done")], [text("last")])
    support = Agent("support", model=model, tools=[ai.tool(refund, approval=True)])
    await (await engine.start(support.using(thread="t-7"), "q1")).result()
    run = await engine.start(support.using(thread="t-7"), "q2")
    waiting = await engine.start(support.using(thread="t-7"), "q3")
    [question] = await engine.waiting(run)
    await engine.waiting(waiting)
    await engine.crash()
    await engine.app.waitpoints.approve(question.id, by="maria")
    assert await run.result() == "done"
    assert await waiting.result() == "last"
    assert len(model.requests) == 4
    history = words(await engine.app.thread("t-7").history())
    assert history == ["q1", "one", "q2", "refund", "refunded o-1", "done", "q3", "last"]
    report = await engine.replay(run)
    assert not report.diverges, report


async def test_a_run_records_where_its_history_ends_and_not_the_messages(engine: Engine) -> None:
    said = "x" * 5_000
    support = Agent("support", model=scripted_model(*[[text(said)]] * 6))
    runs = [await engine.start(support.using(thread="t-7"), "more") for _ in range(6)]
    sizes: list[int] = []
    for run in runs:
        await run.result()
        sizes.append(sum(len(entry.value or "") for entry in await engine.app.runs.journal(run.id)))
    assert max(sizes) - min(sizes) < 100
    records = {entry.key: entry.value for entry in await engine.app.runs.journal(runs[-1].id)}
    assert (records["thread.history#0"], records["thread.append#0"]) == ("10", "12")


async def test_a_delayed_run_holds_up_nobody_and_knows_what_was_said_meanwhile(engine: Engine) -> None:
    model = scripted_model([text("one")], [text("reminded")])
    support = Agent("support", model=model)
    late = await engine.start(support.using(thread="t-7", delay="1h"), "remind me")
    assert await (await engine.start(support.using(thread="t-7"), "q1")).result() == "one"
    await engine.clock.advance("1h")
    assert await late.result() == "reminded"
    assert words(model.requests[1].messages) == ["q1", "one", "remind me"]


async def test_a_run_cannot_wait_for_another_of_its_own_thread_but_may_start_one(engine: Engine) -> None:
    support = Agent("support", model=scripted_model([text("later")]))

    @task
    async def nested(name: str) -> str:
        here = context().thread
        assert here is not None
        return await support.using(thread=here.id)(name)

    @task
    async def follows(name: str) -> str:
        return (await support.start(name, thread="t-8")).id

    run = await engine.start(nested.using(thread="t-7"), "x")
    with pytest.raises(RunFailed, match="own thread"):
        await run.result()
    begun = await (await engine.start(follows.using(thread="t-8"), "x")).result()
    assert (await engine.app.runs.ended(begun)).state is RunState.COMPLETED


class Away(FlakyDatabase):
    """A database that is away when the messages of a thread are asked for."""

    away = 0

    async def read(self, transaction: Transaction[T]) -> T:
        if self.away and getattr(transaction, "__name__", "") == "recall":
            self.away -= 1
            raise ConnectionLost("The server is away.")
        return await super().read(transaction)


async def test_a_database_that_is_away_when_the_history_is_read_is_waited_for(tmp_path: Path, stream_server: str) -> None:
    opened: list[Away] = []

    def wrap(database: Database) -> Database:
        opened.append(Away(database))
        return opened[-1]

    engine = Engine(tmp_path, stream_server, wrap=wrap)
    await engine.open()
    support = Agent("support", model=scripted_model([text("one")], [text("two")]))
    await (await engine.start(support.using(thread="t-7"), "q1")).result()
    opened[0].away = 2
    result = asyncio.ensure_future((await engine.start(support.using(thread="t-7"), "q2")).result())
    while not result.done():
        await engine.clock.advance("1s")
    assert (await result, opened[0].away) == ("two", 0)
    await engine.close()


async def test_any_task_may_be_a_turn_of_a_thread(engine: Engine) -> None:
    inside = 0

    @task
    async def alone(name: str) -> str:
        nonlocal inside
        inside += 1
        assert inside == 1
        here = context().thread
        assert here is not None
        before = len(await here.history())
        await approve("go on?")
        await here.append([f'"{name}"'])
        inside -= 1
        return f"{name} after {before}"

    runs = [await engine.start(alone.using(thread="t-7"), name) for name in "abc"]
    for run in runs:
        [question] = await engine.waiting(run)
        await question.approve(by="maria")
        await run.result()
    assert [await run.result() for run in runs] == ["a after 0", "b after 1", "c after 2"]


@pytest.mark.parametrize("thread", ["", "x" * 256, "a\nb", 7])
async def test_an_id_that_cannot_be_is_refused(engine: Engine, thread: object) -> None:
    support = Agent("support", model=scripted_model([text("no")]))
    with pytest.raises(DefinitionError, match="no id of a thread"):
        support.using(thread=thread)


async def test_a_thread_that_never_was_is_empty_and_needs_an_agent_that_is_named(engine: Engine) -> None:
    thread = engine.app.thread("new")
    assert (await thread.history(), await thread.runs(), await thread.active()) == ([], [], None)
    with pytest.raises(ThreadNotFound):
        await engine.app.threads.get("new")
    one, two = Agent("one", model=scripted_model([text("1")])), Agent("two", model=scripted_model([text("2")]))
    assert {one.name, two.name} <= engine.app.tasks.keys()
    with pytest.raises(UnknownTask, match="Which agent"):
        await thread.send("hi")


async def test_start_takes_the_thread_as_an_argument(tmp_path: Path, stream_server: str) -> None:
    support = Agent("support", model=scripted_model([text("one")], [text("two")]))
    async with Agentflow([support], directory=tmp_path, redis=stream_server) as app:
        async with asyncio.timeout(20):
            assert await (await support.start("q1", thread="t-7")).result() == "one"
            assert await (await app.thread("t-7").send("q2")).result() == "two"
            assert [run.turn for run in await app.thread("t-7").runs()] == [2, 1]
