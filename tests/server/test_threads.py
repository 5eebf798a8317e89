"""Conversations over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentflow import Agent, Agentflow, ai
from agentflow.testing.models import call, scripted_model, text
from tests.server.bearers import guarded, holding, refusal
from tests.server.site import Site, site_of


@pytest.fixture
async def chatting(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    support = Agent("support", model=scripted_model(*[[text(f"answer {turn}")] for turn in range(1, 9)]))
    async with Agentflow([support], directory=tmp_path, redis=stream_server) as app, site_of(app) as site:
        yield site


@pytest.fixture
async def desk(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    model = scripted_model([call("ask_for_it", {}, id="c1")], [text("b")], [text("c")])
    support = Agent("support", model=model, tools=[ai.tool(ask_for_it, approval=True)])
    async with Agentflow([support], directory=tmp_path, redis=stream_server) as app, site_of(app) as site:
        yield site


async def ask_for_it() -> str:
    """Do what a person has to allow."""
    return "done"


async def say(site: Site, thread: str, said: str) -> str:
    body = {"task": "support", "payload": {"prompt": said}, "options": {"thread": thread}}
    answer = await site.client.post("/v1/runs", json=body)
    assert answer.status_code == 201, answer.text
    run_id = answer.json()["id"]
    await site.ended(run_id)
    return run_id


async def test_a_thread_shows_its_messages_and_whose_turn_it_is(chatting: Site) -> None:
    runs = [await say(chatting, "t-7", said) for said in ("hi", "more")]
    shown = (await chatting.client.get("/v1/threads/t-7")).json()
    assert (shown["id"], shown["agent"], shown["active_run"], shown["next"]) == ("t-7", "support", None, None)
    assert [(one["seq"], one["run"]) for one in shown["messages"]] == [(1, runs[0]), (2, runs[0]), (3, runs[1]), (4, runs[1])]
    assert [one["message"]["parts"][0]["content"] for one in shown["messages"]] == ["hi", "answer 1", "more", "answer 2"]
    page = (await chatting.client.get("/v1/threads/t-7", params={"after": 1, "limit": 2})).json()
    assert ([one["seq"] for one in page["messages"]], page["next"]) == ([2, 3], 3)
    tagged = (await chatting.client.get("/v1/runs", params={"tag": "thread:t-7"})).json()
    assert [run["id"] for run in tagged["runs"]] == runs[::-1]


async def test_threads_are_listed_the_latest_first_page_by_page(chatting: Site) -> None:
    for thread in ("a", "b", "c"):
        await say(chatting, thread, "hi")
    await say(chatting, "a", "again")
    page = (await chatting.client.get("/v1/threads", params={"limit": 2})).json()
    assert [(one["id"], one["turns"], one["messages"]) for one in page["threads"]] == [("a", 2, 4), ("c", 1, 2)]
    rest = (await chatting.client.get("/v1/threads", params={"limit": 2, "cursor": page["next"]})).json()
    assert ([one["id"] for one in rest["threads"]], rest["next"]) == (["b"], None)


async def test_a_thread_that_never_was_is_told_as_such_and_so_is_a_wrong_cursor(chatting: Site) -> None:
    missing = await chatting.client.get("/v1/threads/none")
    assert (missing.status_code, missing.json()["code"]) == (404, "thread_not_found")
    wrong = await chatting.client.get("/v1/threads", params={"cursor": "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_request")
    refused = await chatting.client.post("/v1/runs", json={"task": "support", "payload": {"prompt": "x"}, "options": {"thread": "a\nb"}})
    assert (refused.status_code, refused.json()["code"]) == (400, "definition")


async def words(site: Site, thread: str) -> list[str]:
    shown = (await site.client.get(f"/v1/threads/{thread}")).json()
    return [part.get("content", "call") for one in shown["messages"] for part in one["message"]["parts"]]


async def test_words_are_said_answered_anew_and_forked(chatting: Site) -> None:
    client, once = chatting.client, {"idempotency-key": "k"}
    said = [await client.post("/v1/threads/t-7/messages", json={"text": "hi"}, headers=once) for _ in range(2)]
    assert [one.status_code for one in said] == [201, 200]
    assert said[0].json()["id"] == said[1].json()["id"]
    await chatting.ended(said[0].json()["id"])
    steered = await client.post("/v1/threads/t-7/messages", json={"text": "more", "mode": "steer"})
    assert steered.status_code == 201, "nobody was at work"
    await chatting.ended(steered.json()["id"])
    again = [await client.post("/v1/threads/t-7/regenerate", json={"text": "other"}, headers={"idempotency-key": "r"}) for _ in range(2)]
    assert [one.status_code for one in again] == [201, 200]
    await chatting.ended(again[0].json()["id"])
    assert await words(chatting, "t-7") == ["hi", "answer 1", "other", "answer 2"]
    forked = await client.post("/v1/threads/t-7/fork", json={"at": 4, "id": "f"})
    assert (forked.status_code, forked.json()["forked_from"]) == (201, {"id": "t-7", "at": 4})
    assert await words(chatting, "f") == ["hi", "answer 1", "more", "answer 2"]
    refused = await client.post("/v1/threads/t-7/fork", json={"id": "f", "at": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "thread_exists")
    assert (await client.post("/v1/threads/none/regenerate")).json()["code"] == "thread_not_found"
    assert (await client.post("/v1/threads/t-7/stop")).json() == {"run": None}


async def test_the_run_at_work_is_steered_and_stopped_by_its_name(desk: Site) -> None:
    client = desk.client
    run = (await client.post("/v1/threads/t-7/messages", json={"text": "money"})).json()["id"]
    await desk.waiting(run)
    steered = await client.post("/v1/threads/t-7/messages", json={"text": "quick", "mode": "steer"})
    assert (steered.status_code, steered.json()["id"]) == (200, run)
    busy = await client.post("/v1/threads/t-7/regenerate", json={"text": "anew"})
    assert (busy.status_code, busy.json()["code"], busy.json()["details"]) == (409, "thread_busy", {"run_id": run})
    queued = (await client.post("/v1/threads/t-7/messages", json={"text": "next"})).json()["id"]
    for _ in range(2):
        assert (await client.post("/v1/threads/t-7/stop", json={"run": run, "reason": "enough"})).json()["run"]["id"] == run
    await desk.ended(run)
    ended = (await client.get(f"/v1/runs/{run}")).json()
    assert (ended["status"], ended["cancel_reason"]) == ("cancelled", "enough")
    await desk.ended(queued)
    assert (await client.post("/v1/threads/t-8/stop", json={"run": run})).status_code == 404
    assert await words(desk, "t-7") == [
        "money",
        "call",
        "The tool call was interrupted before a result was produced.",
        "quick",
        "b",
        "next",
        "c",
    ]


async def test_a_browser_token_says_what_its_scopes_allow(tmp_path: Path, stream_server: str) -> None:
    support = Agent("support", model=scripted_model([text("one")], [text("two")]))
    async with Agentflow([support], directory=tmp_path, redis=stream_server) as app, guarded(app) as site:
        reads, starts, writes = "run:read:thread:t-7", "task:start:support", "run:write:thread:t-7"
        async with holding(site, reads) as caller:
            assert refusal(await caller.client.post("/v1/threads/t-7/messages", json={"text": "hi"})) == (403, "scope_missing")
        async with holding(site, reads, starts) as caller:
            started = await caller.client.post("/v1/threads/t-7/messages", json={"text": "hi"})
            assert started.status_code == 201
            await site.ended(started.json()["id"])
            for path, body in (("messages", {"text": "x", "mode": "steer"}), ("stop", {}), ("fork", {}), ("fork", {"id": "other"})):
                assert refusal(await caller.client.post(f"/v1/threads/t-7/{path}", json=body)) == (403, "scope_missing"), path
        async with holding(site, reads, starts, writes, "run:read:thread:mine") as caller:
            steered = await caller.client.post("/v1/threads/t-7/messages", json={"text": "x", "mode": "steer"})
            assert steered.status_code == 201
            await site.ended(steered.json()["id"])
            assert (await caller.client.post("/v1/threads/t-7/fork", json={"id": "mine"})).status_code == 201
            assert (await caller.client.get("/v1/threads/mine")).json()["messages"][0]["seq"] == 1
