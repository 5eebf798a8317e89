"""A run goes on with the version of a prompt that it began with, whatever happens to the run, to the code and to the registry."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import Retry, approve, prompt, sleep, slot, step, system, task, user
from agentflow.engine.task import Task
from agentflow.errors import DefinitionError, NotInRun, PromptError, VersionNotFound
from agentflow.prompts.body import Body, Message
from agentflow.prompts.prompt import Prompt
from agentflow.records import RunState
from agentflow.serde import decode_failure, loads
from agentflow.testing import Engine


class Greeting(BaseModel):
    name: str


def greeting(text: str, name: str = "greeting") -> Prompt[Any]:
    return prompt(name, vars=Greeting, text=text)


hello = greeting("Hello {{name}}.")
LIVE: Any = {"actor": "maria", "reason": "better"}


def other(text: str) -> Body:
    return Body((Message("user", text),))


@pytest.fixture(autouse=True)
def deployed() -> None:
    """The code's version is v1: it is there before the engine opens."""
    global hello
    hello = greeting("Hello {{name}}.")


async def release(engine: Engine, text: str, name: str = "greeting") -> int:
    version = await engine.app.prompts.save(name, other(text), actor="maria")
    await engine.app.prompts.release(name, to=version.number, **LIVE)
    return version.number


@task(name="pin_sleeps")
async def sleeper() -> list[str]:
    first = await hello.get(name="Ada")
    await sleep("3d")
    second = await hello.get(name="Ada")
    return [first.text, second.text, second.ref]


async def test_a_run_that_sleeps_for_three_days_resumes_with_the_version_it_began_with(engine: Engine) -> None:
    run = await engine.start(sleeper)
    await engine.until(run, RunState.WAITING)
    await release(engine, "Hi {{name}}!")
    await engine.clock.advance("3d")
    first, second, ref = await run.result()
    assert (first, second) == ("Hello Ada.", "Hello Ada.")
    assert ref.startswith("greeting@v1#")
    later = await engine.start(sleeper)
    await engine.until(later, RunState.WAITING)
    await engine.clock.advance("3d")
    assert (await later.result())[0] == "Hi Ada!"


async def test_a_crash_changes_nothing(engine: Engine) -> None:
    run = await engine.start(sleeper)
    await engine.until(run, RunState.WAITING)
    await release(engine, "Hi {{name}}!")
    await engine.crash()
    await engine.clock.advance("3d")
    assert (await run.result())[:2] == ["Hello Ada.", "Hello Ada."]


async def test_code_that_was_deployed_while_the_run_slept_has_another_body_and_the_run_keeps_its_own(engine: Engine) -> None:
    run = await engine.start(sleeper)
    await engine.until(run, RunState.WAITING)
    await engine.stop()
    global hello
    hello = greeting("Good day {{name}}.")
    await engine.go_on()
    await engine.clock.advance("3d")
    assert (await run.result())[:2] == ["Hello Ada.", "Hello Ada."]
    record = await engine.app.prompts.get("greeting")
    assert record.live is not None
    assert (record.live.number, record.live.code, record.code_ahead) == (2, 2, False)


async def test_a_new_attempt_of_the_run_keeps_the_version(engine: Engine) -> None:
    said: list[str] = []

    @task(name="pin_retries", retry=Retry(attempts=2))
    async def again() -> str:
        said.append((await hello.get(name="Ada")).text)
        await approve(title="Go on?", expires=None)
        if len(said) < 2:
            raise ValueError("not yet")
        return said[-1]

    run = await engine.start(again)
    [asked] = await engine.waiting(run)
    await release(engine, "Hi {{name}}!")
    await asked.approve(by="maria")
    await engine.settle()
    await engine.clock.advance("1h")
    assert await run.result() == "Hello Ada."
    assert said == ["Hello Ada.", "Hello Ada."]


async def test_forty_calls_in_one_run_hold_one_version_and_record_it_once(engine: Engine) -> None:
    @task(name="pin_loops")
    async def loop() -> list[str]:
        return [(await hello.get(name=str(count))).text for count in range(40)]

    run = await engine.start(loop)
    assert (await run.result())[39] == "Hello 39."
    entries = await engine.app.runs.journal(run.id)
    assert [one.key for one in entries] == ["prompt:greeting:live#0"]
    told = loads(entries[0].value or "")
    assert (told["hash"], told["number"]) == (hello.body.hash, 1)
    assert "Hello" not in (entries[0].value or "")


async def test_branches_that_ask_at_the_same_time_hold_one_version_and_replay_it(engine: Engine) -> None:
    @task(name="pin_branches")
    async def branches() -> list[str]:
        async def one(name: str) -> str:
            return (await hello.get(name=name)).text

        first = await asyncio.gather(*(one(str(count)) for count in range(5)))
        await sleep("1d")
        return [*first, *await asyncio.gather(*(one(str(count)) for count in range(5)))]

    run = await engine.start(branches)
    await engine.until(run, RunState.WAITING)
    await release(engine, "Hi {{name}}!")
    await engine.crash()
    await engine.clock.advance("1d")
    assert await run.result() == [f"Hello {count}." for count in range(5)] * 2
    report = await engine.replay(run)
    assert not report.diverges, report
    assert report.answered == 1


