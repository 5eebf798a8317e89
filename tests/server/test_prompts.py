"""Prompts over HTTP: what is there, who may release it, and what two people do at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from agentflow import Agentflow, approve, prompt, system, task, user
from agentflow.prompts.body import Body, Message
from tests.server.bearers import bearer, guarded, holding, refusal
from tests.server.site import Site


class Vars(BaseModel):
    name: str


served: Any = None
"""Held here: of a prompt that nobody holds any more, nothing is registered."""


@task(name="greets_by_prompt")
async def greet() -> str:
    said = await served.get(name="Ada")
    await approve("Send it?")
    return said.ref


@pytest.fixture
async def site(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    global served
    said = [system("You help."), user("Hello {{name}}.")]
    served = prompt("mail/greeting", description="Greets.", model="openai:gpt-4o", vars=Vars, messages=said)
    async with Agentflow([greet], directory=tmp_path, redis=stream_server) as app, guarded(app) as made:
        yield made


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": "You help."}, {"role": "user", "content": text}], "model": "openai:gpt-4o", **more}


async def post(site: Site, path: str, said: Any = None, **headers: str) -> httpx.Response:
    return await site.client.post(f"/v1/prompts/mail/greeting{path}", json=said or {}, headers=headers)


async def get(site: Site, path: str = "", **query: Any) -> Any:
    answer = await site.client.get(f"/v1/prompts/mail/greeting{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def mine(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without prompts of modules that other tests have loaded."""
    return [one for one in found if "mail/greeting" in (one.get("name"), one.get("prompt"))]


async def saved(site: Site, text: str) -> dict[str, Any]:
    answer = await post(site, "/versions", {"body": body(text), "note": "kinder", "by": "maria"})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_prompt_is_listed_with_what_is_live(site: Site) -> None:
    [one] = mine((await site.client.get("/v1/prompts")).json()["prompts"])
    assert {**one, "day": None} == await get(site)
    assert one["day"] == {"calls": 0, "errors": 0, "usd": None}
    assert (one["name"], one["description"], one["versions"], one["code_ahead"]) == ("mail/greeting", "Greets.", 1, False)
    assert (one["live"]["mode"], one["live"]["version"], one["code_hash"]) == ("code", 1, served.body.hash)
    assert one["contract"]["required"] == ["name"]
    assert (
        await get(site, "/versions/1") == (await get(site, "/versions"))["versions"][0] == await get(site, f"/versions/{served.body.hash}")
    )
    assert mine((await site.client.get("/v1/prompts", params={"env": "dev"})).json()["prompts"])[0]["live"] is None


async def test_the_same_content_is_the_same_version(site: Site) -> None:
    second = await saved(site, "Hi {{name}}!")
    assert (second["number"], second["note"], second["actor"], second["source"]) == (2, "kinder", "maria", "api")
    again = await post(site, "/versions", {"body": second["body"]})
    assert (again.status_code, again.json()) == (200, second)
    said = (Message("system", "You help."), Message("user", "Hi {{name}}!"))
    assert second["hash"] == Body(said, model="openai:gpt-4o").hash
    assert (await get(site))["live"]["version"] == 1


async def test_a_new_prompt_brings_the_contract_of_its_variables(site: Site) -> None:
    path = "/v1/prompts/imported/versions"
    said = {"body": {"messages": [{"role": "user", "content": "{{topic}}"}]}}
    assert refusal(await site.client.post(path, json=said)) == (404, "prompt_not_found")
    contract = {"properties": {"topic": {"type": "string"}}, "required": ["topic"]}
    assert refusal(await site.client.post(path, json={**said, "contract": {}})) == (422, "contract_violation")
    assert (await site.client.post(path, json={**said, "contract": contract})).status_code == 201
    assert (await site.client.get("/v1/prompts/imported")).json()["contract"] == contract


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        (body("{{nmae}}"), (422, "contract_violation")),
        (body("a\n {{#if}}"), (422, "template_error")),
        (body("x", engine="af9"), (400, "prompt")),
        (body("{{> rules}}"), (400, "prompt")),
        ({"messages": [{"role": "tool", "content": "x"}]}, (422, "invalid_request")),
        (body("x", temperature=1), (422, "invalid_request")),
    ],
)
async def test_a_body_that_cannot_be_used_is_not_kept(site: Site, said: dict[str, Any], refused: tuple[int, str]) -> None:
    answer = await post(site, "/versions", {"body": said})
    assert refusal(answer) == refused
    details = answer.json()["details"]
    if refused[1] == "template_error":
        assert (details["line"], details["column"]) == (2, 2)
    if refused[1] == "contract_violation":
        assert "no variable nmae" in details["problems"][0]
    assert (await get(site))["versions"] == 1


