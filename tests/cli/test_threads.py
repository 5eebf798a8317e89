"""Conversations on the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agentflow import Agent, Agentflow, ai
from agentflow.records import RunState
from agentflow.testing.models import call, scripted_model, text
from tests.cli.conftest import Call, as_json


async def permit() -> str:
    """Do what a person has to allow."""
    return "done"


async def talked(folder: Path) -> str:
    """A conversation with a turn that waits for a person; returns its run."""
    model = scripted_model([text("hello")], [call("permit", {}, id="c1")])
    clerk = Agent("clerk", model=model, tools=[ai.tool(permit, approval=True)])
    async with Agentflow([clerk], directory=folder / ".agentflow", redis="redis://127.0.0.1:1") as app:
        await (await clerk.start("hi", thread="t-7")).result()
        run = await app.thread("t-7").send("go on")
        while (await app.runs.get(run.id)).state is not RunState.WAITING:
            await asyncio.sleep(0)
        return run.id


def test_conversations_are_listed_shown_and_stopped(folder: Path, run: Call) -> None:
    at_work = asyncio.run(talked(folder))
    [listed] = as_json(run("threads", "list", "--json"))
    assert (listed["id"], listed["agent"], listed["turns"], listed["messages"]) == ("t-7", "clerk", 2, 2)
    assert "clerk" in run("threads", "list").stdout
    shown = run("threads", "show", "t-7").stdout
    assert all(word in shown for word in ("user", "hi", "agent", "hello", at_work, "waiting"))
    told = as_json(run("threads", "show", "t-7", "--json"))
    assert (told["active_run"], [one["seq"] for one in told["messages"]]) == (at_work, [1, 2])
    assert at_work in run("threads", "stop", "t-7", "--run", at_work, "--reason", "enough").stdout
    assert as_json(run("runs", "show", at_work, "--json"))["cancel_reason"] == "enough"
    missing = run("threads", "show", "none")
    assert (missing.exit_code, "no thread 'none'" in missing.stderr) == (1, True)
    assert "Nobody is at work" in run("threads", "stop", "t-8").stdout
