"""Runs over HTTP: started, listed, looked at, stopped."""

from __future__ import annotations

import pytest

from agentflow.storage.blobs import LIMIT
from tests.server.site import Site


async def test_a_run_is_started_and_its_result_read(site: Site) -> None:
    answer = await site.client.post("/v1/runs", json={"task": "greet", "payload": {"name": "ada", "loud": True}})
    assert answer.status_code == 201
    run = answer.json()
    assert (run["task"], run["input"], run["attempt"]) == ("greet", {"name": "ada", "loud": True}, 1)
    await site.ended(run["id"])
    done = (await site.client.get(f"/v1/runs/{run['id']}")).json()
    assert (done["status"], done["output"], done["metadata"], done["error"]) == ("completed", "ADA", {"stage": "greeting"}, None)
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]


async def test_options_of_a_start_are_kept_on_the_run(site: Site) -> None:
    options = {"delay": "1h", "ttl": 60, "tags": ["vip"], "metadata": {"for": "eve"}, "priority": 5, "concurrency_key": "acme"}
    run = (await site.client.post("/v1/runs", json={"task": "greet", "payload": {"name": "a"}, "options": options})).json()
    assert run["status"] == "scheduled"
    assert run["ready_at"] == run["created_at"] + 3_600_000
    assert run["expires_at"] == run["ready_at"] + 60_000
    assert [run[name] for name in ("tags", "metadata", "priority", "concurrency_key")] == [["vip"], {"for": "eve"}, 5, "acme"]


@pytest.mark.parametrize("where", ["header", "body"])
async def test_the_same_idempotency_key_gives_the_same_run_with_200(site: Site, where: str) -> None:
    headers = {"idempotency-key": "k1"} if where == "header" else {}
    options = {"idempotency_key": "k1"} if where == "body" else {}
    body = {"task": "greet", "payload": {"name": "ada"}, "options": options}
    first = await site.client.post("/v1/runs", json=body, headers=headers)
    second = await site.client.post("/v1/runs", json=body, headers=headers)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    other = await site.client.post("/v1/runs", json=body | {"payload": {"name": "eve"}}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert other.json()["details"]["run_id"] == first.json()["id"]


async def test_two_different_idempotency_keys_in_one_request_are_refused(site: Site) -> None:
    body = {"task": "greet", "payload": {"name": "ada"}, "options": {"idempotency_key": "one"}}
    answer = await site.client.post("/v1/runs", json=body, headers={"idempotency-key": "two"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_an_unknown_task_and_a_payload_that_does_not_fit_say_what_to_do(site: Site) -> None:
    unknown = await site.client.post("/v1/runs", json={"task": "greeet", "payload": {}})
    assert (unknown.status_code, unknown.json()["code"], unknown.json()["details"]) == (404, "unknown_task", {"task": "greeet"})
    assert "greet" in unknown.json()["hint"]
    wrong = await site.client.post("/v1/runs", json={"task": "greet", "payload": {"nam": "ada"}})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_payload")
    assert {problem["at"] for problem in wrong.json()["details"]["problems"]} == {"name", "nam"}
    late = await site.client.post("/v1/runs", json={"task": "greet", "payload": {"name": "a"}, "options": {"delay": "soon"}})
    assert (late.status_code, late.json()["code"]) == (400, "definition")


async def test_runs_are_listed_newest_first_in_pages(site: Site) -> None:
    started = [await site.start("greet", name=f"n{number}") for number in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await site.client.get("/v1/runs", params={"task": "greet", "limit": 2, **cursor})).json()
        seen += [run["id"] for run in page["runs"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == started[::-1]


async def test_runs_are_found_by_status_tag_and_parent(site: Site) -> None:
    body = {"task": "greet", "payload": {"name": "a"}, "options": {"tags": ["vip"], "delay": "1h"}}
    tagged = (await site.client.post("/v1/runs", json=body)).json()["id"]
    mother = await site.start("parent", name="b")
    await site.ended(mother)

    async def ids(**query: str) -> list[str]:
        return [run["id"] for run in (await site.client.get("/v1/runs", params=query)).json()["runs"]]

    assert await ids(tag="vip") == await ids(status="scheduled") == [tagged]
    [child] = await ids(parent=mother)
    assert (await site.client.get(f"/v1/runs/{child}")).json()["parent"] == mother
    assert (await site.client.get("/v1/runs", params={"status": "done"})).status_code == 422


async def test_a_waiting_run_shows_its_waitpoint_and_the_cursor_of_its_stream(site: Site) -> None:
    run_id = await site.start("publish", draft="text")
    waiting = await site.waiting(run_id)
    assert (waiting["kind"], waiting["state"], waiting["subject"]["title"]) == ("approval", "pending", "Publish?")
    await site.app.streams.flush()
    cursor = (await site.client.get(f"/v1/runs/{run_id}")).json()["cursor"]
    assert (await site.events(run_id, after=cursor))["events"] == []


async def test_a_run_is_cancelled_with_its_reason_and_again_without_effect(site: Site) -> None:
    run_id = await site.start("publish", draft="text")
    await site.waiting(run_id)
    answer = await site.client.post(f"/v1/runs/{run_id}/cancel", json={"reason": "changed my mind"})
    assert answer.status_code == 200
    await site.ended(run_id)
    for _ in range(2):
        run = (await site.client.post(f"/v1/runs/{run_id}/cancel")).json()
        assert (run["status"], run["error"]["message"]) == ("cancelled", "changed my mind")


async def test_only_a_paused_run_can_be_resumed(site: Site) -> None:
    run_id = await site.start("greet", name="ada")
    await site.ended(run_id)
    answer = await site.client.post(f"/v1/runs/{run_id}/resume", json={"rerun": True})
    assert (answer.status_code, answer.json()["code"]) == (409, "run")
    assert "completed, not paused" in answer.json()["message"]


async def test_a_failed_run_says_why_without_a_traceback(site: Site) -> None:
    run_id = await site.start("broken")
    await site.ended(run_id)
    error = (await site.client.get(f"/v1/runs/{run_id}")).json()["error"]
    assert (error["code"], error["type"], error["message"]) == ("error", "ValueError", "this never works")
    assert "traceback" not in error


async def test_the_journal_of_a_run_is_read_in_order(site: Site) -> None:
    run_id = await site.start("greet", name="ada", loud=True)
    await site.ended(run_id)
    [entry] = (await site.client.get(f"/v1/runs/{run_id}/journal")).json()["entries"]
    assert (entry["seq"], entry["kind"], entry["step"], entry["value"]) == (1, "result", "shout#0", "ADA")


async def test_a_large_result_is_whole_on_the_run_and_left_out_of_lists(site: Site) -> None:
    run_id = await site.start("large", size=LIMIT + 1)
    await site.ended(run_id)
    assert len((await site.client.get(f"/v1/runs/{run_id}")).json()["output"]) == LIMIT + 1
    [listed] = (await site.client.get("/v1/runs")).json()["runs"]
    assert "output" not in listed


@pytest.mark.parametrize("path", ["", "/stream", "/events", "/journal"])
async def test_an_unknown_run_is_a_404_everywhere(site: Site, path: str) -> None:
    answer = await site.client.get(f"/v1/runs/run_none{path}")
    assert (answer.status_code, answer.json()["code"], answer.json()["details"]) == (404, "run_not_found", {"run_id": "run_none"})
    for verb in ("cancel", "resume"):
        assert (await site.client.post(f"/v1/runs/run_none/{verb}")).status_code == 404
