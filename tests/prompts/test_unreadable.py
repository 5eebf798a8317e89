"""A registry that cannot be read: calls go on with what is held or what the code has, and it is told why."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from agentflow import approve, prompt, task
from agentflow.database.statements import make_statement
from agentflow.errors import VersionNotFound
from agentflow.prompts.prompt import Prompt
from agentflow.serde import loads
from agentflow.testing import Engine
from tests.prompts.saving import Topic, save

title: Prompt[Any] = prompt("unreadable", vars=Topic, text="A title about {{topic}}.")
MARIA: Any = {"actor": "maria", "reason": "better"}
saved = partial(save, "unreadable")


@pytest.fixture(autouse=True)
def deployed() -> None:
    """The code's version is v1: it is there before the engine opens."""
    global title
    title = prompt("unreadable", vars=Topic, text="A title about {{topic}}.")


async def damage(engine: Engine, text: str) -> None:
    """Somebody breaks the registry by hand."""
    await engine.app.database.execute(make_statement("tests/damage", {"sqlite": text, "postgres": text})())


async def said(**how: Any) -> list[str]:
    filled = await title.get(topic="owls", **how)
    return [filled.text, filled.ref]


@task(name="unreadable_waits")
async def waits() -> list[list[str]]:
    found = [await said()]
    await approve("Go on?", expires=None)
    return [*found, await said()]


@task(name="unreadable_asks")
async def asks(pin: str) -> list[str]:
    return await said(pin=pin)


async def fallbacks(engine: Engine) -> list[tuple[str, Any]]:
    return [
        (one.reason, loads(one.after or "{}")) for one in await engine.app.prompts.events("unreadable") if one.type == "prompt.fallback"
    ]


SPOILT = {
    "weights": "UPDATE prompt_rollouts SET weights = '{no' RETURNING id",
    "empty": "UPDATE prompt_rollouts SET weights = '{}' RETURNING id",
    "rollout": "DELETE FROM prompt_rollouts RETURNING id",
    "version": "DELETE FROM prompt_versions WHERE number = 2 RETURNING number",
}


@pytest.mark.parametrize("how", SPOILT)
async def test_a_damaged_registry_stops_no_run_and_is_mended_by_a_release(engine: Engine, how: str) -> None:
    two = await saved(engine, "Two {{topic}}")
    await engine.app.prompts.rollout("unreadable", weights={two: 1.0}, **MARIA)
    await damage(engine, SPOILT[how])
    ref = f"unreadable@v1#{title.body.hash[7:13]}"
    for count, pin in enumerate(("run", "step"), 1):
        run = await engine.start(asks, pin)
        assert await run.result() == ["A title about owls.", ref]
        [entry] = await engine.app.runs.journal(run.id)
        record = loads(entry.value or "{}")
        assert (record["number"], record["hash"]) == (1, title.body.hash)
        assert record["reason"].split(":")[0] in ("registry_unreadable", "version_not_found")
        told = await fallbacks(engine)
        assert len(told) == count
        assert told[-1] == (record["reason"], {"run": run.id, "number": 1, "hash": title.body.hash})
    assert (await title.get(topic="owls")).text == "A title about owls.", "outside of a run, too"
    three = await saved(engine, "Three {{topic}}")
    await engine.app.prompts.release("unreadable", to=three, **MARIA)
    assert (await (await engine.start(asks, "run")).result())[0] == "Three owls"


async def test_a_registry_that_is_gone_as_a_whole_leaves_the_code_and_the_journal(engine: Engine) -> None:
    """Any failure but a lost connection: that one is waited out."""
    await damage(engine, "ALTER TABLE prompt_versions RENAME TO elsewhere")
    run = await engine.start(waits)
    [question] = await engine.waiting(run)
    await engine.crash()
    await question.approve(by="maria")
    text, ref = "A title about owls.", f"unreadable#{title.body.hash[7:13]}"
    assert await run.result() == [[text, ref], [text, ref]]
    [entry] = [one for one in await engine.app.runs.journal(run.id) if one.key.startswith("prompt:")]
    record = loads(entry.value or "{}")
    assert (record["hash"], record["reason"].split(":")[0]) == (title.body.hash, "storage")
    await damage(engine, "ALTER TABLE elsewhere RENAME TO prompt_versions")
    again = await engine.start(asks, "run")
    assert (await again.result())[1].startswith("unreadable@v1#")


async def test_a_run_keeps_what_it_holds_where_what_it_was_moved_to_is_gone(engine: Engine) -> None:
    run = await engine.start(waits)
    [question] = await engine.waiting(run)
    two = await saved(engine, "Two {{topic}}")
    await engine.app.prompts.repin(run.id, "unreadable", to=two, actor="maria")
    await damage(engine, SPOILT["version"])
    await question.approve(by="maria")
    assert [text for text, _ in await run.result()] == ["A title about owls."] * 2
    [(reason, after)] = await fallbacks(engine)
    assert (after["run"], after["number"], reason.split(":")[0]) == (run.id, 1, "version_not_found")


async def test_what_a_run_recorded_and_is_nowhere_any_more_gives_way_to_the_code(engine: Engine) -> None:
    two = await saved(engine, "Two {{topic}}")
    await engine.app.prompts.release("unreadable", to=two, **MARIA)
    run = await engine.start(waits)
    [question] = await engine.waiting(run)
    await engine.crash()
    await damage(engine, SPOILT["version"])
    await question.approve(by="maria")
    assert [text for text, _ in await run.result()] == ["A title about owls."] * 2
    records = [loads(one.value or "{}") for one in await engine.app.runs.journal(run.id) if one.key.startswith("prompt:")]
    assert [one["number"] for one in records] == [2, 1]
    assert [after["number"] for _, after in await fallbacks(engine)] == [1]


async def test_who_insists_on_a_version_gets_that_one_or_an_error(engine: Engine) -> None:
    @task(name="unreadable_insists")
    async def insists() -> str:
        try:
            return (await title.get(topic="owls", version=2)).text
        except VersionNotFound:
            return "none"

    assert await (await engine.start(insists)).result() == "none"
    assert await fallbacks(engine) == []
