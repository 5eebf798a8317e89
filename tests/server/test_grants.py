"""Grants over HTTP, who may give them, and who started a run."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agent, Agentflow, Approval, ai, approve, mint_token, step, task
from agentflow.policy import Policy
from agentflow.testing import call, scripted_model, text
from tests.server.site import Site, site_of

KEY = "k" * 32


@step(name="granted-pay")
async def pay(cents: int) -> str:
    """Pay."""
    return f"paid {cents}"


@task
async def grant_a_favour(policy: dict[str, Any]) -> str:
    return str((await approve("Do it?", **policy)).approved)


@pytest.fixture
async def app(tmp_path: Path, stream_server: str, migrated_file: Path) -> AsyncIterator[Agentflow]:
    shutil.copy(migrated_file, tmp_path)
    turns = [[call("granted-pay", {"cents": 5}, id="c1")], [call("granted-pay", {"cents": 5}, id="c2")], [text("done")]]
    clerk = Agent("granted-clerk", model=scripted_model(*turns), tools=[ai.tool(pay, approval=Approval())])
    policy = Policy().deny("granted-pay", args={"cents": 13})
    async with Agentflow([grant_a_favour, clerk], directory=tmp_path, redis=stream_server, policy=policy) as opened:
        yield opened


@pytest.fixture
async def site(app: Agentflow) -> AsyncIterator[Site]:
    async with site_of(app, api_key=KEY) as opened:
        opened.client.headers["authorization"] = f"Bearer {KEY}"
        yield opened


def bearer(subject: str | None, *scopes: str) -> dict[str, str]:
    return {"authorization": f"Bearer {mint_token(KEY, scopes=scopes, subject=subject)}"}


async def test_always_in_a_decision_gives_a_grant_that_is_listed_and_taken_back(site: Site) -> None:
    run_id = await site.start("granted-clerk", prompt="pay twice")
    path = f"/v1/waitpoints/{(await site.waiting(run_id))['id']}"
    denied = await site.client.post(f"{path}/decisions", json={"approved": True, "edits": {"cents": 13}})
    assert (denied.status_code, denied.json()["code"]) == (422, "edit_denied")
    never = await site.client.post(f"{path}/decisions", json={"approved": True, "always": {"expires": "31d"}})
    assert (never.status_code, never.json()["code"]) == (422, "invalid_grant")
    body = {"approved": True, "by": "maria", "always": {"scope": "run", "max_uses": 9}}
    done = (await site.client.post(f"{path}/decisions", json=body)).json()
    assert done["outcome"] == "resolved"
    await site.ended(run_id)
    assert (await site.client.get(f"/v1/runs/{run_id}")).json()["output"] == "done"
    [grant] = (await site.client.get("/v1/grants", params={"tool": "granted-pay"})).json()["grants"]
    assert (grant["id"], grant["uses"], grant["max_uses"], grant["granted_by"], grant["counts"]) == (done["grant"], 1, 9, "maria", True)
    gone = (await site.client.delete(f"/v1/grants/{grant['id']}", headers={"x-agentflow-by": "boss"})).json()
    assert (gone["counts"], gone["revoked_by"]) == (False, "boss")
    assert (await site.client.get("/v1/grants")).json()["grants"] == []
    assert len((await site.client.get("/v1/grants", params={"every": True})).json()["grants"]) == 1
    assert (await site.client.delete("/v1/grants/grant_0")).json()["code"] == "grant_not_found"


async def test_a_grant_is_given_to_a_tool_or_with_a_question_and_says_what_is_wrong(site: Site) -> None:
    match = {"args": {"cents": {"max": 10}}}
    made = await site.client.post("/v1/grants", json={"tool": "granted-pay", "scope": "all", "match": match, "by": "maria"})
    assert (made.status_code, made.json()["match"], made.json()["granted_by"]) == (201, match, "maria")
    run_id = await site.start("granted-clerk", prompt="pay twice")
    await site.ended(run_id)
    wrong: list[dict[str, Any]] = [
        {},
        {"tool": "t", "from_waitpoint": "wp_1"},
        {"tool": "wp_1"},
        {"tool": "t", "match": {}},
        {"tool": "t", "scope": "world"},
    ]
    for body in wrong:
        assert (await site.client.post("/v1/grants", json=body)).status_code == 422, body
    assert (await site.client.post("/v1/grants", json={"from_waitpoint": "wp_1"})).status_code == 404


async def test_a_token_without_the_scope_gives_no_grant_whatever_it_may_answer(site: Site) -> None:
    run_id = await site.start("granted-clerk", prompt="pay twice")
    waitpoint = (await site.waiting(run_id))["id"]
    answers = bearer("maria", f"waitpoint:answer:{waitpoint}")
    path = f"/v1/waitpoints/{waitpoint}/decisions"
    body: dict[str, Any] = {"approved": True, "always": {}}
    refused = await site.client.post(path, json=body, headers=answers)
    assert (refused.status_code, refused.json()["details"]["scopes"]) == (403, ["grants:write"])
    for method, where in (("GET", "/v1/grants"), ("POST", "/v1/grants"), ("DELETE", "/v1/grants/grant_1")):
        tried = await site.client.request(method, where, headers=answers, json={} if method == "POST" else None)
        assert tried.status_code == 403, where
    assert (await site.client.get(f"/v1/waitpoints/{waitpoint}")).json()["state"] == "pending"
    both = bearer("maria", f"waitpoint:answer:{waitpoint}", "grants:write", "grants:read")
    assert (await site.client.post(path, json=body, headers=both)).json()["grant"].startswith("grant_")
    [grant] = (await site.client.get("/v1/grants", headers=both)).json()["grants"]
    assert grant["granted_by"] == "maria"


async def test_who_started_a_run_is_the_subject_of_the_token_and_may_not_decide_about_it(site: Site) -> None:
    starts = bearer("otto", "task:start:grant_a_favour")
    body: dict[str, Any] = {"task": "grant_a_favour", "payload": {"policy": {"need": 2}}}
    started = (await site.client.post("/v1/runs", json=body, headers=starts)).json()
    assert started["started_by"] == "otto"
    path = f"/v1/waitpoints/{(await site.waiting(started['id']))['id']}"
    refused = await site.client.post(f"{path}/decisions", json={"approved": True, "by": "otto"})
    assert (refused.status_code, refused.json()["details"]["reason"]) == (403, "self_approval")
    [vote] = (await site.client.get(f"{path}/votes")).json()["votes"]
    assert (vote["actor"], vote["counted"], vote["why"]) == ("otto", False, "self_approval")
    posing = await site.client.post("/v1/runs", json={**body, "options": {"started_by": "maria"}}, headers=starts)
    assert posing.status_code == 403


async def test_an_api_key_vouches_for_whom_it_names_and_names_no_run(site: Site) -> None:
    body: dict[str, Any] = {"task": "grant_a_favour", "payload": {"policy": {}}}
    said = await site.client.post("/v1/runs", json={**body, "options": {"started_by": "otto"}})
    header = await site.client.post("/v1/runs", json=body, headers={"x-agentflow-by": "zoe"})
    nobody = await site.client.post("/v1/runs", json=body)
    assert [one.json()["started_by"] for one in (said, header, nobody)] == ["otto", "zoe", None]
    refused = await site.client.post("/v1/runs", json={**body, "options": {"started_by": "run:1"}})
    assert (refused.status_code, refused.json()["code"]) == (400, "definition")
    spoken = await site.client.post(
        "/v1/threads/g-1/messages", json={"text": "pay", "agent": "granted-clerk"}, headers={"x-agentflow-by": "otto"}
    )
    assert spoken.json()["started_by"] == "otto"
