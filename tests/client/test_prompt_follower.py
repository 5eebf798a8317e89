"""Code without a database follows what is live: told at once, chosen as the server chooses, and going on while the server is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from agentflow import Agentflow, Guard, prompt, task
from agentflow.client import Client
from agentflow.client.prompt_follower import PromptFollower
from agentflow.database.statements import make_statement
from agentflow.errors import PromptNotFound, ServerUnreachable, VersionRevoked
from agentflow.prompts.body import Body, Message
from agentflow.prompts.prompt import Prompt
from agentflow.serde import loads
from agentflow.testing.clock import ManualClock
from tests.server.site import Frame, site_of
from tests.servers.proxy import Proxy

MARIA: Any = {"actor": "maria"}


class Topic(BaseModel):
    topic: str


coded: Prompt[Any] = prompt("followed", vars=Topic, text="About {{topic}}.")


@task(name="client_followed")
async def followed() -> None: ...


class Place:
    """A server behind a network that can be cut."""

    def __init__(self, app: Agentflow, proxy: Proxy) -> None:
        self.app = app
        self.proxy = proxy
        self.url = f"http://127.0.0.1:{proxy.port}"

    async def save(self, text: str) -> int:
        return (await self.app.prompts.save("followed", Body((Message("user", text),)), actor="maria")).number

    async def fallbacks(self) -> list[tuple[str, Any]]:
        found = await self.app.prompts.events("followed")
        return [(one.reason, loads(one.after or "{}")) for one in found if one.type == "prompt.fallback"]


@pytest.fixture
async def place(tmp_path: Path, stream_server: str) -> AsyncIterator[Place]:
    global coded
    coded = prompt("followed", vars=Topic, text="About {{topic}}.")
    async with (
        Agentflow([followed], directory=tmp_path, redis=stream_server) as app,
        site_of(app) as site,
        Proxy.running(int(site.url.rpartition(":")[2])) as proxy,
    ):
        yield Place(app, proxy)


async def until(live: PromptFollower, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await live.changed()


async def said(live: PromptFollower, **how: Any) -> str:
    return (await live.get(coded, topic="owls", **how)).text


async def test_what_is_live_is_told_at_once_and_chosen_as_the_server_chooses(place: Place) -> None:
    prompts, two = place.app.prompts, await place.save("Two {{topic}}")
    async with Client(place.url) as client, client.prompts.follow() as live:
        filled = await live.get(coded, topic="owls")
        assert (filled.text, filled.ref) == ("About owls.", f"followed@v1#{coded.body.hash[7:13]}")
        before = live.etag
        await prompts.release("followed", to=two, **MARIA)
        await until(live, lambda: live.etag != before)
        assert await said(live) == "Two owls"
        before = live.etag
        await prompts.rollout("followed", weights={1: 0.5, two: 0.5}, sticky="key", **MARIA)
        await until(live, lambda: live.etag != before)
        for count in range(40):
            theirs, ours = await coded.get(topic="owls", sticky=str(count)), await live.get(coded, topic="owls", sticky=str(count))
            assert (ours.text, ours.number, ours.variant) == (theirs.text, theirs.number, theirs.variant)
        rolled = (await prompts.get("followed")).live
        assert rolled is not None
        assert live.version("followed", sticky="1").rollout == rolled.rollout
        before = live.etag
        owls: Any = {"variables": {"topic": ["owls"]}}
        await prompts.rollout("followed", weights={two: 1}, baseline=1, conditions=owls, ramp=[("0h", 0.5)], sticky="key", **MARIA)
        await until(live, lambda: live.etag != before)
        for topic in ("owls", "frogs"):
            pairs = [(await coded.get(topic=topic, sticky=str(at)), await live.get(coded, topic=topic, sticky=str(at))) for at in range(20)]
            assert all((ours.number, ours.variant) == (theirs.number, theirs.variant) for theirs, ours in pairs)
            assert {(ours.number, ours.variant) for _, ours in pairs} == ({(1, "v1"), (two, f"v{two}")} if topic == "owls" else {(1, None)})
        assert await place.fallbacks() == []


async def test_what_was_taken_back_or_is_bound_no_more_is_not_gone_by(place: Place) -> None:
    prompts, two = place.app.prompts, await place.save("Two {{topic}}")
    async with Client(place.url) as client, client.prompts.follow() as live:
        before = live.etag
        await prompts.release("followed", to=two, **MARIA)
        await prompts.revoke("followed", two, policy="repin:1", actor="maria")
        await until(live, lambda: live.version("followed").number == 1)
        await prompts.revoke("followed", 1, policy="fail", actor="maria")
        await until(live, lambda: live.etag != before and not _stands(live))
        with pytest.raises(VersionRevoked):
            await said(live)
        with pytest.raises(PromptNotFound):
            live.version("nowhere")
        before = live.etag
        text = "DELETE FROM prompt_bindings WHERE prompt = 'followed' RETURNING prompt"
        await place.app.database.execute(make_statement("tests/unbind", {"sqlite": text, "postgres": text})())
        await prompts.protect("followed", env="other", **MARIA)
        await until(live, lambda: live.etag != before)
        with pytest.raises(PromptNotFound):
            live.version("followed")
        assert await place.fallbacks() == []


def _stands(live: PromptFollower) -> bool:
    try:
        live.version("followed")
    except VersionRevoked:
        return False
    return True


async def test_older_code_and_releases_that_end_are_followed_as_the_database_says(place: Place) -> None:
    global coded
    prompts, old, clock = place.app.prompts, coded, ManualClock(place.app.clock.now())
    two, three = await place.save("Two {{topic}}"), await place.save("Three {{topic}}")
    await prompts.release("followed", to=two, expires="1h", **MARIA)
    async with Client(place.url) as client, client.prompts.follow(clock=clock) as live:
        assert live.version("followed").number == two
        clock.set(clock.now() + 2 * 3_600_000_000)
        assert live.version("followed").number == 1
        coded = prompt("followed", vars=Topic, text="Newer about {{topic}}.")
        await prompts.deploy("ci")
        await prompts.follow_code("followed", **MARIA)
        await until(live, lambda: live.version("followed").number == 4)
        for stands in (two, three):
            before = live.etag
            await prompts.revoke("followed", 1, policy=f"repin:{stands}", actor="maria")
            await until(live, lambda before=before: live.etag != before)
            theirs, ours = await old.get(topic="owls"), await live.get(old, topic="owls")
            assert (theirs.number, ours.number) == (stands, stands)


async def test_a_server_that_is_away_at_start_and_later_is_done_without_and_told_of_it(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, folder, two = ManualClock(place.app.clock.now()), tmp_path / "cache", await place.save("Two {{topic}}")
    place.proxy.refuse()
    async with Client(place.url) as client, client.prompts.follow(folder=folder, clock=clock) as live:
        filled = await live.get(coded, topic="owls")
        assert (filled.text, filled.hash, live.reachable) == ("About owls.", coded.body.hash, False)
        with pytest.raises(ServerUnreachable):
            live.version("followed")
        place.proxy.accept()
        await place.app.prompts.release("followed", to=two, **MARIA)
        while not live.reachable:
            await clock.advance("15s")
        assert await said(live) == "Two owls"
        place.proxy.refuse()
        place.proxy.cut()
        while live.reachable:
            await clock.advance("15s")
        await place.app.prompts.release("followed", to=await place.save("Three {{topic}}"), **MARIA)
        assert [await said(live) for _ in range(3)] == ["Two owls"] * 3
        clock.set(clock.now() + 25 * 3_600_000_000)
        assert await said(live) == "Two owls"
        assert (caplog.text.count("followed goes by"), caplog.text.count("25 hours ago")) == (2, 1)
    async with Client(place.url) as client, client.prompts.follow(folder=folder, clock=clock) as live:
        assert (live.reachable, await said(live)) == (False, "Two owls"), "a new process knows what the last one knew"
        place.proxy.accept()
        while not live.reachable or await said(live) != "Three owls":
            await clock.advance("15s")
    told = await place.fallbacks()
    assert [(after["count"], after["hash"] == coded.body.hash) for _, after in told] == [(1, True), (1, False)]
    assert all(reason.startswith("server_unreachable: ") for reason, _ in told)


class Newer(httpx.AsyncHTTPTransport):
    """A way to a server that, while it is `on`, has guards which this client does not know."""

    on = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        answer.stream = _Renamed(answer.stream, self)
        return answer


class _Renamed(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, way: Newer) -> None:
        self.inner = inner
        self.way = way

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self.inner:
            yield part.replace(b'"error_rate"', b'"angry_rate"') if self.way.on else part

    async def aclose(self) -> None:
        await self.inner.aclose()


async def test_what_this_client_does_not_understand_changes_nothing_and_it_goes_on_listening(place: Place, tmp_path: Path) -> None:
    prompts, two = place.app.prompts, await place.save("Two {{topic}}")
    clock, folder, way = ManualClock(place.app.clock.now()), tmp_path / "cache", Newer()
    async with httpx.AsyncClient(base_url=place.url, transport=way, headers={"accept-encoding": "identity"}) as http:
        async with PromptFollower(http, None, folder, clock) as live:
            assert (live.reachable, await said(live)) == (True, "About owls.")
            way.on = True
            await prompts.rollout("followed", weights={1: 1e-9, two: 1}, baseline=1, guard=Guard("error_rate"), **MARIA)
            while live.reachable:
                await clock.advance("15s")
            async with PromptFollower(http, None, folder, clock) as late:
                assert (late.reachable, await said(live), await said(late)) == (False, "About owls.", "About owls.")
            await prompts.release("followed", to=two, **MARIA)
            while not live.reachable:
                await clock.advance("15s")
            assert await said(live) == "Two owls"
            way.on = False
            await prompts.rollout("followed", weights={1: 1e-9, two: 1}, baseline=1, guard=Guard("error_rate"), **MARIA)
            await until(live, lambda: live.version("followed").rollout is not None)
        [file] = folder.iterdir()
        file.write_bytes(file.read_bytes().replace(b'"error_rate"', b'"angry_rate"'))
        place.proxy.refuse()
        place.proxy.cut()
        async with PromptFollower(http, None, folder, clock) as again:
            assert (again.etag, await said(again)) == (None, "About owls.")


async def test_a_server_that_stumbles_over_a_row_tells_what_comes_after_it(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    two = await place.save("Two {{topic}}")
    text = "UPDATE prompt_versions SET body = :body WHERE number = :number RETURNING number"
    write = make_statement("tests/odd_body", {"sqlite": text, "postgres": text})
    body = (await place.app.prompts.version("followed", two)).body
    async with Client(place.url) as client, client.prompts.follow() as live:
        await place.app.prompts.release("followed", to=two, **MARIA)
        await until(live, lambda: live.version("followed").number == two)
        before = live.etag
        await place.app.database.execute(write(number=two, body="{"))
        await place.app.prompts.protect("followed", **MARIA)
        async with asyncio.timeout(30):
            while "cannot be told" not in caplog.text:
                await client.prompts.get("followed")
        assert live.etag == before
        await place.app.database.execute(write(number=two, body=body))
        await until(live, lambda: live.etag != before)


async def test_the_stream_begins_with_all_and_goes_on_from_where_a_reader_was(place: Place) -> None:
    two = await place.save("Two {{topic}}")
    async with site_of(place.app) as site, AsyncExitStack() as stack:

        async def opened(last: str | None) -> AsyncGenerator[Frame]:
            """A reader that was let in."""
            headers = {} if last is None else {"last-event-id": last}
            asked = site.client.stream("GET", "/v1/prompt-snapshot/stream", params={"env": "prod"}, headers=headers)
            parts = (await stack.enter_async_context(asked)).aiter_raw()
            text = await anext(parts)
            return _frames(text, parts)

        begun = await opened(None)
        first = await anext(begun)
        assert first.data is not None
        whole = (await site.client.get("/v1/prompt-snapshot")).json()
        assert (first.type, first.id, first.data["env"]) == ("sync.snapshot", whole["etag"], "prod")
        assert (first.data["bindings"], first.data["versions"]) == (whole["bindings"], whole["versions"])
        resumed = await opened(first.id)
        await place.app.prompts.release("followed", to=two, **MARIA)
        etag = (await site.client.get("/v1/prompt-snapshot")).json()["etag"]
        for reader in (begun, resumed):
            second = await anext(reader)
            assert second.data is not None
            assert (second.type, second.id) == ("prompts.changed", etag)
            assert [(one["prompt"], one["version"]) for one in second.data["bindings"]] == [("followed", two)]
            assert [one["number"] for one in second.data["versions"]] == [two]
        late = await anext(await opened(first.id))
        assert (late.type, late.id) == ("sync.snapshot", etag)
        site.drain()
        assert [one.type async for one in begun] == ["sync.reconnect"]


async def _frames(text: bytes, parts: AsyncIterator[bytes]) -> AsyncGenerator[Frame]:
    while True:
        *whole, text = text.split(b"\n\n")
        for one in whole:
            if (frame := Frame.of(one)).data is not None:
                yield frame
        try:
            text += await anext(parts)
        except StopAsyncIteration:
            return
