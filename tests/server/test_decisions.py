"""Decisions over HTTP: whoever decides is told what became of it, and decides as nobody else."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from agentflow import Agentflow, approve, ask, mint_token, task
from agentflow.engine.waits import ask_approval, within_run
from agentflow.records import WaitState
from tests.server.reviewer import Browser
from tests.server.site import Site, site_of

KEY = "k" * 32


class RoomForm(BaseModel):
    nights: int = Field(gt=0)
    breakfast: bool = True


@task
async def grant_wish(policy: dict[str, Any]) -> str:
    decision = await approve("Grant it?", **policy)
    return f"{decision.approved} by {decision.by}"


@task
async def book_room() -> int:
    return (await ask(RoomForm, title="How long?")).nights


@task(name="decisions.step")
async def one_of_equals() -> bool:
    run = within_run("decisions.step")
    subject: dict[str, Any] = {"kind": "tool", "title": "Pay?", "tool": "t", "call": run.run_id, "body": {}, "digest": "d-1"}
    return (await ask_approval(run, run.key("approve"), subject, "3d")).approved


@task(name="decisions.equals")
async def many_equals(many: int) -> list[bool]:
    return list(await asyncio.gather(*(one_of_equals() for _ in range(many))))


@pytest.fixture
async def app(tmp_path: Path, stream_server: str, migrated_file: Path) -> AsyncIterator[Agentflow]:
    shutil.copy(migrated_file, tmp_path)
    async with Agentflow([grant_wish, book_room, one_of_equals, many_equals], directory=tmp_path, redis=stream_server) as opened:
        yield opened


@pytest.fixture
async def site(app: Agentflow) -> AsyncIterator[Site]:
    async with site_of(app, api_key=KEY) as opened:
        opened.client.headers["authorization"] = f"Bearer {KEY}"
        yield opened


async def question(site: Site, **policy: Any) -> tuple[str, str]:
    run_id = await site.start("grant_wish", policy=policy)
    return run_id, f"/v1/waitpoints/{(await site.waiting(run_id))['id']}"


async def decide(site: Site, path: str, body: dict[str, Any], **headers: str) -> Any:
    return await site.client.post(f"{path}/decisions", json=body, headers=headers)


def bearer(path: str, subject: str, *groups: str) -> dict[str, str]:
    scope = f"waitpoint:answer:{path.rpartition('/')[2]}"
    return {"authorization": f"Bearer {mint_token(KEY, scopes=[scope], subject=subject, groups=groups)}"}


async def output(site: Site, run_id: str) -> Any:
    await site.ended(run_id)
    return (await site.client.get(f"/v1/runs/{run_id}")).json()["output"]


async def test_a_decision_says_whether_it_was_recorded_or_resolved_and_what_is_needed(site: Site) -> None:
    run_id, path = await question(site, need=2)
    first = (await decide(site, path, {"approved": True, "by": "maria"})).json()
    assert (first["outcome"], first["need"], first["have"], first["state"]) == ("recorded", 2, 1, "pending")
    second = (await decide(site, path, {"approved": True, "by": "otto"})).json()
    assert (second["outcome"], second["have"], second["state"], second["answered_by"]) == ("resolved", 2, "answered", "maria, otto")
    late = await decide(site, path, {"approved": False, "by": "zoe"})
    assert (late.status_code, late.json()["details"]["answer"]) == (409, {"approved": True})
    votes = (await site.client.get(f"{path}/votes")).json()["votes"]
    assert [(one["actor"], one["counted"], one["why"]) for one in votes] == [
        ("maria", True, None),
        ("otto", True, None),
        ("zoe", False, "waitpoint_answered"),
    ]
    assert await output(site, run_id) == "True by maria, otto"


async def test_a_token_decides_as_its_subject_with_its_groups_and_no_others(site: Site) -> None:
    run_id, path = await question(site, groups=["editors"])
    stranger = await decide(site, path, {"approved": True}, **bearer(path, "otto"))
    assert (stranger.status_code, stranger.json()["code"]) == (403, "not_eligible")
    wrong = await decide(site, path, {"approved": True}, **bearer(path, "otto", "readers"))
    assert wrong.status_code == 403
    posing = await decide(site, path, {"approved": True, "by": "maria"}, **bearer(path, "otto", "editors"))
    assert (posing.status_code, posing.json()["code"]) == (403, "forbidden")
    assert (await site.client.get(path)).json()["state"] == "pending"
    right = await decide(site, path, {"approved": True}, **bearer(path, "maria", "editors"))
    assert right.status_code == 200
    assert await output(site, run_id) == "True by maria"


async def test_who_asked_is_told_that_they_may_not_decide(site: Site) -> None:
    _, path = await question(site, requester="otto")
    refused = await decide(site, path, {"approved": True}, **bearer(path, "otto"))
    assert (refused.status_code, refused.json()["details"]["reason"]) == (403, "self_approval")


async def test_a_key_makes_a_double_click_one_decision(site: Site) -> None:
    run_id, path = await question(site, need=2)
    clicks = [await decide(site, path, {"approved": True, "by": "maria"}, **{"idempotency-key": "c-1"}) for _ in range(2)]
    assert [(one.status_code, one.json()["have"]) for one in clicks] == [(200, 1), (200, 1)]
    other = await decide(site, path, {"approved": False, "by": "maria"}, **{"idempotency-key": "c-1"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert len((await site.client.get(f"{path}/votes")).json()["votes"]) == 1
    await site.client.post(f"/v1/runs/{run_id}/cancel")
    await site.ended(run_id)
    gone = await decide(site, path, {"approved": True, "by": "otto"})
    assert gone.status_code == 410


async def test_a_form_with_a_wrong_value_first_is_a_422_that_names_the_field(site: Site) -> None:
    run_id = await site.start("book_room")
    waiting = await site.waiting(run_id)
    path = f"/v1/waitpoints/{waiting['id']}"
    assert (waiting["kind"], waiting["schema"]["required"]) == ("input", ["nights"])
    wrong = await decide(site, path, {"value": {"nights": 0, "brekfast": True}})
    assert wrong.status_code == 422
    assert wrong.json()["details"]["problems"][0] == {"at": "nights", "problem": "Should be more than 0"}
    assert (await decide(site, path, {"approved": True})).status_code == 422
    assert (await decide(site, path, {"value": {"nights": 2}, "by": "maria"})).json()["outcome"] == "resolved"
    assert await output(site, run_id) == 2


async def test_equal_questions_end_only_with_a_word_that_may_end_them(site: Site, app: Agentflow) -> None:
    run_id = await site.start("decisions.equals", many=5)
    async with asyncio.timeout(30):
        while len(found := await app.waitpoints.list(kind="approval")) < 5:
            await asyncio.sleep(0)
    linked, lone, own, first, second = (f"/v1/waitpoints/{one.id}" for one in found)
    path = (await site.client.post(f"{linked}/links", json={"actor": "maria"})).json()["path"]
    async with Browser(site.url) as browser:
        assert (await browser.send(await browser.open(path), choice="approve")).status_code == 200
    assert [one.state for one in [await app.waitpoints.get(one.id) for one in found]].count(WaitState.PENDING) == 4

    async def said(path: str, scope: str) -> list[str]:
        token = mint_token(KEY, scopes=[f"waitpoint:answer:{scope}"], subject="maria")
        done = await decide(site, path, {"approved": True}, authorization=f"Bearer {token}")
        assert done.status_code == 200, done.text
        return done.json()["others"]

    assert await said(lone, found[1].id) == []
    assert await said(own, f"run:{found[2].run_id}") == []
    # Both are shown in the run above them.
    assert await said(first, f"run:{run_id}") == [second.rpartition("/")[2]]
    assert await output(site, run_id) == [True] * 5


async def test_a_question_is_taken_back_or_given_to_others_with_an_api_key_only(site: Site) -> None:
    run_id, path = await question(site, users=["maria"])
    token = bearer(path, "maria")
    for verb in ("cancel", "reassign"):
        assert (await site.client.post(f"{path}/{verb}", json={}, headers=token)).status_code == 403
    assert (await site.client.post(f"{path}/reassign", json={})).status_code == 422
    moved = await site.client.post(f"{path}/reassign", json={"users": ["otto"], "by": "boss"})
    assert moved.json()["subject"]["users"] == ["otto"]
    assert (await decide(site, path, {"approved": True}, **token)).status_code == 403
    taken = await site.client.post(f"{path}/cancel", json={"reason": "no need", "by": "boss"})
    assert (taken.status_code, taken.json()["state"], taken.json()["answered_by"]) == (200, "cancelled", "boss")
    late = await decide(site, path, {"approved": True, "by": "otto"})
    assert (late.status_code, "cancelled by boss: no need" in late.json()["message"]) == (410, True)
    assert await output(site, run_id) == "False by None"
