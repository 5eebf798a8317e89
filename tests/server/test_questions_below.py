"""Questions of the runs that a conversation waits for: asked in it, and answered there, by the AI SDK and by AG-UI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agent, Agentflow, ai, approve, task
from agentflow.records import RunRecord, RunState, WaitpointRecord
from agentflow.streams.courier import stream_key
from agentflow.streams.wire import Remote, Wire
from agentflow.testing.models import call, scripted_model, text
from tests.server.site import PATIENCE, Site, site_of
from tests.server.test_agui import asked, follow, page
from tests.server.test_agui import post as tell
from tests.server.test_ai_sdk import answering, post, resumed, said, user
from tests.server.ui_message import UiMessage


@task
async def press(draft: str) -> str:
    """Publish a draft, once two people have allowed it."""
    for title in ("Editor?", "Lawyer?"):
        if not (await approve(title, body=draft)).approved:
            return f"{title} said no"
    return "published"


async def pay_back(cents: int) -> str:
    """Give money back."""
    return f"paid {cents}"


def agents() -> list[Any]:
    clerk_model = scripted_model([call("pay_back", {"cents": 5}, id="b1")], [text("Paid.")])
    clerk = Agent("clerk", model=clerk_model, tools=[ai.tool(pay_back, approval=True)])
    desk_model = scripted_model([call("clerk", {"prompt": "five cents"}, id="c1")], [text("Done.")])
    paper_model = scripted_model([call("press", {"draft": "a draft"}, id="c1")], [text("Done.")])
    both = [call("press", {"draft": one}, id=one) for one in ("d1", "d2")]
    return [
        press,
        clerk,
        Agent("desk", model=desk_model, tools=[ai.tool(clerk)]),
        Agent("paper", model=paper_model, tools=[ai.tool(press)]),
        Agent("papers", model=scripted_model(both, [text("Done.")]), tools=[ai.tool(press)]),
    ]


@pytest.fixture
async def site(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    async with Agentflow(agents(), directory=tmp_path, redis=stream_server) as app, site_of(app) as site:
        yield site


@pytest.fixture
async def wire(stream_server: str) -> AsyncIterator[Wire]:
    wire = Wire(Remote(stream_server))
    yield wire
    await wire.close()


def questions(got: UiMessage) -> dict[str, Any]:
    """The open questions by their titles, or their bodies where they have none."""
    asks = [part for part in got.calls().values() if part["state"] == "approval-requested"]
    return {str(part["input"]["title"]): part for part in asks}


async def open_questions(site: Site, count: int) -> list[WaitpointRecord]:
    async with asyncio.timeout(PATIENCE):
        while len(found := await site.app.waitpoints.list(kind="approval")) < count:
            await asyncio.sleep(0)
    await site.app.streams.flush()
    return found


async def only_run(site: Site) -> RunRecord:
    [run] = [one for one in await site.app.runs.list() if one.thread is not None]
    return run


# -- AI SDK ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("approved", [True, False])
async def test_a_chat_asks_what_its_tools_ask_one_after_the_other(site: Site, approved: bool) -> None:
    got = await said(site, user("publish"), agent="paper")
    for title, answer in (("Editor?", True), ("Lawyer?", approved)):
        [part] = questions(got).values()
        run = await only_run(site)
        assert (part["type"], part["input"]["title"], part["input"]["body"], part["input"]["toolCallId"], got.finished) == (
            "tool-request_input",
            title,
            "a draft",
            "c1",
            "tool-calls",
        )
        assert part["input"]["runId"] != run.id
        again = await post(site, user("publish"), answering(part["approval"]["id"], answer, metadata=got.metadata))
        assert again.headers["x-agentflow-run-id"] == run.id
        got.read(again.content)
    assert got.finished == "stop"
    assert (got.text, got.calls()["c1"]["output"]) == ("Done.", "published" if approved else "Lawyer? said no")


async def test_a_chat_asks_what_an_agent_below_may_do(site: Site) -> None:
    got = await said(site, user("money back"), agent="desk")
    [part] = questions(got).values()
    assert part["input"]["body"] == {"cents": 5}
    # Without the place that it was told, a client goes on behind its question.
    got.read((await post(site, user("money back"), answering(part["approval"]["id"]))).content)
    assert (got.text, got.finished) == ("Done.", "stop")


async def test_answers_are_believed_of_the_conversation_alone_that_they_hold_up(site: Site) -> None:
    got = await said(site, user("publish"), agent="paper")
    [part] = questions(got).values()
    await said(site, user("publish"), chat="c-2", agent="paper")
    for chat, id in (("c-2", part["approval"]["id"]), ("c-1", "wp_0")):
        refused = await post(site, answering(id), chat=chat)
        assert (refused.status_code, refused.json()["code"]) == (404, "waitpoint_not_found")
    assert (await site.app.waitpoints.get(part["approval"]["id"])).answer is None


async def test_a_question_that_was_decided_elsewhere_is_shown_so_to_who_comes_back(site: Site) -> None:
    first = await said(site, user("publish"), agent="paper")
    [part] = questions(first).values()
    await site.app.waitpoints.deny(part["approval"]["id"], by="tom", reason="no")
    await site.ended((await only_run(site)).id)
    got = first.read((await post(site, user("publish"), answering(part["approval"]["id"], metadata=first.metadata))).content)
    assert got.calls()[part["toolCallId"]]["state"] == "output-denied"
    assert (got.text, got.finished) == ("Done.", "stop")


async def test_two_tools_ask_at_once_and_a_stream_that_is_gone_tells_the_same(site: Site, wire: Wire) -> None:
    await said(site, user("publish"), agent="papers")
    await open_questions(site, 2)
    run = await only_run(site)
    live = UiMessage().read((await resumed(site)).content)
    await wire.call("DEL", stream_key(run.id))
    rebuilt = UiMessage().read((await resumed(site)).content)
    asked_of = [
        (part["input"]["body"], part["input"]["toolCallId"]) for part in live.calls().values() if part["type"] == "tool-request_input"
    ]
    assert sorted(asked_of) == [("d1", "d1"), ("d2", "d2")]
    assert (live.finished, rebuilt.finished) == ("tool-calls", "tool-calls")
    assert {id: part["state"] for id, part in live.calls().items() if id in rebuilt.calls()} == {
        id: part["state"] for id, part in rebuilt.calls().items()
    }
    for _ in range(2):
        for one in await open_questions(site, 2):
            await site.app.waitpoints.approve(one.id, by="maria")
    await site.ended(run.id)
    whole = UiMessage().read((await resumed(site, run.id)).content)
    assert [part["state"] for part in whole.calls().values() if part["type"] == "tool-request_input"] == ["output-available"] * 4


# -- AG-UI -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("approved", [True, False])
async def test_an_agui_run_is_interrupted_by_what_its_tools_ask(site: Site, approved: bool) -> None:
    replies = [await tell(site, "paper", asked("r-1"))]
    run = await only_run(site)
    for number, (title, answer) in enumerate((("Editor?", True), ("Lawyer?", approved)), start=2):
        [interrupt] = page(*replies, said="Where is it?").interrupts
        assert (interrupt["message"], interrupt["toolCallId"]) == (title, f"{run.id}:c1")
        assert interrupt["metadata"]["agentflow"]["run"] not in (run.id, None)
        resume = [{"interruptId": interrupt["id"], "status": "resolved", "payload": {"approved": answer}}]
        replies.append(await tell(site, "paper", {**asked(f"r-{number}"), "messages": [], "resume": resume}))
    assert replies[-1][-1].type == "RUN_FINISHED"
    assert (replies[-1][-1].data or {})["outcome"] == {"type": "success"}
    assert (await site.app.runs.get(run.id)).state is RunState.COMPLETED


async def test_agui_answers_of_another_conversation_and_messages_beside_the_question_are_refused(site: Site) -> None:
    [interrupt] = page(await tell(site, "paper", asked("r-1"))).interrupts
    resume = [{"interruptId": interrupt["id"], "status": "resolved", "payload": {"approved": True}}]
    [stray] = await tell(site, "paper", {**asked("r-2", thread="t-2"), "messages": [], "resume": resume})
    assert (stray.data or {})["code"] == "waitpoint_not_found"
    [beside] = await tell(site, "paper", asked("r-2"))
    assert (beside.data or {})["code"] == "interrupts_open"
    assert (await site.app.waitpoints.get(interrupt["id"])).answer is None


async def test_questions_at_once_are_answered_one_by_one_and_told_again_from_the_database(site: Site, wire: Wire) -> None:
    await tell(site, "papers", asked("r-1"))
    await open_questions(site, 2)
    run = await only_run(site)
    live = page(await follow(site, "papers"))
    await wire.call("DEL", stream_key(run.id))
    interrupts = page(await follow(site, "papers")).interrupts
    assert sorted(one["id"] for one in live.interrupts) == sorted(one["id"] for one in interrupts)
    assert len(interrupts) == 2
    resume = [{"interruptId": interrupts[0]["id"], "status": "cancelled"}]
    rest = page(await tell(site, "papers", {**asked("r-2"), "messages": [], "resume": resume}))
    assert [one["id"] for one in rest.interrupts] == [interrupts[1]["id"]]
