"""Model calls at the same time: whatever they use, a budget is exceeded by less than one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest

from agentflow import Budget, BudgetExceeded, approve, current_step, step, task
from agentflow.engine.context import StepCall, StepOptions, context
from agentflow.errors import DefinitionError
from agentflow.records import RunState
from agentflow.serde import ANY
from agentflow.streams.events import Usage
from agentflow.testing import Engine
from tests.engine.fleet import working
from tests.engine.speaking import speak, talk, used
from tests.engine.test_recovery import flaky
from tests.faults.flaky import Break

PATIENCE = 10.0


class Together:
    """How many calls were under way at once. Each gives others some turns of the loop to begin beside it, or waits for them."""

    def __init__(self) -> None:
        self.open = self.most = 0
        self.expected = 1
        self.reached = asyncio.Event()

    def expect(self, number: int) -> None:
        """Calls end once so many have begun."""
        self.most, self.expected = 0, number
        self.reached.clear()

    async def call(self, tokens: int, dollars: float = 0.0) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        for _ in range(20):
            await asyncio.sleep(0)
        if self.most >= self.expected:
            self.reached.set()
        await asyncio.wait_for(self.reached.wait(), PATIENCE)
        self.open -= 1
        current_step().publish(Usage(model="m", input=tokens, output=0, cost=dollars))


@pytest.fixture
def together() -> Together:
    return Together()


async def all_of(calls: Sequence[Any]) -> int:
    """How many of these calls a budget let begin."""
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert all(one is None or isinstance(one, BudgetExceeded) for one in done)
    return sum(one is None for one in done)


@pytest.mark.parametrize("first", [1, 40, 130])
async def test_twenty_calls_at_once_of_any_size_exceed_a_budget_by_less_than_one(engine: Engine, together: Together, first: int) -> None:
    """The first one is known to be small, and each of the others is large: nothing tells that before."""
    unknown = step(kind="llm", name="unknown_size")(together.call)

    @task(name="twenty_unknown", budget=Budget(tokens=100))
    async def twenty_unknown() -> int:
        return await all_of([unknown(first)]) + await all_of([unknown(90) for _ in range(19)])

    run = await engine.start(twenty_unknown)
    made = await run.result()
    assert made == (1 if first > 100 else 3 if first < 10 else 2)
    assert 100 <= await used(engine, run) < 100 + max(first, 90)
    assert together.most == 1


async def test_calls_of_runs_below_are_counted_together_whatever_their_sizes(engine: Engine, together: Together) -> None:
    growing = step(kind="llm", name="growing_size")(together.call)

    @task(name="growing_part")
    async def growing_part(number: int) -> int:
        return await all_of([growing(10 * number), growing(20 * number)])

    @task(name="growing_whole", budget=Budget(tokens=100))
    async def growing_whole() -> int:
        return sum(await asyncio.gather(*(growing_part(number) for number in range(1, 6))))

    run = await engine.start(growing_whole)
    assert await run.result() >= 1
    assert 100 <= await used(engine, run) < 200
    assert together.most == 1


async def test_calls_that_say_what_they_use_at_most_run_at_once_as_far_as_they_fit(engine: Engine, together: Together) -> None:
    sized = step(kind="llm", name="known_size", most={"tokens": 10, "usd": 0.001})(together.call)

    @task(name="twenty_known", budget=Budget(tokens=1_000, usd=1))
    async def twenty_known() -> int:
        return await all_of([sized(10) for _ in range(20)])

    @task(name="some_known", budget=Budget(tokens=45))
    async def some_known() -> int:
        return await all_of([sized(10) for _ in range(20)])

    together.expect(20)
    assert await (await engine.start(twenty_known)).result() == 20
    together.expect(5)
    run = await engine.start(some_known)
    assert await run.result() == 5
    assert (await used(engine, run), together.most) == (50, 5)


async def test_turns_are_never_exceeded(engine: Engine, together: Together) -> None:
    turn = step(kind="llm", name="turn_of_seven")(together.call)

    @task(name="seven_turns", budget=Budget(turns=7))
    async def seven_turns() -> int:
        return await all_of([turn(1) for _ in range(20)])

    together.expect(7)
    assert await (await engine.start(seven_turns)).result() == 7
    assert together.most == 7


async def test_four_workers_exceed_a_shared_budget_by_less_than_one_call(engine: Engine, stream_server: str, together: Together) -> None:
    tenant = step(kind="llm", name="tenant_call")(together.call)

    @task(name="of_tenant", budget=Budget(tokens=100, per="key", window="1d"))
    async def of_tenant(tokens: int) -> int:
        return await all_of([tenant(tokens), tenant(tokens)])

    async with AsyncExitStack() as fleet:
        for _ in range(3):
            await fleet.enter_async_context(working(engine, stream_server, [of_tenant]))
        runs = [await engine.start(of_tenant.using(concurrency_key="acme"), 5 + 15 * (number % 4)) for number in range(12)]
        made = [await run.result() for run in runs]
    spent = sum([await used(engine, run) for run in runs])
    assert 100 <= spent < 150
    assert sum(made) < 24
    assert together.most == 1


def of_two_steps(number: int, gate: asyncio.Event) -> tuple[StepCall, StepCall]:
    """The steps of a call that goes on at its provider until the gate opens."""

    async def begin() -> str:
        return f"resp_{number}"

    async def follow() -> None:
        await gate.wait()
        current_step().publish(Usage(model="m", input=60, output=0, cost=0.0))

    first, rest = (StepOptions(kind="llm", share=share, call=f"call:{number}") for share in ("first", "rest"))
    return StepCall("begin", begin, ANY, "", first), StepCall("rest", follow, ANY, "", rest)


async def two_steps(number: int, gate: asyncio.Event) -> None:
    """Such a call, as an adapter makes it."""
    begin, rest = of_two_steps(number, gate)
    try:
        await context().step(f"call:{number}/begin", begin)
        await context().step(f"call:{number}/rest", rest)
    finally:
        context().over(f"call:{number}")


async def recorded(engine: Engine, run: Any, key: str) -> None:
    """Return once that step is recorded."""
    async with asyncio.timeout(PATIENCE):
        while not any(one.key == key for one in await engine.app.runs.journal(run.id)):
            await asyncio.sleep(0)


@pytest.mark.parametrize("crash", [False, True])
async def test_a_call_is_under_way_until_its_rest_is_recorded_also_after_a_crash(engine: Engine, together: Together, crash: bool) -> None:
    gate = asyncio.Event()
    beside = step(kind="llm", name=f"beside_background_{crash}")(together.call)

    @task(name=f"background_beside_{crash}", budget=Budget(tokens=100, per="key", window="1d"))
    async def background(number: int) -> None:
        await two_steps(number, gate)

    @task(name=f"beside_{crash}", budget=Budget(tokens=100, per="key", window="1d"))
    async def other() -> int:
        return await all_of([beside(60)])

    run = await engine.start(background.using(concurrency_key="acme"), 1)
    await recorded(engine, run, "call:1/begin")
    if crash:
        await engine.crash()
        await engine.until(run, RunState.RUNNING)
    second = await engine.start(other.using(concurrency_key="acme"))
    await engine.until(second, RunState.RUNNING)
    for _ in range(20):
        await engine.settle()
        await engine.get(second)
    assert together.most == 0
    gate.set()
    await run.result()
    assert await second.result() == 1
    third = await engine.start(other.using(concurrency_key="acme"))
    assert await third.result() == 0


async def test_a_call_that_its_code_follows_no_further_holds_nobody_up(engine: Engine) -> None:
    @task(name="background_dropped", budget=Budget(tokens=100))
    async def background_dropped() -> int:
        call = asyncio.ensure_future(two_steps(1, asyncio.Event()))
        await begun.wait()
        call.cancel()
        await asyncio.wait({call})
        return await talk([50])

    begun = asyncio.Event()
    run = await engine.start(background_dropped)
    await recorded(engine, run, "call:1/begin")
    begun.set()
    assert await run.result() == 1


async def test_a_call_of_a_run_that_needs_a_slot_frees_the_one_of_who_waits_for_it(engine: Engine) -> None:
    """The run that follows a call waits for a person meanwhile: who waits for the call must not work until then."""

    @task(name="background_asking", budget=Budget(tokens=100, per="key", window="1d"))
    async def background_asking() -> None:
        begin, rest = of_two_steps(1, gate)
        await context().step("call:1/begin", begin)
        await approve("Go on?")
        await context().step("call:1/rest", rest)

    @task(name="behind_asking", budget=Budget(tokens=100, per="key", window="1d"))
    async def behind_asking() -> int:
        return await talk([1])

    gate = asyncio.Event()
    gate.set()
    run = await engine.start(background_asking.using(concurrency_key="acme"))
    [question] = await engine.waiting(run)
    behind = await engine.start(behind_asking.using(concurrency_key="acme"))
    [timer] = await engine.waiting(behind)
    assert timer.record.due_at is not None
    await question.approve(by="maria")
    await run.result()
    await engine.clock.advance("5s")
    assert await behind.result() == 1


async def test_what_a_call_had_told_when_it_was_cancelled_counts(engine: Engine) -> None:
    @step(kind="llm", name="cut_short")
    async def cut_short(tokens: int) -> None:
        current_step().publish(Usage(model="m", input=tokens, output=0, cost=0.0))
        began.set()
        await asyncio.Event().wait()

    @task(name="cutting", budget=Budget(tokens=100))
    async def cutting() -> int:
        call = asyncio.ensure_future(cut_short(120))
        await began.wait()
        call.cancel()
        await asyncio.wait({call})
        made = await talk([1])
        await approve("Go on?")
        return made

    began = asyncio.Event()
    run = await engine.start(cutting)
    [question] = await engine.waiting(run)
    spent = (await engine.app.runs.usage(run.id)).own
    assert (spent.calls, spent.tokens, spent.unmetered) == (1, 120, 0)
    assert engine.calls(speak) == 0
    await question.approve(by="maria")
    assert await run.result() == 0


async def test_what_a_cancelled_run_had_told_counts_for_its_thread_and_what_it_did_not_tell_is_not_known(engine: Engine) -> None:
    @step(kind="llm", name="cut_with_its_run")
    async def cut_with_its_run() -> None:
        current_step().publish(Usage(model="m", input=70, output=None, cost=None))
        began.set()
        await asyncio.Event().wait()

    @task(name="cancelled_speaking", budget=Budget(tokens=100, per="thread", on_limit="fail"))
    async def cancelled_speaking() -> None:
        await cut_with_its_run()

    began = asyncio.Event()
    run = await engine.start(cancelled_speaking.using(thread="t-1"))
    await asyncio.wait_for(began.wait(), PATIENCE)
    await engine.app.runs.cancel(run.id)
    await engine.until(run, RunState.CANCELLED)
    spent = (await engine.app.runs.usage(run.id)).own
    assert (spent.calls, spent.input, spent.unmetered, spent.unpriced) == (1, 70, 1, 1)


async def test_what_a_call_had_told_when_it_failed_counts(engine: Engine) -> None:
    @step(kind="llm", name="failed_speaking")
    async def failed_speaking() -> None:
        current_step().publish(Usage(model="m", input=120, output=0, cost=0.5))
        raise ValueError("broken")

    @task(name="failing_speaking", budget=Budget(tokens=100, usd=1))
    async def failing_speaking() -> int:
        with suppress(Exception):
            await failed_speaking()
        return await talk([1])

    run = await engine.start(failing_speaking)
    assert await run.result() == 0
    spent = (await engine.app.runs.usage(run.id)).own
    assert (spent.calls, spent.tokens, spent.cost) == (1, 120, 500_000_000)


@pytest.mark.parametrize("wrong", [{"tokens": 0}, {"time": "1h"}, {"usd": "much"}])
def test_what_a_step_cannot_use_at_most_is_an_error_where_it_is_written(wrong: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError):
        step(kind="llm", most=wrong)(asyncio.sleep)


async def test_a_call_that_was_given_up_holds_nobody_up_though_the_database_was_away_just_then(engine: Engine) -> None:
    database = await flaky(engine)
    begun = asyncio.Event()

    @step(kind="llm")
    async def silent() -> None:
        begun.set()
        await asyncio.Event().wait()

    @step(kind="llm")
    async def answered() -> str:
        return "yes"

    @task(name="given_up_call", budget=Budget(tokens=100))
    async def given_up_call() -> str:
        call = asyncio.create_task(silent())
        await begun.wait()
        database.breaks = once("calls/end")
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
        return await answered()

    run = await engine.start(given_up_call)
    await begun.wait()
    await engine.settle()
    await engine.clock.advance("5s")
    assert database.broken == ["calls/end"]
    assert (await engine.app.runs.get(run.id)).state is RunState.COMPLETED


def once(statement: str) -> Callable[[str], Break]:
    """Breaks the connection before this statement, the first time."""
    left = [statement]

    def breaks(name: str) -> Break:
        return "before" if left and name == left[0] and left.pop() else None

    return breaks