async def test_a_release_a_rollback_and_what_they_leave_behind(site: Site) -> None:
    await saved(site, "Hi {{name}}!")
    released = await post(site, "/bindings/prod/live", {"version": "v2", "reason": "kinder", "by": "maria"})
    assert (released.status_code, released.json()["mode"], released.json()["version"]) == (200, "pinned", 2)
    assert released.headers["etag"] == f'"{released.json()["rev"]}"'
    assert (await get(site))["code_ahead"] is True
    back = (await post(site, "/bindings/prod/live/rollback", {"reason": "complaints"}, **{"X-Agentflow-By": "tom"})).json()
    assert (back["mode"], back["version"], back["rev"]) == ("code", 1, released.json()["rev"] + 1)
    told = [(one["type"], one["actor"], one["reason"]) for one in (await get(site, "/events"))["events"]]
    assert told[-2:] == [("released", "maria", "kinder"), ("rolled.back", "tom", "complaints")]
    last = (await get(site, "/events"))["events"][-1]
    assert (last["before"]["number"], last["after"]["number"], last["env"], last["label"]) == (2, 1, "prod", "live")
    assert await get(site, "/events", after=last["seq"]) == {"events": []}


async def test_a_rollout_and_back_to_the_code(site: Site) -> None:
    await saved(site, "Hi {{name}}!")
    weights = {"1": 0.9, "2": 0.1}
    rollout = (await post(site, "/bindings/prod/live", {"mode": "rollout", "weights": weights, "sticky": "key"})).json()
    assert (rollout["mode"], rollout["weights"], rollout["version"]) == ("rollout", weights, 1)
    code = (await post(site, "/bindings/prod/live", {"mode": "code"})).json()
    assert (code["mode"], code["version"], code["weights"]) == ("code", 1, {})
    expiring = (await post(site, "/bindings/prod/live", {"version": 2, "expires": "3d"})).json()
    assert expiring["expires_at"] == expiring["updated_at"] + 3 * 24 * 3600 * 1000
    for said, status in (({"mode": "rollout"}, 400), ({}, 400), ({"version": "latest"}, 400), ({"version": 9}, 404), ({"mode": "x"}, 422)):
        assert (await post(site, "/bindings/prod/live", said)).status_code == status, said


async def test_of_two_who_move_at_once_one_wins_and_the_other_is_told_how_it_is(site: Site) -> None:
    for text in ("one {{name}}", "two {{name}}"):
        await saved(site, text)
    rev = str((await get(site))["live"]["rev"])
    moves = [post(site, "/bindings/prod/live", {"version": number}, **{"If-Match": f'"{rev}"'}) for number in (2, 3)]
    answers = sorted(await asyncio.gather(*moves), key=lambda one: one.status_code)
    assert [one.status_code for one in answers] == [200, 409]
    problem = answers[1].json()
    assert problem["code"] == "version_conflict"
    assert problem["details"]["binding"]["number"] == answers[0].json()["version"]
    again = await post(site, "/bindings/prod/live/rollback", **{"If-Match": rev})
    assert refusal(again) == (409, "version_conflict")
    assert refusal(await post(site, "/bindings/prod/live", {"version": 2}, **{"If-Match": "soon"})) == (400, "bad_request")
    assert (await post(site, "/bindings/prod/live", {"version": 2}, **{"If-Match": "*"})).status_code == 200


async def test_what_is_protected_is_moved_by_those_who_may_release_there(site: Site) -> None:
    await saved(site, "Hi {{name}}!")
    assert (await post(site, "/bindings/prod/live/protect", {"by": "maria"})).json()["protected"] is True
    async with holding(site, "prompt:write", subject="user:tom") as tom, holding(site, "prompt:release:prod", subject="user:ann") as ann:
        refused = await post(tom, "/bindings/prod/live", {"version": 2})
        assert refusal(refused) == (403, "binding_protected")
        assert refusal(await post(tom, "/bindings/prod/live", {"version": 2, "by": "user:ann"})) == (403, "forbidden")
        assert (await post(tom, "/bindings/dev/live", {"version": 2})).status_code == 200
        assert refusal(await post(ann, "/bindings/dev/live", {"version": 2})) == (403, "scope_missing")
        assert refusal(await post(ann, "/versions", {"body": body("x")})) == (403, "scope_missing")
        assert refusal(await post(ann, "/bindings/prod/live/protect", {"protected": False})) == (403, "scope_missing")
        assert (await post(ann, "/bindings/prod/live", {"version": 2})).json()["version"] == 2
    assert (await get(site, "/events"))["events"][-1]["actor"] == "user:ann"
    assert (await get(site))["bindings"][1]["env"] == "prod"


