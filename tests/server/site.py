"""A served app, and a reader of its streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from pydantic_core import from_json

from agentflow import Agentflow
from agentflow.server import create_asgi
from agentflow.server.serve import bind

PATIENCE = 60.0


@dataclass
class Site:
    """An app, served. `drain` is what a server that stops calls."""

    app: Agentflow
    url: str
    client: httpx.AsyncClient
    drain: Callable[[], None]

    async def start(self, name: str, /, **payload: Any) -> str:
        """Start a run; returns its id."""
        answer = await self.client.post("/v1/runs", json={"task": name, "payload": payload})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    async def ended(self, run_id: str) -> None:
        """Return once a run has ended and its stream says so."""
        await self.app.runs.ended(run_id, timeout=PATIENCE)
        await self.app.streams.flush()

    async def waiting(self, run_id: str) -> dict[str, Any]:
        """The one open waitpoint of a run, once there is one and the run is parked."""
        async with asyncio.timeout(PATIENCE):
            while True:
                run = (await self.client.get(f"/v1/runs/{run_id}")).json()
                if run["status"] == "waiting":
                    return run["waiting"][0]

    async def events(self, run_id: str, **query: Any) -> dict[str, Any]:
        """A page of a run's events as JSON, each with its place among its fields."""
        answer = await self.client.get(f"/v1/runs/{run_id}/events", params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        return {**page, "events": [flat(entry) for entry in page["events"]]}

    async def read(self, run_id: str, last: str | None = None, **query: Any) -> list[Frame]:
        """All frames of a stream until the server closes it."""
        async with aclosing(self.frames(run_id, last, **query)) as frames:
            return [one async for one in frames]

    async def frames(self, run_id: str, last: str | None = None, **query: Any) -> AsyncGenerator[Frame]:
        """The frames of a stream, as they come."""
        headers = {} if last is None else {"last-event-id": last}
        async with (
            asyncio.timeout(PATIENCE),
            self.client.stream("GET", f"/v1/runs/{run_id}/stream", params=query, headers=headers) as answer,
        ):
            assert answer.status_code in (200, 204), await answer.aread()
            text = b""
            async for part in answer.aiter_raw():
                text += part
                *whole, text = text.split(b"\n\n")
                for one in whole:
                    yield Frame.of(one)
            assert not text


def flat(entry: dict[str, Any]) -> dict[str, Any]:
    """An event with its run and its place among its fields, which is easier to look at where the two are not mixed up."""
    return {**{name: value for name, value in entry.items() if name != "event"}, **entry.get("event", {})}


@dataclass(frozen=True)
class Frame:
    """One frame: a comment or `retry` has no data."""

    id: str | None
    data: dict[str, Any] | None
    text: bytes

    @classmethod
    def of(cls, text: bytes) -> Frame:
        fields = dict(line.split(b": ", 1) for line in text.split(b"\n") if not line.startswith(b":"))
        id = fields.get(b"id")
        return cls(None if id is None else id.decode(), from_json(fields[b"data"]) if b"data" in fields else None, text)

    @property
    def type(self) -> str:
        """The type of its event, if it has one."""
        return "" if self.data is None else str(self.data["type"])


@asynccontextmanager
async def served(asgi: Any, port: int = 0) -> AsyncGenerator[str]:
    """Serve an ASGI app on a port of this machine, a free one unless given; gives its URL."""
    listening = bind("127.0.0.1", port)
    server = uvicorn.Server(uvicorn.Config(asgi, lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listening.close()


@asynccontextmanager
async def site_of(app: Agentflow, **options: Any) -> AsyncGenerator[Site]:
    """Serve an open app."""
    asgi = create_asgi(app, **options)
    async with served(asgi) as url, httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        yield Site(app, url, client, asgi.state.drain)
