"""Waitpoints over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from agentflow.app import Agentflow
from agentflow.app.batch import Choice
from agentflow.app.grants import Always
from agentflow.errors import InvalidAnswer
from agentflow.records import WaitKind, WaitpointRecord, WaitState
from agentflow.server.calls import Call, answer, tagged
from agentflow.server.errors import Forbidden, RequestError, problem_of
from agentflow.server.models import DecidedMany, DecidedOne, DecidedWaitpoint, DeliveryPage, Link, VotePage, Waitpoint, WaitpointPage
from agentflow.server.needs import permit_grant
from agentflow.server.persons import person
from agentflow.server.requests import CreateWaitpoint, Decide, DecideMany, MakeLink, Nothing, Reassign, Remind, WaitpointQuery, Withdraw
from agentflow.server.views import delivery_view, vote_view, waitpoint_view
from agentflow.storage import blobs
from agentflow.storage.deciding import Decided
from agentflow.storage.inbox import Inbox, Spot
from agentflow.storage.policy import Reach, Voter


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
    state = wanted.status or wanted.state
    kind = None if wanted.kind is None else wanted.kind.value
    following = None
    if state is WaitState.PENDING and wanted.run is None:
        page = await call.app.waitpoints.inbox(_inbox(wanted), _assignee(call, wanted.assignee))
        found, following = page.waitpoints, page.next
    else:
        if any(one is not None for one in (wanted.assignee, wanted.risk, wanted.tool, wanted.thread, wanted.cursor)):
            raise RequestError("These filters are for what is open, over all runs.", hint="Leave out `state`, or the filters and `run`.")
        named = None if state == "any" else state.value
        found = await call.app.waitpoints.list(kind=kind, state=named, run_id=wanted.run, limit=wanted.limit)
    shown = [waitpoint_view(one) for one in await _whole(call.app, found)]
    cursor = None if following is None else f"{following.created_at}-{following.id}"
    return tagged(call.request, WaitpointPage(waitpoints=shown, next=cursor))


def _inbox(wanted: WaitpointQuery) -> Inbox:
    before = None
    if wanted.cursor is not None:
        created_at, _, id = wanted.cursor.partition("-")
        before = Spot(int(created_at), id)
    return Inbox(
        kind=None if wanted.kind is None else wanted.kind.value,
        run_id=wanted.run,
        thread=wanted.thread,
        risks=None if wanted.risk is None else frozenset(wanted.risk.split(",")),
        tool=wanted.tool,
        before=before,
        limit=wanted.limit,
    )


def _assignee(call: Call[Any, Any], name: str | None) -> Voter | None:
    """Whose inbox it is: `me` is the subject of a token, or whom the call of a key names."""
    if name is None:
        return None
    if name == "me":
        voter = decider(call, None, "")
        if not voter.name:
            raise RequestError("Who is `me`?", hint="Send X-Agentflow-By with an API key, or use a token with a subject.")
        return voter
    return decider(call, name, "")


async def get_waitpoint(call: Call[Nothing, Nothing]) -> Response:
    """A waitpoint as it is now."""
    found = await _whole(call.app, [await call.app.waitpoints.get(call.id)])
    return tagged(call.request, waitpoint_view(found[0]))


async def decide_many(call: Call[DecideMany, Nothing]) -> Response:
    """Decide about several calls of one turn of one run: all of them or none, or each by itself.

    409 for calls of several turns, and for what is of high risk: that is decided one by one. With `all`, also as for one decision, and
    `details.waitpoint_id` says which is in the way.
    """
    body, app = call.body, call.app
    choices = [
        Choice(waitpoint_id=one.id, value=one.model_dump(include={"approved", "reason", "edits"}, exclude_none=True), seen=one.seen_digest)
        for one in body.decisions
    ]
    by, key = decider(call, body.by, "http"), call.request.headers.get("idempotency-key")
    done = await app.waitpoints.decide_many(choices, by=by, whole=body.mode == "all", idempotency_key=key)
    return answer(DecidedMany(results=[_decided_one(one) for one in done]))


def _decided_one(done: Decided) -> DecidedOne:
    if done.refused is not None:
        return DecidedOne(id=done.waitpoint.id, outcome="refused", waitpoint=None, problem=problem_of(done.refused))
    shown = _decided(done, waitpoint_view(done.waitpoint))
    return DecidedOne(id=shown.id, outcome=shown.outcome, waitpoint=shown, problem=None)


def _decided(done: Decided, shown: Waitpoint) -> DecidedWaitpoint:
    return DecidedWaitpoint(
        **dict(shown),
        outcome="resolved" if done.resolved else "recorded",
        need=done.need,
        have=done.have,
        grant=done.grant,
        others=[one.waitpoint.id for one in done.others],
    )


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
    return answer(_decided(done, shown))


async def make_link(call: Call[MakeLink, Nothing]) -> Response:
    """A link that is told once: whoever has it decides as its actor, until it ends, is replaced, or the question goes to others.

    403 for whom may not decide, 409 and 410 when the question has ended.
    """
    body, grant = call.body, call.caller.grant
    actor = body.actor or (None if grant is None else grant.who)
    if actor is None:
        raise InvalidAnswer("For whom is the link?", hint='Name them: {"actor": "user:maria"}.')
    if grant is not None and actor != grant.who:
        raise Forbidden(f"This token makes links for {grant.who}, and for nobody else.", hint="Make it with an API key.")
    made = await call.app.waitpoints.link(
        call.id,
        actor=Voter(actor, None if grant is None else grant.groups, "link"),
        expires=body.expires,
        choices=body.choices,
        by=decider(call, body.by, "http"),
        replace=body.replace,
    )
    url = None if made.server is None else made.url
    link = Link(
        id=made.id,
        waitpoint=made.waitpoint_id,
        actor=made.actor,
        choices=list(made.choices),
        path=made.path,
        url=url,
        expires_at=made.expires_at // 1_000,
    )
    return answer(link, 201, {"cache-control": "no-store"})


async def withdraw_waitpoint(call: Call[Withdraw, Nothing]) -> Response:
    """Take a question back, or say that another took its place; its run goes on without an answer."""
    body, verbs = call.body, call.app.waitpoints
    verb = verbs.supersede if body.superseded else verbs.cancel
    ended = await verb(call.id, by=decider(call, body.by, "http"), reason=body.reason)
    return answer(waitpoint_view((await _whole(call.app, [ended]))[0]))


async def reassign_waitpoint(call: Call[Reassign, Nothing]) -> Response:
    """Give an open question to other people."""
    body = call.body
    by = decider(call, body.by, "http")
    return answer(waitpoint_view(await call.app.waitpoints.reassign(call.id, by=by, users=body.users, groups=body.groups)))


async def remind_people(call: Call[Remind, Nothing]) -> Response:
    """Tell all who were told of an open question again; 429 within a minute of the last time."""
    by = decider(call, call.body.by, "http").name
    return answer(waitpoint_view(await call.app.waitpoints.remind(call.id, by=by)))


async def list_deliveries(call: Call[Nothing, Nothing]) -> Response:
    """The messages about a waitpoint, in order, and what became of each."""
    found = await call.app.waitpoints.deliveries(call.id)
    return answer(DeliveryPage(deliveries=[delivery_view(one) for one in found]))


async def list_votes(call: Call[Nothing, Nothing]) -> Response:
    """What people said to a waitpoint, in order; also what did not count, and why."""
    return answer(VotePage(votes=[vote_view(one) for one in await call.app.waitpoints.votes(call.id)]))


def decider(call: Call[Any, Any], said: str | None, otherwise: str) -> Voter:
    """Who decides: the subject of a token, about what it may answer, else whom the call names, for whom its key vouches.

    Raises `Forbidden` when a token names somebody else.
    """
    name = person(call, said)
    grant = call.caller.grant
    if grant is None:
        return Voter(name or otherwise, via="http")
    return Voter(grant.who, grant.groups, "http", Reach(grant.scopes.waitpoints, grant.scopes.waiting))


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
