"""Messages into running runs: kept, received once, in order; waiting for them is a wait like any other. In memory and replayed alike."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from agentflow import InputStream, Retry, context, sleep, step, task
from agentflow.engine.worker import WorkerSettings
from agentflow.errors import (
    WaitpointTimedOut,
)
from agentflow.handle import RunHandle
from agentflow.records import RunState, WaitKind
from agentflow.testing import Engine
from tests.engine.fleet import NEVER, working

HOUR = 3_600_000_000


@dataclass(frozen=True)
class Note:
    text: str


inbox = InputStream[Note]("inbox")
numbers = InputStream[int]("numbers")


@pytest.fixture(params=["in memory", "replayed"])
def worker_settings(request: pytest.FixtureRequest) -> WorkerSettings:
    mark: Any = request.node.get_closest_marker("worker")
    chosen: dict[str, Any] = mark.kwargs if mark else {}
    return WorkerSettings(**chosen, hot_limit=1_000 if request.param == "in memory" else 0, hot_window=365 * 24 * HOUR)


@task
async def collect(count: int) -> list[int]:
    """Receive so many numbers."""
    found: list[int] = []
    async for number in numbers.receive():
        found.append(number)
        if len(found) == count:
            break
    return found


async def send(run: RunHandle[Any], *sent: int) -> None:
    for number in sent:
        await run.send(numbers, number)


async def test_a_run_receives_what_it_waits_for_as_its_type(engine: Engine) -> None:
    @task
    async def reads() -> str:
        return (await inbox.next()).text

    run = await engine.start(reads)
    [waiting] = await engine.waiting(run)
    assert (waiting.record.kind, waiting.record.due_at) == (WaitKind.SIGNAL, None)
    assert await run.send(inbox, Note("hello")) == 1
    assert await run.result() == "hello"


async def test_messages_that_were_sent_before_the_run_asks_are_kept_in_order(engine: Engine) -> None:
    @task
    async def late() -> list[int]:
        await sleep("1h")
        return [await numbers.next() for _ in range(3)]

    run = await engine.start(late)
    await send(run, 1, 2)
    await engine.clock.advance("1h")
    await engine.until(run, RunState.WAITING)
    await send(run, 3)
    assert await run.result() == [1, 2, 3]


async def test_waiting_for_a_message_holds_no_slot_and_survives_a_crash(engine: Engine) -> None:
    """T40"""
    run = await engine.start(collect, 3)
    await send(run, 1)
    await engine.settle()
    assert (await engine.get(run)).state is RunState.WAITING
    worker = engine.app.worker
    assert worker is not None
    assert worker.free == worker.settings.slots
    await engine.crash()
    await send(run, 2)
    await engine.settle()
    await engine.crash()
    await send(run, 3)
    assert await run.result() == [1, 2, 3]


async def test_every_replay_sees_the_same_messages_in_the_same_order(engine: Engine) -> None:
    seen: list[list[int]] = []

    @task
    async def pairs() -> list[int]:
        found = [await numbers.next(), await numbers.next()]
        seen.append(found)
        await sleep("1h")
        return [*found, await numbers.next()]

    run = await engine.start(pairs)
    await send(run, 7, 8, 9)
    await engine.waiting(run)
    await engine.crash()
    await engine.crash()
    await engine.clock.advance("1h")
    assert await run.result() == [7, 8, 9]
    assert all(one == [7, 8] for one in seen)
    assert not (await engine.replay(run)).diverges


async def test_parallel_receivers_get_each_message_once(engine: Engine) -> None:
    @task
    async def both() -> list[int]:
        return sorted(await asyncio.gather(*(numbers.next() for _ in range(4))))

    run = await engine.start(both)
    await engine.waiting(run, 4)
    await send(run, 1, 2)
    await engine.settle()
    await engine.crash()
    await send(run, 3, 4)
    assert await run.result() == [1, 2, 3, 4]


async def test_streams_of_one_run_do_not_meet(engine: Engine) -> None:
    @task
    async def two() -> list[Any]:
        return list(await asyncio.gather(numbers.next(), inbox.next()))

    run = await engine.start(two)
    await engine.waiting(run, 2)
    await run.send(inbox, Note("hello"))
    await engine.settle()
    assert (await engine.get(run)).state is RunState.WAITING
    await send(run, 5)
    assert await run.result() == [5, {"text": "hello"}]


async def test_a_message_goes_on_beside_other_waits(engine: Engine) -> None:
    @task
    async def both() -> list[Any]:
        return list(await asyncio.gather(numbers.next(), sleep("1h")))

    run = await engine.start(both)
    await engine.waiting(run, 2)
    await send(run, 5)
    await engine.settle()
    assert (await engine.get(run)).state is RunState.WAITING
    await engine.clock.advance("1h")
    assert await run.result() == [5, None]


async def test_no_wake_up_is_lost_at_whatever_moment_a_message_comes(engine: Engine) -> None:
    """T29: so many turns of the loop after the run was started, from before it asks until it has let go of its lease."""
    runs = [await engine.start(collect, 2) for _ in range(40)]
    for turns, run in enumerate(runs):
        sending = asyncio.ensure_future(send(run, 1))
        for _ in range(turns):
            await asyncio.sleep(0)
        await send(run, 2)
        await sending
    for run in runs:
        assert sorted(await run.result()) == [1, 2]


@pytest.mark.worker(poll=NEVER)
async def test_a_message_from_another_process_is_received_at_once_also_while_the_run_works(engine: Engine, stream_server: str) -> None:
    gate, got = asyncio.Event(), asyncio.Event()

    @step
    async def holds() -> None:
        await gate.wait()

    @task
    async def both() -> list[int]:
        async def hears() -> int:
            number = await numbers.next()
            got.set()
            return number

        first, _ = await asyncio.gather(hears(), holds())
        return [first, await numbers.next()]

    run = await engine.start(both)
    await engine.settle()
    assert (await engine.get(run)).state is RunState.RUNNING
    async with working(engine, stream_server, [], slots=1) as other:
        await other.runs.send(run.id, numbers, 1)
        async with asyncio.timeout(8):
            await got.wait()
        gate.set()
        await engine.waiting(run)
        await other.runs.send(run.id, numbers, 2)
        assert await run.result() == [1, 2]


# -- time --------------------------------------------------------------------------------------------------------------------------------


async def test_a_wait_for_a_message_ends_after_its_time_and_takes_nothing(engine: Engine) -> None:
    @task
    async def patient() -> str:
        try:
            return str(await numbers.next(timeout="5m"))
        except WaitpointTimedOut:
            await sleep("1h")
            return f"late: {await numbers.next()}"

    run = await engine.start(patient)
    [waiting] = await engine.waiting(run)
    assert waiting.record.due_at == engine.clock.now() + HOUR // 12
    await engine.clock.advance("5m")
    await engine.waiting(run)
    await send(run, 5)
    await engine.crash()
    await engine.clock.advance("1h")
    assert await run.result() == "late: 5"


async def test_the_time_of_a_wait_goes_on_through_a_crash(engine: Engine) -> None:
    """T32"""

    @task
    async def patient() -> str:
        try:
            return str(await numbers.next(timeout="1h"))
        except WaitpointTimedOut:
            return "nobody"

    run = await engine.start(patient)
    began = engine.clock.now()
    await engine.waiting(run)
    await engine.clock.advance("10m")
    await engine.crash()
    await engine.settle()
    await engine.clock.advance((began + HOUR - engine.clock.now()) / 1_000_000)
    assert await run.result() == "nobody"


async def test_receiving_ends_after_a_silence(engine: Engine) -> None:
    @task
    async def until_quiet() -> list[int]:
        return [number async for number in numbers.receive(timeout="1h")]

    run = await engine.start(until_quiet)
    for number in (1, 2):
        await engine.waiting(run)
        await engine.clock.advance("59m")
        await send(run, number)
        await engine.settle()
    await engine.waiting(run)
    await engine.clock.advance("1h")
    assert await run.result() == [1, 2]


# -- who gives up ------------------------------------------------------------------------------------------------------------------------


async def test_a_wait_that_was_given_up_costs_no_message(engine: Engine) -> None:
    @task
    async def impatient() -> list[int]:
        waiting = asyncio.ensure_future(numbers.next())
        await sleep("1h")
        waiting.cancel()
        await asyncio.wait({waiting})
        return [await numbers.next(), await numbers.next()]

    run = await engine.start(impatient)
    await engine.waiting(run, 2)
    await engine.clock.advance("1h")
    await engine.waiting(run)
    await send(run, 1, 2)
    assert await run.result() == [1, 2]


async def test_a_receive_that_is_cancelled_at_any_moment_loses_no_message_and_no_order(engine: Engine) -> None:
    """The code gives up any number of turns of the loop after the message was there to be taken."""

    @task
    async def hasty(turns: int) -> list[int]:
        found: list[int] = []
        await sleep("1h")
        receiving = asyncio.ensure_future(numbers.next())
        for _ in range(turns):
            await asyncio.sleep(0)
        receiving.cancel()
        await asyncio.wait({receiving})
        found += [] if receiving.cancelled() else [receiving.result()]
        while len(found) < 3:
            found.append(await numbers.next())
        return found

    runs = [await engine.start(hasty, turns) for turns in range(24)]
    for run in runs:
        await engine.waiting(run)
        await send(run, 1, 2, 3)
    await engine.clock.advance("1h")
    given_back = 0
    for run in runs:
        assert await run.result() == [1, 2, 3]
        given_back += sum(entry.value is None for entry in await engine.app.runs.journal(run.id))
    assert given_back


async def test_a_cancelled_run_stops_receiving_and_what_it_did_not_receive_is_nobodys(engine: Engine) -> None:
    """T36"""
    cleaned: list[str] = []

    @task
    async def listens() -> None:
        try:
            await numbers.next()
        except asyncio.CancelledError:
            cleaned.append("up")
            raise

    run = await engine.start(listens)
    await engine.waiting(run)
    await run.cancel("enough")
    await engine.until(run, RunState.CANCELLED)
    assert cleaned == ["up"]
    assert await engine.app.runs.waiting_for(run.id) == []


async def test_a_new_attempt_of_the_run_receives_what_was_received_before_again(engine: Engine) -> None:
    @task(retry=Retry(attempts=2, initial="1s", jitter=0))
    async def stumbles() -> list[int]:
        first = await numbers.next()
        if context().attempt == 1:
            raise ValueError("not yet")
        return [first, await numbers.next()]

    run = await engine.start(stumbles)
    await engine.waiting(run)
    await send(run, 1)
    await engine.until(run, RunState.SCHEDULED)
    await send(run, 2)
    await engine.clock.advance("1s")
    assert await run.result() == [1, 2]


async def test_a_run_that_takes_up_a_failed_one_has_its_messages_too(engine: Engine) -> None:
    broken = True

    @task
    async def stumbles() -> list[int]:
        first = await numbers.next()
        if broken:
            raise ValueError("not yet")
        return [first, await numbers.next()]

    run = await engine.start(stumbles)
    await send(run, 1, 2)
    await engine.until(run, RunState.FAILED)
    broken = False
    revived = await engine.app.runs.revive(run.id)
    ended = await engine.app.runs.ended(revived.id)
    assert ended.output == "[1,2]"
