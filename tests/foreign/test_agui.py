"""The unmodified client of AG-UI against our server: what it shows, what it refuses, and what is left after cut lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import from_json

from agentflow import Agent, Agentflow, ai, context
from agentflow.retry import Retry
from agentflow.server.pulse import Pace
from agentflow.testing.models import call, scripted_model, text, thinking
from tests.foreign.agui_client import PATIENCE, Client, Turn, agui_client
from tests.server.site import Site, site_of

ANSWER = "It left on Monday, and will be with you on Thursday."


class Gate:
    """Holds a model back after so many pieces, until the test lets it go on; `stumbles` times it falls over instead."""

    def __init__(self, after: int, stumbles: int = 0) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self._after = after
        self._left = after
        self._stumbles = stumbles

    async def __call__(self, kind: str) -> None:
        self._left -= 1
        if self._left == 0:
            self.reached.set()
            await self.opened.wait()
            if self._stumbles:
                self._stumbles, self._left = self._stumbles - 1, self._after
                raise TimeoutError("the line to the model is gone")


async def look_up(order: str) -> str:
    """Look an order up."""
    context().metadata["order"] = order
    return f"{order} left on Monday"


async def refund(order: str, cents: int) -> str:
    """Give money back."""
    return f"{cents} cents for {order}"


async def explode(order: str) -> str:
    """Never works."""
    raise RuntimeError(f"the shelf of {order} is empty")


LONG = 60
"""Runs of one conversation at most: a model that knows what was said before goes on in its script."""


def agents(gate: Gate) -> list[Agent[Any]]:
    asking = [text("I will refund it. "), call("refund", {"order": "o-1", "cents": 500}, id="c1")]
    both = [call("refund", {"order": f"o-{number}", "cents": number}, id=f"c{number}") for number in (1, 2)]
    again = Retry(attempts=3, initial="10ms", jitter=0)
    made: dict[str, dict[str, Any]] = {
        "plain": {"model": scripted_model(*[[thinking("Where is it?", signature="sig"), text(ANSWER)]] * LONG)},
        "tool": {
            "model": scripted_model(*[[text("Let me see. "), call("look_up", {"order": "o-1"}, id="c1")], [text(ANSWER)]] * LONG),
            "tools": [look_up],
        },
        "asking": {"model": scripted_model(asking, [text("Done.")]), "tools": [ai.tool(refund, approval=True)]},
        "both": {"model": scripted_model(both, [text("Done.")]), "tools": [ai.tool(refund, approval=True)]},
        "slow": {"model": scripted_model([thinking("hm"), text(ANSWER)], pace=gate), "model_retry": again},
        "broken": {"model": scripted_model([call("explode", {"order": "o-1"})]), "tools": [explode]},
    }
    below = scripted_model([call("refund", {"order": "o-1", "cents": 5}, id="b1")], [text("Refunded.")])
    clerk = Agent("refunds_clerk", description="Gives money back.", model=below, tools=[ai.tool(refund, approval=True)])
    desk = scripted_model([call("refunds_clerk", {"prompt": "five cents"}, id="c1")], [text("Done.")])
    made["desk"] = {"model": desk, "tools": [ai.tool(clerk)]}
    return [clerk, *(Agent(name, description=f"The agent {name}.", **options) for name, options in made.items())]


@pytest.fixture
def gate() -> Gate:
    return Gate(after=4)


@pytest.fixture
async def site(tmp_path: Path, stream_server: str, gate: Gate) -> AsyncIterator[Site]:
    async with (
        Agentflow(agents(gate), directory=tmp_path, redis=stream_server) as app,
        site_of(app, api_key="secret", pace=Pace(heartbeat=0.1)) as site,
    ):
        site.client.headers["authorization"] = "Bearer secret"
        yield site
        gate.opened.set()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with agui_client() as client:
        yield client


@pytest.fixture
def chat(site: Site, client: Client) -> Chat:
    return Chat(site, client)


class Chat:
    """A page that talks to an agent."""

    def __init__(self, site: Site, client: Client) -> None:
        self._site = site
        self._client = client

    def begin(self, name: str, run: str, said: str | None = None, *, page: str = "page", **more: Any) -> Turn:
        """Begin a run of the client; `page` is who has the messages."""
        say = [] if said is None else [{"id": f"user-{run}", "role": "user", "content": said}]
        url, headers = f"{self._site.url}/agui/{name}", {"authorization": "Bearer secret"}
        return self._client.begin("run", name=page, url=url, headers=headers, threadId="t-1", runId=run, say=say, **more)

    async def run(self, name: str, run: str, said: str | None = None, **more: Any) -> Turn:
        """A whole run of the client."""
        return sound(await self.begin(name, run, said, **more).done())


def sound(turn: Turn) -> Turn:
    """A turn in which the client found nothing odd, and that was closed by one last word."""
    assert (turn.failed, turn.complaints) == (None, [])
    assert [type for type in turn.types if type in ("RUN_FINISHED", "RUN_ERROR")] == turn.types[-1:]
    return turn


def ours(turn: Turn) -> str:
    """The id of our run."""
    return turn.events[0]["metadata"]["agentflowRunId"]


async def test_an_answer_comes_with_its_thoughts_its_tokens_and_its_result(chat: Chat) -> None:
    turn = await chat.run("plain", "r-1", "Where is my order?")
    assert turn.events[0] | {"metadata": 0} == {
        "type": "RUN_STARTED",
        "threadId": "t-1",
        "runId": "r-1",
        "protocolVersion": "1.0",
        "metadata": 0,
    }
    assert [(message["role"], message.get("content")) for message in turn.messages] == [
        ("user", "Where is my order?"),
        ("reasoning", "Where is it?"),
        ("assistant", ANSWER),
    ]
    assert turn.messages[1]["encryptedValue"] == "sig"
    assert "MESSAGES_SNAPSHOT" not in turn.types
    last = turn.events[-1]
    assert (last["outcome"], last["result"], turn.result) == ({"type": "success"}, ANSWER, ANSWER)
    [usage] = last["usage"]
    assert usage["inputTokens"] + usage["outputTokens"] == usage["totalTokens"] > 0


async def test_a_tool_is_shown_with_its_arguments_and_result_and_the_state_follows(chat: Chat) -> None:
    turn = await chat.run("tool", "r-1", "Where is o-1?")
    _, asking, result, answer = turn.messages
    [asked] = asking["toolCalls"]
    assert (asking["content"], asked["function"]["name"]) == ("Let me see. ", "look_up")
    assert from_json(asked["function"]["arguments"]) == {"order": "o-1"}
    assert (result["role"], result["toolCallId"], result["content"]) == ("tool", asked["id"], "o-1 left on Monday")
    assert answer["content"] == ANSWER
    names = [event["stepName"] for event in turn.of("STEP_STARTED")]
    assert names == ["llm#1", "look_up#1", "llm#2"]
    assert [event["stepName"] for event in turn.of("STEP_FINISHED")] == names


async def test_a_second_turn_of_the_conversation_keeps_the_first(chat: Chat) -> None:
    first = await chat.run("tool", "r-1", "Where is o-1?")
    second = await chat.run("tool", "r-2", "And now?")
    assert second.messages[:4] == first.messages
    assert [message["role"] for message in second.messages[4:]] == ["user", "assistant", "tool", "assistant"]
    assert ours(first) != ours(second)


async def asked(chat: Chat, name: str = "asking") -> Turn:
    turn = await chat.run(name, "r-1", "Refund o-1, please.")
    assert turn.events[-1]["outcome"]["type"] == "interrupt"
    return turn


def answers(turn: Turn, **payload: Any) -> list[dict[str, Any]]:
    return [{"interruptId": one["id"], "status": "resolved", "payload": payload} for one in turn.interrupts]


async def test_a_question_ends_the_run_with_all_that_a_person_needs_to_decide(chat: Chat) -> None:
    turn = await asked(chat)
    [one] = turn.interrupts
    [tool] = turn.messages[-1]["toolCalls"]
    assert (one["reason"], one["message"], one["toolCallId"]) == ("tool_call", "Run refund?", tool["id"])
    assert set(one["responseSchema"]["properties"]) == {"approved", "reason", "editedArgs"}
    assert one["metadata"]["agentflow"]["input"] == {"order": "o-1", "cents": 500}
    assert one["expiresAt"].endswith("Z")


@pytest.mark.parametrize(
    ("payload", "result"),
    [
        ({"approved": True}, "500 cents for o-1"),
        ({"approved": False, "reason": "too much"}, "too much"),
        ({"approved": True, "editedArgs": {"order": "o-1", "cents": 5}}, "5 cents for o-1"),
    ],
    ids=["approve", "deny", "edit"],
)
async def test_an_answer_goes_on_with_the_very_run_and_tells_what_the_call_returned(chat: Chat, payload: Any, result: str) -> None:
    turn = await asked(chat)
    following = await chat.run("asking", "r-2", resume=answers(turn, **payload))
    assert ours(following) == ours(turn)
    assert "TOOL_CALL_START" not in following.types
    assert following.events[-1]["outcome"] == {"type": "success"}
    assert [message["role"] for message in following.messages] == ["user", "assistant", "tool", "assistant"]
    assert result in following.messages[2]["content"]
    assert len(following.messages[1]["toolCalls"]) == 1
    assert following.interrupts == []
    used = [turn.events[-1]["usage"][0]["outputTokens"], following.events[-1]["usage"][0]["outputTokens"]]
    assert used[0] > used[1] > 0


@pytest.mark.parametrize("approved", [True, False], ids=["approve", "deny"])
async def test_what_an_agent_below_asks_is_answered_in_the_conversation_above_it(chat: Chat, approved: bool) -> None:
    turn = await chat.run("desk", "r-1", "Money back!")
    [one], [tool] = turn.interrupts, turn.messages[-1]["toolCalls"]
    assert (one["message"], one["toolCallId"]) == ("Run refund?", tool["id"])
    assert one["metadata"]["agentflow"]["input"] == {"order": "o-1", "cents": 5}
    following = await chat.run("desk", "r-2", resume=answers(turn, approved=approved))
    assert ours(following) == ours(turn)
    assert following.events[-1]["outcome"] == {"type": "success"}
    assert following.messages[-1]["content"] == "Done."
    assert following.interrupts == []


async def test_a_dismissed_question_is_a_no(chat: Chat) -> None:
    turn = await asked(chat)
    resume = [{"interruptId": one["id"], "status": "cancelled"} for one in turn.interrupts]
    following = await chat.run("asking", "r-2", resume=resume)
    assert "dismissed" in following.messages[2]["content"]


async def test_the_same_answer_again_attaches_and_another_one_is_refused(chat: Chat) -> None:
    turn = await asked(chat)
    resume = answers(turn, approved=True)
    first = await chat.run("asking", "r-2", resume=resume)
    again = await chat.run("asking", "r-2", resume=resume)
    assert (again.messages, again.types[:2], ours(again)) == (first.messages, ["RUN_STARTED", "MESSAGES_SNAPSHOT"], ours(first))
    other = await chat.begin("asking", "r-3", resume=answers(turn, approved=False)).done()
    assert [(event["type"], event["code"]) for event in other.events] == [("RUN_ERROR", "waitpoint_answered")]


async def test_every_question_must_be_answered_and_none_is_believed_that_was_not_asked(chat: Chat, site: Site) -> None:
    turn = await asked(chat, "both")
    first, second = answers(turn, approved=True)
    run = ours(turn)
    wrong: list[tuple[list[dict[str, Any]], str]] = [
        ([first], "interrupts_open"),
        ([first, second, {**second, "interruptId": "wp_made_up"}], "waitpoint_not_found"),
        ([first, {**second, "payload": {"approved": "yes"}}], "invalid_answer"),
        ([first, {**second, "payload": {}}], "invalid_answer"),
        ([], "interrupts_open"),
    ]
    for number, (resume, code) in enumerate(wrong):
        body: dict[str, Any] = {
            "threadId": "t-1",
            "runId": f"w-{number}",
            "messages": [{"id": "u", "role": "user", "content": "hi"}],
            "resume": resume,
        }
        reply = await site.client.post("/agui/both", json=body)
        assert (reply.status_code, from_json(reply.content.removeprefix(b"data: "))["code"]) == (200, code)
        assert len(await site.app.runs.waiting_for(run)) == 2
    elsewhere = {"threadId": "t-2", "runId": "w", "messages": [], "resume": [first, second]}
    assert b"waitpoint_not_found" in (await site.client.post("/agui/both", json=elsewhere)).content
    following = await chat.run("both", "r-2", resume=[first, second])
    assert [message["content"] for message in following.messages if message["role"] == "tool"] == ["1 cents for o-1", "2 cents for o-2"]


async def test_an_answer_from_elsewhere_is_shown_to_a_page_that_comes_back(chat: Chat, site: Site) -> None:
    turn = await asked(chat)
    await site.app.waitpoints.approve(turn.interrupts[0]["id"], by="maria")
    following = await chat.run("asking", "r-1", page="another", messages=turn.messages)
    assert following.events[-1]["outcome"] == {"type": "success"}
    assert [message["role"] for message in following.messages] == ["user", "assistant", "tool", "assistant"]


async def test_a_page_that_comes_back_to_an_open_question_is_asked_again(chat: Chat) -> None:
    turn = await asked(chat)
    again = await chat.run("asking", "r-1", page="another", messages=turn.messages)
    assert (again.interrupts, again.messages) == (turn.interrupts, turn.messages)


@pytest.mark.parametrize("gate", [Gate(after=5, stumbles=1)])
async def test_text_of_a_try_that_failed_is_gone_and_what_the_user_said_is_not(chat: Chat, gate: Gate) -> None:
    turn = chat.begin("slow", "r-1", "Where is my order?")
    await turn.until(lambda turn: turn.of("TEXT_MESSAGE_CONTENT"))
    gate.opened.set()
    turn = sound(await turn.done())
    assert [(message["role"], message.get("content")) for message in turn.messages] == [
        ("user", "Where is my order?"),
        ("reasoning", "hm"),
        ("assistant", ANSWER),
    ]
    [told] = [event for event in turn.of("CUSTOM") if event["name"] == "agentflow.attempt"]
    assert (told["value"]["attempt"], told["value"]["error"]["type"]) == (2, "TimeoutError")
    starts = [event["messageId"] for event in turn.of("TEXT_MESSAGE_START")]
    assert starts[0] in told["value"]["supersedes"]
    assert starts[0] != starts[1]


async def test_a_failure_is_an_error_with_its_code_and_message(chat: Chat) -> None:
    turn = await chat.begin("broken", "r-1", "Find o-1.").done()
    last = turn.events[-1]
    assert (last["type"], last["code"], last["message"]) == ("RUN_ERROR", "error", "the shelf of o-1 is empty")
    assert turn.complaints == []


async def test_a_cancelled_run_ends_as_cancelled_with_what_was_said(chat: Chat, site: Site, gate: Gate) -> None:
    turn = chat.begin("slow", "r-1", "Where is my order?")
    await gate.reached.wait()
    await turn.until(lambda turn: turn.of("TEXT_MESSAGE_CONTENT"))
    await site.client.post(f"/v1/runs/{ours(turn)}/cancel", json={"reason": "enough"})
    turn = sound(await turn.done())
    assert turn.events[-1]["outcome"] == {"type": "cancelled"}


async def test_a_slow_model_is_waited_for_and_comments_of_the_line_disturb_nobody(chat: Chat, site: Site, gate: Gate) -> None:
    turn = chat.begin("slow", "r-1", "Where is my order?")
    await turn.until(lambda turn: turn.of("TEXT_MESSAGE_CONTENT"))
    beats = 0
    body: dict[str, Any] = {"threadId": "t-1", "runId": "r-1", "messages": []}
    async with asyncio.timeout(PATIENCE), site.client.stream("POST", "/agui/slow", json=body) as reply:
        async for part in reply.aiter_raw():
            beats += part.count(b": hb\n\n")
            if beats == 3:
                break
    gate.opened.set()
    assert sound(await turn.done()).text == ANSWER


async def test_after_a_cut_at_any_event_the_same_ids_bring_the_whole_answer_and_start_nothing(chat: Chat, site: Site) -> None:
    whole = await chat.run("tool", "r-0", "Where is o-1?", page="calm")
    cuts = 0
    for cut in range(1, len(whole.events)):
        broken = await chat.begin("tool", f"r-{cut}", "Where is o-1?", page=f"page-{cut}", cutAfter=cut).done()
        again = broken
        if broken.failed is not None:
            cuts += 1
            again = await chat.run("tool", f"r-{cut}", page=f"page-{cut}")
        shown = [(message["role"], message.get("content"), len(message.get("toolCalls", ()))) for message in again.messages]
        assert shown == [(message["role"], message.get("content"), len(message.get("toolCalls", ()))) for message in whole.messages]
    assert cuts > 3
    assert len(await site.app.runs.list(task="tool", limit=100)) == len(whole.events)


async def test_a_page_that_joins_while_the_model_speaks_hears_the_rest_once(chat: Chat, gate: Gate) -> None:
    turn = chat.begin("slow", "r-1", "Where is my order?", cutAfter=8)
    await gate.reached.wait()
    assert (await turn.done()).failed is not None
    joined = chat.begin("slow", "r-1")
    await joined.until(lambda turn: turn.of("TEXT_MESSAGE_START"))
    gate.opened.set()
    joined = sound(await joined.done())
    assert (joined.text, joined.types.count("MESSAGES_SNAPSHOT")) == (ANSWER, 1)
    assert [message["content"] for message in joined.messages if message["role"] == "reasoning"] == ["hm"]
    assert 0 < len("".join(event["delta"] for event in joined.of("TEXT_MESSAGE_CONTENT"))) < len(ANSWER)


async def test_a_server_that_stops_says_so_and_the_same_ids_go_on(chat: Chat, client: Client, site: Site, gate: Gate) -> None:
    turn = chat.begin("slow", "r-1", "Where is my order?")
    await turn.until(lambda turn: turn.of("TEXT_MESSAGE_CONTENT"))
    site.drain()
    turn = await turn.done()
    assert (turn.events[-1]["type"], turn.events[-1]["code"]) == ("RUN_ERROR", "reconnect")
    gate.opened.set()
    async with site_of(site.app, api_key="secret") as other:
        joined = await Chat(other, client).run("slow", "r-1", page="other", messages=turn.messages)
    assert joined.text == ANSWER
