"""Starts that count for each other: debounced, deduplicated, put off; and what is started many at a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from agentflow import Retry, RunFailed, sleep, step, task, wait_for
from agentflow.errors import DefinitionError, IdempotencyConflict, InvalidPayload, RunError, RunExpired
from agentflow.handle import RunHandle
from agentflow.records import RunState
from agentflow.storage import waitpoints
from agentflow.storage.statements import SQL
from agentflow.storage.waitpoints import Ending, WaitState
from agentflow.testing import Engine

QUIET = {"key": "doc-1", "delay": "5s"}


@task
async def index(text: str) -> str:
    return text


@task
async def double(number: int) -> int:
    return 2 * number


# -- debounce ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "text"), [("trailing", "99"), ("leading", "0")])
async def test_a_hundred_starts_within_the_delay_are_one_run(engine: Engine, mode: str, text: str) -> None:
    """35"""
    quiet = index.using(debounce={**QUIET, "mode": mode})
    first = await engine.start(quiet, "0")
    others = await asyncio.gather(*(engine.start(quiet, str(number)) for number in range(1, 99)))
    last = await engine.start(quiet, "99")
    assert {run.id for run in (first, *others, last)} == {first.id}
    await engine.clock.advance("4s")
    assert (await engine.get(first)).state is RunState.SCHEDULED
    await engine.clock.advance("1s")
    assert await first.result() == text
    assert engine.calls(index) == 1


async def test_after_the_longest_delay_the_run_starts_and_what_comes_then_is_another(engine: Engine) -> None:
    """35"""
    quiet = index.using(debounce={**QUIET, "max_delay": "12s"})
    runs: list[RunHandle[str]] = []
    for number in range(6):
        runs.append(await engine.start(quiet, str(number)))
        await engine.clock.advance("3s")
    await engine.clock.advance("5s")
    assert [run.id for run in runs[:4]] == [runs[0].id] * 4
    assert runs[0].id != runs[4].id == runs[5].id
    assert (await runs[0].result(), await runs[5].result()) == ("3", "5")


async def test_debounced_starts_of_other_keys_and_tasks_are_other_runs(engine: Engine) -> None:
    """35"""

    @task
    async def another(text: str) -> str:
        return text

    starts = [index.using(debounce=QUIET), index.using(debounce={**QUIET, "key": "doc-2"}), another.using(debounce=QUIET)]
    assert len({(await engine.start(one, "x")).id for one in starts}) == 3


async def test_two_parents_that_wait_for_one_debounced_child_both_go_on(engine: Engine) -> None:
    """35"""

    @task
    async def parent(text: str) -> str:
        return await index.using(debounce=QUIET)(text)

    runs: list[RunHandle[str]] = []
    for text in ("a", "b"):
        runs.append(await engine.start(parent, text))
        await engine.until(runs[-1], RunState.WAITING)
    await engine.clock.advance("5s")
    assert [await run.result() for run in runs] == ["b", "b"]
    assert engine.calls(index) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"debounce": {"key": "k"}},
        {"debounce": {"key": "k", "delay": "1s", "mode": "sometimes"}},
        {"debounce": QUIET, "delay": "1s"},
        {"debounce": QUIET, "dedupe_key": "k"},
        {"weight": 0},
    ],
)
def test_options_that_make_no_sense_are_errors_at_the_call(wrong: dict[str, object]) -> None:
    with pytest.raises(DefinitionError):
        index.using(**wrong)


# -- dedupe ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["completed", "cancelled"])
async def test_a_dedupe_key_is_taken_from_start_to_end_whatever_happens(engine: Engine, end: str) -> None:
    """T52: queued, running, between retries, and after a crash."""
    gate = asyncio.Event()

    @task(retry=Retry(attempts=2, initial="1h"))
    async def once() -> str:
        if not gate.is_set():
            raise ValueError("not yet")
        await sleep("1d")
        return "done"

    only = once.using(dedupe_key="k", delay="1m")
    first = await engine.start(only)
    assert (await engine.start(only)).id == first.id
    await engine.clock.advance("1m")
    await engine.until(first, RunState.SCHEDULED)
    assert (await engine.start(only)).id == first.id
    gate.set()
    await engine.clock.advance("2h")
    await engine.until(first, RunState.WAITING)
    await engine.crash()
    assert (await engine.start(only)).id == first.id
    if end == "cancelled":
        await first.cancel()
        await engine.until(first, RunState.CANCELLED)
    else:
        await engine.clock.advance("1d")
        assert await first.result() == "done"
    assert (await engine.start(only)).id != first.id


# -- another time ------------------------------------------------------------------------------------------------------------------------


async def test_a_rescheduled_run_starts_at_its_new_time_only_with_its_new_payload(engine: Engine) -> None:
    """T53, 34: the time to live moves along."""
    run = await engine.start(index.using(delay="1h", ttl="1h"), "old")
    moved = await engine.app.runs.reschedule(run.id, delay="5h", payload={"text": "new"})
    assert moved.expires_at == engine.clock.now() + 6 * 3_600 * 1_000_000
    await engine.clock.advance("4h")
    assert (await engine.get(run)).state is RunState.SCHEDULED
    await engine.clock.advance("1h")
    assert await run.result() == "new"
    assert engine.calls(index) == 1
    with pytest.raises(RunError, match="completed"):
        await engine.app.runs.reschedule(run.id, delay="1h")


@pytest.mark.parametrize("naive", [True, False])
async def test_a_run_can_be_brought_forward_to_a_moment(engine: Engine, naive: bool) -> None:
    run = await engine.start(index.using(delay="5h"), "x")
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=engine.clock.now(), hours=1)
    await engine.app.runs.reschedule(run.id, at=moment.replace(tzinfo=None) if naive else moment)
    await engine.clock.advance("1h")
    assert await run.result() == "x"


async def test_what_a_run_cannot_be_rescheduled_to_is_an_error(engine: Engine) -> None:
    run = await engine.start(index.using(delay="5h"), "x")
    with pytest.raises(InvalidPayload):
        await engine.app.runs.reschedule(run.id, delay="1h", payload={"text": 5})
    with pytest.raises(DefinitionError, match="delay or to a time"):
        await engine.app.runs.reschedule(run.id)
    with pytest.raises(DefinitionError, match="delay or to a time"):
        await engine.app.runs.reschedule(run.id, delay="1h", at=datetime.now(UTC))


async def test_a_run_that_is_cancelled_while_it_is_delayed_never_runs(engine: Engine) -> None:
    """34"""
    run = await engine.start(index.using(delay="1h"), "x")
    await run.cancel()
    await engine.clock.advance("2h")
    assert (await engine.get(run)).state is RunState.CANCELLED
    assert engine.calls(index) == 0


@pytest.mark.worker(slots=1)
async def test_the_parent_of_a_child_that_expires_goes_on_with_that_error(engine: Engine) -> None:
    """29: and a child that has begun does not expire, 36."""
    gate = asyncio.Event()

    @task
    async def blocker() -> None:
        await gate.wait()

    @task
    async def parent() -> str:
        await sleep("1s")
        try:
            return await index.using(ttl="1m", delay="1s")("x")
        except RunExpired:
            return "too late"

    run = await engine.start(parent)
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1s")
    await engine.settle()
    await engine.start(blocker)
    await engine.clock.advance("2m")
    gate.set()
    assert await run.result() == "too late"


# -- tokens and wakes --------------------------------------------------------------------------------------------------------------------


async def test_the_same_key_gives_the_same_token_until_its_time_is_over(engine: Engine) -> None:
    """18"""
    tokens = engine.app.waitpoints
    first = await tokens.create(idempotency_key="k", idempotency_ttl="1h")
    assert (await tokens.create(idempotency_key="k", idempotency_ttl="1h")).id == first.id
    await engine.clock.advance("1h")
    assert (await tokens.create(idempotency_key="k", idempotency_ttl="1h")).id != first.id


@task
async def hear(token: str) -> object:
    return await wait_for(token)


@pytest.mark.worker(hot_limit=0, poll=3_600)
async def test_a_run_that_is_woken_for_nothing_waits_on(engine: Engine) -> None:
    """21: it reads what it waits for, and never goes on with an empty result."""
    token = await engine.app.waitpoints.create()
    run = await engine.start(hear, token.id)
    waiting = await engine.until(run, RunState.WAITING)
    await engine.app.database.execute(SQL.runs.wake(run=waiting.key))
    await engine.crash()
    again = await engine.until(run, RunState.WAITING)
    assert again.epoch > waiting.epoch
    await engine.app.waitpoints.answer(token.id, "the answer", by="test")
    assert await run.result() == "the answer"


@pytest.mark.worker(hot_limit=0, poll=0.05)
async def test_a_run_whose_wake_up_call_was_lost_is_found(engine: Engine) -> None:
    """20: the answer is in the database, and nobody was told."""
    token = await engine.app.waitpoints.create()
    run = await engine.start(hear, token.id)
    await engine.until(run, RunState.WAITING)
    await engine.app.database.transact(waitpoints.end(token.id, Ending(WaitState.ANSWERED, '"x"', "test"), engine.clock.now()))
    assert await run.result() == "x"


# -- batches -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crash_after", range(6))
async def test_a_batch_cut_short_by_a_crash_becomes_exactly_its_items(engine: Engine, crash_after: int) -> None:
    """25, 27: wherever between two items the parent dies; it goes on where it was."""
    reached, gate = asyncio.Event(), asyncio.Event()

    @step
    async def before(number: int) -> int:
        if number == crash_after and not gate.is_set():
            reached.set()
            await gate.wait()
        return number

    @task
    async def parent() -> list[int]:
        handles = [(await double.map([await before(number)]))[0] for number in range(6)]
        return [await handle.result() for handle in handles]

    run = await engine.start(parent)
    await reached.wait()
    gate.set()
    await engine.crash()
    assert await run.result() == [0, 2, 4, 6, 8, 10]
    assert len(await engine.app.runs.list(task="double")) == 6


async def test_items_that_cannot_be_started_do_not_keep_the_others_from_it(engine: Engine) -> None:
    """26: in the order of the items."""

    @task
    async def parent() -> list[str]:
        keyed = index.using(idempotency_key="k")
        calls = (index("a"), keyed("b"), keyed("other payload"), index("d"))
        results = await asyncio.gather(*calls, return_exceptions=True)
        return [one if isinstance(one, str) else type(one).__name__ for one in results]

    first, *keyed, last = await (await engine.start(parent)).result()
    assert (first, last) == ("a", "d")
    assert sorted(keyed) in (["IdempotencyConflict", "b"], ["IdempotencyConflict", "other payload"])


async def test_a_batch_with_items_that_do_not_fit_starts_nothing_inside_a_run_too(engine: Engine) -> None:
    """26: told at the call, which item it was aside."""

    @task
    async def parent() -> str:
        try:
            await double.map([1, "two", 3])
        except InvalidPayload:
            return "told"
        return "started"

    assert await (await engine.start(parent)).result() == "told"
    assert await engine.app.runs.list(task="double") == []


async def test_a_batch_in_which_two_items_have_one_key_ends(engine: Engine) -> None:
    """28: both are the one run."""

    @task
    async def parent() -> list[int]:
        batch = await double.using(idempotency_key="k").map([4, 4])
        return await batch.results()

    run = await engine.start(parent)
    assert await run.result() == [8, 8]
    assert engine.calls(double) == 1


async def test_a_batch_in_which_one_key_has_two_payloads_fails_and_says_so(engine: Engine) -> None:
    """28"""

    @task
    async def parent() -> None:
        await double.using(idempotency_key="k").map([4, 5])

    run = await engine.start(parent)
    with pytest.raises(RunFailed, match="another payload"):
        await run.result()
    with pytest.raises(IdempotencyConflict):
        await double.using(idempotency_key="out").map([4, 5])
