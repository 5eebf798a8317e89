"""Each model call of a run is linked to the version of the prompt that spoke, without any effort: calls, errors, cost, times."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import Agent, Retry, ai, current_step, prompt, slot, step, system, task, user
from agentflow.clock import SECOND
from agentflow.prompts.prompt import Prompt
from agentflow.storage.generations import GenerationRecord
from agentflow.streams.events import TextDelta, TextStart, Usage
from agentflow.testing import Engine
from agentflow.testing.models import call, scripted_model, text, tokens

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
    spoken = prompt("measured_agent", vars=Desk, messages=[system("You help {{name}} ({{plan}}).")])
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
