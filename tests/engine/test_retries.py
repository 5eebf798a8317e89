"""Retries of steps and of whole runs, and the limits of both."""

from __future__ import annotations

import asyncio

import pytest

from agentflow import NonRetryable, Retry, RetryAfter, RunFailed, context, step, task
from agentflow.engine.context import StepCall, StepOptions
from agentflow.records import EntryKind, RunState
from agentflow.serde import ANY, decode_failure
from agentflow.streams.events import StepRetrying
from agentflow.testing import Engine

TWICE = Retry(attempts=3, initial="1m", factor=2, max="10m", jitter=0)


class Overloaded(Exception):
    """An HTTP error as SDKs raise it."""

    def __init__(self, **headers: str) -> None:
        super().__init__("529")
        self.response = _Response({name.replace("_", "-"): value for name, value in headers.items()})


class _Response:
    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers


async def test_a_failing_run_is_tried_again_after_its_backoff_and_ends_with_the_success(engine: Engine) -> None:
    """forty 1"""

    @task(retry=TWICE)
    async def flaky() -> int:
        if context().attempt == 1:
            raise ValueError("not yet")
        return context().attempt

    run = await engine.start(flaky)
    await engine.until(run, RunState.SCHEDULED)
    await engine.clock.advance("59s")
    assert (await engine.get(run)).state is RunState.SCHEDULED
    await engine.clock.advance("1s")
    assert await run.result() == 2
    assert (await engine.get(run)).attempt == 2


async def test_a_run_without_retries_fails_once_and_keeps_type_message_and_stack(engine: Engine) -> None:
    """forty 2"""

    @task
    async def broken() -> None:
        raise ValueError("no")

    run = await engine.start(broken)
    failed = decode_failure((await engine.until(run, RunState.FAILED)).error or "")
    assert (failed.code, failed.type, failed.message) == ("error", "ValueError", "no")
    assert 'raise ValueError("no")' in failed.traceback
    await engine.clock.advance("1h")
    assert engine.calls(broken) == 1


async def test_an_error_that_says_never_again_ends_the_run_with_attempts_left(engine: Engine) -> None:
    """forty 3"""

    @task(retry=TWICE)
    async def hopeless() -> None:
        raise NonRetryable("the card was stolen")

    run = await engine.start(hopeless)
    with pytest.raises(RunFailed, match="the card was stolen"):
        await run.result()
    assert engine.calls(hopeless) == 1


async def test_a_step_that_says_never_again_stops_the_retries_of_its_run_too(engine: Engine) -> None:
    @step(retry=TWICE)
    async def charge() -> None:
        raise NonRetryable("the card was stolen")

    @task(retry=TWICE)
    async def main() -> None:
        await charge()

    run = await engine.start(main)
    with pytest.raises(RunFailed, match="NonRetryable"):
        await run.result()
    assert (engine.calls(charge), engine.calls(main)) == (1, 1)


