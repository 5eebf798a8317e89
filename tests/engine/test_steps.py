"""Steps: recorded once, found again by key, the same live as on replay."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from agentflow import NonRetryable, Retry, RetryAfter, RunFailed, approve, context, current_step, sleep, step, task
from agentflow.errors import NotInRun, StepFailed, StepTimeout
from agentflow.records import EntryKind, RunState
from agentflow.testing import Engine


class OutOfStock(Exception):
    """An error of the user's own module."""


@dataclass
class Receipt:
    order: str
    cents: int


def by_order(order: str, **_: object) -> str:
    return order


@step
async def one() -> int:
    return 1


async def test_a_step_is_a_plain_function_outside_of_a_run(engine: Engine) -> None:
    assert await one() == 1


async def test_a_plain_function_step_runs_in_a_thread_and_sees_its_step(engine: Engine) -> None:
    @step
    def blocking(word: str) -> list[str]:
        return [word, threading.current_thread().name, current_step().id]

    @task
    async def main() -> list[str]:
        return await blocking("hi")

    word, thread, key = await (await engine.start(main)).result()
    assert (word, key) == ("hi", "blocking#0")
    assert thread != threading.current_thread().name


async def test_any_callable_becomes_a_step_on_the_spot(engine: Engine) -> None:
    @task
    async def main() -> list[int]:
        return await step(sorted, name="sort")([3, 1, 2])

    run = await engine.start(main)
    assert await run.result() == [1, 2, 3]
    assert [entry.key for entry in await engine.app.runs.journal(run.id)] == ["sort#0"]


async def test_an_explicit_key_finds_the_record_wherever_the_call_has_moved(engine: Engine) -> None:
    @step(key=by_order)
    async def charge(order: str, *, cents: int) -> Receipt:
        return Receipt(order, cents)

    @task(name="billing")
    async def before() -> list[Receipt]:
        charged = [await charge("a", cents=1), await charge("b", cents=2)]
        await approve("Go on?")
        return charged

    run = await engine.start(before)
    [question] = await engine.waiting(run)
    await engine.stop()

    @task(name="billing")
    async def after() -> list[Receipt]:
        charged = [await charge("b", cents=2), await one_more(), await charge("a", cents=1)]
        await approve("Go on?")
        return charged

    async def one_more() -> Receipt:
        return Receipt("free", 0)

    await engine.go_on()
    await engine.app.waitpoints.approve(question.id, by="maria")
    assert await run.result() == [Receipt("b", 2), Receipt("free", 0), Receipt("a", 1)]
    assert [entry.key for entry in await engine.app.runs.journal(run.id)] == ["charge:a", "charge:b"]
    assert engine.calls(charge) == 2
    assert after is not before


async def test_two_calls_with_the_same_explicit_key_fail_at_the_second_and_name_both_places(engine: Engine) -> None:
    """T18"""

    @step(key=by_order)
    async def charge(order: str) -> str:
        return order

    @task
    async def main() -> None:
        await charge("o-1")
        await charge("o-1")

    run = await engine.start(main)
    with pytest.raises(RunFailed, match=r"charge:o-1.*test_steps\.py:\d+.*test_steps\.py:\d+"):
        await run.result()
    assert engine.calls(charge) == 1


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: OutOfStock("none left", 3), OutOfStock),
        (lambda: NonRetryable("never"), NonRetryable),
        (lambda: RetryAfter("7s"), RetryAfter),
        (lambda: RetryAfter(7, "busy"), RetryAfter),
        (lambda: RetryAfter(timedelta(seconds=7)), StepFailed),
        (lambda: type("Local", (Exception,), {})("who knows me"), StepFailed),
        (lambda: KeyError("k"), KeyError),
        (lambda: StepTimeout("too slow", hint="wait", step="s"), StepTimeout),
    ],
)
@pytest.mark.worker(hot_window=0, hot_limit=0)
async def test_an_exception_is_of_the_same_type_and_text_live_and_on_replay(
    engine: Engine, make: Callable[[], Exception], kind: type[Exception]
) -> None:
    seen: list[tuple[type[Exception], str]] = []

    @step
    async def fail() -> None:
        raise make()

    @task
    async def main() -> None:
        try:
            await fail()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must be the same twice
            seen.append((type(error), str(error)))
        await sleep("1h")

    run = await engine.start(main)
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1h")
    await run.result()
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert seen[0][0] is kind
    assert engine.calls(fail) == 1


async def test_what_a_step_returns_live_is_the_stored_form_that_a_replay_returns(engine: Engine) -> None:
    seen: list[Any] = []

    @step
    async def pair():  # no annotation: any JSON value, and a tuple is a list in JSON
        return (1, {"a": 2})

    @task
    async def main() -> None:
        seen.append(await pair())

    await (await engine.start(main)).result()
    assert seen == [[1, {"a": 2}]]


async def test_a_result_that_cannot_be_stored_fails_the_step_and_names_type_and_path(engine: Engine) -> None:
    """T26"""

    @step
    async def connect() -> dict[str, Any]:
        return {"pool": [1, object()]}

    @task
    async def main() -> None:
        await connect()

    run = await engine.start(main)
    with pytest.raises(RunFailed, match=r"the result of step 'connect' cannot be stored: \.pool\[1\] is object"):
        await run.result()
    assert engine.calls(connect) == 1


