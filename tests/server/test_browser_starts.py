"""Runs that a browser starts, and keys that come and go."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentflow import Agentflow, mint_token
from agentflow.errors import ConfigurationError
from agentflow.server import create_asgi
from agentflow.testing import ManualClock
from tests.server.bearers import KEY, OTHER, bearer, guarded, holding, refusal, sending
from tests.server.site import Site
from tests.server.tasks import TASKS


async def start(caller: Site, task: str = "greet", *, key: str | None = None, name: str = "ada", **options: Any) -> httpx.Response:
    headers = {} if key is None else {"idempotency-key": key}
    payload = {"draft": name} if task == "publish" else {"name": name}
    return await caller.client.post("/v1/runs", json={"task": task, "payload": payload, "options": options}, headers=headers)


async def test_a_token_that_may_only_start_gets_one_that_reads_the_run(app: Agentflow) -> None:
    async with guarded(app) as site, holding(site, "task:start:greet", subject="user:maria") as caller:
        answer = await start(caller)
        assert answer.status_code == 201
        run = answer.json()
        assert refusal(await caller.client.get(f"/v1/runs/{run['id']}")) == (403, "scope_missing")
        async with sending(site, run["token"]) as reader:
            assert (await reader.read(run["id"]))[-1].type == "end"
            assert refusal(await start(reader)) == (403, "scope_missing")
            other = (await start(site)).json()["id"]
            assert refusal(await reader.client.get(f"/v1/runs/{other}")) == (404, "run_not_found")
        assert refusal(await start(caller, "publish")) == (403, "scope_missing")
        assert (await start(site)).json()["token"] is None


async def test_a_token_cannot_get_itself_another_one(app: Agentflow) -> None:
    every = ("task:start:greet", "run:read:tag:vip", "waitpoint:answer:run:run_1", "thoughts", "index:read")
    async with guarded(app) as site, holding(site, *every) as caller:
        assert refusal(await caller.client.post("/v1/tokens", json={"scopes": ["thoughts"]})) == (403, "scope_missing")


async def test_a_token_is_minted_over_http_as_in_the_library(app: Agentflow) -> None:
    async with guarded(app) as site:
        body = {"scopes": ["task:start:greet"], "expires": "2m", "subject": "user:maria"}
        answer = await site.client.post("/v1/tokens", json=body)
        assert answer.status_code == 201
        assert 110_000 < answer.json()["expires_at"] - app.clock.now() // 1_000 <= 121_000
        async with sending(site, answer.json()["token"]) as caller:
            assert (await start(caller)).status_code == 201


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (422, "invalid_request")),
        ({"scopes": []}, (422, "invalid_scope")),
        ({"scopes": ["run:read:*"]}, (422, "invalid_scope")),
        ({"scopes": ["thoughts", "task:start"]}, (422, "invalid_scope")),
        ({"scopes": ["thoughts"], "expires": "25h"}, (400, "definition")),
        ({"scopes": ["thoughts"], "expires": "soon"}, (400, "definition")),
        ({"scopes": ["thoughts"], "subject": " "}, (400, "definition")),
        ({"scopes": ["thoughts"], "sub": "user:maria"}, (422, "invalid_request")),
    ],
)
async def test_a_token_that_cannot_be_minted_is_refused_with_the_reason(app: Agentflow, body: dict[str, Any], expected: Any) -> None:
    async with guarded(app) as site:
        answer = await site.client.post("/v1/tokens", json=body)
        assert refusal(answer) == expected
        assert answer.json()["hint"] or expected == (400, "definition")


async def test_an_idempotency_key_leads_to_runs_of_its_own_subject_only(app: Agentflow) -> None:
    scope = "task:start:greet"
    async with guarded(app) as site, holding(site, scope, subject="user:maria") as maria, holding(site, scope, subject="user:paul") as paul:
        first = await start(maria, key="order-1")
        again = await start(maria, key="order-1")
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["id"] == again.json()["id"]
        async with holding(site, scope, subject="user:maria") as later:
            assert (await start(later, key="order-1")).json()["id"] == first.json()["id"]
        others = [
            await start(paul, key="order-1"),
            await start(paul, key="order-1", name="bob"),
            await start(paul, key='["user:maria","order-1"]'),
            await start(site, key="order-1"),
        ]
        assert [answer.status_code for answer in others] == [201, 409, 201, 201]
        assert first.json()["id"] not in "".join(answer.text for answer in others)
        async with holding(site, scope) as nobody, holding(site, scope) as nobody_else:
            ids = [(await start(caller, key="order-1")).json()["id"] for caller in (nobody, nobody, nobody_else)]
        assert ids[0] == ids[1] != ids[2]


async def test_a_token_tags_its_runs_only_with_what_it_may_read_and_sets_no_limits(app: Agentflow) -> None:
    async with guarded(app) as site, holding(site, "task:start:greet", "run:read:thread:t-7") as caller:
        tagged = await start(caller, tags=["thread:t-7"], metadata={"stage": "asked"}, ttl="1h")
        assert (tagged.status_code, tagged.json()["tags"]) == (201, ["thread:t-7"])
        strange = await start(caller, tags=["thread:t-7", "vip"])
        assert refusal(strange) == (403, "scope_missing")
        assert strange.json()["details"]["scopes"] == ["run:read:tag:vip"]
        option: dict[str, Any]
        for option in ({"priority": 9}, {"concurrency_key": "acme"}, {"dedupe_key": "o-1"}, {"debounce": {"key": "o-1", "delay": 1}}):
            refused = await start(caller, **option)
            assert refusal(refused) == (403, "forbidden")
            assert next(iter(option)) in refused.json()["message"]


async def test_a_key_that_is_taken_away_takes_its_tokens_along(app: Agentflow) -> None:
    async with guarded(app, f"{KEY},{OTHER}") as site:
        run_id = (await start(site)).json()["id"]
        old, new = (mint_token(key, scopes=[f"run:read:{run_id}"]) for key in (KEY, OTHER))
        ticket = (await site.client.post("/v1/tickets", json={"run": run_id})).json()["ticket"]
        for credential in (KEY, OTHER, old, new):
            assert (await site.client.get(f"/v1/runs/{run_id}", headers=bearer(credential))).status_code == 200
    async with guarded(app, [OTHER]) as site:
        path = f"/v1/runs/{run_id}"
        answers = [(await site.client.get(path, headers=bearer(credential))).status_code for credential in (KEY, OTHER, old, new)]
        assert answers == [401, 200, 401, 200]
        async with sending(site, None) as caller:
            assert (await caller.client.get(f"{path}/events", params={"ticket": ticket})).status_code == 401


async def test_the_clock_of_the_app_says_when_a_token_has_expired(tmp_path: Path, stream_server: str) -> None:
    clock = ManualClock()
    async with Agentflow(TASKS, directory=tmp_path, redis=stream_server, clock=clock) as app, guarded(app) as site:
        made = (await site.client.post("/v1/tokens", json={"scopes": ["index:read"], "expires": "1h"})).json()
        assert made["expires_at"] == clock.now() // 1_000 + 3_600_000
        async with sending(site, made["token"]) as caller:
            await clock.advance("59m59s")
            assert (await caller.client.get("/v1/runs")).status_code == 200
            await clock.advance("1s")
            expired = await caller.client.get("/v1/runs")
    assert refusal(expired) == (401, "token_expired")
    assert expired.headers["www-authenticate"] == "Bearer"


async def test_no_answer_and_no_log_repeats_what_a_caller_came_in_with(app: Agentflow, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with guarded(app) as site:
        good = mint_token(KEY, scopes=["thoughts"])
        expired = mint_token(KEY, scopes=["thoughts"], clock=ManualClock(1_700_000_000_000_000))
        told = ""
        told_as = {(401, "unauthorized"), (401, "token_expired"), (403, "scope_missing"), (422, "invalid_request")}
        for credential in (good, expired, good[:-2], f"x{good}", f"{KEY}x", "eyJ.eyJ.x", "ü"):
            for path in ("/v1/runs", "/v1/runs/run_1/stream"):
                header = [(b"authorization", b"Bearer " + credential.encode())]
                for answer in (
                    await site.client.get(path, headers=header),
                    await site.client.get(f"{path}?ticket={credential}&after={'x' * 3}", headers=[(b"authorization", b"")]),
                ):
                    assert refusal(answer) in told_as, answer.text
                    told += answer.text + str(dict(answer.headers))
    for text in (good, expired):
        for part in text.split("."):
            assert part not in told
            assert part not in "".join(record.getMessage() for record in caplog.records if record.name.startswith("agentflow"))


@pytest.mark.parametrize("empty", ["", " ", ",", []])
async def test_an_api_key_that_is_empty_opens_nothing(app: Agentflow, empty: Any) -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        create_asgi(app, api_key=empty)
