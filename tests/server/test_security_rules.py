"""The security rules of decisions: each is tried to be broken."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentflow import Agentflow, InputStream, WorkerSettings, approve, callback, context, mint_token, task
from agentflow.database import Database, open_database
from agentflow.database.port import DIALECTS, Rows, T, Transaction
from agentflow.database.statements import make_statement
from agentflow.engine.waits import ask_approval, within_run
from agentflow.storage.audit import Chain
from agentflow.storage.tries import MOST
from tests.server.site import PATIENCE, Site, site_of

KEY, OTHER = "k" * 32, "o" * 32
SWAP = make_statement(
    "swap", dict.fromkeys(DIALECTS, "UPDATE waitpoints SET subject = REPLACE(subject, :old, :new) WHERE id = :id RETURNING id")
)
EVERYTHING = make_statement("tables", {"sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'", "postgres": "SELECT '' AS name"})
ADDRESSES: dict[str, str] = {}


@task
async def guarded_wish(policy: dict[str, Any], body: Any = None, title: str = "Well?") -> str:
    decision = await approve(title, body=body, **policy)
    return f"{decision.approved} by {decision.by}"


@task
async def guarded_call() -> Any:
    run = within_run("guarded_call")
    subject = {"kind": "tool", "title": "Run pay?", "tool": "pay", "call": "c1", "body": {"amount": 5}, "digest": "digest-of-5"}
    return (await ask_approval(run, run.key("approve"), subject, "3d")).approved


@task
async def guarded_hook() -> Any:
    hook = await callback(dict[str, int])
    ADDRESSES[context().run_id] = hook.path
    return await hook.result()


orders = InputStream[str]("guarded-orders")


@task
async def guarded_orders() -> bool:
    return (await approve(f"Wire to {await orders.next()}?", risk="high")).approved


class Recording:
    """A database that keeps the names of the statements that are run in it."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.names: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def read(self, work: Transaction[T]) -> T:
        return await self._inner.read(self._recorded(work))

    async def transact(self, work: Transaction[T]) -> T:
        return await self._inner.transact(self._recorded(work))

    def _recorded(self, work: Transaction[T]) -> Transaction[T]:
        inner = iter(work)
        rows: Rows | None = None
        while True:
            try:
                query = inner.send(rows)  # type: ignore[arg-type]
            except StopIteration as stop:
                return stop.value
            self.names.append(query.statement.name)
            rows = yield query


@pytest.fixture
async def database(tmp_path: Path) -> Recording:
    return Recording(open_database(str(tmp_path / "agentflow.db")))


@pytest.fixture
async def app(database: Recording, tmp_path: Path, stream_server: str) -> AsyncIterator[Agentflow]:
    tasks: list[Any] = [guarded_wish, guarded_call, guarded_hook, guarded_orders]
    settings = WorkerSettings(public_url="https://agents.test")
    held: Any = database
    async with Agentflow(tasks, database=held, directory=tmp_path, redis=stream_server, worker=settings) as opened:
        yield opened


@pytest.fixture
async def site(app: Agentflow) -> AsyncIterator[Site]:
    async with site_of(app, api_key=[KEY, OTHER], max_body=100_000) as opened:
        opened.client.headers["authorization"] = f"Bearer {KEY}"
        yield opened


