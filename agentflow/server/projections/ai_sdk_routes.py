"""Chat over HTTP for clients of the AI SDK: `useChat` as it is, and `WorkflowChatTransport`.

The server's thread is what was said; of what a client sends, only the last thing that the person wrote and the answers to open questions
are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from starlette.responses import Response

from agentflow.app import Agentflow
from agentflow.app.threads import only_agent
from agentflow.auth.scopes import ANSWER
from agentflow.clock import SECOND
from agentflow.errors import ThreadBusy, WaitpointAlreadyAnswered, WaitpointError, WaitpointNotFound, WaitpointTimedOut
from agentflow.handle import RunHandle
from agentflow.records import RunRecord, WaitKind
from agentflow.serde import dumps
from agentflow.server import needs
from agentflow.server.calls import Call, Operation
from agentflow.server.errors import InvalidRequest, ScopeMissing
from agentflow.server.needs import missing, permit_run, permit_start, permit_thread
from agentflow.server.persons import person
from agentflow.server.projections.ai_sdk_reply import Begin
from agentflow.server.projections.ai_sdk_requests import Address, Answer, Chat, ChatQuery, Message, ResumeQuery
from agentflow.server.projections.ai_sdk_stream import ChatStream, Telling, counted
from agentflow.server.requests import Nothing
from agentflow.server.waitpoints import decider
from agentflow.storage import threads
from agentflow.streams.cursor import Cursor
from agentflow.streams.events import ApprovalRequested, RunAttempt, RunStarted, RunWaiting

PROTOCOL = (b"x-vercel-ai-ui-message-stream", b"v1")
FRESH_AFTER_END = 30 * SECOND
"""How long after its end a run is still the answer to who comes back to its chat: the connection may have broken at its last words."""

GRACE = "60s"
"""How long a run that is not wanted any more may clean up before the next answer is given up."""


async def chat(call: Call[Chat, ChatQuery]) -> Response:
    """Say something, or answer questions: the answer is a UI message stream. The same request again gets the same run."""
    asked = call.body
    answered = await _answer(call)
    if asked.last.role == "user":
        run_id = await _say(call)
        after = None
    elif answered is None:
        raise InvalidRequest(
            "The last message is no person's, and answers no question of this chat.",
            hint="Send what the user wrote, or an approval's answer; tools run on the server.",
        )
    else:
        run_id = answered[0].run_id
        after = await _seen(call, run_id, answered)
    return _stream(call, run_id, Begin(sdk=call.query.sdk or asked.sdk or 7, after=after, thoughts=call.caller.thoughts))


async def resume_chat(call: Call[Nothing, ResumeQuery]) -> Response:
    """Go on with an answer, by chat or by run. 204 where a chat has none under way."""
    address, wanted = Address.of(call.id), call.query
    if address.chat is not None:
        permit_thread(call.caller, address.chat)
    run_id = address.run or await _current(call.app, address.chat or "")
    if run_id is None:
        return Response(status_code=204)
    await permit_run(call.app, call.caller, run_id)
    await call.app.runs.get(run_id)
    begin, told = wanted.start_index, list[tuple[bytes, bytes]]()
    if begin is not None and begin < 0:
        chunks = await counted(call.app, run_id, Begin(sdk=wanted.sdk, after=address.after, thoughts=call.caller.thoughts))
        begin = max(0, chunks + begin)
        told.append((b"x-workflow-stream-tail-index", str(chunks - 1).encode()))
    return _stream(call, run_id, Begin(sdk=wanted.sdk, skip=begin, after=address.after, thoughts=call.caller.thoughts), told)


def _stream(
    call: Call[Chat, ChatQuery] | Call[Nothing, ResumeQuery], run_id: str, begin: Begin, told: Sequence[tuple[bytes, bytes]] = ()
) -> Response:
    call.service.pulse.admit()
    named = Address.written(run_id, begin.after).encode()
    headers = [PROTOCOL, (b"x-workflow-run-id", named), (b"x-agentflow-run-id", run_id.encode()), *told]
    return ChatStream(Telling(call.app, run_id, begin), call.service.pulse, headers)


async def _say(call: Call[Chat, ChatQuery]) -> str:
    """Start the next run of the chat's thread."""
    asked, app = call.body, call.app
    known = await app.database.read(threads.find(asked.id))
    agent = call.query.agent or asked.agent or (known.agent if known else await only_agent(app))
    permit_start(call.caller, agent)
    key = asked.key(known.messages if known else 0)
    if asked.trigger == "regenerate-message" and known is not None:
        return (await _say_anew(call, agent, key)).id
    return (await app.thread(asked.id).send(asked.last.text, agent=agent, idempotency_key=key, started_by=person(call))).id


