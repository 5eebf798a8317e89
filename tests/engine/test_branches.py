"""Branches: every result finds its own call again, in whatever order things finish."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from agentflow import Retry, approve, step, task
from agentflow.testing import Engine


def shuffled(seed: int, count: int) -> list[int]:
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return order


class Turnstile:
    """Lets calls through in a given order."""

    def __init__(self, order: list[int]) -> None:
        self._gates = {number: asyncio.Event() for number in order}
        self._order = list(order)

    async def pass_through(self, number: int) -> None:
        if self._order and self._order[0] == number:
            self._gates[number].set()
        await self._gates[number].wait()
        self._order.remove(number)
        if self._order:
            self._gates[self._order[0]].set()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_each_of_fifty_parallel_steps_gets_its_own_result_on_replay(engine: Engine, seed: int) -> None:
    """T17"""
    turnstile = Turnstile(shuffled(seed, 50))
    seen: list[list[int]] = []

    @step
    async def square(number: int) -> int:
        await turnstile.pass_through(number)
        return number * number

    @task
    async def main() -> None:
        seen.append(await asyncio.gather(*(square(number) for number in range(50))))
        await approve("Go on?")

    run = await engine.start(main)
    [question] = await engine.waiting(run)
    await engine.crash()
    await engine.app.waitpoints.approve(question.id, by="maria")
    await run.result()
    assert seen == [[number * number for number in range(50)]] * 2
    assert engine.calls(square) == 50


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_after_a_crash_with_half_of_the_parallel_steps_done_only_the_others_run(engine: Engine, seed: int) -> None:
    """T17"""
    done = set(shuffled(seed, 50)[:25])
    others = asyncio.Event()

    @step
    async def square(number: int) -> int:
        if number not in done:
            await others.wait()
        return number * number

    @task
    async def main() -> list[int]:
        return await asyncio.gather(*(square(number) for number in range(50)))

    run = await engine.start(main)
    await engine.settle()
    assert len(await engine.app.runs.journal(run.id)) == 25
    await engine.stop()
    others.set()
    await engine.go_on()
    assert await run.result() == [number * number for number in range(50)]
    assert engine.calls(square) == 75


async def test_branches_through_coroutines_of_ones_own_keep_their_keys_when_they_run_in_another_order(engine: Engine) -> None:
    """T17"""
    orders = [["b", "a"], ["a", "b"]]
    seen: list[list[str]] = []
    replay = asyncio.Event()

    @step
    async def say(word: str) -> str:
        return word

    async def branch(name: str, before: asyncio.Event, after: asyncio.Event) -> str:
        await before.wait()
        first = await say(name + "1")
        after.set()
        return first + await say(name + "2")

    @task
    async def main() -> None:
        gates = {"a": asyncio.Event(), "b": asyncio.Event()}
        first, second = orders[len(seen)]
        gates[first].set()
        after = {first: gates[second], second: asyncio.Event()}
        async with asyncio.TaskGroup() as group:
            told = [group.create_task(branch(name, gates[name], after[name])) for name in ("a", "b")]
        seen.append([one.result() for one in told])
        if not replay.is_set():
            await approve("Go on?")

    run = await engine.start(main)
    [question] = await engine.waiting(run)
    await engine.crash()
    await engine.app.waitpoints.approve(question.id, by="maria")
    await run.result()
    assert seen == [["a1a2", "b1b2"]] * 2
    assert engine.calls(say) == 4


async def test_tasks_that_a_library_makes_inside_a_step_shift_no_key(engine: Engine) -> None:
    helpers = [3, 0]

    async def library() -> None:
        await asyncio.sleep(0)

    @step
    async def call() -> int:
        await asyncio.gather(*(library() for _ in range(helpers[-1])))
        return 1

    async def branch(work: Callable[[], Awaitable[int]]) -> int:
        return await work()

    @task
    async def main() -> int:
        total = await call() + sum(await asyncio.gather(branch(call), branch(call)))
        await approve("Go on?")
        helpers.pop()
        return total + sum(await asyncio.gather(branch(call), branch(call)))

    run = await engine.start(main)
    [question] = await engine.waiting(run)
    keys = [entry.key for entry in await engine.app.runs.journal(run.id)]
    assert len(set(keys)) == 3
    await engine.crash()
    await engine.app.waitpoints.approve(question.id, by="maria")
    assert await run.result() == 5
    assert engine.calls(call) == 5


async def test_a_branch_that_fails_is_tried_again_without_its_siblings(engine: Engine) -> None:
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
        return sum(await asyncio.gather(good(), bad(), good()))

    run = await engine.start(main)
    await engine.clock.advance(0)
    assert await run.result() == 4
    assert (engine.calls(good), engine.calls(bad)) == (2, 2)


async def test_answers_to_two_questions_at_the_same_moment_take_the_run_up_once(engine: Engine) -> None:
    @step
    async def work() -> int:
        return 1

    @task
    async def main() -> int:
        first, second = await asyncio.gather(approve("One?"), approve("Two?"))
        return await work() + int(first.approved) + int(second.approved)

    run = await engine.start(main)
    questions = await engine.waiting(run, 2)
    await engine.settle()
    await asyncio.gather(*(question.approve(by="maria") for question in questions))
    assert await run.result() == 3
    assert (engine.calls(main), engine.calls(work)) == (1, 1)