@pytest.fixture
async def stranger(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who has no key."""
    async with httpx.AsyncClient(base_url=site.url) as client:
        yield client


async def asked(site: Site, name: str = "guarded_wish", **payload: Any) -> str:
    run_id = await site.start(name, **({"policy": {}} if name == "guarded_wish" else {}) | payload)
    return (await site.waiting(run_id))["id"]


async def link(site: Site, id: str, actor: str = "maria", **options: Any) -> str:
    made = await site.client.post(f"/v1/waitpoints/{id}/links", json={"actor": actor, **options})
    assert made.status_code == 201, made.text
    return made.json()["path"]


def checks(page: httpx.Response) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text)
    assert found, page.text
    return {name: unescape(value) for name, value in found}


async def is_open(site: Site, id: str) -> bool:
    return (await site.client.get(f"/v1/waitpoints/{id}")).json()["state"] == "pending"


def odd_tokens(id: str) -> Iterator[str]:
    scopes = [f"waitpoint:answer:{id}"]
    good = mint_token(KEY, scopes=scopes, subject="maria")
    head, claims, signature = good.split(".")
    other = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"sub": "boss"}
    swapped = base64.urlsafe_b64encode(json.dumps(other).encode()).decode().rstrip("=")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    yield mint_token("x" * 32, scopes=scopes, subject="maria")
    yield f"{head}.{swapped}.{signature}"
    yield f"{none}.{claims}."
    yield f"{head}.{claims}."
    yield from ("", "null", "..", KEY[:-1], KEY.upper(), f"{KEY}, {KEY}x")


async def test_1_nothing_that_a_client_makes_up_decides(site: Site, stranger: httpx.AsyncClient) -> None:
    """Forged tokens."""
    id = await asked(site)
    for token in odd_tokens(id):
        sent = await stranger.post(
            f"/v1/waitpoints/{id}/decisions", json={"approved": True}, headers={"authorization": f"Bearer {token}".strip()}
        )
        assert sent.status_code == 401, token
    assert await is_open(site, id)


async def test_2_nobody_decides_as_another_and_who_asked_does_not_decide(site: Site, stranger: httpx.AsyncClient) -> None:
    """Wrong actors."""
    id = await asked(site, policy={"users": ["maria", "otto"], "requester": "zoe", "need": 2})
    scopes = [f"waitpoint:answer:{id}", f"waitpoint:link:{id}"]
    bearer = {"authorization": f"Bearer {mint_token(KEY, scopes=scopes, subject='maria')}"}
    path = f"/v1/waitpoints/{id}"
    assert (await stranger.post(f"{path}/links", json={"actor": "otto"}, headers=bearer)).status_code == 403
    assert (await stranger.post(f"{path}/decisions", json={"approved": True, "by": "otto"}, headers=bearer)).status_code == 403
    assert (await site.client.post(f"{path}/links", json={"actor": "zoe"})).status_code == 403
    page = await stranger.get(await link(site, id))
    sent = await stranger.post(str(page.url), data=checks(page) | {"choice": "approve", "by": "otto", "actor": "otto"})
    assert sent.status_code == 200
    again = await stranger.post(str(page.url), data=checks(await stranger.get(str(page.url))) | {"choice": "approve"})
    assert (again.status_code, await is_open(site, id)) == (200, True)
    votes = (await site.client.get(f"{path}/votes")).json()["votes"]
    assert {one["actor"] for one in votes if one["counted"]} == {"maria"}


async def test_2_who_tells_a_run_what_to_do_has_asked_for_it_and_does_not_decide(site: Site, stranger: httpx.AsyncClient) -> None:
    """Requests through another's run."""
    started = await site.client.post("/v1/runs", json={"task": "guarded_orders"}, headers={"x-agentflow-by": "maria"})
    run_id = started.json()["id"]
    scopes = [f"run:read:{run_id}", f"run:write:{run_id}", f"waitpoint:answer:run:{run_id}"]
    bob, zoe = ({"authorization": f"Bearer {mint_token(KEY, scopes=scopes, subject=name)}"} for name in ("bob", "zoe"))
    sent = await stranger.post(f"/v1/runs/{run_id}/inputs/guarded-orders", json={"data": "bob"}, headers=bob)
    assert sent.status_code == 202
    async with asyncio.timeout(PATIENCE):
        while not (asked_of := (await site.client.get("/v1/waitpoints", params={"kind": "approval"})).json()["waitpoints"]):
            await asyncio.sleep(0)
    [one] = asked_of
    assert one["subject"]["requesters"] == ["maria", "bob"]
    refused = await stranger.post(f"/v1/waitpoints/{one['id']}/decisions", json={"approved": True}, headers=bob)
    assert (refused.status_code, refused.json()["details"]["reason"]) == (403, "self_approval")
    assert (await site.client.post(f"/v1/waitpoints/{one['id']}/links", json={"actor": "user:bob"})).status_code == 403
    agreed = await stranger.post(f"/v1/waitpoints/{one['id']}/decisions", json={"approved": True}, headers=zoe)
    assert (agreed.status_code, agreed.json()["outcome"]) == (200, "resolved")


async def test_3_secrets_are_long_kept_as_hashes_and_gone_when_they_are_replaced(
    site: Site, stranger: httpx.AsyncClient, database: Recording
) -> None:
    """Stale links after a rotation, of the links and of the API key."""
    id = await asked(site, policy={"users": ["maria", "otto"]})
    stale, good = await link(site, id), await link(site, id, replace=True)
    secret = good.removeprefix("/w/")[12:]
    assert len(base64.urlsafe_b64decode(secret + "=")) == 32
    for table in await database.execute(EVERYTHING()):
        rows = await database.execute(make_statement("all", dict.fromkeys(DIALECTS, f"SELECT * FROM {table['name']}"))())
        assert not any(secret in str(tuple(row)) for row in rows), table["name"]
    assert [(await stranger.get(one)).status_code for one in (stale, good)] == [410, 200]
    token = {"authorization": f"Bearer {mint_token(KEY, scopes=[f'waitpoint:answer:{id}'], subject='maria')}"}
    async with site_of(site.app, api_key=OTHER) as rotated:
        sent = await rotated.client.post(f"/v1/waitpoints/{id}/decisions", json={"approved": True}, headers=token)
        # The key that signed it is gone, and so is the token; links have keys of their own.
        assert (sent.status_code, (await rotated.client.get(good)).status_code) == (401, 200)
    page = await stranger.get(good)
    await site.client.post(f"/v1/waitpoints/{id}/reassign", json={"users": ["otto"]})
    late = await stranger.post(good, data=checks(page) | {"choice": "approve"})
    assert (late.status_code, await is_open(site, id)) == (410, True)


async def test_4_looking_never_acts_and_a_page_of_others_cannot_send_the_form(site: Site, stranger: httpx.AsyncClient) -> None:
    """Scanners that follow links, and CSRF."""
    id = await asked(site)
    path = await link(site, id)
    page = await stranger.get(path, params={"choice": "approve"})
    good, form = checks(page), {"content-type": "application/x-www-form-urlencoded"}
    other = checks(await stranger.get(await link(site, id, "otto")))
    forged: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {}),
        ({**good, "check": ""}, {}),
        ({**good, "check": "é"}, {}),
        ({**good, "nonce": "n"}, {}),
        ({**good, "seen": "s"}, {}),
        (other, {}),
        (good, {"sec-fetch-site": "cross-site"}),
        (good, {"sec-fetch-site": "same-site"}),
    ]
    for data, headers in forged:
        sent = await stranger.post(path, data={**data, "choice": "approve"}, headers=form | headers)
        assert (sent.status_code, "did not come from this page" in sent.text) == (403, True), data
    for media in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
        assert (await stranger.post(path, content=b'{"choice":"approve"}', headers={"content-type": media})).status_code == 415
    assert await is_open(site, id)


