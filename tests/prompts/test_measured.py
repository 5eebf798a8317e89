"""Each model call of a run is linked to the version of the prompt that spoke, without any effort: calls, errors, cost, times."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import openai
import pytest
from agentflow_anthropic import durable as durable_anthropic
from agentflow_openai import durable as durable_openai
from pydantic import BaseModel
from pydantic_ai import Agent as PydanticAgent

from agentflow import Agent, Retry, RunCancelled, ai, current_step, prompt, slot, step, system, task, user
from agentflow.agents.durability import Durability
from agentflow.clock import SECOND
from agentflow.errors import GenerationNotFound, PromptNotFound
from agentflow.prompts.body import Body, Message
from agentflow.prompts.prompt import Prompt
from agentflow.storage.generations import GenerationRecord
from agentflow.streams.events import TextDelta, TextStart, Usage
from agentflow.testing import Engine
from agentflow.testing.models import call, scripted_model, text, tokens
from tests.integrations.scripted import ANTHROPIC, CHAT
from tests.integrations.test_background import answer, found_again, speaks, until
from tests.integrations.test_openai import told
from tests.traffic.answers import document, failed
from tests.traffic.fixtures import Script

MARIA: Any = {"actor": "maria", "reason": "better"}


class Desk(BaseModel):
    name: str
    plan: str = "free"


@pytest.fixture(autouse=True)
def desk() -> Prompt[Any]:
    """It is there before the engine opens, and lives as long as the test."""
    return prompt("measured_desk", vars=Desk, messages=[system("You help {{name}} ({{plan}})."), slot("history"), user("Go.")])


async def made(engine: Engine, name: str = "measured_desk", **which: Any) -> list[GenerationRecord]:
    return (await engine.app.prompts.generations(name, **which)).generations


async def test_each_call_of_an_agent_is_linked_to_its_version_with_the_variables_and_a_child_to_its_own(engine: Engine) -> None:
    below = prompt("measured_below", messages=[system("You know it all.")])
    helper = Agent("measured_helping", model=scripted_model([text("42"), tokens(3, 1)]), prompt=below)
    model = scripted_model([call("measured_helping", {"prompt": "?"}, id="c1"), tokens(30, 5)], [text("Done."), tokens(60, 7)])
    spoken: Any = prompt("measured_agent", vars=Desk, messages=[system("You help {{name}} ({{plan}}).")])
    agent = Agent("measured_agent", model=model, prompt=spoken, tools=[ai.tool(helper)], variables=lambda: {"name": "Ada", "plan": "pro"})
    run = await engine.start(agent, "And?")
    assert await run.result() == "Done."
    later, first = await made(engine, "measured_agent")
    assert {(one.version, one.hash, one.label, one.env, one.run_id, one.ended) for one in (first, later)} == {
        (1, spoken.body.hash, "live", "prod", run.id, "answered")
    }
    assert [(one.input, one.output) for one in (first, later)] == [(30, 5), (60, 7)]
    assert first.first_token is not None
    whole = await engine.app.prompts.generation("measured_agent", first.id)
    assert whole.variables == '{"name": "Ada", "plan": "pro"}'
    assert whole.rendered == spoken.fill(name="Ada", plan="pro").rendered
    assert later.variables is None
    [child] = await made(engine, "measured_below")
    assert child.run_id != run.id
    assert (child.input, child.output) == (3, 1)
    used = await engine.app.prompts.usage("measured_agent", 1)
    assert (used.calls, used.input, used.output) == (2, 90, 12)


class Refused(Exception):
    pass


async def test_tries_that_fail_are_calls_too_and_times_are_counted_from_when_each_began(engine: Engine, desk: Prompt[Any]) -> None:
    clock, tries = engine.clock, iter(range(3))

    @step(kind="llm", retry=Retry(attempts=3, initial="1s"))
    async def ask() -> str:
        here, number = current_step(), next(tries)
        clock.set(clock.now() + 2 * SECOND)
        if number == 0:
            raise Refused("not now")
        here.publish(TextStart(f"p{number}", "m"))
        here.publish(TextDelta(f"p{number}", "Hi"))
        clock.set(clock.now() + 3 * SECOND)
        here.publish(Usage(provider="test", model="m", input=3, output=4, cost=0.001))
        return "Hi"

    @step(kind="tool")
    async def look() -> None:
        current_step().publish(Usage(provider="test", model="other", input=9, output=9))

    @task(name="measured_tries")
    async def tried() -> None:
        said = await desk.get(name="Ada")
        with said.counting():
            await ask()
            await look()

    run = await engine.start(tried)
    await engine.settle()
    await clock.advance("2s")
    await run.result()
    answered, failed = await made(engine)
    assert (failed.ended, failed.error, failed.duration, failed.first_token, failed.output) == ("failed", "Refused", 2 * SECOND, None, None)
    assert (answered.ended, answered.error, answered.duration, answered.first_token) == ("answered", None, 5 * SECOND, 2 * SECOND)
    assert (answered.step, answered.cost, answered.model) == ("ask#0", 1_000_000, "m")


async def test_what_a_rollout_chose_is_told_apart_and_what_a_crash_cuts_off_is_one_call(engine: Engine, desk: Prompt[Any]) -> None:
    begun = asyncio.Event()

    @step(kind="llm")
    async def ask() -> str:
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()
        return "Hi"

    @task(name="measured_rollout")
    async def asks() -> None:
        with (await desk.get(name="Ada")).counting():
            await ask()

    prompts = engine.app.prompts
    other = await prompts.save("measured_desk", Body((Message("system", "Help."),)), actor="maria")
    await prompts.rollout("measured_desk", weights={1: 0.0, other.number: 1.0}, actor="maria")
    run = await engine.start(asks)
    await asyncio.wait_for(begun.wait(), 30)
    await engine.crash()
    await run.result()
    [one] = await made(engine)
    assert (one.version, one.variant, one.label, one.ended) == (2, "v2", "live", "answered")
    assert (one.rollout or "").startswith("rollout_")
    assert engine.calls(ask) == 2
    prompts = engine.app.prompts
    [group] = await prompts.metrics("measured_desk", group="variant", rollout=one.rollout)
    assert (group.version, group.variant, group.calls, group.errors) == (2, "v2", 1, 0)
    # Tried again it says nothing of the rollout: nobody chose between versions.
    await (await prompts.replay(run.id)).result()
    assert [(each.version, each.variant, each.rollout) for each in await made(engine)] == [(2, None, None), (2, "v2", one.rollout)]
    with pytest.raises(GenerationNotFound):
        await prompts.generation("measured_desk", "gen_none")
    with pytest.raises(PromptNotFound):
        await prompts.metrics("measured_nothing")


async def test_a_call_that_was_cancelled_is_no_error(engine: Engine, desk: Prompt[Any]) -> None:
    begun = asyncio.Event()

    @step(kind="llm")
    async def ask() -> None:
        current_step().publish(Usage(provider="test", model="m", input=3))
        begun.set()
        await asyncio.Event().wait()

    @task(name="measured_cancelled")
    async def asks() -> None:
        with (await desk.get(name="Ada")).counting():
            await ask()

    run = await engine.start(asks)
    await begun.wait()
    await run.cancel(reason="enough")
    with pytest.raises(RunCancelled):
        await run.result()
    [one] = await made(engine)
    assert (one.ended, one.error, one.input, one.output) == ("cancelled", None, 3, None)
    [group] = await engine.app.prompts.metrics("measured_desk")
    assert (group.calls, group.errors, group.cancelled, group.error_rate, group.latency_p50) == (1, 0, 1, None, None)


async def test_requests_that_say_a_prompts_words_are_linked_to_it(engine: Engine, desk: Prompt[Any], scripted_provider: Script) -> None:
    claude = await scripted_provider(*(document(ANTHROPIC.written(turn, [text("Hi.")])) for turn in range(3)))
    chatty = await scripted_provider(failed(400), document(CHAT.written(0, [text("Hi.")])))
    brief = prompt("measured_brief", text="Go.")

    @task(name="measured_words")
    async def talks() -> None:
        said, other, go = await desk.get(name="Ada"), await desk.get(name="Bo"), await brief.get()
        async with durable_anthropic(anthropic.AsyncAnthropic(base_url=claude.url, api_key="key")) as client:
            asked: Any = {"model": "claude-sonnet-4-6", "max_tokens": 9}
            history: Any = [{"role": "assistant", "content": "Go on."}]
            await client.messages.create(**asked, **said.to_anthropic())
            later: Any = {**other.to_anthropic(), "messages": [*history, *other.conversation]}
            async with client.messages.stream(**asked, **later) as stream:
                await stream.get_final_message()
            await client.messages.create(**asked, messages=[{"role": "user", "content": "Nobody's words."}])
        async with durable_openai(openai.AsyncOpenAI(base_url=chatty.openai_url, api_key="key")) as client:
            with pytest.raises(openai.BadRequestError):
                await client.chat.completions.create(model="gpt-4o", **said.to_openai())
            await client.chat.completions.create(model="gpt-4o", **go.to_openai())

    await (await engine.start(talks)).result()
    refused, streamed, first = await made(engine)
    assert [(one.provider, one.input, one.output, one.ended) for one in (streamed, first)] == [("anthropic", 10, 20, "answered")] * 2
    assert streamed.first_token is not None
    assert (refused.ended, refused.error) == ("failed", "ModelRefused")
    told_of = [(await engine.app.prompts.generation("measured_desk", one.id)).variables for one in (refused, streamed, first)]
    assert told_of == [f'{{"name": "{name}", "plan": "free"}}' for name in ("Ada", "Bo", "Ada")]
    [short] = await made(engine, "measured_brief")
    assert (short.provider, short.model) == ("openai", "gpt-4o")


async def test_an_agent_of_pydantic_ai_that_is_given_a_prompts_words_is_linked_too(engine: Engine, desk: Prompt[Any]) -> None:
    model = scripted_model([call("shout", {"word": "hi"}, id="c1")], [text("Done.")])
    existing = PydanticAgent(model, name="measured_existing", capabilities=[Durability()])

    @existing.tool_plain
    async def shout(word: str) -> str:
        current_step().publish(Usage(provider="test", model="other", input=9, output=9))
        return word.upper()

    @task(name="measured_pydantic")
    async def asks() -> str:
        said = await desk.get(name="Ada")
        return (await existing.run("Go.", instructions=said.system)).output

    assert await (await engine.start(asks)).result() == "Done."
    assert [(one.step, one.ended) for one in reversed(await made(engine))] == [
        ("measured_existing#0/turn:1", "answered"),
        ("measured_existing#0/turn:2", "answered"),
    ]
    assert shout is not None


async def test_a_response_in_the_background_is_one_call_from_when_it_was_asked_for(
    engine: Engine, desk: Prompt[Any], scripted_provider: Script
) -> None:
    played = await scripted_provider(told(*answer()), found_again(*answer()))
    played.gate.hold(after=2)

    @task(name="measured_background")
    async def asks() -> str:
        said = await desk.get(name="Ada")
        async with durable_openai(openai.AsyncOpenAI(base_url=played.openai_url, api_key="key")) as client:
            asked = await client.responses.create(model="gpt-5", instructions=said.system, input="Go.", background=True)
            return asked.output_text

    run = await engine.start(asks)
    await until(speaks, engine, run)
    await engine.crash()
    engine.clock.set(engine.clock.now() + 60 * SECOND)
    await played.gate.open()
    await engine.clock.advance("1s")
    assert await run.result() == "four"
    [one] = await made(engine)
    assert (one.ended, one.step, one.version) == ("answered", "openai.responses#0", 1)
    assert one.duration >= 60 * SECOND


async def test_what_no_run_asks_is_not_recorded_and_a_body_that_is_only_code_is_known_by_its_hash(
    engine: Engine, desk: Prompt[Any]
) -> None:
    coded: Any = desk

    @step(kind="llm")
    async def ask(said: str) -> str:
        return said

    @task(name="measured_offline")
    async def offline() -> str:
        filled = coded.fill(name="Ada")
        with filled.counting():
            await ask("known")
        changed: Any = prompt("measured_desk", vars=Desk, text="New words.")
        with changed.fill(name="Ada").counting():
            await ask("unknown")
        return filled.ref

    filled = await desk.get(name="Ada")
    with filled.counting():
        assert await ask("outside") == "outside"
    assert await made(engine) == []
    ref = await (await engine.start(offline)).result()
    assert ref == f"measured_desk#{desk.body.hash[7:13]}"
    unknown, known = await made(engine)
    assert (known.version, known.hash, known.output) == (1, desk.body.hash, None)
    assert unknown.version is None
    assert unknown.hash != desk.body.hash
