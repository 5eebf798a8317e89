"""`patch`: a change of code that runs under way do not see."""

from __future__ import annotations

import asyncio

import pytest

from agentflow import Retry, approve, patch, sleep, step, task
from agentflow.engine.task import Task
from agentflow.errors import DefinitionError, NotInRun
from agentflow.records import RunState
from agentflow.testing import Engine

pytestmark = pytest.mark.worker(hot_window=0, hot_limit=0)


@step
async def search(query: str) -> str:
    return f"slow {query}"


@step
async def search_index(query: str) -> str:
    return f"fast {query}"


@step
async def count() -> int:
    return 1


def before() -> Task[[], str]:
    @task(name="find")
    async def find() -> str:
        await count()
        await sleep("1h")
        found = await search("a")
        await sleep("1h")
        return found

    return find


def after() -> Task[[], str]:
    @task(name="find")
    async def find() -> str:
        await count()
        if await patch("index-first"):
            await count()
        await sleep("1h")
        found = await search_index("a") if await patch("faster-search") else await search("a")
        await sleep("1h")
        again = await search_index("b") if await patch("faster-search") else await search("b")
        return f"{found}, {again}"

    return find


def many(*, patched: bool) -> Task[[], list[str]]:
    @task(name="many")
    async def many() -> list[str]:
        async def handle(number: int) -> str:
            new = patched and await patch("x")
            if number < 2:
                await search(str(number))
            await approve(f"{number}?")
            return "new" if new else "old"

        return list(await asyncio.gather(*(handle(number) for number in range(5 if patched else 4))))

    return many


