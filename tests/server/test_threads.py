"""Conversations over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentflow import Agent, Agentflow
from agentflow.testing.models import scripted_model, text
from tests.server.site import Site, site_of


@pytest.fixture
async def chatting(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    support = Agent("support", model=scripted_model(*[[text(f"answer {turn}")] for turn in range(1, 9)]))
    async with Agentflow([support], directory=tmp_path, redis=stream_server) as app, site_of(app) as site:
        yield site


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