async def test_4_no_page_sends_anybody_elsewhere(site: Site, stranger: httpx.AsyncClient) -> None:
    """Open redirects, and addresses made of what a caller says that the server is called."""
    id = await asked(site)
    evil = {"host": "evil.test", "x-forwarded-host": "evil.test", "x-forwarded-proto": "http"}
    made = await site.client.post(f"/v1/waitpoints/{id}/links", json={"actor": "maria"}, headers=evil)
    path = made.json()["path"]
    assert made.json()["url"] == f"https://agents.test{path}"
    for place in (
        f"{path}?next=https://evil.test",
        f"{path}?url=//evil.test",
        f"/{path}",
        f"{path}/",
        "/w//evil.test",
        "/w/https://evil.test",
    ):
        answer = await stranger.get(place, headers=evil)
        assert "location" not in answer.headers, place
        assert "evil.test" not in re.sub(r"There is no GET [^\"]*", "", answer.text), place


async def test_5_people_see_exactly_what_runs_and_nothing_hides_in_it(site: Site, stranger: httpx.AsyncClient) -> None:
    hidden = "pay\u202e 001\u2066\u200b\u00ad\x1b[2J\ue000\U000e0041\u3164"
    body = {hidden: hidden, "html": "<img src=x onerror=alert(1)><a href='https://evil.test'>x</a>", "n": 1.0, "t": "1", "b": True}
    id = await asked(site, body=body, title=hidden)
    page = (await stranger.get(await link(site, id))).text
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\u00ad\x1b\ue000\U000e0041\u3164]", page)
    told = r"pay\u202e 001\u2066\u200b\u00ad\u001b[2J\ue000\u{e0041}\u3164"
    assert page.count(told) >= 3
    assert [one in page for one in ("<img", "<a ", 'href="', "<script", "src=x onerror=alert(1)")] == [False] * 4 + [True]
    assert all(one in page for one in ("&quot;n&quot;: 1.0", "&quot;t&quot;: &quot;1&quot;", "&quot;b&quot;: true"))


