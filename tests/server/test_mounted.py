"""The server inside of somebody else's app, and as an app of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx
import uvicorn
from openapi_spec_validator import validate
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from agentflow import Agentflow
from agentflow.server import create_asgi
from tests.server.site import PATIENCE, Site, served
from tests.server.tasks import TASKS, greet


async def test_mounted_it_serves_beside_the_routes_of_the_other_app(app: Agentflow) -> None:
    async def hello(_: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    inner = create_asgi(app, api_key="k")
    outer = Starlette(routes=[Route("/hello", hello), Mount("/flows", inner)])
    headers = {"authorization": "Bearer k"}
    async with served(outer) as url, httpx.AsyncClient(base_url=f"{url}/flows", headers=headers, timeout=PATIENCE) as client:
        site = Site(app, url, client, inner.state.drain)
        frames = await site.read(await site.start("greet", name="ada"))
        assert frames[-1].type == "end"
        assert (await client.get("/v1/nothing")).json()["code"] == "not_found"
        document = (await client.get("/v1/openapi.json")).json()
        assert document["servers"] == [{"url": "/flows"}]
        validate(document)
        assert (await client.get(f"{url}/hello")).text == "hello"


async def test_a_handler_of_the_other_app_starts_a_run_as_any_code_does(tmp_path: Path, stream_server: str) -> None:
    app = Agentflow(TASKS, directory=tmp_path, redis=stream_server)

    async def order(_: Request) -> PlainTextResponse:
        run = await greet.start("ada")
        return PlainTextResponse(await run.result(timeout="10s"))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with app:
            yield

    outer = Starlette(routes=[Route("/order", order), Mount("/flows", create_asgi(app))], lifespan=lifespan)
    async with running(outer) as (_, url), httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        assert (await client.get("/order")).text == "hello ada"


@asynccontextmanager
async def running(asgi: Starlette) -> AsyncGenerator[tuple[uvicorn.Server, str]]:
    server = uvicorn.Server(uvicorn.Config(asgi, port=0, ws="none", log_config=None, lifespan="auto"))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(PATIENCE):
        while not server.started:
            await asyncio.sleep(0)
    try:
        yield server, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


async def test_as_an_app_of_its_own_it_opens_and_closes_what_it_serves(tmp_path: Path, stream_server: str) -> None:
    app = Agentflow(TASKS, directory=tmp_path, redis=stream_server)
    async with running(create_asgi(app)) as (_, url), httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        assert (await client.get("/v1/health")).json()["status"] == "ok"
    async with app:
        assert await app.runs.list() == []


async def test_a_foreign_uvicorn_that_stops_does_not_hang_on_open_streams(app: Agentflow) -> None:
    outer = Starlette(routes=[Mount("", create_asgi(app))])
    async with running(outer) as (server, url), httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        site = Site(app, url, client, lambda: None)
        run_id = await site.start("publish", draft="text")
        types: list[str] = []
        async with aclosing(site.frames(run_id)) as frames:
            async for frame in frames:
                types.append(frame.type)
                if frame.type == "approval.requested":
                    server.should_exit = True
        assert types[-1] == "sync.reconnect"
