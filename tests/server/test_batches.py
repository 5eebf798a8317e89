"""Several decisions at once, and the inbox of those who decide."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agentflow, approve, task
from agentflow.engine.waits import ask_approval, within_run
from tests.server.bearers import guarded, holding
from tests.server.site import PATIENCE, Site


@task
async def many_calls(calls: list[dict[str, Any]], tool: str = "pay") -> list[bool]:
    run = within_run("many_calls")
    subjects = [{"kind": "tool", "title": "Run?", "tool": tool, "agent": "a", "call": f"c{n}", **one} for n, one in enumerate(calls)]
    found = await asyncio.gather(*(ask_approval(run, run.key("call"), one, "3d") for one in subjects))
    return [one.approved for one in found]


@task
async def plain_wish(policy: dict[str, Any]) -> bool:
    return (await approve("Well?", **policy)).approved


@pytest.fixture
async def app(tmp_path: Path, stream_server: str, migrated_file: Path) -> AsyncIterator[Agentflow]:
    shutil.copy(migrated_file, tmp_path)
    async with Agentflow([many_calls, plain_wish], directory=tmp_path, redis=stream_server) as opened:
        yield opened


@pytest.fixture
async def site(app: Agentflow) -> AsyncIterator[Site]:
    async with guarded(app) as opened:
        yield opened


async def asked(site: Site, count: int, name: str = "many_calls", **payload: Any) -> tuple[str, list[str]]:
    """A run and what it waits for, in the order in which it asked."""
    run_id = await site.start(name, **payload)
    async with asyncio.timeout(PATIENCE):
        while True:
            run = (await site.client.get(f"/v1/runs/{run_id}")).json()
            if run["status"] == "waiting" and len(run["waiting"]) == count:
                found = sorted(run["waiting"], key=lambda one: one["subject"].get("call", ""))
                return run_id, [one["id"] for one in found]


async def send(site: Site, decisions: list[dict[str, Any]], **more: Any) -> Any:
    return await site.client.post("/v1/waitpoints/decisions", json={"decisions": decisions, "by": "maria", **more})


async def states(site: Site, run_id: str) -> list[str]:
    found = (await site.client.get("/v1/waitpoints", params={"run": run_id, "state": "any"})).json()["waitpoints"]
    return sorted(one["state"] for one in found)


async def test_the_calls_of_a_turn_are_decided_together_and_the_run_goes_on(site: Site) -> None:
    run_id, ids = await asked(site, 3, calls=[{}, {"risk": "medium"}, {}])
    sent = await send(site, [{"id": one, "approved": one != ids[1]} for one in ids])
    assert [one["outcome"] for one in sent.json()["results"]] == ["resolved"] * 3
    await site.ended(run_id)
    assert (await site.client.get(f"/v1/runs/{run_id}")).json()["output"] == [True, False, True]


async def test_all_or_none_of_them_or_each_by_itself(site: Site) -> None:
    run_id, ids = await asked(site, 3, calls=[{}, {"users": ["otto"]}, {"need": 2}])
    wanted = [{"id": one, "approved": True} for one in ids]
    refused = await send(site, wanted)
    assert (refused.status_code, refused.json()["code"], refused.json()["details"]["waitpoint_id"]) == (403, "not_eligible", ids[1])
    assert await states(site, run_id) == ["pending"] * 3
    assert (await site.client.get(f"/v1/waitpoints/{ids[0]}/votes")).json()["votes"] == []
    each = (await send(site, wanted, mode="each")).json()["results"]
    assert [one["outcome"] for one in each] == ["resolved", "refused", "recorded"]
    assert (each[1]["problem"]["code"], each[2]["waitpoint"]["have"]) == ("not_eligible", 1)
    assert await states(site, run_id) == ["answered", "pending", "pending"]


async def test_who_is_refused_with_all_or_none_is_kept_and_told_to_the_audit(site: Site) -> None:
    _, ids = await asked(site, 2, calls=[{}, {"users": ["otto"]}])
    body = {"decisions": [{"id": one, "approved": True} for one in ids], "by": "maria"}
    for _ in range(2):
        refused = await site.client.post("/v1/waitpoints/decisions", json=body, headers={"idempotency-key": "b2"})
        assert refused.status_code == 403
    votes = [(await site.client.get(f"/v1/waitpoints/{one}/votes")).json()["votes"] for one in ids]
    assert [[(vote["actor"], vote["counted"], vote["why"]) for vote in each] for each in votes] == [[], [("maria", False, "not_eligible")]]
    told = await site.app.audit.entries()
    assert [(one["waitpoint"], one["actor"], one["detail"]["counted"]) for one in told] == [(ids[1], "maria", False)]
    await site.client.post(f"/v1/waitpoints/{ids[1]}/reassign", json={"users": ["maria"]})
    sent = await site.client.post("/v1/waitpoints/decisions", json=body, headers={"idempotency-key": "b2"})
    assert [one["outcome"] for one in sent.json()["results"]] == ["resolved"] * 2


async def test_the_same_batch_again_is_the_same_decisions(site: Site) -> None:
    _, ids = await asked(site, 2, calls=[{"need": 2}, {"need": 2}])
    body = {"decisions": [{"id": one, "approved": True} for one in ids], "by": "maria"}
    sent = [await site.client.post("/v1/waitpoints/decisions", json=body, headers={"idempotency-key": "b1"}) for _ in range(2)]
    assert [[one["outcome"] for one in each.json()["results"]] for each in sent] == [["recorded"] * 2] * 2
    assert len((await site.client.get(f"/v1/waitpoints/{ids[0]}/votes")).json()["votes"]) == 1


async def test_what_is_of_high_risk_or_of_another_turn_is_decided_one_by_one(site: Site) -> None:
    run_id, ids = await asked(site, 2, calls=[{}, {"risk": "high"}])
    _, others = await asked(site, 1, calls=[{}])
    _, plain = await asked(site, 1, "plain_wish", policy={})
    for group in ([*ids], [ids[0], *others], [ids[0], ids[0]], [*plain]):
        for mode in ("all", "each"):
            sent = await send(site, [{"id": one, "approved": True} for one in group], mode=mode)
            assert (sent.status_code, sent.json()["code"]) == (409, "not_one_turn"), group
    assert (await send(site, [])).status_code == 422
    assert (await send(site, [{"id": "wp_none", "approved": True}])).status_code == 404
    assert await states(site, run_id) == ["pending"] * 2
    async with holding(site, f"waitpoint:answer:{ids[0]}") as caller:
        sent = await caller.client.post("/v1/waitpoints/decisions", json={"decisions": [{"id": one, "approved": True} for one in others]})
        assert sent.status_code == 404


async def test_the_inbox_is_found_by_person_risk_tool_run_and_thread(site: Site) -> None:
    _, ids = await asked(site, 3, calls=[{"risk": "low"}, {"risk": "high", "users": ["maria"]}, {"groups": ["finance"]}])
    _, [other] = await asked(site, 1, "plain_wish", policy={"users": ["otto"], "requester": "zoe"})
    body: dict[str, Any] = {"task": "plain_wish", "payload": {"policy": {}}, "options": {"thread": "t-1"}}
    threaded = (await site.client.post("/v1/runs", json=body)).json()["id"]
    last = (await site.waiting(threaded))["id"]

    async def found(headers: dict[str, str] | None = None, **query: str) -> set[str]:
        answer = await site.client.get("/v1/waitpoints", params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        return {one["id"] for one in answer.json()["waitpoints"]}

    assert await found(status="pending") == {*ids, other, last}
    assert await found(risk="high,critical") == {ids[1]}
    assert await found(tool="pay") == {*ids}
    assert await found(thread="t-1") == {last}
    assert await found(assignee="otto") == {ids[0], ids[2], other, last}
    assert await found(assignee="me", headers={"x-agentflow-by": "maria"}) == {*ids, last}
    assert await found(assignee="zoe", risk="low") == {ids[0]}
    for query in ({"assignee": "me"}, {"assignee": "otto", "state": "answered"}):
        assert (await site.client.get("/v1/waitpoints", params=query)).status_code == 400
    assert (await site.client.get("/v1/waitpoints", params={"risk": "huge"})).status_code == 422


async def test_the_inbox_comes_in_pages_and_a_page_that_is_known_is_not_sent_again(site: Site) -> None:
    _, ids = await asked(site, 5, calls=[{"body": number} for number in range(5)])
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(10):
        query = {"limit": "2"} if cursor is None else {"limit": "2", "cursor": cursor}
        page = (await site.client.get("/v1/waitpoints", params=query)).json()
        seen += [one["id"] for one in page["waitpoints"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert (sorted(seen), len(seen)) == (sorted(ids), 5)
    for path in ("/v1/waitpoints", f"/v1/waitpoints/{ids[0]}"):
        first = await site.client.get(path)
        again = await site.client.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        await site.client.post(f"/v1/waitpoints/{ids[0]}/reassign", json={"users": [path]})
        changed = await site.client.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (changed.status_code, changed.headers["etag"] != first.headers["etag"]) == (200, True)
