"""What each operation lets a browser token do: the whole table, and what nobody may learn by asking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentflow import Agentflow, mint_token
from agentflow.auth.keys import ApiKeys
from agentflow.server.calls import Call, Operation, Service
from agentflow.server.index import Index
from agentflow.server.needs import OPEN
from agentflow.server.openapi import described
from agentflow.server.prompt_feed import PromptFeeds
from agentflow.server.pulse import Pace, Pulse
from agentflow.server.requests import Nothing
from agentflow.server.routes import OPERATIONS
from tests.server.bearers import KEY, bearer, guarded, holding, refusal, sending
from tests.server.site import Site, served

ALL = (*OPERATIONS, described(OPERATIONS))
READERS = {"run", "tag", "thread"}
WRITERS = {"written", "written thread"}
PROMPTS = {"prompts", "drafts", "release"}
EVERYBODY = {*READERS, *WRITERS, *PROMPTS, "task", "waitpoint", "waiting", "link", "linking", "thoughts", "index", "grants", "granting"}
ALLOWED: dict[str, set[str]] = {
    "start_run": {"task"},
    "list_runs": {"index", "tag"},
    "get_run": READERS,
    "list_run_generations": READERS,
    "cancel_run": WRITERS,
    "send_message": WRITERS,
    "resume_run": set(),
    "reschedule_run": set(),
    "move_run": set(),
    "stream_run": READERS,
    "stream_runs": READERS,
    "stream_index": {"index", "tag"},
    "list_events": READERS,
    "get_journal": set(),
    "list_waitpoints": {*READERS, "waiting"},
    "create_waitpoint": set(),
    "get_waitpoint": {*READERS, "waitpoint", "waiting"},
    "decide_waitpoint": {"waitpoint", "waiting"},
    "decide_many": {"waitpoint", "waiting"},
    "list_votes": {*READERS, "waitpoint", "waiting"},
    "make_link": {"link", "linking"},
    "withdraw_waitpoint": set(),
    "reassign_waitpoint": set(),
    "remind_people": set(),
    "list_deliveries": set(),
    "click_in_slack": EVERYBODY,
    "list_grants": {"grants"},
    "revoke_grant": {"granting"},
    "call_back": EVERYBODY,
    "export_audit": set(),
    "list_tasks": set(),
    "list_workers": set(),
    "drain_worker": set(),
    "list_queues": set(),
    "pause_queue": set(),
    "resume_queue": set(),
    "mint_token": set(),
    "issue_ticket": READERS,
    "follow_thread": {"thread"},
    "get_capabilities": EVERYBODY,
    "list_threads": {"index"},
    "get_thread": {"thread"},
    "say_in_thread": {"thread"},
    "stop_thread": {"written thread"},
    "regenerate_thread": {"thread"},
    "fork_thread": {"thread"},
    "chat": {"thread"},
    "resume_chat": READERS,
    "list_prompts": PROMPTS,
    "get_prompt": PROMPTS,
    "get_prompt_snapshot": PROMPTS,
    "follow_prompt_snapshot": PROMPTS,
    "record_fallbacks": {"drafts"},
    "export_prompts": PROMPTS,
    "import_prompts": {"drafts"},
    "list_versions": PROMPTS,
    "save_version": {"drafts"},
    "get_version": PROMPTS,
    "delete_version": set(),
    "revoke_version": set(),
    "repin_run": set(),
    "replay_run": set(),
    "upgrade_thread": set(),
    "diff_versions": PROMPTS,
    "diff_body": PROMPTS,
    "lint_prompt": PROMPTS,
    "render_prompt": PROMPTS,
    "list_prompt_events": PROMPTS,
    "list_prompt_pins": PROMPTS,
    "list_generations": PROMPTS,
    "get_generation": PROMPTS,
    "get_prompt_metrics": PROMPTS,
    "move_binding": {"drafts", "release"},
    "roll_back_binding": {"drafts", "release"},
    "protect_binding": set(),
    "list_policies": PROMPTS,
    "get_policy": PROMPTS,
    "set_policy": set(),
    "list_requests": PROMPTS,
    "get_request": PROMPTS,
    "get_health": EVERYBODY,
    "get_openapi": EVERYBODY,
}
"""Which scope alone lets a token through. An operation that is new stands here too, or the test of the table fails."""

_ABSENT = (
    "unknown_task",
    "thread_not_found",
    "callback_not_found",
    "channel_not_found",
    "grant_not_found",
    "prompt_not_found",
    "request_not_found",
    "version_not_found",
)
TOGETHER = {"run_agent": ("task", "thread"), "create_grant": ("granting", "waitpoint")}
"""Operations for which one scope alone does not do."""
INDEX = {
    "stream_index": {"tag": "vip", "live": "0"},
    "diff_versions": {"before": "1", "after": "2"},
    "follow_prompt_snapshot": {"live": "0"},
}
BODY: dict[str, Any] = {"messages": []}


@dataclass
class Stage:
    """A guarded server with a run that waits for an approval, and another run that nobody here may see."""

    site: Site
    run: str
    waitpoint: str
    hidden: str
    hidden_waitpoint: str

    @property
    def scopes(self) -> dict[str, str]:
        """One scope of each kind, for the run and its waitpoint."""
        return {
            "run": f"run:read:{self.run}",
            "tag": "run:read:tag:vip",
            "thread": "run:read:thread:t-7",
            "written": f"run:write:{self.run}",
            "written thread": "run:write:thread:t-7",
            "task": "task:start:greet",
            "waitpoint": f"waitpoint:answer:{self.waitpoint}",
            "waiting": f"waitpoint:answer:run:{self.run}",
            "link": f"waitpoint:link:{self.waitpoint}",
            "linking": f"waitpoint:link:run:{self.run}",
            "thoughts": "thoughts",
            "index": "index:read",
            "grants": "grants:read",
            "granting": "grants:write",
            "prompts": "prompt:read",
            "drafts": "prompt:write",
            "release": "prompt:release:prod",
        }

    async def ask(self, name: str, credential: str, run: str | None = None, waitpoint: str | None = None) -> httpx.Response:
        """Call an operation with what it takes."""
        run, waitpoint = run or self.run, waitpoint or self.waitpoint
        operation = next(one for one in ALL if one.name == name)
        id = waitpoint if "waitpoints" in operation.path else "t-7" if "threads" in operation.path else run
        path = operation.path.replace("{id}", id).replace("{name}", "nowhere").replace("{agent}", "greet").replace("{thread}", "t-7")
        path = path.replace("{env}", "prod").replace("{label}", "live").replace("{version}", "1")
        query = {"list_runs": {"tag": "vip"}, "list_waitpoints": {"run": run}, "stream_run": {"live": "0"}, **INDEX}.get(name, {})
        # An answer that fits no approval: refused behind the gate, so the approval stays open for the next caller.
        bodies: dict[str, Any] = {
            "start_run": {"task": "greet", "payload": {"name": "ada"}},
            "move_run": {"to": None},
            "decide_waitpoint": {"value": 1},
            "decide_many": {"decisions": [{"id": waitpoint, "approved": True}]},
            "make_link": {"choices": ["answer"]},
            "create_grant": {"from_waitpoint": waitpoint},
            "mint_token": {"scopes": ["thoughts"]},
            "issue_ticket": {"run": run},
            "stream_runs": {"runs": {run: None}, "live": False},
            "send_message": {"data": 1},
            "say_in_thread": {"text": "hello"},
            "fork_thread": {"id": "t-7"},
            "chat": {"id": "t-7", "messages": [{"role": "user", "parts": [{"type": "text", "text": "hello"}]}]},
            "save_version": {"body": BODY},
            "lint_prompt": {"body": BODY},
            "diff_body": {"before": 1, "body": BODY},
            "render_prompt": {"version": 1},
            "move_binding": {"version": 1},
            "revoke_version": {"policy": "pause"},
            "repin_run": {"run": run, "version": 1},
            "upgrade_thread": {"thread": "t-7"},
            "record_fallbacks": {"fallbacks": []},
            "run_agent": {"threadId": "t-7", "runId": "r", "messages": []},
        }
        if operation.takes is not None:
            headers = {**bearer(credential), "content-type": operation.takes}
            return await self.site.client.request(operation.method, path, content=b"", headers=headers)
        body = bodies.get(name, {}) if operation.method == "POST" else None
        return await self.site.client.request(operation.method, path, params=query, json=body, headers=bearer(credential))


@pytest.fixture
async def stage(app: Agentflow) -> AsyncIterator[Stage]:
    async with guarded(app) as site:
        runs: list[str] = []
        for tags in (["vip", "thread:t-7"], ["secret"]):
            body = {"task": "publish", "payload": {"draft": "text"}, "options": {"tags": tags}}
            runs.append((await site.client.post("/v1/runs", json=body)).json()["id"])
        first, second = [(await site.waiting(run))["id"] for run in runs]
        yield Stage(site, runs[0], first, runs[1], second)


def token(*scopes: str) -> str:
    return mint_token(KEY, scopes=scopes)


def test_every_operation_says_what_it_needs_and_has_its_line_in_the_table() -> None:
    assert sorted({**ALLOWED, **TOGETHER}) == sorted(one.name for one in ALL)
    for operation in (one for one in ALL if one.name in ALLOWED):
        told = operation.needs.told
        assert bool(told) != operation.needs.open
        assert ("browser token" in told) == (len(ALLOWED[operation.name]) > 0 and not operation.needs.open)


@pytest.mark.parametrize("kind", sorted(EVERYBODY))
async def test_a_token_may_do_what_its_scope_says_and_nothing_else(stage: Stage, kind: str) -> None:
    credential = token(stage.scopes[kind])
    for name, kinds in ALLOWED.items():
        answer = await stage.ask(name, credential)
        if kind in kinds:
            # There is no agent here, no thread, no callback, no grant and no prompt: whoever is told so was let in.
            absent = answer.status_code == 404 and answer.json()["code"] in _ABSENT
            assert absent or answer.status_code not in (401, 403, 404), (name, answer.text)
            continue
        assert refusal(answer) == (403, "scope_missing"), (name, answer.text)
        would_do = answer.json()["details"]["scopes"]
        assert bool(would_do) == bool(kinds), (name, would_do)


async def test_what_needs_several_scopes_is_refused_with_fewer(stage: Stage) -> None:
    for name, kinds in TOGETHER.items():
        for kind in kinds:
            assert refusal(await stage.ask(name, token(stage.scopes[kind]))) == (403, "scope_missing"), (name, kind)
        assert (await stage.ask(name, token(*(stage.scopes[kind] for kind in kinds)))).status_code not in (401, 403)


async def test_what_the_refusal_names_would_do(stage: Stage) -> None:
    for name in ("start_run", "list_runs", "stream_index"):
        scopes = (await stage.ask(name, token("thoughts"))).json()["details"]["scopes"]
        for scope in scopes:
            assert (await stage.ask(name, token(scope))).status_code in (200, 201), (name, scope)


async def test_an_api_key_and_a_caller_of_an_open_server_may_do_everything(stage: Stage) -> None:
    for name in ALLOWED:
        assert (await stage.ask(name, KEY)).status_code not in (401, 403), name


async def test_what_a_token_may_not_see_answers_as_what_does_not_exist(stage: Stage) -> None:
    nobody, nothing = "run_" + "0" * 32, "wp_" + "0" * 32
    credential = token(*(stage.scopes[kind] for kind in ("run", "tag", "written", "waitpoint", "waiting")))
    for name in (
        "cancel_run",
        "send_message",
        "get_run",
        "stream_run",
        "stream_runs",
        "list_events",
        "list_waitpoints",
        "issue_ticket",
        "get_waitpoint",
        "decide_waitpoint",
    ):
        there = await stage.ask(name, credential, stage.hidden, stage.hidden_waitpoint)
        not_there = await stage.ask(name, credential, nobody, nothing)
        assert there.status_code == not_there.status_code == 404, name
        told = there.text.replace(stage.hidden, nobody).replace(stage.hidden_waitpoint, nothing)
        assert told == not_there.text, name
        assert dict(there.headers) | {"date": ""} == dict(not_there.headers) | {"date": ""}
        if name not in ("list_waitpoints", "decide_waitpoint"):
            assert (await stage.ask(name, KEY, nobody, nothing)).text == not_there.text, name


async def test_who_calls_what_is_open_to_all_is_nobody_even_with_a_key(app: Agentflow) -> None:
    async def look(call: Call[Nothing, Nothing]) -> Response:
        caller = call.caller
        return JSONResponse([caller.key is None, caller.reads("run_1", ["vip"]), caller.answers("wp_1", "run_1"), caller.thoughts])

    operation = Operation(method="GET", path="/look", handler=look, needs=OPEN, summary="Look", answer=None)
    service = Service(app=app, pulse=Pulse(app, Pace()), index=Index(app), prompts=PromptFeeds(app), keys=ApiKeys.read(KEY))

    async def endpoint(request: Request) -> Response:
        return await operation.answered(service, request)

    async with served(Starlette(routes=[Route("/look", endpoint)])) as url, httpx.AsyncClient(headers=bearer(KEY)) as client:
        assert (await client.get(f"{url}/look")).json() == [True, False, False, False]


async def test_a_list_shows_a_token_its_tags_only(stage: Stage) -> None:
    async with holding(stage.site, "run:read:thread:t-7") as caller:
        mine = (await caller.client.get("/v1/runs", params={"tag": "thread:t-7"})).json()["runs"]
        assert [run["id"] for run in mine] == [stage.run]
        for query in ({}, {"tag": "secret"}, {"tag": "vip"}, {"parent": stage.run}):
            assert refusal(await caller.client.get("/v1/runs", params=query)) == (403, "scope_missing")
        assert refusal(await caller.client.get("/v1/waitpoints")) == (403, "scope_missing")
    async with holding(stage.site, "index:read") as caller:
        assert len((await caller.client.get("/v1/runs")).json()["runs"]) == 2
        assert refusal(await caller.client.get(f"/v1/runs/{stage.run}")) == (403, "scope_missing")


async def test_a_token_decides_in_the_name_of_its_subject(stage: Stage) -> None:
    path = f"/v1/waitpoints/{stage.waitpoint}/decisions"
    async with holding(stage.site, stage.scopes["waiting"], subject="user:maria") as caller:
        for body, headers in (({"approved": True, "by": "user:paul"}, {}), ({"approved": True}, {"x-agentflow-by": "user:paul"})):
            assert refusal(await caller.client.post(path, json=body, headers=headers)) == (403, "forbidden")
        decided = await caller.client.post(path, json={"approved": True, "by": "user:maria"})
        assert (decided.status_code, decided.json()["answered_by"]) == (200, "user:maria")
        assert refusal(await caller.client.post(path, json={"approved": False})) == (409, "waitpoint_answered")


async def test_a_token_without_a_subject_decides_under_its_own_id(stage: Stage) -> None:
    async with holding(stage.site, stage.scopes["waitpoint"]) as caller:
        decided = await caller.client.post(f"/v1/waitpoints/{stage.waitpoint}/decisions", json={"approved": False})
    assert decided.json()["answered_by"].startswith("token:")


async def test_a_waitpoint_of_no_run_is_answered_with_a_scope_of_its_own(stage: Stage) -> None:
    made = (await stage.site.client.post("/v1/waitpoints")).json()["id"]
    async with holding(stage.site, f"waitpoint:answer:run:{stage.run}", "run:read:tag:vip") as caller:
        assert (await caller.client.get(f"/v1/waitpoints/{made}")).status_code == 404
        assert (await caller.client.post(f"/v1/waitpoints/{made}/decisions", json={"value": 1})).status_code == 404
    async with holding(stage.site, f"waitpoint:answer:{made}") as caller:
        assert (await caller.client.post(f"/v1/waitpoints/{made}/decisions", json={"value": 1})).status_code == 200


async def test_a_server_without_a_key_asks_for_nothing(site: Site) -> None:
    assert refusal(await site.client.post("/v1/tokens", json={"scopes": ["thoughts"]})) == (409, "no_api_key")
    for credential in (None, "anything", token("thoughts")):
        async with sending(site, credential) as caller:
            assert (await caller.client.get("/v1/runs")).status_code == 200
