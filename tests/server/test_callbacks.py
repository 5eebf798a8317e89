"""Callbacks: a machine that knows the address answers once; nobody else learns or changes anything."""

from __future__ import annotations

import base64
import hmac
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import Agentflow, WorkerSettings, callback, context, step, task
from agentflow.clock import SECOND
from agentflow.errors import WaitpointTimedOut
from agentflow.storage.statements import SQL
from tests.server.site import Site, site_of


class VideoDone(BaseModel):
    url: str
    seconds: int


HOOKS: dict[str, dict[str, str]] = {}


@step
async def submit_video(webhook: str) -> str:
    return "submitted"


@task
async def render_video(signed: bool = False, expires: str = "6h") -> str:
    hook = await callback(VideoDone, expires=expires, signed=signed)
    HOOKS.setdefault(context().run_id, {"url": hook.url, "path": hook.path, "key": hook.signing_key or ""})
    await submit_video(hook.url)
    try:
        done = await hook.result()
    except WaitpointTimedOut:
        return "nothing came"
    return f"{done.url} {done.seconds}"


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("migrated_url") if request.param == "postgres" else None


@pytest.fixture
async def app(database: str | None, tmp_path: Path, stream_server: str) -> AsyncIterator[Agentflow]:
    settings = WorkerSettings(public_url="https://example.test/", hot_limit=0)
    async with Agentflow([render_video], database=database, directory=tmp_path, redis=stream_server, worker=settings) as opened:
        yield opened


@pytest.fixture
async def site(app: Agentflow) -> AsyncIterator[Site]:
    async with site_of(app, api_key="k" * 32) as opened:
        opened.client.headers["authorization"] = f"Bearer {'k' * 32}"
        yield opened


BODY = {"url": "https://cdn/1.mp4", "seconds": 3}


async def waiting(site: Site, **payload: Any) -> tuple[str, dict[str, str]]:
    """A run that waits for its callback, and the address that it made first."""
    run_id = await site.start("render_video", **payload)
    await site.waiting(run_id)
    return run_id, HOOKS[run_id]


async def send(site: Site, path: str, body: Any = None, **options: Any) -> Any:
    """A call of a machine, which has no key of ours."""
    headers = {"authorization": "", **options.get("headers", {})}
    return await site.client.post(path, json=BODY if body is None else body, headers=headers)


async def output(site: Site, run_id: str) -> Any:
    await site.ended(run_id)
    return (await site.client.get(f"/v1/runs/{run_id}")).json()["output"]


async def test_a_machine_answers_at_the_address_and_the_run_goes_on(site: Site) -> None:
    run_id, hook = await waiting(site)
    assert hook["url"] == f"https://example.test{hook['path']}"
    sent = await send(site, hook["path"])
    assert (sent.status_code, sent.json()) == (200, {"status": "taken"})
    assert await output(site, run_id) == "https://cdn/1.mp4 3"


async def test_the_same_message_again_is_taken_and_another_is_a_409_that_tells_nothing(site: Site) -> None:
    run_id, hook = await waiting(site)
    await send(site, hook["path"], headers={"idempotency-key": "m-1"})
    await site.ended(run_id)
    again = await send(site, hook["path"])
    same_key = await send(site, hook["path"], {"url": "x", "seconds": 9}, headers={"idempotency-key": "m-1"})
    other = await send(site, hook["path"], {"url": "x", "seconds": 9})
    assert [one.status_code for one in (again, same_key, other)] == [200, 200, 409]
    assert "cdn" not in other.text


async def test_an_unknown_id_and_a_wrong_secret_are_told_alike_and_change_nothing(site: Site) -> None:
    run_id, hook = await waiting(site)
    head, _, secret = hook["path"].rpartition("/")
    wrong = await send(site, f"{head}/{secret[:-1]}{'a' if secret[-1] != 'a' else 'b'}")
    unknown = await send(site, f"/v1/callbacks/wp_{'0' * 32}/{secret}")
    assert (wrong.status_code, wrong.content) == (unknown.status_code, unknown.content)
    assert wrong.status_code == 404
    assert (await site.client.get(f"/v1/runs/{run_id}")).json()["status"] == "waiting"