async def test_a_snapshot_is_sent_again_only_when_something_has_changed(site: Site) -> None:
    first = await site.client.get("/v1/prompt-snapshot")
    etag = first.headers["etag"]
    assert (first.json()["env"], first.json()["etag"]) == ("prod", etag.strip('"'))
    assert [(one["prompt"], one["version"]) for one in mine(first.json()["bindings"])] == [("mail/greeting", 1)]
    assert mine(first.json()["versions"]) == (await get(site, "/versions"))["versions"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        same = await site.client.get("/v1/prompt-snapshot", headers={"if-none-match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    await saved(site, "Hi {{name}}!")
    assert (await site.client.get("/v1/prompt-snapshot", headers={"if-none-match": etag})).status_code == 304
    await post(site, "/bindings/prod/live", {"version": 2})
    changed = await site.client.get("/v1/prompt-snapshot", headers={"if-none-match": etag})
    assert (changed.status_code, mine(changed.json()["bindings"])[0]["version"]) == (200, 2)
    assert changed.headers["etag"] != etag


async def test_two_versions_are_compared_word_by_word(site: Site) -> None:
    await saved(site, "Hi {{name}}.")
    found = await get(site, "/diff", before="1", after="v2")
    assert (found["before"], found["after"], found["same"], found["values"]) == (1, 2, False, [])
    pieces = [("removed", "Hello"), ("added", "Hi"), ("same", " {{name}}.")]
    assert [(one["op"], one["text"]) for one in found["messages"][1]["pieces"]] == pieces
    assert (await get(site, "/diff", before="1", after="1"))["same"] is True


async def test_a_draft_is_compared_before_it_is_kept(site: Site) -> None:
    draft = {"before": 1, "body": body("Hi {{name}}.", params={"temperature": 0.2})}
    found = (await post(site, "/diff", draft)).json()
    assert (found["before"], found["after"], found["same"]) == (1, None, False)
    assert [one["kind"] for one in found["messages"]] == ["same", "changed"]
    assert found["values"] == [{"path": "params.temperature", "before": None, "after": 0.2}]
    await saved(site, "Hi {{name}}.")
    assert (await post(site, "/diff", {"before": 1, "body": body("Hi {{name}}.")})).json()["after"] == 2
    assert (await post(site, "/diff", {"before": 2, "body": body("Hi {{name}}.")})).json()["same"] is True
    assert refusal(await post(site, "/diff", {"before": 9, "body": body("Hi")})) == (404, "version_not_found")


async def test_a_draft_is_looked_at_and_filled_in_before_it_is_kept(site: Site) -> None:
    found = (await post(site, "/lint", {"body": body("TODO {{nmae}}")})).json()["findings"]
    assert [(one["code"], one["wrong"]) for one in found] == [("contract", True), ("unused_variable", False), ("todo", False)]
    said = {"body": body("Hi {{name}}!"), "variables": {"name": "{{secret}}"}}
    rendered = (await post(site, "/render", said)).json()
    assert rendered["messages"][1] == {"role": "user", "content": "Hi {{secret}}!"}
    assert rendered["version"] is None
    live = (await post(site, "/render", {"variables": {"name": "Ada"}})).json()
    assert (live["version"], live["messages"][1]["content"], live["model"]) == (1, "Hello Ada.", "openai:gpt-4o")
    assert refusal(await post(site, "/render", {"version": 1})) == (422, "template_error")
    assert refusal(await post(site, "/render", {"env": "nowhere"})) == (400, "bad_request")
    assert (await get(site))["versions"] == 1


async def test_whoever_only_reads_prompts_fills_in_what_is_kept_and_no_body_of_their_own(site: Site) -> None:
    async with holding(site, "prompt:read", subject="user:eve") as eve, holding(site, "prompt:write", subject="user:tom") as tom:
        said = {"body": body("Hi {{name}}!"), "variables": {"name": "Ada"}}
        assert refusal(await post(eve, "/render", said)) == (403, "scope_missing")
        assert (await post(eve, "/render", {"variables": {"name": "Ada"}})).status_code == 200
        assert (await post(tom, "/render", said)).status_code == 200
        nested = {"body": body("{{#each xs}}" * 9 + "{{/each}}" * 9), "variables": {"xs": [0] * 20}}
        assert refusal(await post(tom, "/render", nested)) == (422, "template_error")


async def test_who_holds_a_version_is_seen_before_it_is_revoked(site: Site) -> None:
    run = await site.start("greets_by_prompt")
    await site.waiting(run)
    await saved(site, "Hi {{name}}!")
    await post(site, "/bindings/prod/live", {"version": 2})
    [pin] = (await get(site, "/pins", version=1))["pins"]
    assert (pin["run"], pin["status"], pin["version"], pin["label"]) == (run, "waiting", 1, "live")
    assert await get(site, "/pins", version=2) == {"pins": []}
    revoked = (await post(site, "/versions/1/revoke", {"policy": "repin:2", "reason": "unsafe", "by": "maria"})).json()
    assert (revoked["revoke_policy"], revoked["revoked_at"] is None) == ("repin:2", False)
    assert refusal(await post(site, "/versions/2/revoke", {"policy": "shrug"})) == (400, "prompt")
    assert refusal(await post(site, "/bindings/prod/live", {"version": 1})) == (400, "prompt")
    told = (await get(site, "/events"))["events"][-1]
    assert (told["type"], told["before"], told["after"], told["reason"]) == ("version.revoked", 1, "repin:2", "unsafe")


async def test_a_run_is_moved_and_a_thread_upgraded(site: Site) -> None:
    run = await site.start("greets_by_prompt")
    await site.waiting(run)
    await saved(site, "Hi {{name}}!")
    held = (await post(site, "/repin", {"run": run, "version": "v2", "by": "maria"})).json()
    assert held["number"] == 2
    assert [(one["run"], one["version"]) for one in (await get(site, "/pins"))["pins"]] == [(run, 2)]
    assert refusal(await post(site, "/repin", {"run": "run_nobody", "version": 2})) == (404, "run_not_found")
    assert (await post(site, "/upgrade", {"thread": "t-nobody"})).json() == {"upgraded": False}
    told = (await get(site, "/events"))["events"][-1]
    assert (told["type"], told["actor"], told["before"], told["after"]) == ("run.repinned", "maria", run, 2)


async def test_what_is_not_there_is_told_as_such(site: Site) -> None:
    for path in ("", "/versions", "/events", "/pins"):
        assert refusal(await site.client.get(f"/v1/prompts/nowhere{path}")) == (404, "prompt_not_found"), path
    assert refusal(await site.client.get("/v1/prompts/mail/greeting/versions/7")) == (404, "version_not_found")
    assert refusal(await site.client.get("/v1/prompts", headers=bearer("guess"))) == (401, "unauthorized")


async def test_where_a_policy_holds_a_release_is_asked_for_and_no_scope_is_enough(site: Site) -> None:
    await post(site, "/versions", {"body": body("Hi {{name}}."), "by": "tom"})
    said = {"people": 2, "groups": ["editors"], "expires": "2d", "reason": "four eyes", "by": "ops"}
    policy = (await post(site, "/policies/prod", said)).json()
    assert (policy["people"], policy["groups"], policy["expires_ms"], policy["actor"]) == (2, ["editors"], 172_800_000, "ops")
    assert (await get(site, "/policies/prod"))["policy"] == policy
    assert (await get(site, "/policies/dev")) == {"policy": None}
    unnamed = await post(site, "/bindings/prod/live", {"version": 2})
    assert (unnamed.status_code, "Nobody is said" in unnamed.json()["message"]) == (400, True)
    asked = await post(site, "/bindings/prod/live", {"version": 2, "reason": "warmer", "by": "maria"}, **{"if-match": "1"})
    request = asked.json()
    assert (asked.status_code, request["status"], request["target"], request["rev"]) == (202, "asked", {"mode": "pinned", "version": 2}, 1)
    async with holding(site, "prompt:release:prod", "prompt:write", subject="zoe") as zoe:
        assert (await post(zoe, "/bindings/prod/live", {"mode": "code"})).status_code == 202
        assert refusal(await post(zoe, "/policies/prod", {})) == (403, "scope_missing")
    assert (await get(site))["live"]["version"] == 1
    assert (await site.waiting(request["run"]))["id"] == request["waitpoint"]
    for who in ("ann", "tom"):
        decided = await site.client.post(f"/v1/waitpoints/{request['waitpoint']}/decisions", json={"approved": True, "by": who})
        assert decided.status_code == 200, decided.text
    await site.ended(request["run"])
    done = (await site.client.get(f"/v1/prompt-requests/{request['id']}")).json()
    assert (done["status"], done["outcome"]["people"]) == ("released", ["ann", "tom"])
    assert [one["status"] for one in (await get(site, "/requests"))["requests"]] == ["asked", "released"]
    assert (await get(site))["live"]["version"] == 2
    assert refusal(await site.client.get("/v1/prompt-requests/req_none")) == (404, "request_not_found")
