"""The AI SDK as others use it, unmodified: the `Chat` behind `useChat` in three majors, and WorkflowChatTransport."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.exceptions import ModelConnectionError

from agentflow import Agent, Agentflow, Retry, ai, approve, task
from agentflow.testing.models import call, scripted_model, text, thinking
from tests.foreign.chat import Client, Pace, asked, breaking, good, replies
from tests.foreign.npm import NODE, environment, installed
from tests.server.site import Site, site_of
from tests.servers.proxy import Proxy

PACKAGE = Path(__file__).parent / "ai_sdk"
KINDS = ("5", "6", "7", "workflow")
APPROVING = ("6", "7", "workflow")
ANSWER = "Hello Ann, your order left the house on Monday."


async def look_up(order: str) -> str:
    """Look an order up."""
    return f"{order} left on Monday"


async def refund(order: str) -> str:
    """Give money back."""
    return f"refunded {order}"


@task(name="publish")
async def publish(prompt: str) -> str:
    """Ask before publishing."""
    decision = await approve("Publish?", body={"draft": prompt}, expires=None)
    return "published" if decision.approved else f"kept: {decision.reason}"


@pytest.fixture(scope="module", params=KINDS)
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    folder = installed(PACKAGE)
    words = [NODE, "client.js", request.param]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, cwd=folder, env=environment(), **pipes) as process:
        yield Client(request.param, process)
        process.kill()


@asynccontextmanager
async def serving(tmp_path: Path, stream_server: str, *tasks: Any) -> AsyncGenerator[Site]:
    async with Agentflow([*tasks], directory=tmp_path, redis=stream_server) as app, site_of(app) as site:
        yield site


def agent(*turns: Any, pace: Pace | None = None, tools: Sequence[Any] = ()) -> Agent[str]:
    model = scripted_model(*turns, pace=pace)
    return Agent("support", model=model, tools=tools, model_retry=Retry(attempts=3, initial="10ms", on=ModelConnectionError))


# -- the scenarios -----------------------------------------------------------------------------------------------------------------------


async def test_a_plain_answer_comes_with_its_thoughts_and_the_next_one_knows_it(client: Client, tmp_path: Path, stream_server: str) -> None:
    support = agent([thinking("who is it?"), text(ANSWER)], [text("You are Ann.")])
    async with serving(tmp_path, stream_server, support) as site:
        await client.open(site.url, "support", "chat-1")
        await client("send", text="I am Ann")
        state = good(await client.finished())
        assert replies(state) == [[("reasoning", "who is it?", "done"), ("text", ANSWER, "done")]]
        assert state["messages"][-1]["metadata"]["usage"]["output"] > 0
        await client("send", text="who am I?")
        state = good(await client.finished(2))
        assert replies(state)[1:] == [[("text", "You are Ann.", "done")]]
        assert len(state["messages"]) == 4
        assert len(await site.app.thread("chat-1").history()) == 4
        assert len({one["id"] for one in state["messages"]}) == 4


async def test_a_tool_shows_its_input_and_its_output(client: Client, tmp_path: Path, stream_server: str) -> None:
    support = agent([text("Let me see."), call("look_up", {"order": "o-1"}, id="c1")], [text(ANSWER)], tools=[look_up])
    async with serving(tmp_path, stream_server, support) as site:
        await client.open(site.url, "support", "chat-1")
        await client("send", text="where is o-1?")
        tool = ("tool-look_up", "output-available", {"order": "o-1"}, "o-1 left on Monday", None)
        assert replies(good(await client.finished())) == [[("text", "Let me see.", "done"), tool, ("text", ANSWER, "done")]]


@pytest.mark.parametrize("agreed", [True, False])
async def test_an_approval_ends_the_response_and_its_answer_continues_the_message(
    client: Client, tmp_path: Path, stream_server: str, agreed: bool
) -> None:
    if client.kind not in APPROVING:
        pytest.skip("AI SDK 5 knows no approvals; see the test of its data part")
    support = agent([call("refund", {"order": "o-1"}, id="c1")], [text("All done.")], tools=[ai.tool(refund, approval=True)])
    async with serving(tmp_path, stream_server, support) as site:
        await client.open(site.url, "support", "chat-1")
        await client("send", text="refund o-1")
        state = good(await client.finished())
        assert replies(state) == [[("tool-refund", "approval-requested", {"order": "o-1"}, None, None)]]
        await client("answer", id=asked(state), approved=agreed, reason="as told")
        state = good(await client.finished(2))
        ended = ("output-available", {"order": "o-1"}, "refunded o-1") if agreed else ("output-denied", {"order": "o-1"}, None)
        assert replies(state) == [[("tool-refund", *ended, agreed), ("text", "All done.", "done")]]
        assert len(state["messages"]) == 2
        [run] = await site.app.thread("chat-1").runs()
        [one] = await site.app.waitpoints.list(state=None, run_id=run.id)
        assert (one.answered_by, json.loads(one.answer or "{}")["reason"]) == ("chat", "as told")


async def test_a_question_that_no_tool_asked_is_shown_as_a_call_of_its_own(client: Client, tmp_path: Path, stream_server: str) -> None:
    if client.kind not in APPROVING:
        pytest.skip("AI SDK 5 knows no approvals; see the test of its data part")
    async with serving(tmp_path, stream_server, publish) as site:
        await client.open(site.url, "publish", "chat-1")
        await client("send", text="a draft")
        state = good(await client.finished())
        question = {"title": "Publish?", "body": {"draft": "a draft"}}
        assert replies(state) == [[("tool-request_input", "approval-requested", question, None, None)]]
        await client("answer", id=asked(state), approved=True, reason=None)
        state = good(await client.finished(2))
        answer = {"decision": "approved", "by": "chat", "reason": None}
        call_ended = ("tool-request_input", "output-available", question, answer, True)
        assert replies(state) == [[call_ended, ("data-agentflow-output", "published")]]


@pytest.mark.parametrize("agreed", [True, False])
async def test_what_a_tool_s_own_run_asks_is_answered_in_the_chat_above_it(
    client: Client, tmp_path: Path, stream_server: str, agreed: bool
) -> None:
    if client.kind not in APPROVING:
        pytest.skip("AI SDK 5 knows no approvals; see the test of its data part")
    support = agent([call("publish", {"prompt": "a draft"}, id="c1")], [text("All done.")], tools=[ai.tool(publish)])
    async with serving(tmp_path, stream_server, support, publish) as site:
        await client.open(site.url, "support", "chat-1")
        await client("send", text="publish it")
        state = good(await client.finished())
        tool, question = replies(state)[0]
        assert (tool[:2], question[:2]) == (("tool-publish", "input-available"), ("tool-request_input", "approval-requested"))
        assert (question[2]["title"], question[2]["body"], question[2]["toolCallId"]) == ("Publish?", {"draft": "a draft"}, "c1")
        await client("answer", id=asked(state), approved=agreed, reason="as told")
        state = good(await client.finished(2))
        tool, question, said = replies(state)[0]
        assert (tool[1], tool[3]) == ("output-available", "published" if agreed else "kept: as told")
        assert (question[1], question[4], said) == (
            "output-available" if agreed else "output-denied",
            agreed,
            ("text", "All done.", "done"),
        )
        assert len(state["messages"]) == 2


async def test_a_client_that_knows_no_approvals_gets_them_as_data_and_resumes_after_the_answer(
    client: Client, tmp_path: Path, stream_server: str
) -> None:
    if client.kind != "5":
        pytest.skip("only AI SDK 5 knows no approvals")
    support = agent([call("refund", {"order": "o-1"}, id="c1")], [text("All done.")], tools=[ai.tool(refund, approval=True)])
    async with serving(tmp_path, stream_server, support) as site:
        await client.open(site.url, "support", "chat-1")
        await client("send", text="refund o-1")
        state = good(await client.finished())
        [tool, (kind, question)] = replies(state)[0]
        assert (tool[:2], kind, question["state"]) == (("tool-refund", "input-available"), "data-agentflow-approval", "open")
        await site.app.waitpoints.approve(question["approvalId"], by="maria")
        await client.open(site.url, "support", "chat-1", state["messages"][:1])
        await client("resume")
        state = good(await client.finished())
        answered = {"approvalId": question["approvalId"], "state": "approved"}
        done = ("tool-refund", "output-available", {"order": "o-1"}, "refunded o-1", None)
        assert replies(state) == [[done, ("data-agentflow-approval", answered), ("text", "All done.", "done")]]


async def test_a_retry_after_visible_text_replaces_it(client: Client, tmp_path: Path, stream_server: str) -> None:
    support = agent([text(ANSWER)], pace=Pace(breaks=3))
    async with serving(tmp_path, stream_server, support) as site:
        await client.open(site.url, "support", "chat-1")
        await client("send", text="hi")
        [shown] = replies(good(await client.finished()))
        if client.kind in ("7", "workflow"):
            assert shown == [("text", ANSWER, "done")]
            return
        # Older clients cannot forget: they are told what is void.
        [void, attempt, whole] = shown
        assert void == ("text", ANSWER[:24], "done")
        assert (attempt[0], attempt[1]["attempt"], len(attempt[1]["supersedes"])) == ("data-agentflow-attempt", 2, 1)
        assert whole == ("text", ANSWER, "done")


async def test_an_error_is_shown_and_tells_nothing_of_the_server(client: Client, tmp_path: Path, stream_server: str) -> None:
    support = agent(ValueError("the password is swordfish"), [text("never")])
    async with serving(tmp_path, stream_server, support) as site:
        await client.open(site.url, "support", "chat-1")
        await client("send", text="hi")
        state = await client.finished()
        assert (state["status"], state["error"]) == ("error", "The agent could not finish its answer.")
        assert "swordfish" not in json.dumps(state)


async def test_what_was_said_before_a_cancel_stays_and_the_chat_is_ready(client: Client, tmp_path: Path, stream_server: str) -> None:
    pace = Pace(pieces=3)
    support = agent([text(ANSWER)], [text("next")], pace=pace)
    async with serving(tmp_path, stream_server, support) as site:
        await client.open(site.url, "support", "chat-1")
        await client("send", text="hi")
        await client("says", text=ANSWER[:24])
        active = await site.app.thread("chat-1").active()
        assert active is not None
        await site.client.post(f"/v1/runs/{active.id}/cancel", json={"reason": "enough"})
        assert replies(good(await client.finished())) == [[("text", ANSWER[:24], "done")]]


async def test_stop_only_leaves_and_whoever_comes_back_gets_the_whole_answer(client: Client, tmp_path: Path, stream_server: str) -> None:
    pace = Pace(pieces=3)
    support = agent([text(ANSWER)], pace=pace)
    async with serving(tmp_path, stream_server, support) as site:
        await client.open(site.url, "support", "chat-1")
        await client("send", text="hi")
        await client("says", text=ANSWER[:24])
        await client("stop")
        active = await site.app.thread("chat-1").active()
        assert active is not None
        pace.go_on.set()
        await site.ended(active.id)
        await client("resume")
        assert replies(good(await client.finished(2)))[-1] == [("text", ANSWER, "done")]


async def test_a_slow_answer_is_shown_while_it_comes(client: Client, tmp_path: Path, stream_server: str) -> None:
    pace = Pace(pieces=2)
    support = agent([text(ANSWER)], pace=pace)
    async with serving(tmp_path, stream_server, support) as site:
        await client.open(site.url, "support", "chat-1")
        await client("send", text="hi")
        state = await client("says", text=ANSWER[:16])
        assert (state["status"], replies(state)) == ("streaming", [[("text", ANSWER[:16], "streaming")]])
        pace.go_on.set()
        assert replies(good(await client.finished())) == [[("text", ANSWER, "done")]]


async def test_a_cut_connection_is_no_end_and_the_rest_comes_after_it(client: Client, tmp_path: Path, stream_server: str) -> None:
    pace = Pace(pieces=3)
    support = agent([text("Let me see."), call("look_up", {"order": "o-1"}, id="c1")], [text(ANSWER)], tools=[look_up], pace=pace)
    async with serving(tmp_path, stream_server, support) as site, Proxy.running(int(site.url.rpartition(":")[2])) as proxy:
        await client.open(f"http://127.0.0.1:{proxy.port}", "support", "chat-1")
        await client("send", text="where is o-1?")
        await client("says", text="Let me see.")
        proxy.cut()
        if client.kind != "workflow":
            assert (await client.finished())["status"] == "error"
            await client("resume")
        pace.go_on.set()
        state = good(await client.finished(1 if client.kind == "workflow" else 2))
        tool = ("tool-look_up", "output-available", {"order": "o-1"}, "o-1 left on Monday", None)
        assert replies(state) == [[("text", "Let me see.", "done"), tool, ("text", ANSWER, "done")]]


async def test_an_approval_that_continues_over_a_cut_ends_the_same(client: Client, tmp_path: Path, stream_server: str) -> None:
    if client.kind not in APPROVING:
        pytest.skip("AI SDK 5 knows no approvals")
    pace = Pace(pieces=5)
    support = agent([call("refund", {"order": "o-1"}, id="c1")], [text(ANSWER)], tools=[ai.tool(refund, approval=True)], pace=pace)
    async with serving(tmp_path, stream_server, support) as site, Proxy.running(int(site.url.rpartition(":")[2])) as proxy:
        await client.open(f"http://127.0.0.1:{proxy.port}", "support", "chat-1")
        await client("send", text="refund o-1")
        state = good(await client.finished())
        await client("answer", id=asked(state), approved=True, reason=None)
        await client("says", text="Hello")
        proxy.cut()
        if client.kind != "workflow":
            assert (await client.finished(2))["status"] == "error"
            await client("resume")
        pace.go_on.set()
        state = good(await client.finished(2 if client.kind == "workflow" else 3))
        tool = ("tool-refund", "output-available", {"order": "o-1"}, "refunded o-1", True)
        shown = replies(state)
        if client.kind == "6":
            # A replay tells AI SDK 6 the outcome and not the answer, for which it has no chunk.
            tool = (*tool[:4], shown[0][0][4])
        assert shown == [[tool, ("text", ANSWER, "done")]]


async def test_a_server_that_stops_cuts_and_does_not_end(client: Client, tmp_path: Path, stream_server: str) -> None:
    if client.kind == "workflow":
        pytest.skip("it comes back at once, and this server takes nobody any more")
    pace = Pace(pieces=3)
    support = agent([text(ANSWER)], pace=pace)
    async with serving(tmp_path, stream_server, support) as site:
        await client.open(site.url, "support", "chat-1")
        await client("send", text="hi")
        await client("says", text=ANSWER[:24])
        site.drain()
        assert (await client.finished())["status"] == "error"
        pace.go_on.set()


async def test_the_answer_is_whole_wherever_the_connection_breaks(client: Client, tmp_path: Path, stream_server: str) -> None:
    support = agent([thinking("who?"), call("look_up", {"order": "o-1"}, id="c1")], [text(ANSWER)], tools=[look_up])
    tool = ("tool-look_up", "output-available", {"order": "o-1"}, "o-1 left on Monday", None)
    whole = [[("reasoning", "who?", "done"), tool, ("text", ANSWER, "done")]]
    async with serving(tmp_path, stream_server, support) as site:
        port = int(site.url.rpartition(":")[2])
        for limit in (380, 520, 700, 900, 1_150, 1_400, 1_600, 1_800):
            async with breaking(port, limit) as broken:
                await client.open(f"http://127.0.0.1:{broken}", "support", f"chat-{limit}")
                await client("send", text="where is o-1?")
                state = await client.finished()
                if client.kind != "workflow" and state["status"] == "error":
                    await client("resume")
                    state = await client.finished(2)
                assert replies(good(state)) == whole, limit
