"""Waitpoints over HTTP: made, listed, answered once."""

from __future__ import annotations

from typing import Any

from agentflow.storage.blobs import LIMIT
from tests.server.site import Site, site_of


async def test_an_approval_is_answered_and_the_run_goes_on(site: Site) -> None:
    run_id = await site.start("publish", draft="text")
    waiting = await site.waiting(run_id)
    body = {"approved": True, "edits": {"title": "New"}, "by": "maria"}
    answer = await site.client.post(f"/v1/waitpoints/{waiting['id']}/decisions", json=body)
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["answered_by"]) == ("answered", "maria")
    await site.ended(run_id)
    output = (await site.client.get(f"/v1/runs/{run_id}")).json()["output"]
    assert output == {"approved": True, "by": "maria", "edits": {"title": "New"}}


async def test_the_second_answer_is_a_409_that_tells_the_first(site: Site) -> None:
    waiting = await site.waiting(await site.start("publish", draft="text"))
    path = f"/v1/waitpoints/{waiting['id']}/decisions"
    await site.client.post(path, json={"approved": False, "reason": "no"}, headers={"x-agentflow-by": "maria"})
    late = await site.client.post(path, json={"approved": True, "by": "otto"})
    assert (late.status_code, late.json()["code"]) == (409, "waitpoint_answered")
    assert late.json()["details"]["answer"] == {"approved": False, "reason": "no"}
    assert late.json()["details"]["by"] == "maria"


async def test_an_answer_after_the_end_of_the_run_is_a_410(site: Site) -> None:
    run_id = await site.start("publish", draft="text")
    waiting = await site.waiting(run_id)
    await site.client.post(f"/v1/runs/{run_id}/cancel")
    await site.ended(run_id)
    late = await site.client.post(f"/v1/waitpoints/{waiting['id']}/decisions", json={"approved": True})
    assert (late.status_code, late.json()["code"]) == (410, "waitpoint_timed_out")


async def test_an_answer_of_the_wrong_kind_is_a_422_and_the_run_still_waits(site: Site) -> None:
    run_id = await site.start("publish", draft="text")
    waiting = await site.waiting(run_id)
    wrong: list[dict[str, Any]] = [
        {},
        {"value": 1},
        {"approved": True, "value": 1},
        {"approved": None},
        {"approved": "perhaps"},
        {"aproved": True},
    ]
    for body in wrong:
        answer = await site.client.post(f"/v1/waitpoints/{waiting['id']}/decisions", json=body)
        assert answer.status_code == 422, body
    assert (await site.client.get(f"/v1/waitpoints/{waiting['id']}")).json()["state"] == "pending"


async def test_a_token_brings_any_value_to_the_run_that_waits_for_it(site: Site) -> None:
    made = await site.client.post("/v1/waitpoints", json={"title": "video"}, headers={"idempotency-key": "v1"})
    assert made.status_code == 201
    token = made.json()["id"]
    assert (await site.client.post("/v1/waitpoints", json={"idempotency_key": "v1"})).json()["id"] == token
    run_id = await site.start("collect", token=token)
    await site.waiting(run_id)
    path = f"/v1/waitpoints/{token}/decisions"
    assert (await site.client.post(path, json={"approved": True})).status_code == 422
    assert (await site.client.post(path, json={"value": None})).status_code == 200
    await site.ended(run_id)
    assert (await site.client.get(f"/v1/runs/{run_id}")).json()["output"] is None


async def test_waitpoints_are_found_by_kind_state_and_run(site: Site) -> None:
    run_id = await site.start("publish", draft="text")
    approval = (await site.waiting(run_id))["id"]
    token = (await site.client.post("/v1/waitpoints")).json()["id"]

    async def ids(**query: str) -> list[str]:
        return [one["id"] for one in (await site.client.get("/v1/waitpoints", params=query)).json()["waitpoints"]]

    assert set(await ids()) == {approval, token}
    assert await ids(kind="approval") == await ids(run=run_id) == [approval]
    await site.client.post(f"/v1/waitpoints/{token}/decisions", json={"value": 1})
    assert await ids(state="answered") == [token]
    assert set(await ids(state="any")) == {approval, token}
    assert (await site.client.get("/v1/waitpoints", params={"kind": "wish"})).status_code == 422


async def test_a_large_answer_is_whole(site: Site) -> None:
    token = (await site.client.post("/v1/waitpoints")).json()["id"]
    async with site_of(site.app) as wide:
        sent = await wide.client.post(f"/v1/waitpoints/{token}/decisions", json={"value": "x" * LIMIT})
    assert sent.status_code == 200
    one = (await site.client.get(f"/v1/waitpoints/{token}")).json()
    [listed] = (await site.client.get("/v1/waitpoints?state=answered")).json()["waitpoints"]
    assert one["answer"] == listed["answer"] == "x" * LIMIT


async def test_an_unknown_waitpoint_is_a_404(site: Site) -> None:
    for answer in (
        await site.client.get("/v1/waitpoints/wp_none"),
        await site.client.post("/v1/waitpoints/wp_none/decisions", json={"approved": True}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "waitpoint_not_found")
