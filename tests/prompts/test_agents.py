"""Agents that speak by a registered prompt: its version is the run's, or the thread's, and what they use counts for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import Agent, ai, context, current_step, prompt, slot, step, system, task, user
from agentflow.errors import ContractError, DefinitionError
from agentflow.prompts.body import Body, Message
from agentflow.prompts.prompt import Prompt
from agentflow.streams.events import Usage
from agentflow.testing import Engine
from agentflow.testing.models import call, scripted_model, text, tokens
from tests.traffic.answers import Answer, document
from tests.traffic.fixtures import Script


class Desk(BaseModel):
    name: str
    plan: str = "free"


MARIA: Any = {"actor": "maria", "reason": "better"}


def made(name: str) -> Prompt[Any]:
    return prompt(name, vars=Desk, params={"temperature": 0.2}, messages=[system("You help {{name}} ({{plan}})."), slot("history")])


@pytest.fixture(autouse=True)
def deployed() -> list[Prompt[Any]]:
    """They are there before the engine opens, and live as long as the test."""
    return [made("desk")]


async def release(engine: Engine, name: str, said: str) -> None:
    version = await engine.app.prompts.save(name, Body((Message("system", said),)), actor="maria")
    await engine.app.prompts.release(name, to=version.number, **MARIA)


@step
async def refund(order: str) -> str:
    """Refund an order."""
    return f"refunded {order}"


class Answered(BaseModel):
    order: str
    refunded: bool


@step
async def look_up(order: str) -> str:
    """Look an order up."""
    return order


async def test_an_agent_speaks_by_the_version_that_its_run_began_with(engine: Engine, deployed: list[Prompt[Any]]) -> None:
    model = scripted_model([call("refund", {"order": "o-1"}, id="c1")], [text("Done."), tokens(30, 5)])
    agent = Agent("desk_agent", model=model, prompt=deployed[0], tools=[ai.tool(refund, approval=True)])
    run = await engine.start(agent.using(metadata={"name": "Ada", "plan": "pro", "other": 1}), "Refund o-1.")
    [asked] = await engine.waiting(run)
    await release(engine, "desk", "You are rude to {{name}}.")
    await engine.crash()
    await engine.app.waitpoints.approve(asked.id, by="maria")
    assert await run.result() == "Done."
    assert [one.instructions for one in model.requests] == ["You help Ada (pro)."] * 2
    used = [one.event for one in await engine.events(run) if isinstance(one.event, Usage)]
    assert {one.prompt for one in used} == {f"desk@v1#{deployed[0].body.hash[7:13]}"}
    counted = await engine.app.prompts.usage("desk", 1)
    assert counted.calls == 2
    assert counted.output >= 5
    assert (await engine.app.prompts.usage("desk", 2)).calls == 0


async def test_the_runs_of_a_thread_speak_by_one_version_until_the_thread_is_upgraded(engine: Engine, deployed: list[Prompt[Any]]) -> None:
    model = scripted_model([text("One.")], [text("Two.")], [text("Three.")])
    agent = Agent("desk_thread", model=model, instructions=deployed[0], variables=lambda: Desk(name="Ada"))
    for number in range(3):
        await (await engine.start(agent.using(thread="t-desk"), "And?")).result()
        if number == 0:
            await release(engine, "desk", "You are rude to {{name}}.")
        if number == 1:
            await engine.app.prompts.upgrade("t-desk", "desk", actor="maria")
    told = [one.instructions for one in model.requests]
    assert told == ["You help Ada (free).", "You help Ada (free).", "You are rude to Ada."]
    free = Agent("desk_every_run", model=scripted_model([text("One.")]), prompt=deployed[0], pin="run", variables=lambda: {"name": "Bo"})
    await (await engine.start(free.using(thread="t-free"), "And?")).result()


async def test_what_the_agent_is_asked_may_be_a_variable(engine: Engine) -> None:
    class Ask(BaseModel):
        input: str
        task: str

    asks = prompt("desk_asks", vars=Ask, messages=[system("Be brief."), user("Question of {{task}}: {{input}}")])

    async def variables() -> dict[str, Any]:
        return {"task": context().task}

    model = scripted_model([text("Yes.")])
    agent = Agent("desk_asking", model=model, prompt=asks, variables=variables)
    assert await (await engine.start(agent, "Is it {{open}}?")).result() == "Yes."
    assert "Question of desk_asking: Is it {{open}}?" in repr(model.requests[0].messages)
    assert model.requests[0].instructions == "Be brief."


def completion(said: str) -> Answer:
    """An answer of a chat model."""
    message = {"role": "assistant", "content": said}
    used = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    return document({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": used})


async def test_the_model_and_the_parameters_of_the_version_are_asked(
    engine: Engine, scripted_provider: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    played = await scripted_provider(completion("one"), completion("two"))
    told: list[Any] = [{"name": "refund", "description": "Pay an order back.", "input_schema": {}}]
    by_model = prompt("desk_model", model="openai-chat:one", params={"temperature": 0.25}, tools=told, messages=[system("Hello.")])
    agent = Agent("desk_models", prompt=by_model, base_url=played.openai_url, tools=[refund, look_up])
    assert await (await engine.start(agent, "And?")).result() == "one"
    version = await engine.app.prompts.save("desk_model", Body((Message("system", "Hi."),), model="openai-chat:two"), actor="maria")
    await engine.app.prompts.release("desk_model", to=version.number, **MARIA)
    assert await (await engine.start(agent, "And?")).result() == "two"
    await agent.close()
    asked = [one.body for one in played.requests]
    assert [(one["model"], one.get("temperature")) for one in asked] == [("one", 0.25), ("two", None)]
    tools = [{one["function"]["name"]: one["function"]["description"] for one in request["tools"]} for request in asked]
    assert tools == [{"refund": "Pay an order back."}, {"refund": "Refund an order.", "look_up": "Look an order up."}]


def test_an_agent_that_cannot_speak_by_its_prompt_is_an_error_where_it_is_defined() -> None:
    with pytest.raises(DefinitionError, match="has no model"):
        Agent("desk_modelless", prompt=made("desk_modelless"))
    talk = prompt("desk_talk", model="test:one", messages=[user("One."), system("Two."), user("Three.")])
    with pytest.raises(DefinitionError, match="cannot speak by its prompt"):
        Agent("desk_talking", prompt=talk)


async def test_what_other_code_says_to_a_model_counts_for_the_version_too(engine: Engine, deployed: list[Prompt[Any]]) -> None:
    @step(kind="llm")
    async def speak() -> str:
        current_step().publish(Usage(provider="test", model="m", input=3, output=4))
        return "Hello."

    outside = await deployed[0].get(name="Ada")
    assert outside.ref == f"desk@v1#{deployed[0].body.hash[7:13]}"
    desk: Any = deployed[0]
    assert desk.fill(name="Ada").ref == f"desk#{deployed[0].body.hash[7:13]}"

    @task(name="desk_counts")
    async def counts() -> str:
        said = await deployed[0].get(name="Ada")
        for one in (said, outside):
            with one.counting():
                await speak()
        return await speak()

    await (await engine.start(counts)).result()
    used = await engine.app.prompts.usage("desk", 1)
    assert (used.calls, used.input, used.output) == (2, 6, 8)


TOOLS: list[Any] = ["look_up", {"type": "function", "function": {"name": "refund", "description": "Pay an order back."}}]


async def test_a_version_selects_and_describes_the_tools_and_says_what_the_answer_is(engine: Engine) -> None:
    body = prompt("desk_body", messages=[system("Hi.")], tools=TOOLS[:1], response=Answered)
    answer = call("final_result", {"order": "o-1", "refunded": True})
    model = scripted_model([answer])
    agent: Agent[dict[str, Any]] = Agent("desk_bodied", model=model, prompt=body, tools=[look_up, refund], output=dict[str, Any])
    plain: Agent[Any] = Agent("desk_untyped", model=model, prompt=body, tools=[look_up, refund])
    typed = Agent("desk_typed", model=model, prompt=body, tools=[look_up, refund], output=Answered)
    assert await (await engine.start(agent, "And?")).result() == {"order": "o-1", "refunded": True}
    assert await (await engine.start(typed, "And?")).result() == Answered(order="o-1", refunded=True)
    assert [sorted(one.tools) for one in model.requests] == [["final_result", "look_up"]] * 2

    kept = Body.from_json(body.body.json)
    described = await engine.app.prompts.save("desk_body", replace(kept, tools=TOOLS), actor="maria")
    await engine.app.prompts.release("desk_body", to=described.number, **MARIA)
    assert await (await engine.start(plain, "And?")).result() == {"order": "o-1", "refunded": True}
    assert sorted(model.requests[2].tools) == ["final_result", "look_up", "refund"]
    assert plain.speaking(None, kept.response_schema) is not plain.speaking(None, {"type": "object"})


WRONG: list[dict[str, Any]] = [{"tools": ["pay"]}, {"response_schema": {"type": "object"}}, {"tools": [{"x": 1}]}]


async def test_a_version_that_the_agent_cannot_speak_by_is_refused_and_not_gone_by(engine: Engine) -> None:
    body = prompt("desk_refused", messages=[system("Hi.")], response=Answered)
    await engine.app.prompts.deploy("ci")
    model = scripted_model([call("final_result", {"order": "o-1", "refunded": True})])
    agent = Agent("desk_refusing", model=model, prompt=body, tools=[look_up], output=Answered)
    run = await engine.start(agent, "And?")
    await run.result()
    for wrong in WRONG:
        changed = replace(body.body, messages=(Message("system", "Hello."),), **wrong)
        with pytest.raises(ContractError, match=r"desk_refusing|names no tool"):
            await engine.app.prompts.save("desk_refused", changed, actor="maria")
        # Where the agent is not loaded nobody can know.
        other = await engine.app.prompts.create("desk_refused", changed, body.contract, actor="maria")
        with pytest.raises(ContractError, match=r"desk_refusing|names no tool"):
            await engine.app.prompts.release("desk_refused", to=other.number, **MARIA)
        again = await engine.app.prompts.replay(run.id, {"desk_refused": other.number})
        assert await again.result() == Answered(order="o-1", refunded=True)
    assert [one.instructions for one in model.requests] == ["Hi."] * 4
    with pytest.raises(DefinitionError, match="cannot speak by its prompt"):
        Agent("desk_unfit", model=model, prompt=prompt("desk_unfit", messages=[system("Hi.")], tools=["pay"]), tools=[look_up])
    with pytest.raises(DefinitionError, match="answers with something else"):
        Agent("desk_mismatched", model=model, prompt=body, output=Desk)
