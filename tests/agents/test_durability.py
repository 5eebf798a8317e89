"""A pydantic-ai agent with the capability: what is recorded, what is told, what a replay does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, Tool
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.exceptions import ToolFailed as Failed
from pydantic_ai.messages import ModelResponse, ThinkingPart

from agentflow.agents.durability import Durability
from agentflow.control import Suspend
from agentflow.engine.context import WaitRequest, context
from agentflow.errors import DefinitionError, StepFailed
from agentflow.records import WaitKind
from agentflow.retry import Retry
from agentflow.streams.events import MessageStarted, ToolError, ToolInput, ToolOutput
from agentflow.testing.models import ScriptedModel, call, scripted_model, text, thinking
from tests.agents.memory import PATIENCE, Journal, MemoryRun


def agent(model: ScriptedModel, **options: Any) -> Agent[None, Any]:
    return Agent(model, name="support", capabilities=[Durability()], **options)


async def test_a_replay_asks_the_model_nothing_runs_no_tool_and_tells_nothing_twice() -> None:
    model = scripted_model([thinking("let me see"), call("look_up", {"order": "o-1"}, id="c1")], [text("It left.")])
    seen: list[str] = []

    async def look_up(order: str) -> str:
        seen.append(order)
        return "left"

    support, journal = agent(model, tools=[look_up]), Journal()
    first = await MemoryRun(journal).drive(lambda: support.run("Where is o-1?"))
    told = len(journal.events)
    again = MemoryRun(journal)
    second = await again.drive(lambda: support.run("Where is o-1?"))
    assert first.output == second.output == "It left."
    assert list(journal.results) == ["support#0/turn:1", "support#0/turn:1/look_up:c1", "support#0/turn:2"]
    assert again.executed == []
    assert len(model.requests) == 2
    assert seen == ["o-1"]
    assert len(journal.events) == told
    assert all(len(set(digests)) == 1 for digests in journal.digests.values())


async def test_thoughts_text_and_arguments_are_told_piece_by_piece_while_the_model_speaks() -> None:
    spoken: list[list[str]] = []
    journal = Journal()

    async def pace(kind: str) -> None:
        spoken.append(list(journal.kinds))

    model = scripted_model([thinking("0123456789"), call("look_up", {"order": "o-1"}, id="c1")], [text("0123456789")], pace=pace)

    async def look_up(order: str) -> str:
        return "left"

    await MemoryRun(journal).drive(lambda: agent(model, tools=[look_up]).run("go"))
    turn = ["message.started", "reasoning.start", "reasoning.delta", "reasoning.delta", "reasoning.end"]
    asked = ["tool.input.start", "tool.input.delta", "tool.input.delta", "tool.input", "usage", "tool.output"]
    said = ["message.started", "text.start", "text.delta", "text.delta", "text.end", "usage"]
    assert journal.kinds == [*turn, *asked, *said]
    assert spoken[1] == ["message.started", "reasoning.start", "reasoning.delta"]
    assert journal.of(ToolInput)[0].input == {"order": "o-1"}
    assert journal.of(ToolOutput)[0].output == "left"


async def test_the_thoughts_of_a_recorded_turn_keep_their_signature() -> None:
    model = scripted_model([thinking("hm", signature="sig"), text("yes")])
    journal = Journal()
    await MemoryRun(journal).drive(lambda: agent(model).run("go"))
    replayed = await MemoryRun(journal).drive(lambda: agent(model).run("go"))
    parts = [part for message in replayed.all_messages() if isinstance(message, ModelResponse) for part in message.parts]
    assert isinstance(parts[0], ThinkingPart)
    assert parts[0].signature == "sig"


async def test_siblings_settle_and_are_recorded_before_a_suspension_leaves_the_agent() -> None:
    model = scripted_model([call("ask", id="c1"), call("work", id="c2")], [text("done")])
    finish = asyncio.Event()
    worked: list[str] = []

    async def ask() -> str:
        return (await context().wait("ask", WaitRequest(kind=WaitKind.CALLBACK))).answer or ""

    async def work() -> str:
        await finish.wait()
        worked.append("work")
        return "worked"

    support, journal = agent(model, tools=[Tool(ask, metadata={"agentflow": False}), work]), Journal()
    run = MemoryRun(journal)
    going = asyncio.create_task(run.drive(lambda: support.run("go")))
    await run.waiting()
    run.evict()
    await asyncio.sleep(0)
    assert not going.done()
    finish.set()
    with pytest.raises(Suspend):
        await asyncio.wait_for(going, PATIENCE)
    assert "support#0/turn:1/work:c2" in journal.results

    run = MemoryRun(journal)
    going = asyncio.create_task(run.drive(lambda: support.run("go")))
    run.answer((await run.waiting())[0], "yes")
    assert (await asyncio.wait_for(going, PATIENCE)).output == "done"
    assert worked == ["work"]
    assert len(model.requests) == 2
    assert [event.call for event in journal.of(ToolOutput)] == ["c2", "c1"]


async def test_arguments_that_do_not_fit_are_told_and_the_model_may_correct_them() -> None:
    wrong = [call("look_up", {"order": 5}, id="c1"), call("nothing", id="c2"), call("look_up", "{not json", id="c3")]
    model = scripted_model(wrong, [text("done")])

    async def look_up(order: str) -> str:
        raise AssertionError(order)

    journal = Journal()
    result = await MemoryRun(journal).drive(lambda: agent(model, tools=[look_up]).run("go"))
    assert result.output == "done"
    assert {event.call: event.error["code"] for event in journal.of(ToolError)} == dict.fromkeys(["c1", "c2", "c3"], "retried")


async def test_what_a_tool_tells_the_model_is_recorded_and_another_error_fails_the_agent() -> None:
    asked = [call("look_up", {"order": order}, id="c1") for order in ("retry", "failed", "broken")]
    model = scripted_model([asked[0]], [asked[1]], [asked[2]], [text("done")])

    async def look_up(order: str) -> str:
        raise {"retry": ModelRetry("no such order"), "failed": Failed("closed"), "broken": ValueError("broken")}[order]

    support, journal = agent(model, tools=[look_up]), Journal()
    with pytest.raises(StepFailed, match="broken"):
        await MemoryRun(journal).drive(lambda: support.run("go"))
    again = MemoryRun(journal)
    with pytest.raises(StepFailed, match="broken"):
        await again.drive(lambda: support.run("go"))
    assert again.executed == ["support#0/turn:3/look_up:c1"]
    codes = [event.error["code"] for event in journal.of(ToolError)]
    assert codes == ["retried", "failed", "error", "error"]


async def test_an_id_that_a_server_gives_in_every_turn_is_another_call_each_time() -> None:
    model = scripted_model([call("look_up", {"order": "a"}, id="0")], [call("look_up", {"order": "b"}, id="0")], [text("done")])
    seen: list[str] = []

    async def look_up(order: str) -> str:
        seen.append(order)
        return order

    journal = Journal()
    await MemoryRun(journal).drive(lambda: agent(model, tools=[look_up]).run("go"))
    assert seen == ["a", "b"]
    assert [key for key in journal.results if "look_up" in key] == ["support#0/turn:1/look_up:0", "support#0/turn:2/look_up:0"]


class Answer(BaseModel):
    order: str
    left: bool


async def test_a_typed_result_is_no_tool_call_for_viewers() -> None:
    model = scripted_model([call("final_result", {"order": "o-1", "left": True}, id="c1")])
    journal = Journal()
    result = await MemoryRun(journal).drive(lambda: agent(model, output_type=Answer).run("go"))
    assert result.output == Answer(order="o-1", left=True)
    assert journal.kinds == ["usage"]
    assert journal.touches > 0


async def test_a_failed_request_is_tried_again_and_its_parts_are_others() -> None:
    model = scripted_model(ModelHTTPError(503, "scripted"), [text("hello")])
    journal = Journal()
    result = await MemoryRun(journal).drive(lambda: agent(model).run("go"))
    assert result.output == "hello"
    assert journal.kinds[:3] == ["step.retrying", "message.started", "text.start"]
    assert journal.of(MessageStarted)[0].message == "support#0/turn:1.2"


async def test_a_request_that_the_provider_refuses_is_not_tried_again() -> None:
    model = scripted_model(ModelHTTPError(400, "scripted"), [text("hello")])
    with pytest.raises(ModelHTTPError, match="400"):
        await MemoryRun(Journal()).drive(lambda: agent(model).run("go"))
    assert len(model.requests) == 1


async def test_two_conversations_in_one_run_have_their_own_keys() -> None:
    model = scripted_model([text("hello")])
    support, journal = agent(model), Journal()

    async def both() -> None:
        await support.run("one")
        await support.run("two")

    await MemoryRun(journal).drive(both)
    assert list(journal.results) == ["support#0/turn:1", "support#1/turn:1"]


async def test_the_metadata_of_a_tool_says_how_it_is_tried() -> None:
    model = scripted_model([call("flaky", id="c1")], [text("done")])
    tries: list[int] = []

    async def flaky() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("once")
        return "fine"

    tool = Tool(flaky, metadata={"agentflow": {"retry": Retry(attempts=2), "timeout": "5s"}})
    await MemoryRun(Journal()).drive(lambda: agent(model, tools=[tool]).run("go"))
    assert len(tries) == 2


async def test_a_tool_setting_that_does_not_exist_is_an_error() -> None:
    model = scripted_model([call("odd", id="c1")], [text("done")])

    async def odd() -> str:
        return ""

    tool = Tool(odd, metadata={"agentflow": {"retries": 3}})
    with pytest.raises(DefinitionError, match="retries"):
        await MemoryRun(Journal()).drive(lambda: agent(model, tools=[tool]).run("go"))


async def test_outside_of_a_run_the_agent_is_an_ordinary_one() -> None:
    support = agent(scripted_model([text("hello")]))
    assert (await support.run("go")).output == "hello"
    async with support.run_stream("go") as stream:
        assert await stream.get_output() == "hello"


async def test_a_cancelled_run_stops_the_model_and_stays_cancelled() -> None:
    started = asyncio.Event()

    async def pace(kind: str) -> None:
        started.set()
        await asyncio.Event().wait()

    model = scripted_model([text("hello")], pace=pace)
    going = asyncio.create_task(MemoryRun(Journal()).drive(lambda: agent(model).run("go")))
    await asyncio.wait_for(started.wait(), PATIENCE)
    going.cancel("not wanted")
    with pytest.raises(asyncio.CancelledError, match="not wanted"):
        await asyncio.wait_for(going, PATIENCE)