async def test_6_what_was_seen_is_what_is_decided_once_and_in_time(site: Site, stranger: httpx.AsyncClient) -> None:
    """Argument swaps, replays."""
    id = await asked(site, "guarded_call")
    path = await link(site, id)
    seen = checks(await stranger.get(path))
    await site.app.database.execute(SWAP(id=id, old="digest-of-5", new="digest-of-9"))
    swapped = await stranger.post(path, data=seen | {"choice": "approve"})
    assert (swapped.status_code, await is_open(site, id)) == (412, True)
    over_http = await site.client.post(
        f"/v1/waitpoints/{id}/decisions", json={"approved": True, "seen_digest": "digest-of-5", "by": "otto"}
    )
    assert over_http.status_code == 412
    again = checks(swapped)
    assert (await stranger.post(path, data=again | {"choice": "deny"})).status_code == 200
    replayed = [await stranger.post(path, data=again | {"choice": one}) for one in ("deny", "approve")]
    assert [(one.status_code, "Denied by maria" in one.text) for one in replayed] == [(409, True)] * 2
    assert (await site.client.get(f"/v1/waitpoints/{id}")).json()["answer"]["approved"] is False


async def test_8_wrong_secrets_lock_and_one_person_decides_only_so_often(site: Site, stranger: httpx.AsyncClient) -> None:
    id = await asked(site, policy={"need": 2})
    path = await link(site, id)
    wrong = f"{path[:-1]}{'a' if path[-1] != 'a' else 'b'}"
    tries = [(await stranger.get(wrong)).content for _ in range(MOST)]
    locked = await stranger.get(path)
    unknown = await stranger.get(f"/w/{'a' * 55}")
    assert {*tries, locked.content, unknown.content} == {unknown.content}
    assert (locked.status_code, await is_open(site, id)) == (404, True)
    hook = await asked(site, "guarded_hook")
    address = next(one for one in ADDRESSES.values() if hook in one)
    head = address.rpartition("/")[0]
    codes = {(await stranger.post(f"{head}/{'x' * 43}", json={"a": 1})).status_code for _ in range(MOST)}
    assert (codes, (await stranger.post(address, json={"a": 1})).status_code) == ({404}, 404)
    sent = [(await site.client.post(f"/v1/waitpoints/{id}/decisions", json={"approved": True, "by": "zoe"})).status_code for _ in range(32)]
    assert (sent[:30], sent[30:]) == ([200] * 30, [429] * 2)
    other = await site.client.post(f"/v1/waitpoints/{id}/decisions", json={"approved": True, "by": "otto"})
    assert (other.status_code, other.json()["outcome"]) == (200, "resolved")
    locks = [one for one in await site.app.audit.entries() if one["type"] == "lock"]
    assert sorted(one["waitpoint"] for one in locks) == sorted([id, hook])


