"""Waitpoints over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from agentflow.app import Agentflow
from agentflow.app.grants import Always
from agentflow.errors import InvalidAnswer
from agentflow.records import WaitKind, WaitpointRecord
from agentflow.server.calls import Call, answer
from agentflow.server.models import DecidedWaitpoint, VotePage, WaitpointPage
from agentflow.server.needs import permit_grant
from agentflow.server.persons import person
from agentflow.server.requests import CreateWaitpoint, Decide, Nothing, Reassign, WaitpointQuery, Withdraw
from agentflow.server.views import vote_view, waitpoint_view
from agentflow.storage import blobs
from agentflow.storage.policy import Voter


async def create_waitpoint(call: Call[CreateWaitpoint, Nothing]) -> Response:
    """A token; the same idempotency key gives the same one."""
    body = call.body
    key = call.request.headers.get("idempotency-key") or body.idempotency_key
    made = await call.app.waitpoints.create(
        timeout=body.timeout, title=body.title, idempotency_key=key, idempotency_ttl=body.idempotency_ttl
    )
    return answer(waitpoint_view(made), 201)


async def list_waitpoints(call: Call[Nothing, WaitpointQuery]) -> Response:
    """Waitpoints, newest first; those that are open, unless asked otherwise."""
    wanted = call.query
    state = None if wanted.state == "any" else wanted.state.value
    kind = None if wanted.kind is None else wanted.kind.value
    found = await call.app.waitpoints.list(kind=kind, state=state, run_id=wanted.run, limit=wanted.limit)
    return answer(WaitpointPage(waitpoints=[waitpoint_view(one) for one in await _whole(call.app, found)]))


async def get_waitpoint(call: Call[Nothing, Nothing]) -> Response:
    """A waitpoint as it is now."""
    found = await _whole(call.app, [await call.app.waitpoints.get(call.id)])
    return answer(waitpoint_view(found[0]))


async def decide_waitpoint(call: Call[Decide, Nothing]) -> Response:
    """Answer a waitpoint: `resolved` when that ended it, `recorded` while more people are needed.

    403 when the caller may not decide, 409 with the answer that counts when somebody was first, 410 when it is too late, 412 when what is
    asked about is not what was seen, 422 for what does not fit.
    """
    body, app = call.body, call.app
    by = decider(call, body.by, "http")
    one = await app.waitpoints.get(call.id)
    key = call.request.headers.get("idempotency-key")
    if one.kind is WaitKind.APPROVAL:
        value = _only(body, "approved", body.model_dump(include={"approved", "reason", "edits", "stop"}, exclude_none=True), one)
    else:
        value = _only(body, "value", body.value, one)
    if body.always is not None:
        permit_grant(call.caller)
    always = None if body.always is None else Always(**dict(body.always))
    done = await app.waitpoints.decide(call.id, value, by=by, seen=body.seen_digest, idempotency_key=key, always=always)
    shown = waitpoint_view((await _whole(app, [done.waitpoint]))[0])
    outcome = "resolved" if done.resolved else "recorded"
    return answer(DecidedWaitpoint(**dict(shown), outcome=outcome, need=done.need, have=done.have, grant=done.grant))


async def withdraw_waitpoint(call: Call[Withdraw, Nothing]) -> Response:
    """Take a question back, or say that another took its place; its run goes on without an answer."""
    body, verbs = call.body, call.app.waitpoints
    verb = verbs.supersede if body.superseded else verbs.cancel
    ended = await verb(call.id, by=decider(call, body.by, "http").name, reason=body.reason)
    return answer(waitpoint_view((await _whole(call.app, [ended]))[0]))


async def reassign_waitpoint(call: Call[Reassign, Nothing]) -> Response:
    """Give an open question to other people."""
    body = call.body
    by = decider(call, body.by, "http").name
    return answer(waitpoint_view(await call.app.waitpoints.reassign(call.id, by=by, users=body.users, groups=body.groups)))


async def list_votes(call: Call[Nothing, Nothing]) -> Response:
    """What people said to a waitpoint, in order; also what did not count, and why."""
    return answer(VotePage(votes=[vote_view(one) for one in await call.app.waitpoints.votes(call.id)]))


def decider(call: Call[Any, Any], said: str | None, otherwise: str) -> Voter:
    """Who decides: the subject of a token, else whom the call names, for whom its key vouches.

    Raises `Forbidden` when a token names somebody else.
    """
    name = person(call, said)
    grant = call.caller.grant
    return Voter(name or otherwise) if grant is None else Voter(grant.who, grant.groups)


def _only(body: Decide, name: str, value: object, one: WaitpointRecord) -> object:
    other = {"value": "approved", "approved": "value"}[name]
    if name not in body.model_fields_set or other in body.model_fields_set:
        example = '{"approved": true}' if name == "approved" else '{"value": …}'
        raise InvalidAnswer(f"{one.id} is of kind {one.kind.value}: it takes `{name}`, and no `{other}`.", hint=f"Send {example}.")
    return value


async def _whole(app: Agentflow, found: Sequence[WaitpointRecord]) -> list[WaitpointRecord]:
    """With answers that are too large for their row."""
    large = await app.database.read(blobs.resolve(one.answer for one in found))
    return [replace(one, answer=large.get(one.answer or "", one.answer)) for one in found]
