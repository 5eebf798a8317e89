"""What an agent's runs end with: types, unions, functions, validators; live, after a crash behind each record, and on the real engine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import ModelRetry, NativeOutput, PromptedOutput, RunContext, TextOutput, ToolOutput
from pydantic_ai.profiles import ModelProfile

from agentflow import Agent, step, task
from agentflow.agents.durability import Durability
from agentflow.errors import RunFailed
from agentflow.testing import Engine
from agentflow.testing.models import ScriptedModel, call, scripted_model, text
from tests.agents.crashing import survived


class Fruit(BaseModel):
    name: str
    color: str


class Car(BaseModel):
    name: str
    wheels: int


FRUIT: dict[str, Any] = {"name": "banana", "color": "yellow"}
CAR: dict[str, Any] = {"name": "mini", "wheels": 4}


def native(*turns: Any) -> ScriptedModel:
    """A model that can be told to answer in JSON."""
    model = scripted_model(*turns)
    model._profile = ModelProfile(supports_json_schema_output=True, supports_json_object_output=True)  # pyright: ignore[reportPrivateUsage]
    return model


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (Fruit, [call("final_result", FRUIT)]),
        (ToolOutput(Fruit, name="fruit"), [call("fruit", FRUIT)]),
        (NativeOutput(Fruit), [text(json.dumps(FRUIT))]),
        (PromptedOutput(Fruit), [text(json.dumps(FRUIT))]),
        ([Fruit, Car], [call("final_result_Fruit", FRUIT)]),
        (Fruit | Car, [call("final_result_Fruit", FRUIT)]),
        ([Fruit, str], [call("final_result", FRUIT)]),
    ],
    ids=["type", "tool", "native", "prompted", "list", "union", "type or text"],
)
async def test_a_typed_answer_is_of_its_type_in_each_mode_and_survives_a_crash_anywhere(output: Any, said: Any) -> None:
    model = native([call("look", id="c1")], said)

    async def look() -> str:
        return "yellow"

    one = Agent("outputs", model=model, tools=[look], output=output)
    found, _ = await survived(lambda: one.plain("What is it?"), model)
    assert found == Fruit(**FRUIT)


async def test_a_result_comes_back_from_the_database_in_its_type(engine: Engine) -> None:
    for output, said, expected in (
        ([Fruit, Car], [call("final_result_Car", CAR)], Car(**CAR)),
        (ToolOutput(Fruit), [call("final_result", FRUIT)], Fruit(**FRUIT)),
        ([Fruit, str], [text("no fruit")], "no fruit"),
        (TextOutput(_words), [text("two words")], ["two", "words"]),
    ):
        run = await engine.start(Agent("typed", model=scripted_model(said), output=output), "go")
        assert await run.result() == expected


def _words(said: str) -> list[str]:
    return said.split()


@step
async def stored(name: str) -> int:
    """Keep a fruit."""
    return len(name)


@task
async def shelved_by_agent(name: str) -> str:
    """Put a fruit on a shelf."""
    return f"shelf of {name}"


async def put_away(name: str) -> str:
    """Put a fruit away."""
    return f"{await stored(name)} on the {await shelved_by_agent(name)}"


async def test_an_output_function_is_the_agent_s_own_code_its_steps_and_tasks_happen_once(engine: Engine) -> None:
    model = scripted_model([call("final_result", {"name": "fig"})])
    run = await engine.start(Agent("shelver", model=model, output=put_away), "go")
    assert await run.result() == "3 on the shelf of fig"
    assert (engine.calls(stored), engine.calls(shelved_by_agent), len(model.requests)) == (1, 1, 1)
    assert not (await engine.replay(run)).diverges


async def test_an_answer_that_a_validator_refuses_is_asked_for_again(engine: Engine) -> None:
    def ripe(answer: Fruit) -> Fruit:
        if answer.color == "green":
            raise ModelRetry("It is not ripe.")
        return answer

    green, ripened = call("final_result", {**FRUIT, "color": "green"}), call("final_result", FRUIT)
    model = scripted_model([green], [green], [ripened])
    one = Agent("ripener", model=model, output=Fruit, validators=[ripe], corrections=2)
    found, _ = await survived(lambda: one.plain("go"), model)
    assert found == Fruit(**FRUIT)
    assert "not ripe" in repr(model.requests[1].messages[-1].parts)

    hasty = Agent("hasty", model=scripted_model([green], [green]), output=Fruit, validators=[ripe])
    with pytest.raises(RunFailed, match="retries"):
        await (await engine.start(hasty, "go")).result()


async def test_an_answer_that_does_not_fit_is_corrected_by_the_model() -> None:
    model = scripted_model([call("final_result", {"name": "fig"})], [call("final_result", FRUIT)])
    one = Agent("corrected", model=model, output=Fruit)
    found, journal = await survived(lambda: one.plain("go"), model)
    assert found == Fruit(**FRUIT)
    assert len(journal.results) == 2


async def test_the_check_of_a_tool_s_arguments_is_recorded_and_refuses_once() -> None:
    checked: list[int] = []

    def check(ctx: RunContext[object], cents: int) -> None:
        checked.append(cents)
        if cents > 10:
            raise ModelRetry("Too much.")

    model = scripted_model([call("pay", {"cents": 50}, id="c1")], [call("pay", {"cents": 5}, id="c2")], [text("paid")])
    existing = PydanticAgent(model, name="payer", capabilities=[Durability()])
    paid: list[int] = []

    @existing.tool_plain(args_validator=check)
    async def pay(cents: int) -> str:
        paid.append(cents)
        return "paid"

    async def asked() -> str:
        return (await existing.run("go")).output

    output, journal = await survived(asked, model)
    assert output == "paid"
    assert [key for key in journal.results if "validate" in key] == ["payer#0/turn:1/pay:c1/validate", "payer#0/turn:2/pay:c2/validate"]
    assert paid[:1] == [5]


async def test_an_agent_of_pydantic_ai_may_end_with_the_calls_that_wait_instead_of_waiting(engine: Engine) -> None:
    from pydantic_ai import DeferredToolRequests, DeferredToolResults

    model = scripted_model([call("pay", {"cents": 5}, id="c1")], [text("paid")])
    existing = PydanticAgent(model, name="deferring", output_type=[str, DeferredToolRequests], capabilities=[Durability()])
    paid: list[int] = []

    @existing.tool_plain(requires_approval=True)
    async def pay(cents: int) -> str:
        paid.append(cents)
        return "paid"

    async def asked() -> str:
        first = await existing.run("go")
        assert isinstance(first.output, DeferredToolRequests)
        answers = DeferredToolResults(approvals={one.tool_call_id: True for one in first.output.approvals})
        second = await existing.run(message_history=first.all_messages(), deferred_tool_results=answers)
        return str(second.output)

    assert (await survived(asked, model))[0] == "paid"
