"""Tools in the loops of the OpenAI Agents SDK and the Claude Agent SDK: once per call, at rest before a suspension, and plain outside."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import agents
import pytest
from agents.testing import ScriptedModel, assistant_message, function_call
from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, create_sdk_mcp_server

from agentflow import ai, task
from agentflow.control import Suspend
from agentflow.streams.events import ToolDenied, ToolInput, ToolOutput
from tests.agents.claude_cli import ScriptedCli
from tests.agents.memory import PATIENCE, Journal, MemoryRun

QUIET = agents.RunConfig(tracing_disabled=True)
worked: list[str] = []
finish = asyncio.Event()


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    worked.clear()
    finish.clear()


async def work(order: str) -> str:
    """Work on an order."""
    worked.append(order)
    await finish.wait()
    worked.append(f"{order} done")
    return f"worked on {order}"


def refund(order: str, cents: int = 5) -> str:
    """Refund an order."""
    worked.append(f"{order} {cents}")
    return f"refunded {cents}"


@task(name="foreign-ship")
async def ship(order: str) -> str:
    """Ship an order."""
    return order


def runner(*turns: list[Any], tools: list[Any]) -> agents.Agent[Any]:
    return agents.Agent(name="support", model=ScriptedModel([*turns, [assistant_message("done")]]), tools=tools)


async def talk(agent: agents.Agent[Any]) -> str:
    return str((await agents.Runner.run(agent, "go", run_config=QUIET)).final_output)


async def test_a_suspension_leaves_the_openai_sdk_when_the_steps_beside_it_are_recorded() -> None:
    tools = [ai.tool(ship).to_openai_agents(), ai.tool(work).to_openai_agents()]
    turn = [function_call("foreign-ship", {"order": "o-1"}, call_id="c1"), function_call("work", {"order": "o-2"}, call_id="c2")]
    journal = Journal()
    run = MemoryRun(journal)
    going = asyncio.create_task(run.drive(lambda: talk(runner(turn, tools=tools))))
    await run.waiting()
    while not worked:
        await asyncio.sleep(0)
    run.evict()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not going.done()
    finish.set()
    with pytest.raises(Suspend):
        await asyncio.wait_for(going, PATIENCE)
    assert list(journal.results) == ["tool/work:c2"]

    run = MemoryRun(journal)
    going = asyncio.create_task(run.drive(lambda: talk(runner(turn, tools=tools))))
    assert await run.waiting() == ["tool/foreign-ship:c1"]
    run.answer("tool/foreign-ship:c1", "o-1")
    assert await asyncio.wait_for(going, PATIENCE) == "done"
    assert worked == ["o-2", "o-2 done"]
    assert [(one.task, one.call) for one in journal.children.values()] == [("foreign-ship", "c1")]


async def test_a_call_that_the_openai_sdk_makes_again_is_the_same_call_and_one_with_other_arguments_is_not() -> None:
    tool = ai.tool(refund).to_openai_agents()
    first, other = function_call("refund", {"order": "o-1"}, call_id="c1"), function_call("refund", {"order": "o-2"}, call_id="c1")
    journal = Journal()

    async def thrice() -> None:
        for turn in (first, first, other):
            await talk(runner([turn], tools=[tool]))

    await MemoryRun(journal).drive(thrice)
    await MemoryRun(journal).drive(thrice)
    assert worked == ["o-1 5", "o-2 5"]
    assert len(journal.results) == 2


async def test_people_are_asked_in_the_openai_sdk_and_may_change_the_arguments() -> None:
    tool = ai.tool(refund, approval=True).to_openai_agents()
    turn = [function_call("refund", {"order": f"o-{n}"}, call_id=f"c{n}") for n in (1, 2)]
    journal = Journal()
    run = MemoryRun(journal)
    going = asyncio.create_task(run.drive(lambda: talk(runner(turn, tools=[tool]))))
    keys = await run.waiting(2)
    run.answer(keys[1], {"approved": True, "edits": {"order": "o-2", "cents": 7}})
    run.answer(keys[0], {"approved": False, "reason": "too late"})
    assert await asyncio.wait_for(going, PATIENCE) == "done"
    assert worked == ["o-2 7"]
    assert [event.reason for event in journal.of(ToolDenied)] == ["The call was denied: too late"]
    assert [(event.call, event.output) for event in journal.of(ToolOutput)] == [("c2", "refunded 7")]
    assert [event.call for event in journal.of(ToolInput)] == ["c1", "c2"]


async def by_claude(*calls: tuple[str, dict[str, Any]], session: str = "1", hooks: Any = None) -> ScriptedCli:
    cli = ScriptedCli("shop", calls, session)
    server = create_sdk_mcp_server("shop", tools=[ai.tool(one).to_claude_agent_sdk() for one in (refund, ship)])
    async with ClaudeSDKClient(ClaudeAgentOptions(mcp_servers={"shop": server}, hooks=hooks), transport=cli) as client:
        await client.query("go")
        async for _ in client.receive_response():
            pass
    return cli


async def test_the_calls_of_claude_are_told_apart_by_their_arguments_and_their_number() -> None:
    journal = Journal()
    calls = [("refund", {"order": "o-1"}), ("refund", {"order": "o-2"}), ("refund", {"order": "o-1"})]
    first = await MemoryRun(journal).drive(lambda: by_claude(*calls))
    again = await MemoryRun(journal).drive(lambda: by_claude(*calls))
    assert sorted(worked) == ["o-1 5", "o-1 5", "o-2 5"]
    assert first.results == again.results
    assert len(journal.results) == 3
    assert {key[-2:] for key in journal.results} == {"#1", "#2"}
    assert [one["name"] for one in first.listed] == ["refund", "foreign-ship"]
    assert first.listed[0]["inputSchema"]["properties"]["order"] == {"type": "string"}


async def test_with_the_hooks_calls_of_claude_have_its_own_ids_so_that_a_resumed_session_calls_anew() -> None:
    journal = Journal()
    same = ("refund", {"order": "o-1"})
    for session in ("1", "1", "2"):
        told = await MemoryRun(journal).drive(lambda session=session: by_claude(same, same, session=session, hooks=ai.claude_hooks()))
        assert [one["content"][0]["text"] for one in told.results] == ["refunded 5", "refunded 5"]
    assert sorted(journal.results) == [f"tool/refund:toolu_{session}_{number}" for session in (1, 2) for number in (3, 4)]
    assert worked == ["o-1 5"] * 4


async def test_arguments_that_do_not_fit_are_told_to_claude() -> None:
    told = await MemoryRun(Journal()).drive(lambda: by_claude(("refund", {"order": 5}), ("nothing", {})))
    assert [one["isError"] for one in told.results] == [True, True]
    assert "5 is not of type 'string'" in told.results[0]["content"][0]["text"]
    assert worked == []


async def test_outside_of_a_run_the_tools_are_plain_ones() -> None:
    told = await by_claude(("refund", {"order": "o-1"}), ("foreign-ship", {"order": "o-2"}))
    assert [one["content"][0]["text"] for one in told.results] == ["refunded 5", "o-2"]
    turn = [function_call("refund", {"order": "o-3"}, call_id="c1")]
    assert await talk(runner(turn, tools=[ai.tool(refund).to_openai_agents()])) == "done"
    assert worked == ["o-1 5", "o-3 5"]


@pytest.mark.parametrize(("package", "form"), [("agents", "to_openai_agents"), ("claude_agent_sdk", "to_claude_agent_sdk")])
def test_an_sdk_that_is_missing_is_told_with_what_to_install(package: str, form: str) -> None:
    program = f"""
import sys
sys.modules[{package!r}] = None
from agentflow import ai
try:
    ai.read_result.{form}()
except Exception as error:
    print(type(error).__name__, error)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.startswith("ConfigurationError")
    assert "pip install" in said