async def test_the_tries_of_a_step_follow_its_policy_and_nothing_is_waited_for_after_the_last(engine: Engine) -> None:
    """T21"""
    times: list[int] = []

    @step(retry=TWICE)
    async def broken() -> None:
        times.append(engine.clock.now())
        raise ValueError("no")

    @task
    async def main() -> None:
        await broken()

    run = await engine.start(main)
    await engine.clock.advance("3m")
    with pytest.raises(RunFailed):
        await run.result()
    assert [(then - times[0]) // 1_000_000 for then in times] == [0, 60, 180]
    assert (await engine.get(run)).finished_at == times[-1]
    kinds = [entry.kind for entry in await engine.app.runs.journal(run.id)]
    assert kinds == [EntryKind.TRY, EntryKind.TRY, EntryKind.ERROR]


async def test_a_predicate_sees_the_exception_and_decides(engine: Engine) -> None:
    """T21"""
    seen: list[BaseException] = []

    def transient(error: BaseException) -> bool:
        seen.append(error)
        return "again" in str(error)

    @step(retry=Retry(attempts=9, initial=0, on=transient))
    async def picky() -> None:
        raise ValueError("again" if len(seen) < 2 else "enough")

    @task
    async def main() -> None:
        await picky()

    run = await engine.start(main)
    with pytest.raises(RunFailed, match="enough"):
        await run.result()
    assert [str(error) for error in seen] == ["again", "again", "enough"]
    assert engine.calls(picky) == 3


async def test_a_cancel_ends_the_wait_for_the_next_try_at_once(engine: Engine) -> None:
    """T21"""

    @step(retry=Retry(attempts=2, initial="4s", jitter=0))
    async def broken() -> None:
        raise ValueError("no")

    @task
    async def main() -> None:
        await broken()

    run = await engine.start(main)
    await engine.settle()
    assert engine.calls(broken) == 1
    await run.cancel("enough")
    await engine.until(run, RunState.CANCELLED)
    await engine.clock.advance("1m")
    assert engine.calls(broken) == 1


async def test_the_count_of_tries_goes_on_after_a_crash_between_two_of_them(engine: Engine) -> None:
    """T22"""

    @step(retry=Retry(attempts=3, initial="2h", factor=1, max="2h", jitter=0))
    async def broken() -> None:
        raise ValueError("no")

    @task
    async def main() -> None:
        await broken()

    run = await engine.start(main)
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("2h")
    await engine.until(run, RunState.WAITING)
    assert engine.calls(broken) == 2
    await engine.crash()
    assert engine.calls(broken) == 2
    await engine.clock.advance("2h")
    with pytest.raises(RunFailed):
        await run.result()
    assert engine.calls(broken) == 3
    assert [entry.tries for entry in await engine.app.runs.journal(run.id)] == [1, 2, 3]


@pytest.mark.parametrize(
    "error",
    [
        RetryAfter("7s"),
        RetryAfter(7, "busy"),
        Overloaded(retry_after="7"),
        Overloaded(retry_after_ms="7000"),
        # The manual clock starts at 2027-01-15T08:00:00Z.
        Overloaded(retry_after="Fri, 15 Jan 2027 08:00:07 GMT"),
    ],
    ids=["duration", "seconds", "header", "milliseconds", "date"],
)
async def test_a_step_is_not_tried_sooner_than_the_error_asks(engine: Engine, error: Exception) -> None:
    """T23"""

    @step(retry=Retry(attempts=2, initial=0))
    async def busy() -> str:
        if engine.calls(busy) == 1:
            raise error
        return "done"

    @task
    async def main() -> str:
        return await busy()

    run = await engine.start(main)
    await engine.clock.advance("6.9s")
    assert engine.calls(busy) == 1
    await engine.clock.advance("0.1s")
    assert await run.result() == "done"
    assert (await engine.get(run)).finished_at == engine.clock.now()


async def test_a_run_that_fails_on_a_step_that_asked_for_time_gives_it_that_time(engine: Engine) -> None:
    """T23"""

    @step
    async def busy() -> None:
        if engine.calls(busy) == 1:
            raise RetryAfter("7m")

    @task(retry=Retry(attempts=2, initial=0))
    async def main() -> None:
        await busy()

    run = await engine.start(main)
    await engine.until(run, RunState.SCHEDULED)
    await engine.clock.advance("6m59s")
    assert engine.calls(busy) == 1
    await engine.clock.advance("1s")
    await run.result()
    assert engine.calls(busy) == 2


@pytest.mark.worker(slots=1)
async def test_a_long_delay_frees_the_slot_and_survives_a_crash(engine: Engine) -> None:
    """forty 5"""

    @step(retry=Retry(attempts=2, initial="1h", max="1h", jitter=0))
    async def flaky() -> str:
        if engine.calls(flaky) == 1:
            raise ValueError("later")
        return "done"

    @task
    async def patient() -> str:
        return await flaky()

    @task
    async def quick() -> str:
        return "quick"

    run = await engine.start(patient)
    await engine.until(run, RunState.WAITING)
    assert await (await engine.start(quick)).result() == "quick"
    await engine.crash()
    await engine.clock.advance("59m")
    assert engine.calls(flaky) == 1
    await engine.clock.advance("1m")
    assert await run.result() == "done"
    assert engine.calls(flaky) == 2


async def test_a_short_delay_is_waited_for_in_memory_without_a_trip_through_the_queue(engine: Engine) -> None:
    """forty 5"""

    @step(retry=Retry(attempts=2, initial="4s", jitter=0))
    async def flaky() -> None:
        if engine.calls(flaky) == 1:
            raise ValueError("soon")

    @task
    async def main() -> None:
        await flaky()

    run = await engine.start(main)
    await engine.clock.advance("4s")
    await run.result()
    assert (await engine.get(run)).epoch == 1


async def test_the_second_attempt_of_a_run_waits_between_the_tries_of_its_steps_as_the_first_did(engine: Engine) -> None:
    times: list[int] = []

    @step(retry=Retry(attempts=2, initial="1m", jitter=0))
    async def broken() -> None:
        times.append(engine.clock.now() // 1_000_000)
        raise ValueError("no")

    @task(retry=Retry(attempts=2, initial=0))
    async def main() -> None:
        await broken()

    run = await engine.start(main)
    await engine.clock.advance("1m")
    await engine.clock.advance("1m")
    with pytest.raises(RunFailed):
        await run.result()
    assert [then - times[0] for then in times] == [0, 60, 60, 120]


async def test_a_retried_run_keeps_the_results_of_its_steps_and_tries_only_the_failed_one_again(engine: Engine) -> None:
    @step
    async def good() -> int:
        return 1

    @step
    async def bad() -> int:
        if engine.calls(bad) == 1:
            raise ValueError("no")
        return 2

    @task(retry=Retry(attempts=2, initial=0))
    async def main() -> int:
        return await good() + await bad()

    run = await engine.start(main)
    await engine.clock.advance(0)
    assert await run.result() == 3
    assert (engine.calls(good), engine.calls(bad), engine.calls(main)) == (1, 2, 2)


async def test_what_a_failed_try_said_is_named_as_void(engine: Engine) -> None:
    @step(retry=Retry(attempts=2, initial=0))
    async def flaky() -> None:
        if engine.calls(flaky) == 1:
            raise ValueError("no")

    @task
    async def main() -> None:
        await flaky()

    run = await engine.start(main)
    await run.result()
    [retrying] = [told.event for told in await engine.events(run) if isinstance(told.event, StepRetrying)]
    assert (retrying.step, retrying.attempt, retrying.error) == ("flaky#0", 2, {"type": "ValueError", "message": "no"})


async def test_a_retry_that_waits_in_its_queue_is_taken_up_after_a_crash(engine: Engine) -> None:
    @task(retry=TWICE)
    async def flaky() -> str:
        if context().attempt == 1:
            raise ValueError("not yet")
        return "done"

    run = await engine.start(flaky)
    await engine.until(run, RunState.SCHEDULED)
    await engine.crash()
    await engine.clock.advance("1m")
    assert await asyncio.wait_for(run.result(), 5) == "done"


async def test_what_fails_while_it_tells_of_an_error_is_final_and_named(engine: Engine) -> None:
    """The body has run for the last time; that its error cannot be told is no reason to do it again."""
    bodies: list[int] = []

    async def charge_card() -> None:
        bodies.append(1)
        raise NonRetryable("the card is gone")

    def told_to_the_model(error: Exception) -> str:
        raise KeyError("no such phrase")

    @task
    async def telling_badly() -> None:
        options = StepOptions(retry=Retry(attempts=5, initial=0))
        run = context()
        await run.step(run.key("charge_card"), StepCall("charge_card", charge_card, ANY, "", options, told_to_the_model))

    run = await engine.start(telling_badly)
    with pytest.raises(RunFailed, match=r"charge_card.*NonRetryable.*told_to_the_model.*KeyError: 'no such phrase'"):
        await run.result()
    assert bodies == [1]
    assert [entry.kind for entry in await engine.app.runs.journal(run.id)] == [EntryKind.ERROR]
