"""Agents as tasks, and what they call: child runs, steps, functions, people."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import Tool as PydanticTool
from pydantic_ai.messages import BinaryContent, ToolReturn, ToolReturnPart, UserPromptPart

from agentflow import ai
from agentflow.agents.agent import Agent
from agentflow.agents.answers import edited
from agentflow.agents.approval import Approval, refusal
from agentflow.agents.durability import Durability
from agentflow.control import Suspend
from agentflow.engine.step import step
from agentflow.engine.task import task
from agentflow.engine.waits import Decision
from agentflow.errors import DefinitionError
from agentflow.records import WaitState
from agentflow.streams.events import ToolDenied, ToolError, ToolOutput
from agentflow.testing.models import call, scripted_model, text
from tests.agents.memory import PATIENCE, Journal, MemoryRun

Body = Callable[[], Awaitable[Any]]


class Shipment(BaseModel):
    order: str
    km: int


@task(queue="shipping")
async def fulfil(order_id: str, *, express: bool = False) -> Shipment:
    """Fulfil one order.

    Args:
        order_id: The order's number.
        express: Whether it must arrive tomorrow.
    """
    return Shipment(order=order_id, km=1)


def going(run: MemoryRun, body: Body) -> asyncio.Task[Any]:
    return asyncio.create_task(run.drive(body))


async def test_a_called_task_is_a_child_run_under_the_id_of_the_call() -> None:
    model = scripted_model([call("fulfil", {"order_id": "o-1"}, id="c1")], [text("on its way")])
    support, journal = Agent("support", model=model, tools=[ai.tool(fulfil)]), Journal()
    run = MemoryRun(journal)
    first = going(run, lambda: support.plain("send it"))
    key = (await run.waiting())[0]
    run.evict()
    with pytest.raises(Suspend):
        await asyncio.wait_for(first, PATIENCE)
    run = MemoryRun(journal)
    second = going(run, lambda: support.plain("send it"))
    assert await run.waiting() == [key]
    run.answer(key, {"order": "o-1", "km": 3})
    assert await asyncio.wait_for(second, PATIENCE) == "on its way"
    assert [(one.task, one.queue, one.payload) for one in journal.children.values()] == [
        ("fulfil", "shipping", '{"order_id":"o-1","express":false}')
    ]
    assert journal.of(ToolOutput)[0].output == {"order": "o-1", "km": 3}


async def test_a_failed_child_is_told_to_the_model_and_the_agent_goes_on() -> None:
    model = scripted_model([call("fulfil", {"order_id": "o-1"}, id="c1")], [text("sorry")])
    support, journal = Agent("support", model=model, tools=[fulfil]), Journal()
    run = MemoryRun(journal)
    one = going(run, lambda: support.plain("send it"))
    failure = {"code": "error", "type": "TellModel", "message": "no stock"}
    run.answer((await run.waiting())[0], failure, WaitState.FAILED)
    assert await asyncio.wait_for(one, PATIENCE) == "sorry"
    told = model.requests[1].messages[-1].parts[0]
    assert isinstance(told, ToolReturnPart)
    assert told.outcome == "failed"
    assert "no stock" in told.model_response_str()
    assert journal.of(ToolError)[0].error["code"] == "failed"


async def test_steps_functions_and_tools_of_pydantic_ai_are_steps_of_the_agent() -> None:
    names = ["look_up", "guess", "count"]
    model = scripted_model([call(name, {"order": "o"}, id=name) for name in names], [text("done")])

    @step(timeout="5s")
    def look_up(order: str) -> str:
        return f"found {order}"

    def guess(order: str) -> str:
        return f"guessed {order}"

    async def count(order: str) -> int:
        return len(order)

    support, journal = Agent("support", model=model, tools=[look_up, guess, PydanticTool(count)]), Journal()
    await MemoryRun(journal).drive(lambda: support.plain("go"))
    assert sorted(journal.results) == ["support#0/turn:1", *sorted(f"support#0/turn:1/{name}:{name}" for name in names), "support#0/turn:2"]
    assert {event.call: event.output for event in journal.of(ToolOutput)} == {"look_up": "found o", "guess": "guessed o", "count": 1}


async def test_people_are_asked_about_all_calls_at_once_and_each_answer_goes_to_its_own_call() -> None:
    model = scripted_model([call("refund", {"cents": cents}, id=f"c{cents}") for cents in (5, 7, 9)], [text("done")])
    refunded: list[int] = []

    async def refund(cents: int) -> str:
        refunded.append(cents)
        return f"refunded {cents}"

    support, journal = Agent("support", model=model, tools=[ai.tool(refund, approval=True)]), Journal()
    run = MemoryRun(journal)
    first = going(run, lambda: support.plain("go"))
    keys = await run.waiting(3)
    run.answer(keys[2], {"approved": True, "edits": {"cents": 8}})
    run.answer(keys[0], {"approved": False, "reason": "too late"})
    run.evict()
    with pytest.raises(Suspend):
        await asyncio.wait_for(first, PATIENCE)
    run = MemoryRun(journal)
    second = going(run, lambda: support.plain("go"))
    run.answer((await run.waiting())[0], {"approved": True})
    await asyncio.wait_for(second, PATIENCE)
    assert sorted(refunded) == [7, 8]
    assert {event.call: event.reason for event in journal.of(ToolDenied)} == {"c5": "The call was denied: too late"}
    parts = model.requests[1].messages[-1].parts
    returned = [(part.tool_call_id, part.outcome, part.content) for part in parts if isinstance(part, ToolReturnPart)]
    assert returned == [
        ("c5", "denied", refusal(Decision(False, by="maria", reason="too late"))),
        ("c7", "success", "refunded 7"),
        ("c9", "success", f"refunded 8\n\n{edited('refund', {'cents': 8})}"),
    ]
    assert not [part for part in parts if isinstance(part, UserPromptPart)]
    assert len(model.requests) == 2


async def test_whether_a_call_needs_a_person_is_decided_once() -> None:
    model = scripted_model([call("refund", {"cents": 5}, id="small"), call("refund", {"cents": 50}, id="large")], [text("done")])
    limit = [10]
    refunded: list[int] = []

    async def refund(cents: int) -> str:
        refunded.append(cents)
        return "refunded"

    rule = Approval(when=lambda a: a.cents > limit[0], title="Refund?", groups=["finance"], expires="1d")
    support, journal = Agent("support", model=model, tools=[ai.tool(refund, approval=rule)]), Journal()
    run = MemoryRun(journal)
    first = going(run, lambda: support.plain("go"))
    key = (await run.waiting())[0]
    subject = journal.waits[key].subject
    assert (subject["title"], subject["body"], subject["call"], subject["groups"]) == ("Refund?", {"cents": 50}, "large", ["finance"])
    run.evict()
    with pytest.raises(Suspend):
        await asyncio.wait_for(first, PATIENCE)
    limit[0] = 1_000
    run = MemoryRun(journal)
    second = going(run, lambda: support.plain("go"))
    run.answer((await run.waiting())[0], {"approved": False})
    await asyncio.wait_for(second, PATIENCE)
    assert refunded == [5]


async def test_nobody_answering_in_time_is_a_no() -> None:
    model = scripted_model([call("refund", {"cents": 5}, id="c1")], [text("done")])

    async def refund(cents: int) -> str:
        raise AssertionError(cents)

    support, journal = Agent("support", model=model, tools=[ai.tool(refund, approval=True)]), Journal()
    run = MemoryRun(journal)
    one = going(run, lambda: support.plain("go"))
    run.answer((await run.waiting())[0], None, WaitState.TIMED_OUT)
    await asyncio.wait_for(one, PATIENCE)
    assert journal.of(ToolDenied)[0].reason == "The call was denied: nobody answered in time"


async def test_tools_of_pydantic_ai_that_require_approval_wait_too() -> None:
    model = scripted_model([call("refund", {"cents": 5}, id="c1"), call("refund", {"cents": 7}, id="c2")], [text("done")])
    refunded: list[int] = []

    async def refund(cents: int) -> str:
        refunded.append(cents)
        return "refunded"

    existing = PydanticAgent(model, name="support", tools=[PydanticTool(refund, requires_approval=True)], capabilities=[Durability()])
    journal = Journal()
    run = MemoryRun(journal)
    first = going(run, lambda: existing.run("go"))
    keys = await run.waiting(2)
    run.evict()
    with pytest.raises(Suspend):
        await asyncio.wait_for(first, PATIENCE)
    run = MemoryRun(journal)
    second = going(run, lambda: existing.run("go"))
    assert await run.waiting(2) == keys
    run.answer(keys[1], {"approved": True, "edits": {"cents": 8}})
    run.answer(keys[0], {"approved": False})
    await asyncio.wait_for(second, PATIENCE)
    assert refunded == [8]
    assert [event.call for event in journal.of(ToolDenied)] == ["c1"]


async def test_an_agent_is_a_task_and_an_agent_s_tool() -> None:
    expert = Agent("expert", model=scripted_model([text("42")]), description="Knows the answer.")
    model = scripted_model([call("expert", {"prompt": "why?"}, id="c1")], [text("42, they say")])
    support, journal = Agent("support", model=model, tools=[ai.tool(expert)]), Journal()
    run = MemoryRun(journal)
    one = going(run, lambda: support.plain("ask"))
    run.answer((await run.waiting())[0], "42")
    assert await asyncio.wait_for(one, PATIENCE) == "42, they say"
    assert [(child.task, child.payload) for child in journal.children.values()] == [("expert", '{"prompt":"why?"}')]
    assert ai.tool(expert).description == "Knows the answer."


async def test_an_agent_called_outside_of_a_run_talks_to_its_model() -> None:
    support = Agent("support", model=scripted_model([text("hello")]), instructions="Help.")
    assert await support("hi") == "hello"


def test_an_agent_with_a_wrong_option_or_no_model_is_an_error() -> None:
    with pytest.raises(DefinitionError, match="modell"):
        Agent("support", modell="x")  # pyright: ignore[reportCallIssue]
    with pytest.raises(DefinitionError, match="no model"):
        Agent("support")


def test_a_tool_is_described_by_its_signature_and_docstring() -> None:
    made = ai.tool(fulfil)
    assert made.to_anthropic()["input_schema"]["required"] == ["order_id"]
    assert made.to_anthropic()["description"].startswith("Fulfil one order.")
    assert made.to_openai()["name"] == made.to_openai("chat")["function"]["name"] == "fulfil"
    properties = made.to_pydantic_ai().tool_def.parameters_json_schema["properties"]
    assert properties["express"]["description"] == "Whether it must arrive tomorrow."
    with pytest.raises(DefinitionError, match="no name"):
        ai.tool(lambda: "")


async def test_a_long_result_is_cut_where_it_is_text_and_files_are_left_as_they_are() -> None:
    long, image = "x" * 50_000, BinaryContent(b"\x89PNG", media_type="image/png")

    def write() -> ToolReturn[str]:
        return ToolReturn(long, content="Read it.", metadata={"pages": 9})

    def draw() -> list[Any]:
        return [long, image]

    model = scripted_model([call("write", id="c1"), call("draw", id="c2")], [text("done")])
    support = Agent("support", model=model, tools=[write, draw])
    await MemoryRun(Journal()).drive(lambda: support.plain("go"))
    parts = model.requests[1].messages[-1].parts
    written, drawn = [part for part in parts if isinstance(part, ToolReturnPart)]
    assert len(str(written.content)) < 33_000
    assert written.metadata == {"pages": 9}
    content: Any = drawn.content
    assert content[0] == long
    assert isinstance(content[1], BinaryContent)
    assert "Read it." in [part.content for part in parts if isinstance(part, UserPromptPart)]
