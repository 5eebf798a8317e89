"""Queues with several workers: limits hold over all of them, nobody starves, and whoever can go on is told without a poll."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from agentflow import Agentflow, Queue, Retry, approve, context, task
from agentflow.clock import SECOND
from agentflow.errors import DefinitionError, UnknownQueue
from agentflow.records import RunState
from agentflow.testing import Engine
from tests.engine.fleet import NEVER, count, now, until, until_so_many, working

pytestmark = pytest.mark.worker(poll=NEVER)


class Gate:
    """Where runs wait until they are let through, each by name."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self._open: dict[str, asyncio.Event] = {}
        self._all = False

    async def through(self, name: str) -> None:
        self.inside.append(name)
        event = self._open.setdefault(name, asyncio.Event())
        if not self._all:
            await event.wait()

    async def reached(self, count: int) -> None:
        """Return once so many have come to the gate."""

        async def test() -> bool:
            return len(self.inside) >= count

        await until(test)

    def let(self, name: str) -> None:
        self._open.setdefault(name, asyncio.Event()).set()

    def let_all(self) -> None:
        self._all = True
        for event in self._open.values():
            event.set()


gate = Gate()


@pytest.fixture(autouse=True)
async def fresh_gate(engine: Engine) -> AsyncIterator[None]:
    """Whoever is held back is let go before the engine closes."""
    gate.__init__()
    yield
    gate.let_all()


@task(queue=Queue("q-single", concurrency=1))
async def single(name: str) -> str:
    await gate.through(name)
    return name


@task(queue=Queue("q-tenants", key_concurrency=3))
async def for_tenant(name: str) -> str:
    await gate.through(name)
    return name


@task(queue=Queue("q-paced", rate="10/s"))
async def paced(name: str) -> str:
    return name


@task(queue=Queue("q-tokens", rate="100/m"))
async def tokens(name: str) -> str:
    return name


@task(queue=Queue("q-turns", concurrency=2))
async def turns(name: str) -> str:
    gate.inside.append(name)
    return name


@task(queue=Queue("q-waits", concurrency=1))
async def waits(name: str) -> str:
    gate.inside.append(f"{name} begins")
    await approve("Go on?")
    gate.inside.append(f"{name} goes on")
    return name


@task(queue=Queue("q-retries", concurrency=1), retry=Retry(attempts=2, initial="1h"))
async def retries(name: str) -> str:
    gate.inside.append(name)
    if context().attempt == 1:
        raise ValueError("not yet")
    return name


@pytest.fixture
async def second(engine: Engine, stream_server: str) -> AsyncIterator[Agentflow]:
    """A second worker."""
    async with working(engine, stream_server, [single, for_tenant, paced, turns, waits]) as app:
        yield app


# -- limits over all workers -------------------------------------------------------------------------------------------------------------


async def test_the_slots_of_a_key_come_free_when_their_worker_dies(engine: Engine, stream_server: str) -> None:
    """T48: and they are not free before its lease has ended."""
    mine = for_tenant.using(concurrency_key="acme")
    held = [await engine.start(mine, f"held {number}") for number in range(3)]
    await gate.reached(3)
    async with working(engine, stream_server, [for_tenant]) as second:
        waiting = await engine.start(mine, "waits")
        other = await engine.start(for_tenant.using(concurrency_key="other"), "other")
        await gate.reached(4)
        await engine.stop()
        await engine.clock.advance("29s")
        assert (await second.runs.get(waiting.id)).state is RunState.QUEUED
        await engine.go_on()
        gate.let_all()
        await until_so_many(engine.app, [*held, waiting, other], 5, RunState.COMPLETED)


async def test_a_limit_of_one_holds_for_recovered_runs_too(engine: Engine, stream_server: str) -> None:
    """T49: and those that are recovered come before newer ones, on whichever worker."""
    first = await engine.start(single, "first")
    await gate.reached(1)
    everybody = [first, *[await engine.start(single, f"other {number}") for number in range(3)]]
    async with working(engine, stream_server, [single]):
        await engine.stop()
        await engine.go_on()
        for done in range(4):
            await gate.reached(done + 2)
            assert await count(engine.app, everybody, RunState.RUNNING) == 1
            gate.let(gate.inside[-1])
            await until_so_many(engine.app, everybody, done + 1, RunState.COMPLETED)
    assert gate.inside == ["first", "first", "other 0", "other 1", "other 2"]


async def test_a_tenant_with_one_run_does_not_wait_behind_one_with_many(engine: Engine) -> None:
    """T50, 32"""
    await engine.app.queues.pause("q-turns", by="test")
    runs = [await engine.start(turns.using(concurrency_key="many"), f"many {number}") for number in range(60)]
    runs.append(await engine.start(turns.using(concurrency_key="one"), "one"))
    await engine.app.queues.resume("q-turns")
    await until_so_many(engine.app, runs, len(runs), RunState.COMPLETED)
    assert "one" in gate.inside[:3]
    assert (await engine.app.queues.get("q-turns")).runs == {}