async def _say_anew(call: Call[Chat, ChatQuery], agent: str, key: str | None) -> RunHandle[Any]:
    """Have what the person says now answered in place of the last question. An answer that is under way is not wanted any more."""
    app, by = call.app, person(call)
    thread, text = app.thread(call.body.id), call.body.last.text
    try:
        return await thread.regenerate(text, agent=agent, idempotency_key=key, started_by=by)
    except ThreadBusy as busy:
        await thread.stop(run=busy.details["run_id"], reason="regenerated")
        await app.runs.ended(busy.details["run_id"], timeout=GRACE)
    return await thread.regenerate(text, agent=agent, idempotency_key=key, started_by=by)


async def _current(app: Agentflow, chat: str) -> str | None:
    """The run of a chat that is under way, or that has just ended."""
    thread = app.thread(chat)
    active = await thread.active()
    if active is not None:
        return active.id
    last = await thread.runs(limit=1)
    return last[0].id if last and _is_fresh(app, last[0]) else None


def _is_fresh(app: Agentflow, run: RunRecord) -> bool:
    return run.finished_at is None or app.clock.now() - run.finished_at <= FRESH_AFTER_END


@dataclass(frozen=True, slots=True)
class _Answered:
    """A question, and the run of the chat in which it stands: the one that asks, or one that waits for that."""

    approval: str
    run_id: str


async def _answer(call: Call[Chat, ChatQuery]) -> list[_Answered] | None:
    """Give the answers that a client brings to the questions that are open, and only to those of its own chat.

    Returns the questions of the last message. A question that was answered before keeps its answer: the stream tells it.
    """
    asked = call.body
    for message in asked.messages[:-1]:
        for answer in message.answers():
            # What a client remembers of earlier questions is not what it asks for.
            with suppress(WaitpointError, ScopeMissing):
                await _decide(call, message, answer)
    if asked.last.role != "assistant":
        return None
    return [await _decide(call, asked.last, answer) for answer in asked.last.answers()] or None


async def _decide(call: Call[Chat, ChatQuery], message: Message, answer: Answer) -> _Answered:
    app = call.app
    one = await app.waitpoints.get(answer.approval)
    stands = [sight.run_id for sight in await app.waitpoints.shown_in(one) if sight.thread == call.body.id]
    if not stands or one.kind is not WaitKind.APPROVAL:
        raise WaitpointNotFound(
            f"There is no approval {answer.approval!r} in this chat.", hint="Send back the id that came with the question."
        )
    if not any(call.caller.answers(one.id, run_id) for run_id in (one.run_id, *stands)):
        raise missing(*ANSWER)
    with suppress(WaitpointAlreadyAnswered, WaitpointTimedOut):
        value, by = {"approved": answer.approved, "reason": answer.reason}, decider(call, None, "chat")
        # A client sends all that it remembers with all that it says: the same answer is the same vote.
        said = dumps([call.body.id, message.id, by.name, one.id, answer.approved, answer.reason])
        key = f"chat:{blake2b(said.encode(), digest_size=16).hexdigest()}"
        await app.waitpoints.decide(one.id, value, by=by, idempotency_key=key)
    return _Answered(one.id, stands[0])


async def _seen(call: Call[Chat, ChatQuery], run_id: str, answered: Sequence[_Answered]) -> Cursor | None:
    """Up to where the client has the message that it goes on with."""
    place = call.body.last.place
    if place is not None and place[0] == run_id:
        return place[1]
    return await _asked_at(call.app, run_id, {one.approval for one in answered})


async def _asked_at(app: Agentflow, run_id: str, approvals: set[str]) -> Cursor | None:
    """Where the run began to wait for these approvals: what a client that tells no cursor has seen, for the response ended there."""
    position, waiting = None, False
    while page := await app.streams.read(run_id, position):
        for event in page:
            if isinstance(event.event, ApprovalRequested):
                approvals = approvals - {event.event.approval}
            elif isinstance(event.event, (RunStarted, RunAttempt, RunWaiting)):
                waiting = isinstance(event.event, RunWaiting)
            if waiting and not approvals:
                return event.id
        position = page[-1].id
    return position


OPERATIONS = (
    Operation(
        method="POST",
        path="/ai/chat",
        handler=chat,
        needs=needs.CHAT,
        summary="Chat with an agent as the AI SDK does",
        body=Chat,
        query=ChatQuery,
        answer=None,
        problems=(404, 409),
        media="text/event-stream",
        headers=("X-Agentflow-By",),
    ),
    Operation(
        method="GET",
        path="/ai/chat/{id}/stream",
        handler=resume_chat,
        needs=needs.READ_SOME,
        summary="Go on with an answer of a chat",
        query=ResumeQuery,
        answer=None,
        statuses=(200, 204),
        problems=(400, 404),
        media="text/event-stream",
    ),
)
"""What the AI SDK talks to."""
