"""What browsers come in with, over HTTP: tokens and tickets; and what a token may say of a run that it starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from agentflow.app import Agentflow
from agentflow.auth.scopes import THOUGHTS, Scopes
from agentflow.auth.tokens import LIFE, Grant, mint
from agentflow.engine.starting import thread_tag
from agentflow.serde import dumps
from agentflow.server import tickets
from agentflow.server.callers import Caller
from agentflow.server.calls import Call, answer
from agentflow.server.errors import Forbidden, NoApiKey
from agentflow.server.needs import missing
from agentflow.server.requests import Nothing
from agentflow.server.token_models import BrowserTicket, BrowserToken, IssueTicket, MintToken

_OPTIONS = frozenset({"idempotency_key", "tags", "metadata", "delay", "ttl", "thread"})


async def mint_token(call: Call[MintToken, Nothing]) -> Response:
    """A token for a browser, good for what its scopes say, on every server that has the API key it was minted with."""
    key = call.caller.key
    if key is None:
        raise NoApiKey(
            "This server has no API key, and so nothing to sign with: everybody may do everything.",
            hint="Callers need no token here. Start it with an API key to mint some.",
        )
    body = call.body
    made = mint(key, Scopes.parse(body.scopes), body.subject, body.expires, call.app.clock.now(), body.groups)
    return answer(BrowserToken(token=made.token, expires_at=made.expires_at // 1_000), 201)


async def issue_ticket(call: Call[IssueTicket, Nothing]) -> Response:
    """A ticket for one run: an EventSource, which can send no headers, has it in its address. Good once, within a minute."""
    await call.app.runs.get(call.body.run)
    caller = call.caller
    text, until = await tickets.issue(call.app, call.body.run, caller.key and caller.key.id, caller.grant)
    return answer(BrowserTicket(ticket=text, expires_at=until // 1_000), 201)


def permitted(grant: Grant, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run that a token starts, with its keys apart from those of others. Raises `Forbidden`."""
    if refused := options.keys() - _OPTIONS:
        raise Forbidden(
            f"A browser token cannot set {', '.join(sorted(refused))}.",
            hint=f"It can set {', '.join(sorted(_OPTIONS))}; start the run from your server for the rest.",
        )
    # A tag puts a run before the eyes of all who may read that tag; a thread shows it what was said.
    tags = {*options.get("tags", ()), *([thread_tag(options["thread"])] if "thread" in options else ())}
    if foreign := tags - grant.scopes.tags:
        raise missing(*(f"run:read:tag:{tag}" for tag in sorted(foreign)))
    if "idempotency_key" not in options:
        return dict(options)
    # Without a subject every token is somebody else: what one has started is not shown to the next.
    return {**options, "idempotency_key": dumps([grant.who, options["idempotency_key"]])}


def reading_token(app: Agentflow, caller: Caller, run_id: str) -> str | None:
    """A token that reads the run which a token has started, cancels it and sends it messages, as long as any other."""
    if caller.grant is None or caller.key is None:
        return None
    scopes = Scopes.known((f"run:read:{run_id}", f"run:write:{run_id}", *((THOUGHTS,) if caller.grant.scopes.thoughts else ())))
    return mint(caller.key, scopes, caller.grant.subject, LIFE, app.clock.now()).token
