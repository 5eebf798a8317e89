"""Real counterparts of channels on this machine: a web hook's receiver, a mail server, and something like Slack."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import default
from hashlib import sha256
from typing import Any, cast

from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic_core import from_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentflow.clock import SECOND, SystemClock
from tests.server.site import served

PATIENCE = 20.0
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
"""What Slack signs with."""


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
    triggers: set[str] = field(default_factory=set[str])
    """What opens a form, once each."""

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
        if method == "views.open":
            return self._opened(told, request)
        ts = told.get("ts") or f"1700000000.{len(self.came.all):06d}"
        self.shown[ts] = told
        self.came.take((method, told, request.headers))
        return JSONResponse({"ok": True, "channel": "C024BE91L", "ts": ts})

    def _opened(self, told: dict[str, Any], request: Request) -> Response:
        refused = "expired_trigger_id" if told["trigger_id"] not in self.triggers else _wrong_view(told["view"])
        self.came.take((f"views.open{' refused' if refused else ''}", told, request.headers))
        self.triggers.discard(told["trigger_id"])
        return JSONResponse({"ok": False, "error": refused} if refused else {"ok": True, "view": told["view"]})

    async def reply(self, request: Request) -> Response:
        self.came.take(("reply", await request.json(), request.headers))
        return Response("ok")

    def pressed(self, waitpoint: str, ts: str, user: str = "U1", action: str = "approve") -> dict[str, Any]:
        """What Slack sends when somebody presses a button."""
        trigger = f"trigger.{len(self.came.all)}.{len(self.triggers)}"
        self.triggers.add(trigger)
        return {
            "type": "block_actions",
            "trigger_id": trigger,
            "user": {"id": user, "team_id": "T1"},
            "team": {"id": "T1"},
            "channel": {"id": "C024BE91L"},
            "message": {"ts": ts},
            "actions": [{"action_id": action, "value": waitpoint, "type": "button"}],
            "response_url": f"{self.url}/actions/1",
        }


def submitted(view: dict[str, Any], user: str = "U1", id: str = "V1", **filled: Any) -> dict[str, Any]:
    """What Slack sends when somebody sends a form: with what it was opened with, but for what they filled in, by label."""
    values: dict[str, Any] = {}
    for block in view["blocks"]:
        if block["type"] == "input":
            label, element = block["label"]["text"], block["element"]
            values[block["block_id"]] = {element["action_id"]: _state(element, filled.get(label.rstrip("?"), ...))}
    assert filled.keys() <= {block["label"]["text"].rstrip("?") for block in view["blocks"] if "label" in block}
    told = {**view, "id": id, "state": {"values": values}}
    return {"type": "view_submission", "team": {"id": "T1"}, "user": {"id": user, "team_id": "T1"}, "view": told}


def _state(element: dict[str, Any], given: Any) -> dict[str, Any]:
    """What Slack says is in a field; an option is given by its text."""
    kind = element["type"]
    if kind in ("plain_text_input", "datepicker"):
        name, first = ("value", "initial_value") if kind == "plain_text_input" else ("selected_date", "initial_date")
        return {"type": kind, name: element.get(first) if given is ... else given}
    if kind == "static_select":
        chosen = element.get("initial_option") if given is ... else _options(element, [given])[0]
        return {"type": kind, "selected_option": chosen}
    return {"type": kind, "selected_options": element.get("initial_options", []) if given is ... else _options(element, given)}


def _options(element: dict[str, Any], texts: list[str]) -> list[Any]:
    by_text = {one["text"]["text"]: one for one in element["options"]}
    return [by_text[text] for text in texts]


def _wrong_view(view: dict[str, Any]) -> str | None:
    """What Slack has against a form: it takes none that is too large, and none with an empty word in it."""
    ids = [block["block_id"] for block in view["blocks"] if block["type"] == "input"]
    texts = [view[name]["text"] for name in ("title", "submit", "close")]
    right = len(view["blocks"]) <= 100 and len(set(ids)) == len(ids) and len(view["private_metadata"]) <= 3_000
    right = right and all(0 < len(text) <= 24 for text in texts)
    return None if right and all(map(_is_right, view["blocks"])) else "invalid_arguments"


def _is_right(block: dict[str, Any]) -> bool:
    if block["type"] != "input":
        return 0 < len(block["text"]["text"]) <= 3_000
    element = block["element"]
    options = element.get("options", [])
    told = [block["label"]["text"], *([block["hint"]["text"]] if "hint" in block else [])]
    return (
        all(0 < len(text) <= 2_000 for text in told)
        and len(element.get("initial_value", "x")) in range(1, 3_001)
        and len(options) in range(1 if "options" in element else 0, 101)
        and all(0 < len(one["text"]["text"]) <= 75 for one in options)
        and all(
            one in options for one in [*element.get("initial_options", []), element.get("initial_option", options and options[0])] if one
        )
    )


def signed(body: bytes, *, secret: str = SECRET, when: int | None = None) -> dict[str, str]:
    """The headers of what Slack sends."""
    stamp = str(SystemClock().now() // SECOND if when is None else when)
    signature = "v0=" + hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, sha256).hexdigest()
    kind = "application/x-www-form-urlencoded"
    return {"content-type": kind, "x-slack-request-timestamp": stamp, "x-slack-signature": signature}


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
