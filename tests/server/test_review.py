"""The review page: one person, one link, any browser; whoever only looks changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from agentflow import Agentflow, approve, ask, task
from agentflow.engine.waits import ask_approval, within_run
from tests.server.reviewer import Browser
from tests.server.site import Site, site_of

KEY = "k" * 32


class Address(BaseModel):
    street: str = Field(min_length=1)
    zip: str = "1010"


class Parcel(BaseModel):
    pieces: int = Field(gt=0, description="How many boxes there are.")
    carrier: Literal["dhl", "ups"]
    insured: bool = True
    extras: list[Literal["tape", "foam"]] = []
    note: str | None = None
    to: Address


@task
async def review_wish(policy: dict[str, Any], body: Any = None) -> str:
    decision = await approve("Grant <b>it</b>?", body=body, **policy)
    return f"{decision.approved} by {decision.by}: {decision.reason}"


@task
async def review_parcel() -> Any:
    return (await ask(Parcel, title="How to ship?")).model_dump()


@task
async def review_call(body: dict[str, Any], can_edit: bool = True) -> Any:
    run = within_run("review_call")
    schema = {
        "type": "object",
        "properties": {"amount": {"type": "integer", "maximum": 100}, "note": {"type": "string"}},
        "required": ["amount", "note"],
        "additionalProperties": False,
    }
    subject = {
        "kind": "tool",
        "title": "Run refund?",
        "tool": "refund",
        "body": body,
        "schema": schema,
        "digest": "d-1",
        "can_edit": can_edit,
    }
    return (await ask_approval(run, run.key("approve"), subject, "3d")).edits


@pytest.fixture
async def app(tmp_path: Path, stream_server: str, migrated_file: Path) -> AsyncIterator[Agentflow]:
    shutil.copy(migrated_file, tmp_path)
    async with Agentflow([review_wish, review_parcel, review_call], directory=tmp_path, redis=stream_server) as opened:
        yield opened


@pytest.fixture
async def site(app: Agentflow) -> AsyncIterator[Site]:
    async with site_of(app, api_key=KEY) as opened:
        opened.client.headers["authorization"] = f"Bearer {KEY}"
        yield opened


async def asked(site: Site, name: str = "review_wish", **payload: Any) -> tuple[str, str]:
    run_id = await site.start(name, **({"policy": {}} if name == "review_wish" else {}) | payload)
    return run_id, (await site.waiting(run_id))["id"]


async def link(site: Site, id: str, actor: str = "maria", **options: Any) -> str:
    made = await site.client.post(f"/v1/waitpoints/{id}/links", json={"actor": actor, **options})
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store"), made.text
    return made.json()["path"]


@pytest.fixture
async def browser(site: Site) -> AsyncIterator[Browser]:
    async with Browser(site.url) as opened:
        yield opened


async def output(site: Site, run_id: str) -> Any:
    await site.ended(run_id)
    return (await site.client.get(f"/v1/runs/{run_id}")).json()["output"]


async def test_one_person_decides_with_a_link_and_sees_what_came_of_it(site: Site, browser: Browser) -> None:
    run_id, id = await asked(site, policy={"risk": "high", "need": 1, "expires": "2h"}, body={"amount": 1.5, "to": "<script>"})
    page = await browser.open(await link(site, id))
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for shown in (
        "Grant &lt;b&gt;it&lt;/b&gt;?",
        "&lt;script&gt;",
        "&quot;amount&quot;: 1.5",
        "maria",
        "high",
        "in 1 hour",
        "silence is a no",
    ):
        assert shown in page.text, shown
    assert "<script" not in page.text
    done = await browser.send(page, choice="deny", reason="not <today>")
    assert (done.status_code, "Denied by maria" in done.text, "not &lt;today&gt;" in done.text) == (200, True, True)
    again = await browser.open(str(page.url))
    assert (again.status_code, "Denied by maria" in again.text, "<form" in again.text) == (200, True, False)
    assert await output(site, run_id) == "False by maria: not <today>"


async def test_a_double_click_is_one_decision_and_another_word_after_the_end_is_a_409_that_tells_it(site: Site, browser: Browser) -> None:
    _, id = await asked(site, policy={"need": 2})
    page = await browser.open(await link(site, id))
    clicks = [await browser.send(page, choice="approve") for _ in range(2)]
    assert [(one.status_code, "1 said yes" in one.text, "More people are needed" in one.text) for one in clicks] == [(200, True, True)] * 2
    assert len((await site.client.get(f"/v1/waitpoints/{id}/votes")).json()["votes"]) == 1
    otto = await browser.open(await link(site, id, "otto"))
    assert "maria said yes" in otto.text
    assert "Approved by maria, otto" in (await browser.send(otto, choice="approve")).text
    late = await browser.send(page, choice="deny")
    assert (late.status_code, "Approved by maria, otto" in late.text) == (409, True)


async def test_a_form_tells_what_is_wrong_at_its_field_and_keeps_what_was_filled_in(site: Site, browser: Browser) -> None:
    run_id, id = await asked(site, "review_parcel")
    page = await browser.open(await link(site, id))
    assert [one in page.text for one in ("How many boxes there are.", "(optional)", "to / </span>Street")] == [True] * 3
    wrong = await browser.send(page, choice="answer", f0="none", f1="1", f4="a\r\nb", f5="")
    assert wrong.status_code == 422
    assert 'id="f0-wrong">Should be of type integer' in wrong.text
    assert 'id="f5-wrong">Should have at least 1 characters' in wrong.text
    assert 'value="none"' in wrong.text
    filled = browser.filled(wrong)
    assert (filled["f1"], filled["f2"], filled["f4"].splitlines()) == ("1", "1", ["a", "b"])
    done = await browser.send(wrong, choice="answer", f0="3", f3=["1"], f5="Ring 1")
    assert (done.status_code, "Answered by maria" in done.text) == (200, True)
    assert await output(site, run_id) == {
        "pieces": 3,
        "carrier": "ups",
        "insured": True,
        "extras": ["foam"],
        "note": "a\nb",
        "to": {"street": "Ring 1", "zip": "1010"},
    }


async def test_arguments_are_changed_where_that_is_allowed_and_what_does_not_fit_is_refused(site: Site, browser: Browser) -> None:
    run_id, id = await asked(site, "review_call", body={"amount": 50, "note": "a\r\nb"})
    page = await browser.open(await link(site, id))
    assert "Change what will run" in page.text
    over = await browser.send(page, choice="approve", f0="500")
    assert (over.status_code, "Should be at most 100" in over.text, 'value="500"' in over.text) == (422, True, True)
    await browser.send(over, choice="approve", f0="70")
    assert await output(site, run_id) == {"amount": 70, "note": "a\r\nb"}


async def test_a_form_that_nobody_changed_changes_nothing(site: Site, browser: Browser) -> None:
    run_id, id = await asked(site, "review_call", body={"amount": 50, "note": "a\r\nb\u200b"})
    await browser.send(await browser.open(await link(site, id)), choice="approve")
    assert await output(site, run_id) is None


async def test_a_link_offers_only_what_it_was_made_for(site: Site, browser: Browser) -> None:
    run_id, id = await asked(site, "review_call", body={"amount": 50, "note": "x"})
    page = await browser.open(await link(site, id, choices=["deny"]))
    assert [one in page.text for one in ('value="deny"', 'value="approve"', "Change what")] == [True, False, False]
    assert (await browser.send(page, choice="approve")).status_code == 422
    plain = await browser.open(await link(site, id, choices=["approve"]))
    await browser.send(plain, choice="approve", f0="1", f1="y")
    assert await output(site, run_id) is None


async def test_whoever_only_looks_changes_nothing_and_nobody_keeps_or_frames_the_page(site: Site, browser: Browser) -> None:
    _, id = await asked(site)
    path = await link(site, id)
    before = (await site.client.get(f"/v1/waitpoints/{id}")).json()
    for method in ("GET", "HEAD"):
        seen = await site.client.request(method, path, params={"choice": "approve", "approved": "true"}, headers={"authorization": ""})
        assert seen.status_code == 200
        head = seen.headers
        assert (head["referrer-policy"], head["cache-control"], head["x-robots-tag"]) == ("no-referrer", "no-store", "noindex, nofollow")
        assert "default-src 'none'" in head["content-security-policy"]
        assert "frame-ancestors 'none'" in head["content-security-policy"]
        assert "set-cookie" not in head
    for method in ("PUT", "DELETE", "PATCH"):
        assert (await site.client.request(method, path)).status_code == 405
    assert (await site.client.get(f"/v1/waitpoints/{id}")).json() == before


async def test_expired_revoked_and_unknown_links_have_their_pages(site: Site, browser: Browser) -> None:
    _, id = await asked(site, policy={"users": ["maria", "otto"]})
    short, first = await link(site, id, expires=0.001), await link(site, id)
    assert (await browser.open(short)).status_code == 410
    second = await link(site, id, replace=True)
    closed = await browser.open(first)
    assert (closed.status_code, "closed" in closed.text, "Grant" in closed.text) == (410, True, False)
    assert (await browser.open(second)).status_code == 200
    page = await browser.open(second)
    await site.client.post(f"/v1/waitpoints/{id}/reassign", json={"users": ["maria", "zoe"], "by": "boss"})
    assert (await browser.open(second)).status_code == 410
    assert (await browser.send(page, choice="approve")).status_code == 410
    assert (await browser.open(f"/w/{'a' * 55}")).status_code == 404
    assert (await site.client.get(f"/v1/waitpoints/{id}")).json()["state"] == "pending"


async def test_a_link_is_refused_where_it_could_never_count(site: Site) -> None:
    run_id, id = await asked(site, policy={"users": ["maria"], "requester": "otto"})
    path = f"/v1/waitpoints/{id}/links"
    bodies: list[dict[str, Any]] = [{}, {"actor": "maria", "choices": ["answer"]}, {"actor": "maria", "choices": ["edit"]}]
    assert [(await site.client.post(path, json=body)).status_code for body in bodies] == [422] * 3
    assert (await site.client.post(path, json={"actor": "maria", "expires": "1000d"})).status_code == 400
    for who, why in (("zoe", "not_eligible"), ("otto", "self_approval")):
        refused = await site.client.post(path, json={"actor": who})
        assert (refused.status_code, refused.json()["details"]["reason"]) == (403, why)
    made = await site.client.post(path, json={"actor": "maria", "expires": "80d"})
    assert made.json()["expires_at"] == (await site.client.get(f"/v1/waitpoints/{id}")).json()["due_at"]
    assert made.json()["url"] is None
    await site.client.post(f"/v1/runs/{run_id}/cancel")
    await site.ended(run_id)
    assert (await site.client.post(path, json={"actor": "maria"})).status_code == 410