def patches(entries: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    return [entry for entry in entries if entry[0].startswith("patch(")]


async def recorded(engine: Engine, run_id: str) -> list[tuple[str, str | None]]:
    return patches([(entry.key, entry.value) for entry in await engine.app.runs.journal(run_id)])


async def test_a_run_that_comes_to_a_patch_live_takes_the_new_way_and_keeps_to_it_at_every_replay(engine: Engine) -> None:
    """T20"""
    find = after()
    run = await engine.start(find)
    for _ in range(2):
        await engine.until(run, RunState.WAITING)
        await engine.clock.advance("1h")
    assert await run.result() == "fast a, fast b"
    assert await recorded(engine, run.id) == [("patch(index-first)", "true"), ("patch(faster-search)", "true")]


async def test_a_run_that_was_beyond_a_patch_when_it_came_takes_the_old_way_for_good(engine: Engine) -> None:
    """T20: what is still to come, of another patch, it may take the new way."""
    find = before()
    run = await engine.start(find)
    await engine.until(run, RunState.WAITING)
    await engine.stop()
    await engine.go_on({"find": after()})
    await engine.clock.advance("1h")
    await engine.until(run, RunState.WAITING)
    await engine.crash()
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1h")
    assert await run.result() == "fast a, fast b"
    assert await recorded(engine, run.id) == [("patch(index-first)", "false"), ("patch(faster-search)", "true")]
    assert engine.calls(count) == 1


async def test_a_run_that_had_searched_before_the_patch_keeps_the_old_search_at_places_that_come_later(engine: Engine) -> None:
    find = before()
    run = await engine.start(find)
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1h")
    await engine.until(run, RunState.WAITING)
    await engine.stop()
    await engine.go_on({"find": after()})
    await engine.clock.advance("1h")
    assert await run.result() == "slow a, slow b"
    assert engine.calls(search) == 2
    assert await recorded(engine, run.id) == [("patch(index-first)", "false"), ("patch(faster-search)", "false")]


async def test_an_open_question_is_history_too(engine: Engine) -> None:
    """The worker dies while a step runs beside the question: nothing is recorded yet, but the question was asked."""
    gate, entered = asyncio.Event(), asyncio.Event()

    @step
    async def hold() -> str:
        entered.set()
        await gate.wait()
        return "held"

    def asks(*, patched: bool) -> Task[[], list[object]]:
        @task(name="asks")
        async def asks() -> list[object]:
            new = patched and await patch("x")
            decision, held = await asyncio.gather(approve("ok?"), hold())
            return [new, decision.approved, held]

        return asks

    first, second = asks(patched=False), asks(patched=True)
    run = await engine.start(first)
    await entered.wait()
    await engine.settle()
    await engine.stop()
    gate.set()
    await engine.go_on({"asks": second})
    [question] = await engine.waiting(run)
    await question.approve(by="maria")
    assert await run.result() == [False, True, "held"]


async def test_branches_that_ask_at_once_get_one_answer_and_it_is_recorded_once(engine: Engine) -> None:
    """T20"""

    @task
    async def ask() -> list[bool]:
        async def branch() -> bool:
            return await patch("x")

        first = list(await asyncio.gather(*(branch() for _ in range(8)), patch("x")))
        await sleep("1h")
        return first + list(await asyncio.gather(*(branch() for _ in range(8)), patch("x")))

    run = await engine.start(ask)
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1h")
    assert await run.result() == [True] * 18
    assert await recorded(engine, run.id) == [("patch(x)", "true")]


async def test_branches_that_replay_at_once_all_take_the_old_way(engine: Engine) -> None:
    """T20: also the one that was not begun before the change."""
    first = many(patched=False)
    run = await engine.start(first)
    await engine.waiting(run, 4)
    await engine.stop()
    await engine.go_on({"many": many(patched=True)})
    for question in await engine.waiting(run, 4):
        await question.approve(by="maria")
    for question in await engine.waiting(run, 1):
        await question.approve(by="maria")
    assert await run.result() == ["old"] * 5
    assert engine.calls(search) == 2


async def test_a_patch_stays_what_it_was_in_the_next_attempt(engine: Engine) -> None:
    """T20"""
    said: list[bool] = []

    @task(retry=Retry(attempts=2, initial="1h"))
    async def flaky() -> None:
        said.append(await patch("x"))
        await count()
        if len(said) == 1:
            raise ValueError("no")

    run = await engine.start(flaky)
    await engine.until(run, RunState.SCHEDULED)
    await engine.clock.advance("2h")
    await run.result()
    assert said == [True, True]
    assert await recorded(engine, run.id) == [("patch(x)", "true")]


async def test_a_patch_that_is_taken_out_of_the_code_again_leaves_nothing_ahead(engine: Engine) -> None:
    """Neither for the next patch nor for a report of a replay."""

    @task(name="tidy")
    async def with_a() -> bool:
        await patch("a")
        await sleep("1h")
        return True

    @task(name="tidy")
    async def with_b() -> bool:
        await sleep("1h")
        return await patch("b")

    run = await engine.start(with_a)
    await engine.until(run, RunState.WAITING)
    await engine.stop()
    await engine.go_on({"tidy": with_b})
    await engine.clock.advance("1h")
    assert await run.result() is True
    assert not (await engine.replay(run)).diverges


@pytest.mark.parametrize("delay", ["1h", "3s"])
async def test_a_step_between_two_tries_is_history(engine: Engine, delay: str) -> None:
    @step(name="charge", retry=Retry(attempts=3, initial=delay))
    async def charge() -> str:
        if engine.calls(charge) == 1:
            raise ValueError("no")
        return "charged"

    @task(name="pays")
    async def pays() -> str:
        return await charge()

    @task(name="pays")
    async def pays_patched() -> str:
        return "new" if await patch("x") else await charge()

    run = await engine.start(pays)
    await engine.settle()
    assert engine.calls(charge) == 1
    await engine.stop()
    await engine.go_on({"pays": pays_patched})
    await engine.clock.advance("2h")
    assert await run.result() == "charged"


async def test_outside_of_a_run_the_new_way_is_taken(engine: Engine) -> None:
    assert await patch("x") is True


async def test_a_patch_is_asked_in_the_task_and_has_a_name(engine: Engine) -> None:
    @step
    async def inside() -> bool:
        return await patch("x")

    @task
    async def main() -> str:
        try:
            await inside()
        except NotInRun as error:
            return error.hint
        return ""

    assert "between steps" in await (await engine.start(main)).result()
    with pytest.raises(DefinitionError, match="name"):
        await patch(" ")
