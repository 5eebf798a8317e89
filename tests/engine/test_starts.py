"""How runs start: keys, delays, lives, order, batches, and from inside of other runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentflow import Retry, RunCancelled, context, sleep, task
from agentflow.errors import DefinitionError, IdempotencyConflict, InvalidPayload, RunExpired, UnknownTask
from agentflow.records import RunState
from agentflow.testing import Engine


@task
async def ship(order: str, *, express: bool = False) -> str:
    return f"{order}{'!' if express else ''}"


async def occupied(engine: Engine) -> asyncio.Event:
    """The only slot of the worker is taken until the event is set."""
    gate = asyncio.Event()

    @task
    async def busy() -> None:
        await gate.wait()

    await engine.settle()
    await engine.start(busy)
    await engine.settle()
    return gate


# -- idempotency keys --------------------------------------------------------------------------------------------------------------------


async def test_the_same_key_and_payload_find_the_same_run(engine: Engine) -> None:
    keyed = ship.using(idempotency_key="k-1")
    first, second = await asyncio.gather(engine.start(keyed, "a"), engine.start(keyed, "a"))
    assert first.id == second.id
    assert await second.result() == "a"
    assert engine.calls(ship) == 1
    assert (await first.get()).idempotency_key == "k-1"


async def test_the_same_key_with_another_payload_is_a_conflict_that_names_the_run(engine: Engine) -> None:
    keyed = ship.using(idempotency_key="k-1")
    run = await engine.start(keyed, "a")
    with pytest.raises(IdempotencyConflict, match="another payload") as caught:
        await engine.start(keyed, "b")
    assert (caught.value.http_status, caught.value.run_id) == (409, run.id)


async def test_the_same_key_of_another_task_is_another_key(engine: Engine) -> None:
    @task
    async def bill(order: str) -> str:
        return order

    first = await engine.start(ship.using(idempotency_key="k-1"), "a")
    second = await engine.start(bill.using(idempotency_key="k-1"), "a")
    assert first.id != second.id


@pytest.mark.worker(slots=1)
@pytest.mark.parametrize("ends", ["failed", "expired"])
async def test_a_key_is_free_again_after_failure_and_expiry(engine: Engine, ends: str) -> None:
    @task
    async def broken() -> None:
        raise ValueError("no")

    keyed = broken.using(idempotency_key="k-1", ttl="1m", delay="1h")
    gate = await occupied(engine) if ends == "expired" else asyncio.Event()
    first = await engine.start(keyed)
    await engine.clock.advance("2h")
    gate.set()
    await engine.until(first, ends)
    second = await engine.start(keyed)
    assert first.id != second.id


@pytest.mark.parametrize("ends", ["completed", "cancelled"])
async def test_a_key_is_kept_after_success_and_cancel(engine: Engine, ends: str) -> None:
    @task
    async def rest() -> None:
        await sleep("1h")

    keyed = rest.using(idempotency_key="k-1")
    first = await engine.start(keyed)
    if ends == "cancelled":
        await first.cancel()
    await engine.settle()
    await engine.clock.advance("1h")
    await engine.until(first, ends)
    second = await engine.start(keyed)
    assert first.id == second.id
    await engine.clock.advance("31d")
    assert (await engine.start(keyed)).id != first.id


async def test_a_key_counts_inside_its_parent_run_unless_it_is_global(engine: Engine) -> None:
    @task
    async def parent(scope: str) -> list[str]:
        keyed = ship.using(idempotency_key="k-1", idempotency_scope=scope)
        return [(await keyed.start("a")).id for _ in range(2)]

    async def ids(scope: str) -> list[str]:
        return [one for _ in range(2) for one in await (await engine.start(parent, scope)).result()]

    assert len(set(await ids("run"))) == 2
    assert len(set(await ids("global"))) == 1


# -- when and in which order -------------------------------------------------------------------------------------------------------------


async def test_a_delayed_run_starts_when_its_time_has_come(engine: Engine) -> None:
    run = await engine.start(ship.using(delay="1h"), "a")
    await engine.clock.advance("59m")
    assert (await run.get()).state is RunState.SCHEDULED
    assert engine.calls(ship) == 0
    await engine.clock.advance("1m")
    assert await run.result() == "a"


async def test_a_delayed_run_that_is_cancelled_never_runs(engine: Engine) -> None:
    """forty 34"""
    run = await engine.start(ship.using(delay="1h"), "a")
    await run.cancel("not needed")
    await engine.clock.advance("2h")
    with pytest.raises(RunCancelled, match="not needed"):
        await run.result()
    assert engine.calls(ship) == 0


@pytest.mark.worker(slots=1)
async def test_a_run_that_did_not_start_within_its_life_expires(engine: Engine) -> None:
    gate = await occupied(engine)
    late = await engine.start(ship.using(ttl="1m"), "a")
    await engine.clock.advance("59s")
    assert (await late.get()).state is RunState.QUEUED
    await engine.clock.advance("1s")
    with pytest.raises(RunExpired, match="longer ttl"):
        await late.result()
    gate.set()
    await engine.settle()
    assert engine.calls(ship) == 0


async def test_the_life_of_a_delayed_run_counts_from_when_it_could_start(engine: Engine) -> None:
    """forty 34"""
    run = await engine.start(ship.using(ttl="1m", delay="1h"), "a")
    await engine.clock.advance("1h")
    assert await run.result() == "a"


async def test_a_run_that_has_started_once_does_not_expire_when_it_is_queued_again(engine: Engine) -> None:
    """forty 36"""

    @task(retry=Retry(attempts=2, initial="1h", max="1h", jitter=0))
    async def flaky() -> int:
        if context().attempt == 1:
            raise ValueError("no")
        return context().attempt

    run = await engine.start(flaky.using(ttl="1m"))
    await engine.until(run, RunState.SCHEDULED)
    await engine.clock.advance("59m")
    assert (await run.get()).state is RunState.SCHEDULED
    await engine.clock.advance("1m")
    assert await run.result() == 2


@pytest.mark.worker(slots=1)
async def test_a_queue_is_worked_off_by_time_less_priority_and_equal_ones_in_order(engine: Engine) -> None:
    """forty 33"""
    order: list[str] = []
    gate = await occupied(engine)

    @task
    async def note(word: str) -> None:
        order.append(word)

    for word, priority in (("a", 0), ("b", 0), ("late", -5), ("first", 60)):
        await engine.start(note.using(priority=priority), word)
    await engine.clock.advance("10s")
    last = await engine.start(note, "c")
    gate.set()
    await last.result()
    await engine.settle()
    assert order == ["first", "a", "b", "late", "c"]


# -- what a run carries ------------------------------------------------------------------------------------------------------------------


async def test_tags_metadata_and_key_are_seen_by_the_run_and_by_listings(engine: Engine) -> None:
    @task
    async def main() -> list[Any]:
        run = context()
        return [run.run_id, run.task, list(run.tags), dict(run.metadata), run.idempotency_key]

    run = await engine.start(main.using(tags=["vip", "eu"], metadata={"stage": "new"}, idempotency_key="k"))
    assert await run.result() == [run.id, "main", ["vip", "eu"], {"stage": "new"}, "k"]
    assert [one.id for one in await engine.app.runs.list(tag="vip")] == [run.id]
    assert await engine.app.runs.list(tag="us") == []
    assert [one.id for one in await engine.app.runs.list(task="main", status="completed")] == [run.id]


async def test_options_that_do_not_exist_are_errors_at_the_call(engine: Engine) -> None:
    with pytest.raises(DefinitionError, match="knows no prio"):
        ship.using(prio=1)
    with pytest.raises(DefinitionError, match="idempotency_scope='all'"):
        ship.using(idempotency_scope="all")


@pytest.mark.worker(queues=("other",))
async def test_a_worker_of_another_queue_does_not_take_what_was_started_beside_it(engine: Engine) -> None:
    run = await engine.start(ship, "a")
    await engine.settle()
    assert (await run.get()).state is RunState.QUEUED


async def test_a_payload_that_does_not_fit_is_refused_before_anything_is_stored(engine: Engine) -> None:
    with pytest.raises(InvalidPayload, match="order"):
        await engine.app.start("ship", order=["no"])
    assert await engine.app.runs.list() == []


async def test_a_run_can_be_started_by_name_and_an_unknown_name_says_what_is_known(engine: Engine) -> None:
    run = await engine.app.start("ship", order="a", express=True)
    assert await run.result() == "a!"
    with pytest.raises(UnknownTask, match="Known here"):
        await engine.app.start("nobody_knows_me")


async def test_code_around_every_run_sees_its_context_and_its_result(engine: Engine) -> None:
    seen: list[Any] = []

    async def outer(run: Any, call_next: Any) -> Any:
        seen.append(("in", run.task))
        result = await call_next()
        seen.append(("out", result))
        return result

    async def inner(run: Any, call_next: Any) -> Any:
        seen.append("inner")
        return (await call_next()) + "?"

    worker = engine.app.worker
    assert worker is not None
    worker.middleware = (outer, inner)
    assert await (await engine.start(ship, "a")).result() == "a?"
    assert seen == [("in", "ship"), "inner", ("out", "a?")]