async def test_8_what_is_asked_for_tells_nothing_of_what_there_is(site: Site, stranger: httpx.AsyncClient, database: Recording) -> None:
    """Enumeration and timing: an unknown address and a wrong secret are answered alike, and cost the same work."""
    path = await link(site, await asked(site))
    hook = await asked(site, "guarded_hook")
    pairs = [
        ("GET", f"{path[:-3]}abc", f"/w/{'z' * 55}"),
        ("POST", f"{path[:-3]}abc", f"/w/{'z' * 55}"),
        ("POST", f"/v1/callbacks/{hook}/{'x' * 43}", f"/v1/callbacks/wp_{'0' * 32}/{'x' * 43}"),
    ]
    for method, wrong, unknown in pairs:
        found: list[tuple[Any, ...]] = []
        for place in (wrong, unknown):
            database.names.clear()
            answer = await stranger.request(method, place, json={"a": 1} if "callbacks" in place else None)
            mine = [name for name in database.names if name.split("/")[0] in ("links", "tries", "callbacks")]
            found.append((answer.status_code, answer.content, dict(answer.headers) | {"date": ""}, mine))
        assert found[0] == found[1], method
        assert found[0][0] == 404


async def test_9_what_is_too_large_or_unknown_is_refused_and_loses_nothing(site: Site, stranger: httpx.AsyncClient) -> None:
    """Oversized bodies, wrong names of fields."""
    id = await asked(site)
    path = await link(site, id)
    page = await stranger.get(path)
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert (await stranger.post(path, data=checks(page) | {"choice": "approve", "reason": "x" * 300_000})).status_code == 413
    many = "&".join(f"f{n}=1" for n in range(2_000))
    assert (await stranger.post(path, content=many, headers=form)).status_code == 400
    assert (await stranger.post(path, content=b"choice=%ff%fe", headers=form)).status_code == 400
    for body in ({"approved": True, "x": 1}, {"aproved": True}, {"approved": "yes"}, {"approved": True, "edits": "x" * 200_000}):
        sent = await site.client.post(f"/v1/waitpoints/{id}/decisions", json=body)
        assert sent.status_code in (413, 422), body
    hook = await asked(site, "guarded_hook")
    address = next(one for one in ADDRESSES.values() if hook in one)
    assert (await stranger.post(address, content=b" " * 300_000)).status_code == 413
    assert (await stranger.post(address, json={"data": {"a": 1}})).status_code == 422
    assert [await is_open(site, one) for one in (id, hook)] == [True, True]


async def test_10_all_of_it_is_in_the_audit_and_no_secret_is(site: Site, stranger: httpx.AsyncClient) -> None:
    id = await asked(site, policy={"users": ["maria"]})
    path = await link(site, id)
    await site.client.post(f"/v1/waitpoints/{id}/decisions", json={"approved": True, "by": "mallory"})
    page = await stranger.get(path)
    await stranger.post(path, data=checks(page) | {"choice": "approve", "reason": "fine"})
    exported = await site.client.get("/v1/audit")
    assert exported.headers["content-type"] == "application/jsonl"
    found = [json.loads(one) for one in exported.text.splitlines()]
    assert [(one["type"], one["actor"], one["via"], one["detail"].get("counted")) for one in found] == [
        ("link", "http", "http", None),
        ("decision", "mallory", "http", False),
        ("decision", "maria", "link", True),
    ]
    chain = Chain()
    for one in found:
        chain.add(one)
    assert chain.verdict().broken is None
    assert exported.headers["x-agentflow-audit-head"] == f"3:{found[-1]['hash']}"
    assert path.removeprefix("/w/")[12:] not in exported.text
    only = (await site.client.get("/v1/audit", params={"type": "decision", "after": 2})).text.splitlines()
    assert [json.loads(one)["seq"] for one in only] == [3]
    assert (await stranger.get("/v1/audit")).status_code == 401
    for method in ("POST", "PUT", "DELETE"):
        assert (await site.client.request(method, "/v1/audit")).status_code == 405