async def test_a_rate_holds_over_three_workers(engine: Engine, stream_server: str) -> None:
    """T51"""
    async with working(engine, stream_server, [paced]), working(engine, stream_server, [paced]):
        runs = [await engine.start(paced, f"{number}") for number in range(35)]
        while await count(engine.app, runs, RunState.COMPLETED) < 35:
            await engine.clock.advance(0.1)
        begun = sorted(run.started_at or 0 for run in await now(engine.app, runs))
        assert max(sum(one <= other < one + SECOND for other in begun) for one in begun) == 10
        assert begun[-1] - begun[0] < 5 * SECOND


async def test_a_waiting_run_frees_its_place_and_goes_on_before_newer_ones(engine: Engine) -> None:
    """31, 33"""
    first, second, third = [await engine.start(waits, name) for name in ("first", "second", "third")]
    [one] = await engine.waiting(first)
    [two] = await engine.waiting(second)
    await engine.until(third, RunState.WAITING)
    blocking = await engine.start(waits, "fourth")
    await engine.until(blocking, RunState.WAITING)
    await engine.app.queues.pause("q-waits", by="test")
    fifth = await engine.start(waits, "fifth")
    await two.approve(by="maria")
    await one.approve(by="maria")
    await engine.settle()
    await engine.app.queues.resume("q-waits")
    await engine.until(fifth, RunState.WAITING)
    assert gate.inside[-3:] == ["first goes on", "second goes on", "fifth begins"]


async def test_a_run_between_two_tries_holds_no_place(engine: Engine) -> None:
    """5, 31: a long delay leaves the slot to others."""
    first, second = await engine.start(retries, "first"), await engine.start(retries, "second")
    await engine.until(first, RunState.SCHEDULED)
    await engine.until(second, RunState.SCHEDULED)
    await engine.clock.advance("1h")
    assert await asyncio.gather(first.result(), second.result()) == ["first", "second"]
    assert sorted(gate.inside[:2]) == sorted(gate.inside[2:]) == ["first", "second"]


# -- wake-ups without polls --------------------------------------------------------------------------------------------------------------


async def test_the_end_of_a_run_on_one_worker_lets_the_next_begin_on_another(engine: Engine, stream_server: str) -> None:
    """S15: the other is told, for the code of the next may be there alone."""

    @task(queue="q-single")
    async def only_there(name: str) -> str:
        return name

    await engine.stop()
    await engine.go_on(tasks={"single": single})
    await engine.start(single, "first")
    await gate.reached(1)
    async with working(engine, stream_server, [only_there]) as other:
        run = await other.start("only_there", name="x")
        await engine.settle()
        assert (await run.get()).state is RunState.QUEUED
        gate.let("first")
        assert await run.result(timeout=None) == "x"


async def test_a_place_that_comes_free_by_force_is_taken_at_once(engine: Engine) -> None:
    """T48: the code of the cancelled run does not stop, so it is ended from outside."""

    @task(queue="q-single")
    async def stubborn() -> None:
        while True:
            with suppress(asyncio.CancelledError):
                return await gate.through("stubborn")

    first = await engine.start(stubborn)
    await engine.until(first, RunState.RUNNING)
    second = await engine.start(single, "second")
    gate.let("second")
    await first.cancel()
    await engine.clock.advance("31s")
    assert await second.result() == "second"


async def test_a_rate_that_comes_free_is_used_at_that_moment(engine: Engine) -> None:
    first = await engine.start(tokens.using(weight=60), "first")
    second = await engine.start(tokens.using(weight=60), "second")
    assert await first.result() == "first"
    await engine.settle()
    assert (await engine.get(second)).note == "queue q-tokens has used up its rate of 100/m"
    await engine.clock.advance("59s")
    assert (await engine.get(second)).state is RunState.QUEUED
    await engine.clock.advance("5s")
    assert await second.result() == "second"


async def test_a_worker_that_waits_for_a_rate_can_close(engine: Engine, stream_server: str) -> None:
    await engine.stop()
    async with asyncio.timeout(10), working(engine, stream_server, [tokens], alone=True) as app:
        runs = [await app.start_json("tokens", '{"name": "x"}', {"weight": 60}) for _ in range(3)]
        await until_so_many(app, runs, 1, RunState.COMPLETED)
    await engine.go_on()


async def test_a_resumed_queue_goes_on_at_once(engine: Engine, second: Agentflow) -> None:
    await second.queues.pause("q-turns", by="maria")
    run = await engine.start(turns, "x")
    await engine.settle()
    paused = await engine.get(run)
    assert (paused.state, paused.note) == (RunState.QUEUED, "queue q-turns is paused by maria")
    await second.queues.resume("q-turns")
    assert await run.result() == "x"


