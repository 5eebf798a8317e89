"""Durable streams over HTTP: what the conformance suite of the protocol does not ask."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount

from agentflow import Agentflow
from agentflow.server import create_asgi
from agentflow.server.pulse import Pace
from tests.server.site import PATIENCE, Site, served, site_of
from tests.server.test_serve import line, shop
from tests.servers.proxy import Proxy
from tests.servers.valkey import ValkeyServer

TEXT = {"content-type": "text/plain"}
JSON = {"content-type": "application/json"}


def is_problem(answer: httpx.Response, status: int, code: str) -> bool:
    return (answer.status_code, answer.json()["code"]) == (status, code) and answer.headers["x-content-type-options"] == "nosniff"


async def create(client: httpx.AsyncClient, name: str, body: bytes = b"", **headers: str) -> httpx.Response:
    answer = await client.put(f"/v1/stream/{name}", content=body, headers=TEXT | headers)
    assert answer.status_code == 201, answer.text
    return answer


async def until_followed(app: Agentflow) -> None:
    async with asyncio.timeout(PATIENCE):
        while not app.streams.durable.followed:
            await asyncio.sleep(0)


async def test_an_api_key_guards_every_method(app: Agentflow) -> None:
    async with site_of(app, api_key="k") as site:
        for method in ("PUT", "POST", "GET", "HEAD", "DELETE"):
            for path in ("/v1/stream/guarded", "/v1/stream/runs/run_1"):
                answer = await site.client.request(method, path, headers=TEXT)
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"] == "Bearer"
        assert (await site.client.put("/v1/stream/guarded", headers={"authorization": "Bearer k"})).status_code == 201


async def test_a_body_has_a_limit(site: Site) -> None:
    await create(site.client, "limited")
    for method in ("PUT", "POST"):
        answer = await site.client.request(method, "/v1/stream/limited", content=b"x" * 100_001, headers=TEXT)
        assert is_problem(answer, 413, "body_too_large")


async def test_names_of_runs_and_of_the_protocol_are_nobodys(site: Site) -> None:
    for name in ("runs", "runs/a/b", "__ds", "__ds/subscriptions/s", ""):
        assert is_problem(await site.client.put(f"/v1/stream/{name}", headers=TEXT), 404, "not_found"), name
    fork = await site.client.put("/v1/stream/forked-run", headers={"stream-forked-from": "/v1/stream/runs/run_1"})
    assert is_problem(fork, 400, "bad_request")


async def test_a_path_may_have_any_character(site: Site) -> None:
    names = ["a/b/c", "%7Bname%7D", "%7D%7B", "%25", "%20", "%C3%BC/%E2%82%AC", "x" * 1_024]
    for name in names:
        made = await create(site.client, name, name.encode())
        assert made.headers["location"] == f"{site.url}/v1/stream/{name}"
    assert [(await site.client.get(f"/v1/stream/{name}")).text for name in names] == names
    assert is_problem(await site.client.put(f"/v1/stream/{'x' * 1_025}"), 400, "bad_request")


async def test_without_a_key_a_page_of_another_origin_may_not_write(site: Site) -> None:
    await create(site.client, "open")
    foreign = {"origin": "https://evil.example"}
    assert is_problem(await site.client.post("/v1/stream/open", content=b"x", headers=TEXT | foreign), 403, "forbidden")
    own = {"origin": site.url}
    assert (await site.client.post("/v1/stream/open", content=b"x", headers=TEXT | own)).status_code == 204


async def test_a_browser_may_send_and_read_the_headers_of_the_protocol(app: Agentflow) -> None:
    async with site_of(app, cors_origins=["https://shop.example"], api_key="k") as site:
        headers = {"origin": "https://shop.example", "access-control-request-headers": "producer-id, stream-closed, authorization"}
        for method in ("PUT", "POST", "GET", "HEAD", "DELETE"):
            asked = await site.client.options("/v1/stream/x", headers=headers | {"access-control-request-method": method})
            assert asked.status_code == 200, asked.text
        told = await site.client.get("/v1/stream/x", headers=headers | {"authorization": "Bearer k"})
        assert told.status_code == 404
        assert "stream-next-offset" in told.headers["access-control-expose-headers"].lower()


async def test_json_messages_are_kept_as_they_were_written(site: Site) -> None:
    await site.client.put("/v1/stream/exact", headers=JSON)
    written = b'[ {"big": 12345678901234567890123, "exact": 1.10}, "\\ud83d", [1] ,null ]'
    assert (await site.client.post("/v1/stream/exact", content=written, headers=JSON)).status_code == 204
    read = await site.client.get("/v1/stream/exact")
    assert read.content == b'[{"big": 12345678901234567890123, "exact": 1.10}, "\\ud83d", [1] ,null]'
    for wrong in (b"NaN", b"{", b'\xff"', b"[1]]", b"[" * 100_000):
        assert is_problem(await site.client.post("/v1/stream/exact", content=wrong[:90_000], headers=JSON), 400, "bad_request")


async def test_a_large_stream_is_read_in_parts_that_may_be_cached(site: Site) -> None:
    await create(site.client, "large")
    for number in range(30):
        await site.client.post("/v1/stream/large", content=bytes([65 + number % 26]) * 90_000, headers=TEXT)
    body, offset, parts = b"", "-1", 0
    while True:
        part = await site.client.get("/v1/stream/large", params={"offset": offset})
        body, offset, parts = body + part.content, part.headers["stream-next-offset"], parts + 1
        if "stream-up-to-date" in part.headers:
            assert "max-age" not in part.headers["cache-control"]
            break
        assert "max-age=60" in part.headers["cache-control"]
    assert (len(body), parts) == (2_700_000, 3)


async def test_an_offset_of_an_earlier_stream_of_that_name_is_gone(site: Site) -> None:
    offset = (await create(site.client, "again", b"old")).headers["stream-next-offset"]
    await site.client.delete("/v1/stream/again")
    while (await create(site.client, "again", b"new data")).headers["stream-next-offset"][:13] == offset[:13]:
        await site.client.delete("/v1/stream/again")
    for live in ({}, {"live": "long-poll"}, {"live": "sse"}):
        answer = await site.client.get("/v1/stream/again", params={"offset": offset, **live})
        assert is_problem(answer, 410, "stream_gone")


async def test_spaces_at_the_start_of_lines_survive_server_sent_events(site: Site) -> None:
    await create(site.client, "spaced", b" one\n  two\r\nthree", **{"stream-closed": "true"})
    answer = await site.client.get("/v1/stream/spaced", params={"offset": "-1", "live": "sse"})
    data, control, _ = answer.text.split("\n\n")
    assert data == "event: data\ndata:  one\ndata:   two\ndata:three"
    assert '"streamClosed":true' in control


async def test_a_stream_that_is_deleted_lets_its_readers_go(app: Agentflow, site: Site) -> None:
    tail = (await create(site.client, "doomed")).headers["stream-next-offset"]
    events = asyncio.create_task(site.client.get("/v1/stream/doomed", params={"offset": tail, "live": "sse"}))
    await until_followed(app)
    poll = asyncio.create_task(site.client.get("/v1/stream/doomed", params={"offset": tail, "live": "long-poll"}))
    # Both share one subscription: the second one has come in when its own read is answered.
    await site.client.get("/v1/stream/doomed")
    assert (await site.client.delete("/v1/stream/doomed")).status_code == 204
    assert "control" in (await events).text
    assert (await poll).status_code == 404
    assert app.streams.durable.followed == 0


async def test_a_server_that_stops_keeps_no_reader(app: Agentflow, site: Site) -> None:
    tail = (await create(site.client, "drained")).headers["stream-next-offset"]
    reads = [
        asyncio.create_task(site.client.get("/v1/stream/drained", params={"offset": tail, "live": live})) for live in ("sse", "long-poll")
    ]
    await until_followed(app)
    site.drain()
    events, poll = await asyncio.gather(*reads)
    assert "streamClosed" not in events.text
    assert (poll.status_code, poll.headers["stream-next-offset"]) == (204, tail)


async def test_events_beat_while_nothing_happens_and_end_after_a_while_so_that_readers_come_back(app: Agentflow) -> None:
    async with site_of(app, pace=Pace(heartbeat=0.02, rotation=0.3)) as site:
        tail = (await create(site.client, "quiet")).headers["stream-next-offset"]
        answer = await site.client.get("/v1/stream/quiet", params={"offset": tail, "live": "sse"})
        assert ": hb\n\n" in answer.text
        assert "streamClosed" not in answer.text
        assert app.streams.durable.followed == 0


async def test_a_long_poll_that_nothing_comes_to_says_where_its_reader_is(app: Agentflow) -> None:
    async with site_of(app, pace=Pace(long_poll=0.05)) as site:
        tail = (await create(site.client, "still", b"one")).headers["stream-next-offset"]
        answer = await site.client.get("/v1/stream/still", params={"offset": tail, "live": "long-poll", "cursor": "99999999"})
        assert (answer.status_code, answer.headers["stream-next-offset"], answer.headers["cache-control"]) == (204, tail, "no-store")
        assert int(answer.headers["stream-cursor"]) > 99_999_999


async def test_a_server_with_too_many_readers_takes_no_more(app: Agentflow) -> None:
    async with site_of(app, pace=Pace(streams=0)) as site:
        await create(site.client, "full")
        for live in ("sse", "long-poll"):
            assert (await site.client.get("/v1/stream/full", params={"offset": "-1", "live": live})).status_code == 429
        assert (await site.client.get("/v1/stream/full")).status_code == 200


async def test_redis_away_is_a_503_at_once_and_readers_go_on_when_it_is_back(tmp_path: Path) -> None:
    with ValkeyServer.running() as valkey:
        async with (
            Proxy.running(valkey.port) as proxy,
            Agentflow(directory=tmp_path, redis=f"redis://127.0.0.1:{proxy.port}", worker=False) as app,
            site_of(app) as site,
        ):
            tail = (await create(site.client, "away")).headers["stream-next-offset"]
            poll = asyncio.create_task(site.client.get("/v1/stream/away", params={"offset": tail, "live": "long-poll"}))
            await until_followed(app)
            proxy.refuse()
            proxy.cut()
            for method in ("PUT", "POST", "GET", "DELETE"):
                answer = await site.client.request(method, "/v1/stream/away", content=b"x" if method == "POST" else None, headers=TEXT)
                assert is_problem(answer, 503, "stream_unavailable"), method
            assert (await site.client.head("/v1/stream/away")).status_code == 503
            assert (await site.client.get("/v1/stream/away", params={"offset": "-1", "live": "sse"})).status_code == 503
            proxy.accept()
            async with asyncio.timeout(PATIENCE):
                while (await site.client.post("/v1/stream/away", content=b"back", headers=TEXT)).status_code == 503:
                    await asyncio.sleep(0)
            assert (await poll).status_code in (200, 503)
            assert (await site.client.get("/v1/stream/away", params={"offset": tail})).text == "back"


async def test_what_is_appended_at_one_server_wakes_who_waits_at_another(tmp_path: Path) -> None:
    async with shop(tmp_path) as process, Agentflow(directory=tmp_path, worker=False) as app, site_of(app) as here:
        url = await line(process)
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as there:
            tail = (await create(there, "shared")).headers["stream-next-offset"]
            polls = [
                asyncio.create_task(here.client.get("/v1/stream/shared", params={"offset": tail, "live": "long-poll"})) for _ in range(20)
            ]
            await until_followed(app)
            producer = {"producer-id": "p", "producer-epoch": "0", "producer-seq": "0", "stream-closed": "true"}
            assert (await there.post("/v1/stream/shared", content=b"hello", headers=TEXT | producer)).status_code == 200
            for poll in await asyncio.gather(*polls):
                assert (poll.status_code, poll.text, poll.headers["stream-closed"]) == (200, "hello", "true")
            again = await here.client.post("/v1/stream/shared", content=b"hello", headers=TEXT | producer)
            assert (again.status_code, again.headers["stream-closed"]) == (204, "true")


async def test_what_a_producer_repeats_after_its_server_was_killed_is_written_once(tmp_path: Path) -> None:
    async with shop(tmp_path) as process, Agentflow(directory=tmp_path, worker=False) as app, site_of(app) as here:
        url = await line(process)
        await create(here.client, "ledger")
        writes = [f"{number};" for number in range(200)]
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as there:
            for number, write in enumerate(writes):
                if number == 100:
                    asyncio.get_running_loop().call_later(0.002, process.kill)
                producer = TEXT | {"producer-id": "p", "producer-epoch": "0", "producer-seq": str(number)}
                try:
                    answer = await there.post("/v1/stream/ledger", content=write, headers=producer)
                except httpx.TransportError:
                    answer = await here.client.post("/v1/stream/ledger", content=write, headers=producer)
                assert answer.status_code in (200, 204)
        assert process.returncode is not None or await process.wait()
        assert (await here.client.get("/v1/stream/ledger")).text == "".join(writes)


async def test_mounted_in_another_app_streams_are_named_by_their_whole_path(app: Agentflow) -> None:
    inner = create_asgi(app)
    async with served(Starlette(routes=[Mount("/flows", inner)])) as url, httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        made = await client.put("/flows/v1/stream/a", content=b"one", headers=TEXT)
        assert made.headers["location"] == f"{url}/flows/v1/stream/a"
        for source in ("/flows/v1/stream/a", "/v1/stream/a"):
            fork = f"/flows/v1/stream/of-{source.count('/')}"
            assert (await client.put(fork, headers={"stream-forked-from": source})).status_code == 201
            assert (await client.get(fork)).text == "one"