async def test_child_runs_hold_what_the_run_at_the_top_holds(engine: Engine) -> None:
    @task(name="pin_child")
    async def child() -> str:
        return (await hello.get(name="child")).text

    @task(name="pin_parent")
    async def parent() -> list[str]:
        mine = await hello.get(name="parent")
        await approve(title="Go on?", expires=None)
        return [mine.text, await child()]

    run = await engine.start(parent)
    [asked] = await engine.waiting(run)
    await release(engine, "Hi {{name}}!")
    await asked.approve(by="maria")
    assert await run.result() == ["Hello parent.", "Hello child."]


async def test_a_version_that_children_took_first_is_that_of_the_family(engine: Engine) -> None:
    @task(name="pin_first_child")
    async def child() -> str:
        return (await hello.get(name="child")).text

    @task(name="pin_late_parent")
    async def parent() -> list[str]:
        said = [await child()]
        await approve(title="Go on?", expires=None)
        return [*said, (await hello.get(name="parent")).text]

    run = await engine.start(parent)
    [asked] = await engine.waiting(run, kind="approval")
    await release(engine, "Hi {{name}}!")
    await asked.approve(by="maria")
    assert await run.result() == ["Hello child.", "Hello parent."]


async def test_weights_that_change_while_a_run_sleeps_change_nothing_for_it(engine: Engine) -> None:
    two = await engine.app.prompts.save("greeting", other("Hi {{name}}!"), actor="maria")
    await engine.app.prompts.rollout("greeting", weights={two.number: 1.0}, **LIVE)
    run = await engine.start(sleeper)
    await engine.until(run, RunState.WAITING)
    await engine.app.prompts.rollout("greeting", weights={1: 1.0, two.number: 0.0}, **LIVE)
    await engine.crash()
    await engine.clock.advance("3d")
    assert (await run.result())[:2] == ["Hi Ada!", "Hi Ada!"]


async def test_changed_code_that_lacks_what_the_version_uses_goes_on_with_its_own_body_and_records_why(engine: Engine) -> None:
    class Named(BaseModel):
        first_name: str

    use: list[Any] = [hello]

    def version_one() -> Task[[], list[str]]:
        @task(name="pin_contract")
        async def contract() -> list[str]:
            given = {"name": "Ada"} if use[0] is hello else {"first_name": "Ada"}
            said = await use[0].get(**given)
            await sleep("1d")
            return [said.text, (await use[0].get(**given)).text]

        return contract

    run = await engine.start(version_one())
    await engine.until(run, RunState.WAITING)
    await engine.stop()
    use[0] = prompt("greeting", vars=Named, text="Dear {{first_name}}.")
    changed = version_one()
    await engine.go_on({"pin_contract": changed})
    await engine.clock.advance("1d")
    assert await run.result() == ["Dear Ada.", "Dear Ada."]
    entries = [one for one in await engine.app.runs.journal(run.id) if one.key.startswith("prompt:")]
    assert [loads(one.value or "").get("reason") for one in entries] == [None, "contract"]


async def test_a_version_that_code_insists_on_is_taken_whatever_is_live(engine: Engine) -> None:
    number = await release(engine, "Hi {{name}}!")

    @task(name="pin_explicit")
    async def explicit() -> list[str]:
        return [(await hello.get(name="Ada", version=which)).text for which in (1, number, hello.body.hash)]

    run = await engine.start(explicit)
    assert await run.result() == ["Hello Ada.", "Hi Ada!", "Hello Ada."]


async def test_a_version_that_does_not_exist_is_an_error(engine: Engine) -> None:
    @task(name="pin_missing")
    async def missing() -> str:
        try:
            return (await hello.get(name="Ada", version=9)).text
        except VersionNotFound as error:
            return error.message

    assert await (await engine.start(missing)).result() == "greeting has no version v9."


async def test_an_override_is_recorded_by_the_run_and_outlives_its_block(engine: Engine) -> None:
    number = (await engine.app.prompts.save("greeting", other("Hi {{name}}!"), actor="maria")).number
    with prompt.override({"greeting": f"v{number}"}):
        run = await engine.start(sleeper)
        await engine.until(run, RunState.WAITING)
    await engine.crash()
    await engine.clock.advance("3d")
    assert (await run.result())[:2] == ["Hi Ada!", "Hi Ada!"]
    with prompt.override({"greeting": greeting("Try {{name}}.", "candidate")}):
        assert (await hello.get(name="Ada")).text == "Try Ada."
        tried = await engine.start(sleeper)
        await engine.until(tried, RunState.WAITING)
    await engine.clock.advance("3d")
    assert (await tried.result())[:2] == ["Try Ada.", "Try Ada."]


async def test_inside_a_step_there_is_no_prompt_to_get(engine: Engine) -> None:
    @step
    async def ask() -> str:
        with pytest.raises(NotInRun, match="inside a step"):
            await hello.get(name="Ada")
        return "refused"

    @task(name="pin_in_step")
    async def inside() -> str:
        return await ask()

    assert await (await engine.start(inside)).result() == "refused"