async def test_a_callback_does_not_open_other_waitpoints(site: Site) -> None:
    _, hook = await waiting(site)
    secret = hook["path"].rpartition("/")[2]
    token = (await site.client.post("/v1/waitpoints", json={})).json()["id"]
    assert (await send(site, f"/v1/callbacks/{token}/{secret}")).status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_whoever_only_looks_at_the_address_does_nothing(site: Site, method: str) -> None:
    run_id, hook = await waiting(site)
    seen = await site.client.request(method, hook["path"])
    assert seen.status_code == 405
    assert (await site.client.get(f"/v1/runs/{run_id}")).json()["status"] == "waiting"


async def test_a_body_that_does_not_fit_is_a_422_with_the_place_and_the_run_still_waits(site: Site) -> None:
    run_id, hook = await waiting(site)
    bodies: list[Any] = [[], {"url": "x"}, {"url": "x", "seconds": "3"}, {"data": BODY}]
    for wrong in bodies:
        refused = await send(site, hook["path"], wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_answer"), wrong
    await send(site, hook["path"])
    assert await output(site, run_id) == "https://cdn/1.mp4 3"


async def test_bodies_that_are_no_json_or_too_large_are_refused(site: Site) -> None:
    _, hook = await waiting(site)
    codes = [
        (await post(site, hook["path"], body)).status_code
        for body in (b"", b"{", b"\xff", b"NaN", b'"\\ud800"', b"[" * 100_000, b" " * (256 * 1024 + 1))
    ]
    assert codes == [400] * 6 + [413]


async def post(site: Site, path: str, body: bytes) -> Any:
    return await site.client.post(path, content=body, headers={"authorization": ""})


async def test_a_late_message_is_a_410_that_tells_nothing(site: Site) -> None:
    run_id, hook = await waiting(site, expires="0.3s")
    assert await output(site, run_id) == "nothing came"
    late = await send(site, hook["path"])
    assert (late.status_code, late.json()["details"]) == (410, {})


async def test_only_the_hash_of_a_secret_is_kept(site: Site) -> None:
    _, hook = await waiting(site)
    secret = hook["path"].rpartition("/")[2]
    kept = await site.app.database.fetch(SQL.callbacks.of_waitpoint(waitpoint=hook["path"].split("/")[3]))
    assert [row["hash"] for row in kept] == [sha256(secret.encode()).hexdigest()]


def signed(hook: dict[str, str], body: bytes, when: int, id: str = "msg_1") -> dict[str, str]:
    key = base64.b64decode(hook["key"].removeprefix("whsec_"))
    made = base64.b64encode(hmac.new(key, f"{id}.{when}.".encode() + body, sha256).digest()).decode()
    return {"webhook-id": id, "webhook-timestamp": str(when), "webhook-signature": f"v1,{made}", "authorization": ""}


async def test_with_signatures_asked_for_the_secret_alone_opens_nothing(site: Site) -> None:
    run_id, hook = await waiting(site, signed=True)
    body, now = b'{"url": "x", "seconds": 1}', site.app.clock.now() // SECOND
    right = signed(hook, body, now)
    wrong = [
        {"authorization": ""},
        {**right, "webhook-signature": "v1,AAAA"},
        {**right, "webhook-signature": right["webhook-signature"].replace("v1,", "v2,")},
        {**right, "webhook-id": "msg_2"},
        {**right, "webhook-timestamp": str(now + 1)},
        signed(hook, b"{}", now),
        signed(hook, body, now - 301),
        signed(hook, body, now + 400),
        {**right, "webhook-timestamp": "now"},
    ]
    codes = [(await site.client.post(hook["path"], content=body, headers=headers)).status_code for headers in wrong]
    assert codes == [401] * len(wrong)
    assert (await site.client.get(f"/v1/runs/{run_id}")).json()["status"] == "waiting"
    listed = {**right, "webhook-signature": f"v1,AAAA {right['webhook-signature']}"}
    assert (await site.client.post(hook["path"], content=body, headers=listed)).status_code == 200
    assert await output(site, run_id) == "x 1"
