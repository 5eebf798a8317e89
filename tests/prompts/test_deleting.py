"""Versions that nobody needs are deleted, and only those; what is deleted is gone, and its number with it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from agentflow import approve, prompt, task
from agentflow.database.statements import make_statement
from agentflow.errors import VersionInUse, VersionNotFound
from agentflow.prompts.prompt import Prompt
from agentflow.serde import loads
from agentflow.testing import Engine
from tests.prompts.saving import Topic, save

title: Prompt[Any] = prompt("deleted", vars=Topic, text="A title about {{topic}}.")
MARIA: Any = {"actor": "maria", "reason": "old"}
saved = partial(save, "deleted")


@pytest.fixture(autouse=True)
def deployed() -> None:
    """The code's version is v1: it is there before the engine opens."""
    global title
    title = prompt("deleted", vars=Topic, text="A title about {{topic}}.")


@task(name="deleted_waits")
async def waits(pin: Any) -> list[str]:
    first = (await title.get(topic="owls", pin=pin)).text
    await approve("Go on?", expires=None)
    return [first, (await title.get(topic="owls", pin=pin)).text]


CALLED = """INSERT INTO generations (id, prompt, number, hash, env, run, seq, step, at, duration, ended, rendered)
VALUES ('g1', 'deleted', {}, '', '', 0, 0, '', 0, 0, 'answered', '')"""


async def write(engine: Engine, text: str) -> None:
    """Write by hand."""
    await engine.app.database.execute(make_statement("tests/write", {"sqlite": text, "postgres": text})())


async def used_by(engine: Engine, number: int) -> list[str]:
    """What keeps a version from being deleted."""
    with pytest.raises(VersionInUse) as refused:
        await engine.app.prompts.delete_version("deleted", number, **MARIA)
    return refused.value.details["by"]


async def test_a_version_is_deleted_only_when_nothing_leads_to_it_any_more(engine: Engine) -> None:
    prompts = engine.app.prompts
    two, three, four = [await saved(engine, f"{word} {{{{topic}}}}") for word in ("Two", "Three", "Four")]
    assert await used_by(engine, 1) == ["live in prod"]
    await prompts.release("deleted", to=two, **MARIA)
    assert await used_by(engine, 1) == ["code of live in prod"]
    assert await used_by(engine, two) == ["live in prod"]
    await prompts.release("deleted", to=three, label="canary", env="dev", expires="1h", **MARIA)
    await prompts.rollout("deleted", weights={1: 0.5, two: 0.5}, **MARIA)
    assert await used_by(engine, two) == ["live in prod"]
    assert await used_by(engine, three) == ["canary in dev"]
    await prompts.release("deleted", to=four, **MARIA)
    assert await used_by(engine, two) == ["rollback of live in prod"]
    await prompts.release("deleted", to=four, **MARIA)
    await prompts.revoke("deleted", four, policy=f"repin:{two}", actor="maria")
    assert await used_by(engine, two) == [f"revoked v{four}"]
    await prompts.revoke("deleted", four, policy="fail", actor="maria")
    await write(engine, CALLED.format(two))
    assert await used_by(engine, two) == ["model calls that are kept"]
    await write(engine, "DELETE FROM generations")
    gone = await prompts.delete_version("deleted", two, **MARIA)
    assert (gone.number, gone.hash) == (two, gone.hash)
    assert [one.number for one in await prompts.versions("deleted")] == [4, 3, 1]
    with pytest.raises(VersionNotFound):
        await prompts.delete_version("deleted", two, **MARIA)
    last = (await prompts.events("deleted"))[-1]
    assert (last.type, loads(last.before or ""), last.actor, last.reason) == ("version.deleted", two, "maria", "old")
    assert await saved(engine, "Two {{topic}}") == 5, "the same content is another version now"


@pytest.mark.parametrize("pin", ["run", "thread", "step"])
async def test_a_version_that_is_held_stays_until_nobody_needs_it(engine: Engine, pin: str) -> None:
    prompts, two = engine.app.prompts, await saved(engine, "Two {{topic}}")
    await prompts.release("deleted", to=two, **MARIA)
    run = await engine.start(waits.using(thread="t-del"), pin)
    [question] = await engine.waiting(run)
    for _ in range(2):
        await prompts.follow_code("deleted", **MARIA)
    expected = [f"run {run.id}"] if pin != "thread" else [f"run {run.id}", "thread t-del"]
    assert await used_by(engine, two) == expected
    await engine.crash()
    prompts = engine.app.prompts
    await question.approve(by="maria")
    assert (await run.result())[0] == "Two owls"
    if pin == "thread":
        assert await used_by(engine, two) == ["thread t-del"]
        await prompts.upgrade("t-del", "deleted", actor="maria")
    assert (await prompts.delete_version("deleted", two, **MARIA)).number == two


async def test_a_version_is_taken_hold_of_or_deleted_and_never_both(engine: Engine) -> None:
    """A run that begins beside a deletion holds a version that is there."""
    prompts = engine.app.prompts
    for turn in range(5):
        number = await saved(engine, f"Turn {turn} {{{{topic}}}}")
        await prompts.release("deleted", to=number, **MARIA)
        runs = [await engine.start(waits, "run") for _ in range(3)]

        async def away(number: int = number) -> bool:
            for _ in range(2):
                await prompts.follow_code("deleted", **MARIA)
            try:
                await prompts.delete_version("deleted", number, **MARIA)
            except VersionInUse:
                return False
            return True

        deleted, *_ = await asyncio.gather(away(), *(engine.waiting(run) for run in runs))
        held = {one.number for one in await prompts.pins("deleted")}
        assert held <= {one.number for one in await prompts.versions("deleted")}
        assert not (deleted and number in held)
        for run in runs:
            await run.cancel()
        await engine.settle()