async def test_a_task_result_that_cannot_be_stored_fails_the_run_by_name(engine: Engine) -> None:
    """T26"""

    @task
    async def main() -> Any:
        return {"lock": threading.Lock()}

    run = await engine.start(main)
    with pytest.raises(RunFailed, match=r"the result of task 'main' cannot be stored: \.lock is"):
        await run.result()


async def test_recorded_time_id_and_chance_are_the_same_after_a_crash(engine: Engine) -> None:
    seen: list[tuple[Any, ...]] = []

    @task
    async def main() -> None:
        run = context()
        seen.append((await run.now(), await run.uuid4(), await run.random(), await run.random()))
        await approve("Go on?")

    run = await engine.start(main)
    [question] = await engine.waiting(run)
    await engine.crash()
    await engine.app.waitpoints.approve(question.id, by="maria")
    await run.result()
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert seen[0][2] != seen[0][3]


async def test_a_step_body_may_call_other_steps_which_are_then_plain_functions(engine: Engine) -> None:
    @step
    async def outer() -> int:
        return await one() + await one()

    @task
    async def main() -> int:
        return await outer()

    run = await engine.start(main)
    assert await run.result() == 2
    assert [entry.key for entry in await engine.app.runs.journal(run.id)] == ["outer#0"]


async def test_waiting_inside_a_step_is_refused_with_a_way_out(engine: Engine) -> None:
    @step
    async def ask() -> None:
        with pytest.raises(NotInRun, match="wait in the task, between steps"):
            await approve("May I?")

    @task
    async def main() -> None:
        await ask()

    await (await engine.start(main)).result()


async def test_a_step_sees_its_try_and_one_idempotency_key_for_all_of_them(engine: Engine) -> None:
    seen: list[tuple[int, str]] = []

    @step(retry=Retry(attempts=2, initial=0))
    async def flaky() -> None:
        seen.append((current_step().attempt, current_step().idempotency_key))
        if len(seen) == 1:
            raise ValueError

    @task
    async def main() -> None:
        await flaky()

    run = await engine.start(main)
    await run.result()
    assert seen == [(1, f"{run.id}:flaky#0"), (2, f"{run.id}:flaky#0")]


# -- timeouts ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.worker(hot_window=0, hot_limit=0)
async def test_a_step_timeout_is_recorded_and_raised_again_on_replay_without_running(engine: Engine) -> None:
    """T24"""
    seen: list[str] = []

    @step(timeout="30s")
    async def endless() -> None:
        await asyncio.Event().wait()

    @task
    async def main() -> None:
        try:
            await endless()
        except StepTimeout as late:
            seen.append(str(late))
        await sleep("1h")

    run = await engine.start(main)
    await engine.clock.advance("29s")
    assert (await engine.get(run)).state is RunState.RUNNING
    await engine.clock.advance("1s")
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1h")
    await run.result()
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert "'endless' ran longer than 30 s" in seen[0]
    assert engine.calls(endless) == 1


async def test_a_step_cancelled_by_a_person_is_not_recorded_as_a_timeout(engine: Engine) -> None:
    """T24"""
    cleaned: list[str] = []

    @step(timeout="30s")
    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("yes")

    @task
    async def main() -> None:
        await endless()

    run = await engine.start(main)
    await engine.settle()
    await run.cancel("changed my mind")
    await engine.until(run, RunState.CANCELLED)
    assert [entry.kind for entry in await engine.app.runs.journal(run.id)] == []
    assert cleaned == ["yes"]


async def test_a_step_that_ignores_its_timeout_is_left_behind(engine: Engine) -> None:
    stubborn = asyncio.Event()

    @step(timeout="30s")
    async def deaf() -> None:
        while not stubborn.is_set():
            try:
                await stubborn.wait()
            except asyncio.CancelledError:
                continue

    @task
    async def main() -> None:
        await deaf()

    run = await engine.start(main)
    await engine.clock.advance("31s")
    with pytest.raises(RunFailed, match="StepTimeout"):
        await run.result()
    stubborn.set()
    await engine.settle()
    [entry] = await engine.app.runs.journal(run.id)
    assert entry.kind is EntryKind.ERROR


async def test_an_idle_timeout_is_refreshed_by_signs_of_life_and_ends_a_step_that_falls_silent(engine: Engine) -> None:
    """T25"""

    @step(idle_timeout="60s")
    async def model() -> None:
        for _ in range(30):
            await engine.clock.sleep("10s")
            current_step().touch()
        await asyncio.Event().wait()

    @task
    async def main() -> None:
        await model()

    run = await engine.start(main)
    await engine.clock.advance("5m")
    assert (await engine.get(run)).state is RunState.RUNNING
    await engine.clock.advance("59s")
    assert (await engine.get(run)).state is RunState.RUNNING
    await engine.clock.advance("1s")
    with pytest.raises(RunFailed, match="was silent for 60 s"):
        await run.result()
