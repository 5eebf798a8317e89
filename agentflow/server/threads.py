"""Threads over HTTP."""

from __future__ import annotations

from collections.abc import Set
from typing import Any, Literal

from pydantic import BaseModel, Field
from starlette.responses import Response

from agentflow.records import ThreadRecord
from agentflow.serde import dumps, loads
from agentflow.server import needs
from agentflow.server.calls import Call, Operation, answer
from agentflow.server.errors import InvalidRequest
from agentflow.server.models import RunDetail, Time, UsageTotal
from agentflow.server.needs import permit_start, permit_thread, permit_words
from agentflow.server.persons import person
from agentflow.server.requests import Nothing, Strict
from agentflow.server.runs import seen
from agentflow.server.token_models import StartedRun
from agentflow.server.tokens import reading_token
from agentflow.server.views import usage_view
from agentflow.storage.threads import LAST

PAGE = 500
"""Messages that come at once, unless another number is asked for."""


class ThreadsQuery(Strict):
    """`cursor` is the `next` of the page before."""

    cursor: str | None = None
    limit: int = Field(50, ge=1, le=500)


class ThreadQuery(Strict):
    """Which messages: `after` is the number of the last one that is known."""

    after: int = Field(0, ge=0, lt=2**63)
    limit: int = Field(PAGE, ge=1, le=5_000)


class ThreadInfo(BaseModel):
    """A conversation: how many places in its line were given, the number of its last message, and whose run came last."""

    id: str
    agent: str
    turns: int
    messages: int
    created_at: Time
    touched_at: Time


class ThreadPage(BaseModel):
    """Conversations, the one that something happened in last first; `next` is the `cursor` of the next page."""

    threads: list[ThreadInfo]
    next: str | None


class Message(BaseModel):
    """A message of pydantic-ai, its number in the thread from 1, and the run that said it, which may be deleted by now."""

    seq: int
    run: str
    created_at: Time
    message: Any


class ForkedFrom(BaseModel):
    """The thread that a fork was made of: it has the messages that lead to number `at` there."""

    id: str
    at: int


class ThreadDetail(BaseModel):
    """A conversation with its messages; `next` is the `after` of those that follow, null when these are the last ones.

    `active_run` is the id of the run whose turn it is; `usage` is what all runs of the conversation used.
    """

    id: str
    agent: str
    active_run: str | None
    forked_from: ForkedFrom | None
    created_at: Time
    touched_at: Time
    usage: UsageTotal
    messages: list[Message]
    next: int | None


class SayInThread(Strict):
    """What a person says. `steer`: the run that is at work hears it between its turns; else, and where none is, it is the next run.

    `agent`: who is to answer, if not whoever answered last. The header Idempotency-Key makes it the same message when it is sent again.
    """

    text: str = Field(min_length=1)
    mode: Literal["queue", "steer"] = "queue"
    agent: str | None = None


class StopThread(Strict):
    """`run`: the run that was shown when somebody pressed stop; one that has ended is left as it is. By default, whose turn it is."""

    run: str | None = None
    reason: str = "stopped"


class RegenerateThread(Strict):
    """`text` takes the place of the last question."""

    text: str | None = Field(None, min_length=1)
    agent: str | None = None


class ForkThread(Strict):
    """`at`: the number of the last message that the new thread has; 0 for none. `id`: its id, by default a new one."""

    at: int | None = Field(None, ge=0, lt=2**63)
    id: str | None = Field(None, min_length=1, max_length=255)


class StoppedRun(BaseModel):
    """The run that was stopped, as it is now; null where nobody was at work."""

    run: RunDetail | None


async def list_threads(call: Call[Nothing, ThreadsQuery]) -> Response:
    """A page of conversations."""
    page = await call.app.threads.page(call.query.limit, _place(call.query.cursor))
    following = None if page.next is None else f"{page.next[0]}-{page.next[1]}"
    return answer(ThreadPage(threads=[thread_view(one) for one in page.threads], next=following))


async def get_thread(call: Call[Nothing, ThreadQuery]) -> Response:
    """A conversation: whose turn it is, and what was said. A run adds what it said when it ends.

    What was answered anew is left out, so numbers have gaps; each message can be forked at by its number.
    """
    wanted = call.query
    return await _detail(call, await call.app.threads.get(call.id), wanted.after, wanted.limit)


async def say_in_thread(call: Call[SayInThread, Nothing]) -> Response:
    """201 with the new run; 200 with the run that hears it, or that the idempotency key led to before."""
    thread, said = call.app.thread(call.id), call.body
    agent = said.agent or await thread.answerer()
    permit_start(call.caller, agent)
    if said.mode == "steer":
        permit_words(call.caller, thread.id)
    key = _key(call)
    known = {None if key is None else await call.app.runs.keyed(agent, key)}
    active = await thread.active() if said.mode == "steer" else None
    handle = await thread.send(said.text, mode=said.mode, agent=agent, idempotency_key=key, started_by=person(call))
    return await _started(call, handle.id, known | {active and active.id})