async def test_outside_of_a_run_it_is_what_is_live(engine: Engine) -> None:
    assert (await hello.get(name="Ada")).text == "Hello Ada."
    await release(engine, "Hi {{name}}!")
    assert (await hello.get(name="Ada")).text == "Hi Ada!"


async def test_messages_of_slots_and_wrong_variables(engine: Engine) -> None:
    chat = prompt("pin_chat", vars=Greeting, messages=[system("You help {{name}}."), slot("history"), user("Go on.")])

    @task(name="pin_slots")
    async def slots() -> list[str]:
        found = await chat.get(name="Ada", slots={"history": [{"role": "user", "content": "{{name}}"}]})
        with pytest.raises(PromptError, match="no variable nmae"):
            await chat.get(nmae="Ada")
        return [one["content"] for one in found.messages]

    assert await (await engine.start(slots)).result() == ["You help Ada.", "{{name}}", "Go on."]


async def test_what_changed_code_renders_must_say_what_was_said(engine: Engine) -> None:
    @task(name="pin_varies")
    async def varies() -> str:
        said = await hello.get(name="Ada")
        await sleep("1d")
        return said.text

    run = await engine.start(varies)
    await engine.until(run, RunState.WAITING)
    await engine.stop()

    @task(name="pin_varies")
    async def changed() -> str:
        said = await hello.get(name="Bob")
        await sleep("1d")
        return said.text

    await engine.go_on({"pin_varies": changed})
    await engine.clock.advance("1d")
    paused = await engine.until(run, RunState.PAUSED)
    assert decode_failure(paused.error or "").code == "resume_incompatible"
    await engine.app.runs.resume(run.id)
    assert await run.result() == "Hello Bob."


async def test_each_call_may_take_what_is_live_then_and_a_replay_takes_the_same(engine: Engine) -> None:
    @task(name="pin_each_call")
    async def newest() -> list[str]:
        said = [(await hello.get(name="Ada", pin="step")).text]
        await approve(title="Go on?", expires=None)
        return [*said, (await hello.get(name="Ada", pin="step")).text]

    run = await engine.start(newest)
    [asked] = await engine.waiting(run)
    await release(engine, "Hi {{name}}!")
    await engine.crash()
    await engine.app.waitpoints.approve(asked.id, by="maria")
    assert await run.result() == ["Hello Ada.", "Hi Ada!"]
    report = await engine.replay(run)
    assert (report.diverges, report.answered) == (False, 2)


async def test_a_run_that_is_taken_up_again_holds_what_it_held_and_so_do_the_runs_below_it(engine: Engine) -> None:
    tries: list[int] = []

    @task(name="pin_revived_child")
    async def child() -> str:
        return (await hello.get(name="child")).text

    @task(name="pin_revived")
    async def fails() -> list[str]:
        mine = (await hello.get(name="Ada")).text
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("not yet")
        return [mine, await child()]

    run = await engine.start(fails)
    await engine.until(run, RunState.FAILED)
    await release(engine, "Hi {{name}}!")
    again = await engine.app.runs.revive(run.id)
    record = await engine.app.runs.ended(again.id, None)
    assert loads(record.output or "null") == ["Hello Ada.", "Hello child."]


async def test_children_at_the_same_time_hold_one_version(engine: Engine) -> None:
    two = (await engine.app.prompts.save("greeting", other("Hi {{name}}!"), actor="maria")).number
    await engine.app.prompts.rollout("greeting", weights={1: 0.5, two: 0.5}, sticky="key", **LIVE)

    @task(name="pin_crowd_child")
    async def child(number: int) -> str:
        return (await hello.get(name="you", sticky=str(number))).text

    @task(name="pin_crowd")
    async def parent() -> list[str]:
        return list(await asyncio.gather(*(child(number) for number in range(6))))

    assert len(set(await (await engine.start(parent)).result())) == 1


async def test_labels_and_pins_that_cannot_be_are_errors(engine: Engine) -> None:
    cases: list[dict[str, Any]] = [{"label": "a:b"}, {"pin": "day"}, {"version": "v3"}]
    for wrong in cases:
        with pytest.raises(DefinitionError):
            await hello.get(name="Ada", **wrong)


async def test_a_rollout_by_key_goes_by_the_concurrency_key_of_the_run(engine: Engine) -> None:
    two = (await engine.app.prompts.save("greeting", other("Hi {{name}}!"), actor="maria")).number
    await engine.app.prompts.rollout("greeting", weights={1: 0.5, two: 0.5}, sticky="key", **LIVE)

    @task(name="pin_keys")
    async def keyed() -> str | None:
        return (await hello.get(name="Ada")).variant

    for key in ("tenant-1", "tenant-2", "tenant-3", "tenant-4"):
        runs = [await engine.start(keyed.using(concurrency_key=key)) for _ in range(2)]
        assert {await one.result() for one in runs} == {(await hello.get(name="Ada", sticky=key)).variant}
