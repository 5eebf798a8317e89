"""Waitpoints over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from agentflow.app import Agentflow
from agentflow.errors import InvalidAnswer
from agentflow.records import WaitKind, WaitpointRecord
from agentflow.server.calls import Call, answer
from agentflow.server.errors import Forbidden
from agentflow.server.models import WaitpointPage
from agentflow.server.requests import CreateWaitpoint, Decide, Nothing, WaitpointQuery
from agentflow.server.views import waitpoint_view
from agentflow.storage import blobs


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
    """Answer a waitpoint. 409 with the answer that counts when somebody was first, 410 when it is too late."""
    body, app = call.body, call.app
    by = decider(call, body.by, "http")
    one = await app.waitpoints.get(call.id)
    if one.kind is WaitKind.APPROVAL:
        said = body.model_dump(include={"approved", "reason", "edits"}, exclude_none=True)
        ended = await app.waitpoints.answer(call.id, _only(body, "approved", said, one), by=by)
    else:
        ended = await app.waitpoints.answer(call.id, _only(body, "value", body.value, one), by=by)
    return answer(waitpoint_view((await _whole(app, [ended]))[0]))


def decider(call: Call[Any, Any], said: str | None, otherwise: str) -> str:
    """Who decides: the subject of a token, else whom the call names. Raises `Forbidden` when a token names somebody else."""
    said = said or call.request.headers.get("x-agentflow-by")
    grant = call.caller.grant
    if grant is None:
        return said or otherwise
    if said is not None and said != grant.who:
        raise Forbidden(f"This token decides as {grant.who}, and for nobody else.", hint="Leave out `by` and X-Agentflow-By.")
    return grant.who


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