async def stop_thread(call: Call[StopThread, Nothing]) -> Response:
    """End the turn, not the conversation: the run ends as cancelled, what it said until then is kept, and the next run has its turn."""
    run = await call.app.thread(call.id).stop(run=call.body.run, reason=call.body.reason)
    return answer(StoppedRun(run=None if run is None else await seen(call.app, run.id)))


async def regenerate_thread(call: Call[RegenerateThread, Nothing]) -> Response:
    """Have the last question answered anew; 409 while a run is under way. What was answered before stays if the new run fails."""
    asked = call.body
    agent = asked.agent or (await call.app.threads.get(call.id)).agent
    permit_start(call.caller, agent)
    key = _key(call)
    known = None if key is None else await call.app.runs.keyed(agent, key)
    handle = await call.app.thread(call.id).regenerate(asked.text, agent=agent, idempotency_key=key, started_by=person(call))
    return await _started(call, handle.id, {known})


async def fork_thread(call: Call[ForkThread, Nothing]) -> Response:
    """201 with a new conversation that begins with this one; the same again is the same. A browser token names a fork that it may read."""
    wanted = call.body
    permit_thread(call.caller, wanted.id or "<id>")
    made = await call.app.thread(call.id).fork(wanted.at, wanted.id)
    return await _detail(call, await call.app.threads.get(made.id), 0, PAGE, 201)


async def _detail(call: Call[Any, Any], known: ThreadRecord, after: int, limit: int, status: int = 200) -> Response:
    active = await call.app.thread(known.id).active()
    said = await call.app.threads.said(known.id, after, limit)
    return answer(
        ThreadDetail(
            id=known.id,
            agent=known.agent,
            active_run=None if active is None else active.id,
            forked_from=None if known.source is None else ForkedFrom(id=known.source, at=known.base),
            created_at=known.created_at // 1_000,
            touched_at=known.touched_at // 1_000,
            usage=usage_view(await call.app.threads.usage(known.id)),
            messages=[Message(seq=one.seq, run=one.run_id, created_at=one.created_at // 1_000, message=loads(one.body)) for one in said],
            next=after + limit if after + limit < known.messages else None,
        ),
        status,
    )


def _key(call: Call[Any, Any]) -> str | None:
    """The idempotency key; a token's are apart from those of others."""
    key, grant = call.request.headers.get("idempotency-key"), call.caller.grant
    return key if key is None or grant is None else dumps([grant.who, key])


async def _started(call: Call[Any, Any], run_id: str, known: Set[str | None]) -> Response:
    token = reading_token(call.app, call.caller, run_id)
    return answer(StartedRun(**dict(await seen(call.app, run_id)), token=token), 200 if run_id in known else 201)


def _place(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return LAST, LAST
    at, _, key = cursor.partition("-")
    if not (at.isdecimal() and key.isdecimal() and max(len(at), len(key)) < 19):
        raise InvalidRequest(f"{cursor!r} is no cursor of threads.", hint="Send back the `next` of the page before as it came.")
    return int(at), int(key)


def thread_view(one: ThreadRecord) -> ThreadInfo:
    """A conversation in a list."""
    return ThreadInfo(
        id=one.id,
        agent=one.agent,
        turns=one.turns,
        messages=one.messages,
        created_at=one.created_at // 1_000,
        touched_at=one.touched_at // 1_000,
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/threads",
        handler=list_threads,
        needs=needs.LIST_ALL,
        summary="List conversations, the latest first",
        query=ThreadsQuery,
        answer=ThreadPage,
    ),
    Operation(
        method="GET",
        path="/v1/threads/{id}",
        handler=get_thread,
        needs=needs.READ_THREAD,
        summary="Read a conversation",
        query=ThreadQuery,
        answer=ThreadDetail,
        problems=(404,),
    ),
    Operation(
        method="POST",
        path="/v1/threads/{id}/messages",
        handler=say_in_thread,
        needs=needs.READ_THREAD,
        summary="Say something in a conversation",
        body=SayInThread,
        answer=StartedRun,
        statuses=(201, 200),
        problems=(404, 409),
        headers=("Idempotency-Key",),
    ),
    Operation(
        method="POST",
        path="/v1/threads/{id}/stop",
        handler=stop_thread,
        needs=needs.WRITE_THREAD,
        summary="Stop the run that is at work in a conversation",
        body=StopThread,
        answer=StoppedRun,
        problems=(404,),
    ),
    Operation(
        method="POST",
        path="/v1/threads/{id}/regenerate",
        handler=regenerate_thread,
        needs=needs.READ_THREAD,
        summary="Have the last question of a conversation answered anew",
        body=RegenerateThread,
        answer=StartedRun,
        statuses=(201, 200),
        problems=(404, 409),
        headers=("Idempotency-Key",),
    ),
    Operation(
        method="POST",
        path="/v1/threads/{id}/fork",
        handler=fork_thread,
        needs=needs.READ_THREAD,
        summary="Begin a conversation with what was said in another",
        body=ForkThread,
        answer=ThreadDetail,
        statuses=(201,),
        problems=(404, 409),
    ),
)
"""What there is under `/v1/threads`."""
