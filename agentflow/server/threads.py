"""Threads over HTTP."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import Response

from agentflow.records import ThreadRecord
from agentflow.serde import loads
from agentflow.server import needs
from agentflow.server.calls import Call, Operation, answer
from agentflow.server.errors import InvalidRequest
from agentflow.server.models import Time, UsageTotal
from agentflow.server.requests import Nothing, Strict
from agentflow.server.views import usage_view
from agentflow.storage.threads import LAST


class ThreadsQuery(Strict):
    """`cursor` is the `next` of the page before."""

    cursor: str | None = None
    limit: int = Field(50, ge=1, le=500)


class ThreadQuery(Strict):
    """Which messages: `after` is the number of the last one that is known."""

    after: int = Field(0, ge=0)
    limit: int = Field(500, ge=1, le=5_000)


class ThreadInfo(BaseModel):
    """A conversation: how many runs took a turn in it or wait for one, how many messages it has, and whose run came last."""

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


class ThreadDetail(BaseModel):
    """A conversation with its messages; `next` is the `after` of those that follow, null when these are the last ones.

    `active_run` is the id of the run whose turn it is; `usage` is what all runs of the conversation used.
    """

    id: str
    agent: str
    active_run: str | None
    created_at: Time
    touched_at: Time
    usage: UsageTotal
    messages: list[Message]
    next: int | None


async def list_threads(call: Call[Nothing, ThreadsQuery]) -> Response:
    """A page of conversations."""
    page = await call.app.threads.page(call.query.limit, _place(call.query.cursor))
    following = None if page.next is None else f"{page.next[0]}-{page.next[1]}"
    return answer(ThreadPage(threads=[_info(one) for one in page.threads], next=following))


async def get_thread(call: Call[Nothing, ThreadQuery]) -> Response:
    """A conversation: whose turn it is, and what was said. A run adds what it said when it completes."""
    wanted = call.query
    known = await call.app.threads.get(call.id)
    active = await call.app.thread(known.id).active()
    said = await call.app.threads.said(known.id, wanted.after, wanted.limit)
    messages = [Message(seq=one.seq, run=one.run_id, created_at=one.created_at // 1_000, message=loads(one.body)) for one in said]
    return answer(
        ThreadDetail(
            id=known.id,
            agent=known.agent,
            active_run=None if active is None else active.id,
            created_at=known.created_at // 1_000,
            touched_at=known.touched_at // 1_000,
            usage=usage_view(await call.app.threads.usage(known.id)),
            messages=messages,
            next=said[-1].seq if len(said) == wanted.limit else None,
        )
    )


def _place(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return LAST, LAST
    at, _, key = cursor.partition("-")
    if not (at.isdecimal() and key.isdecimal() and max(len(at), len(key)) < 19):
        raise InvalidRequest(f"{cursor!r} is no cursor of threads.", hint="Send back the `next` of the page before as it came.")
    return int(at), int(key)


def _info(one: ThreadRecord) -> ThreadInfo:
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
)
"""What there is under `/v1/threads`."""
