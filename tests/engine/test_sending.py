"""Sending messages into runs: checked, counted, once under a key, and recorded where a run sends."""

from __future__ import annotations

from typing import Any

import pytest

from agentflow import InputStream, sleep, step, task
from agentflow.engine.named import LIMIT
from agentflow.errors import (
    IdempotencyConflict,
    InvalidMessage,
    ItemTooLarge,
    NotInRun,
    RunError,
    RunFailed,
    RunNotFound,
    UnserializableValue,
)
from agentflow.handle import RunHandle
from agentflow.records import EntryKind, RunState
from agentflow.testing import Engine

numbers = InputStream[int]("numbers")


@task
async def collect(count: int) -> list[int]:
    """Receive so many numbers."""
    found: list[int] = []
    async for number in numbers.receive():
        found.append(number)
        if len(found) == count:
            break
    return found


async def test_the_same_key_is_the_same_message(engine: Engine) -> None:
    run = await engine.start(collect, 2)
    assert [await run.send(numbers, 1, idempotency_key="k") for _ in range(3)] == [1, 1, 1]
    with pytest.raises(IdempotencyConflict, match="message 1"):
        await run.send(numbers, 2, idempotency_key="k")
    await engine.until(run, RunState.WAITING)
    assert await run.send(numbers, 1, idempotency_key="k") == 1
    assert await run.send(numbers, 2, idempotency_key="l") == 2
    assert await run.result() == [1, 2]
    assert await run.send(numbers, 1, idempotency_key="k") == 1


async def test_a_run_that_has_ended_takes_no_more_messages(engine: Engine) -> None:
    run = await engine.start(collect, 1)
    await run.send(numbers, 1)
    await run.result()
    with pytest.raises(RunError, match="is completed: it takes no more messages"):
        await run.send(numbers, 2)
    with pytest.raises(RunNotFound):
        await engine.app.runs.send("run_none", numbers, 1)


async def test_a_message_of_the_wrong_type_is_refused_where_it_is_sent(engine: Engine) -> None:
    run = await engine.start(collect, 1)
    wrong: Any = "three"
    with pytest.raises(UnserializableValue):
        await run.send(numbers, wrong)
    with pytest.raises(InvalidMessage, match="a message in 'numbers'"):
        await engine.app.runs.send(run.id, "numbers", "three")
    with pytest.raises(UnserializableValue):
        await engine.app.runs.send(run.id, "numbers", object())
    assert await engine.app.runs.send(run.id, "numbers", 3) == 1
    assert await run.result() == [3]


async def test_a_message_that_turns_out_wrong_is_an_error_that_code_can_pass_over(engine: Engine) -> None:
    """It came through a process that does not know the type: here, another stream of that name."""
    anything = InputStream[Any]("numbers")

    @task
    async def careful() -> list[Any]:
        found: list[Any] = []
        for _ in range(2):
            try:
                found.append(await numbers.next())
            except InvalidMessage as error:
                found.append(error.code)
        return found

    run = await engine.start(careful)
    await run.send(anything, "three")
    await run.send(numbers, 4)
    assert await run.result() == ["invalid_message", 4]


async def test_a_message_that_is_too_large_says_what_to_do_and_one_below_that_is_whole(engine: Engine) -> None:
    texts = InputStream[str]("texts")

    @task
    async def measure() -> int:
        return len(await texts.next())

    run = await engine.start(measure)
    with pytest.raises(ItemTooLarge, match="a reference") as refused:
        await run.send(texts, "ü" * (LIMIT // 2))
    assert refused.value.details == {"size": LIMIT + 2, "limit": LIMIT}
    with pytest.raises(ItemTooLarge):
        await engine.app.runs.send(run.id, "texts", "x" * LIMIT)
    await run.send(texts, "ü" * (LIMIT // 2 - 1))
    assert await run.result() == LIMIT // 2 - 1


async def test_one_run_sends_to_another_once_however_often_it_is_replayed(engine: Engine) -> None:
    @task
    async def talks(run_id: str) -> list[int]:
        first = await RunHandle[Any](run_id, engine.app.verbs, collect.codec).send(numbers, 1)
        second = await engine.app.runs.send(run_id, numbers, 2)
        await sleep("1h")
        return [first, second, await engine.app.runs.send(run_id, "numbers", 3)]

    hears = await engine.start(collect, 3)
    run = await engine.start(talks, hears.id)
    await engine.waiting(run)
    await engine.crash()
    await engine.crash()
    await engine.clock.advance("1h")
    assert await run.result() == [1, 2, 3]
    assert await hears.result() == [1, 2, 3]
    assert [entry.key for entry in await engine.app.runs.journal(run.id) if entry.kind is EntryKind.RESULT] == [
        f"send.numbers#{number}" for number in range(3)
    ]


async def test_a_parent_talks_to_the_child_that_it_started(engine: Engine) -> None:
    @task
    async def parent() -> list[int]:
        child = await collect.start(2)
        await child.send(numbers, 1)
        await child.send(numbers, 2)
        return await child.result()

    run = await engine.start(parent)
    assert await run.result() == [1, 2]


async def test_messages_are_received_in_tasks_only(engine: Engine) -> None:
    @step
    async def inside() -> int:
        return await numbers.next()

    @task
    async def wrong() -> int:
        return await inside()

    with pytest.raises(NotInRun, match="outside of a run"):
        await numbers.next()
    run = await engine.start(wrong)
    with pytest.raises(RunFailed, match="inside a step"):
        await run.result()
