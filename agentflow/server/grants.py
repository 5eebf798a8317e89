"""Grants over HTTP."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import Response

from agentflow.app.grants import Always
from agentflow.records import GrantRecord
from agentflow.serde import loads
from agentflow.server import needs
from agentflow.server.calls import Call, Operation, answer
from agentflow.server.errors import InvalidRequest
from agentflow.server.models import Time
from agentflow.server.persons import person
from agentflow.server.requests import Nothing, Stand, Strict
from agentflow.server.waitpoints import decider
from agentflow.storage.policy import Voter


class CreateGrant(Stand):
    """A standing yes, to calls of `tool`, or to those that are like the one that the question `from_waitpoint` is about.

    `match`: `{"digest": …}` for just the same arguments, which is what a question gives, or `{"args": {"path": {"prefix": "/tmp/"}}}`.
    `scope_id` names the run, thread or agent where the question does not. `by` as in `Decide`.
    """

    tool: str | None = Field(None, min_length=1, max_length=256)
    from_waitpoint: str | None = Field(None, pattern="^wp_")
    scope_id: str | None = Field(None, max_length=512)
    match: dict[str, Any] | None = None
    reason: str | None = Field(None, max_length=4_000)
    by: str | None = None


class GrantQuery(Strict):
    """Which grants: those that count now, or with `every` also those that are over."""

    tool: str | None = None
    every: bool = False
    limit: int = Field(100, ge=1, le=500)


class GrantInfo(BaseModel):
    """A standing yes to calls of a tool; `counts` while it can be used. `scope_id` is empty for the scope `all`."""

    id: str
    scope: str
    scope_id: str
    tool: str
    match: dict[str, Any]
    granted_by: str
    waitpoint: str | None
    reason: str | None
    max_uses: int | None
    uses: int
    counts: bool
    created_at: Time
    expires_at: Time
    revoked_at: Time | None
    revoked_by: str | None


class GrantPage(BaseModel):
    """Grants, newest first."""

    grants: list[GrantInfo]


def grant_view(one: GrantRecord, now: int) -> GrantInfo:
    """A grant."""
    return GrantInfo(
        id=one.id,
        scope=one.scope,
        scope_id=one.scope_id,
        tool=one.tool,
        match=loads(one.fits),
        granted_by=one.granted_by,
        waitpoint=one.waitpoint,
        reason=one.reason,
        max_uses=one.max_uses,
        uses=one.uses,
        counts=one.counts(now),
        created_at=one.created_at // 1_000,
        expires_at=one.expires_at // 1_000,
        revoked_at=None if one.revoked_at is None else one.revoked_at // 1_000,
        revoked_by=one.revoked_by,
    )


async def list_grants(call: Call[Nothing, GrantQuery]) -> Response:
    """Standing yeses of people to calls of tools, newest first."""
    wanted, now = call.query, call.app.clock.now()
    found = await call.app.grants.list(tool=wanted.tool, every=wanted.every, limit=wanted.limit)
    return answer(GrantPage(grants=[grant_view(one, now) for one in found]))


async def create_grant(call: Call[CreateGrant, Nothing]) -> Response:
    """Have a yes stand for calls to come. Deny and always-ask rules win over it, and it ends after 30 days at most.

    A browser token gives one only with a question that it may answer.
    """
    body = call.body
    if (body.tool is None) is (body.from_waitpoint is None):
        raise InvalidRequest("A grant is for a tool, or for calls like that of a question.", hint="Send `tool` or `from_waitpoint`.")
    if body.tool is not None and body.tool.startswith("wp_"):
        raise InvalidRequest(f"{body.tool!r} is a question and no tool.", hint="Send it as `from_waitpoint`.")
    made = await call.app.grants.create(
        body.tool or body.from_waitpoint or "",
        by=decider(call, body.by, otherwise="http"),
        always=Always(scope=body.scope, expires=body.expires, max_uses=body.max_uses),
        scope_id=body.scope_id,
        match=body.match,
        reason=body.reason,
    )
    return answer(grant_view(made, call.app.clock.now()), 201)


async def revoke_grant(call: Call[Nothing, Nothing]) -> Response:
    """Take a grant back, at once; again, it changes nothing. The header X-Agentflow-By says who."""
    gone = await call.app.grants.revoke(call.id, by=Voter(person(call) or "http", via="http"))
    return answer(grant_view(gone, call.app.clock.now()))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/grants",
        handler=list_grants,
        needs=needs.READ_GRANTS,
        summary="List grants, newest first",
        query=GrantQuery,
        answer=GrantPage,
    ),
    Operation(
        method="POST",
        path="/v1/grants",
        handler=create_grant,
        needs=needs.GIVE_GRANT,
        summary="Have a yes stand for calls to come",
        body=CreateGrant,
        answer=GrantInfo,
        statuses=(201,),
        problems=(400, 404, 409, 410),
        headers=("X-Agentflow-By",),
    ),
    Operation(
        method="DELETE",
        path="/v1/grants/{id}",
        handler=revoke_grant,
        needs=needs.WRITE_GRANTS,
        summary="Take a grant back",
        answer=GrantInfo,
        problems=(400, 404),
        headers=("X-Agentflow-By",),
    ),
)
"""What there is under `/v1/grants`."""