async def test_a_delayed_run_in_a_limited_queue_begins_when_its_time_has_come(engine: Engine, second: Agentflow) -> None:
    run = await engine.start(turns.using(delay="1h"), "x")
    await engine.clock.advance("1h")
    assert await run.result() == "x"


# -- what is told ------------------------------------------------------------------------------------------------------------------------


async def test_a_run_that_is_held_back_says_by_what(engine: Engine) -> None:
    """S15"""
    runs = [await engine.start(single, "a"), await engine.start(single, "b")]
    mine = for_tenant.using(concurrency_key="acme")
    runs += [await engine.start(mine, f"{number}") for number in range(4)]
    await until_so_many(engine.app, runs, 4, RunState.RUNNING)
    [first, second] = [run for run in await now(engine.app, runs) if run.state is RunState.QUEUED]
    assert first.note == "queue q-single is full: 1 of 1 run"
    assert second.note == "key 'acme' is full in queue q-tenants: 3 of 3 run"
    listed = {run.id: run.note for run in await engine.app.runs.list(status="queued")}
    assert listed == {first.id: first.note, second.id: second.note}


async def test_queues_are_listed_with_limits_runs_and_workers(engine: Engine, second: Agentflow) -> None:
    runs = [await engine.start(single, name) for name in ("a", "b")]
    await until_so_many(engine.app, runs, 1, RunState.RUNNING)
    one = await second.queues.get("q-single")
    assert (one.record.concurrency, one.full, len(one.workers)) == (1, True, 2)
    assert (one.count(RunState.RUNNING), one.count(RunState.QUEUED)) == (1, 1)
    assert one.oldest_queued_at == engine.clock.now()
    assert (await second.queues.get("q-paced")).rate == "10/s"
    assert "default" in {queue.name for queue in await second.queues.list()}


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_a_queue_that_does_not_exist_is_an_error(engine: Engine, verb: str) -> None:
    """S15"""
    with pytest.raises(UnknownQueue, match="no queue 'nowhere'"):
        await (engine.app.queues.pause("nowhere", by="me") if verb == "pause" else engine.app.queues.resume("nowhere"))


# -- declarations ------------------------------------------------------------------------------------------------------------------------


async def test_two_declarations_that_differ_are_an_error_when_the_app_opens(engine: Engine, stream_server: str) -> None:
    @task(queue=Queue("q-two", concurrency=1))
    async def one() -> None: ...

    @task(queue=Queue("q-two", concurrency=2))
    async def two() -> None: ...

    app = Agentflow([one, two], database=engine.database_url, redis=stream_server)
    with pytest.raises(DefinitionError, match="q-two"):
        await app.open()
    del one, two


async def test_a_process_that_only_names_a_queue_leaves_its_limits_alone(engine: Engine, stream_server: str) -> None:
    @task(queue="q-single")
    async def named() -> None: ...

    @task(queue=Queue("q-single"))
    async def lifted() -> None: ...

    async with working(engine, stream_server, [named]):
        assert (await engine.app.queues.get("q-single")).record.concurrency == 1
    async with working(engine, stream_server, [lifted]):
        assert (await engine.app.queues.get("q-single")).record.concurrency is None


async def test_a_weight_that_its_queue_never_lets_start_is_an_error_at_the_start(engine: Engine, stream_server: str) -> None:
    with pytest.raises(DefinitionError, match="100/m"):
        tokens.using(weight=101)
    bystander = Agentflow(database=engine.database_url, redis=stream_server, worker=False, clock=engine.clock)
    async with bystander:
        with pytest.raises(DefinitionError, match="100/m"):
            await bystander.start_json("tokens", '{"name": "x"}', {"weight": 101})


async def test_a_worker_that_serves_one_queue_leaves_the_others(engine: Engine, stream_server: str) -> None:
    await engine.stop()
    async with working(engine, stream_server, [turns, paced], alone=True, queues=("q-paced",)) as app:
        left, taken = await app.start("turns", name="x"), await app.start("paced", name="y")
        assert await taken.result() == "y"
        assert (await left.get()).state is RunState.QUEUED
    await engine.go_on()
    await until_so_many(engine.app, [left], 1, RunState.COMPLETED)


async def test_a_task_that_is_younger_than_its_worker_keeps_to_the_limits_of_its_queue(engine: Engine) -> None:
    """A test's own task, defined when the engine runs already."""

    @task(queue=Queue("q-young", concurrency=1))
    async def young(name: str) -> str:
        await gate.through(name)
        return name

    first = await engine.start(young, "a")
    await gate.reached(1)
    second = await engine.start(young, "b")
    await engine.settle()
    assert gate.inside == ["a"]
    assert (await second.get()).state is RunState.QUEUED
    gate.let_all()
    assert [await first.result(), await second.result()] == ["a", "b"]
