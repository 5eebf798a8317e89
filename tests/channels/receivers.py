"""Real counterparts of channels on this machine: a web hook's receiver, a mail server, and something like Slack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import default
from typing import Any, cast

from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic_core import from_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.server.site import served

PATIENCE = 20.0


@dataclass
class Arrivals:
    """What has arrived, and who waits for it."""

    all: list[Any] = field(default_factory=list[Any])
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, one: Any) -> None:
        self.all.append(one)
        self.changed.set()

    async def until(self, count: int) -> list[Any]:
        """What has arrived, once there are `count`."""
        async with asyncio.timeout(PATIENCE):
            while len(self.all) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.all


@dataclass(frozen=True)
class Posted:
    """A request that came."""

    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return from_json(self.body)


@dataclass
class Receiver:
    """Takes POSTs; `statuses` are answered first, one each, then 200."""

    url: str
    came: Arrivals = field(default_factory=Arrivals)
    statuses: list[int] = field(default_factory=list[int])
    headers: dict[str, str] = field(default_factory=dict[str, str])


@asynccontextmanager
async def receiver() -> AsyncGenerator[Receiver]:
    """A receiver of web hooks."""
    here = Receiver("")

    async def take(request: Request) -> Response:
        here.came.take(Posted(await request.body(), request.headers))
        return Response(status_code=here.statuses.pop(0) if here.statuses else 200, headers=here.headers)

    async with served(Starlette(routes=[Route("/hook", take, methods=["POST"])])) as url:
        here.url = f"{url}/hook"
        yield here


@dataclass
class Slackish:
    """Speaks as Slack's Web API: gives every message a time stamp, keeps what a channel shows, and takes replies to clicks."""

    url: str = ""
    came: Arrivals = field(default_factory=Arrivals)
    shown: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    errors: list[str] = field(default_factory=list[str])

    @property
    def replies(self) -> list[dict[str, Any]]:
        """What people were told who clicked."""
        return [told for method, told, _ in self.came.all if method == "reply"]

    def posted(self, method: str) -> list[dict[str, Any]]:
        return [told for one, told, _ in self.came.all if one == method]

    async def until(self, count: int) -> list[str]:
        """The methods called, once there were `count` calls."""
        return [method for method, _, _ in await self.came.until(count)]

    async def answer(self, request: Request) -> Response:
        method, told = request.path_params["method"], await request.json()
        if self.errors:
            error = self.errors.pop(0)
            self.came.take((f"{method} refused", told, request.headers))
            if error == "429":
                return Response(status_code=429, headers={"retry-after": "30"})
            return JSONResponse({"ok": False, "error": error})
        ts = told.get("ts") or f"1700000000.{len(self.came.all):06d}"
        self.shown[ts] = told
        self.came.take((method, told, request.headers))
        return JSONResponse({"ok": True, "channel": "C024BE91L", "ts": ts})

    async def reply(self, request: Request) -> Response:
        self.came.take(("reply", await request.json(), request.headers))
        return Response("ok")


@asynccontextmanager
async def slackish() -> AsyncGenerator[Slackish]:
    """Something like Slack."""
    here = Slackish()
    routes = [Route("/api/{method}", here.answer, methods=["POST"]), Route("/actions/{id}", here.reply, methods=["POST"])]
    async with served(Starlette(routes=routes)) as url:
        here.url = url
        yield here


@dataclass
class Mailbox:
    """A mail server that keeps what it gets. `refuses` is the answer to these recipients."""

    port: int = 0
    came: Arrivals = field(default_factory=Arrivals)
    refuses: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        mail = BytesParser(policy=default).parsebytes(cast("bytes", envelope.content))
        self.came.take((list(envelope.rcpt_tos), mail))
        return "250 taken"


@asynccontextmanager
async def mailbox() -> AsyncGenerator[Mailbox]:
    """A mail server."""
    here = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(here, loop=loop, hostname="localhost"), "127.0.0.1", 0)
    here.port = server.sockets[0].getsockname()[1]
    async with server:
        yield here
