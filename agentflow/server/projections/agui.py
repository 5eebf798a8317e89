"""AG-UI 1.0 over HTTP: an agent for `HttpAgent` of `@ag-ui/client`, CopilotKit and others that speak it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from agentflow.auth.scopes import ANSWER
from agentflow.errors import RunNotFound, WaitpointError
from agentflow.serde import dumps
from agentflow.server import needs
from agentflow.server.calls import Call, Operation
from agentflow.server.errors import InvalidRequest
from agentflow.server.frames import HEADERS, Framing
from agentflow.server.needs import missing
from agentflow.server.persons import person
from agentflow.server.projections.agui_answers import check_answered, read_answers
from agentflow.server.projections.agui_capabilities import AgentCapabilities, capabilities
from agentflow.server.projections.agui_input import ResumeEntry, RunAgentInput
from agentflow.server.projections.agui_projection import Names, Projection
from agentflow.server.projections.agui_reading import AguiReading
from agentflow.server.projections.agui_stream import AguiStream, failure
from agentflow.server.projections.agui_thread import begin, find_agent, is_answered_by, key_of, named, runs_of, said_in
from agentflow.server.requests import Nothing
from agentflow.server.waitpoints import decider
from agentflow.streams.cursor import Cursor


async def run_agent(call: Call[RunAgentInput, Nothing]) -> Response:
    """Start an agent with the user's last message, or go on with the answers in `resume`; the same ids again attach to the same run.

    The reply is a stream of AG-UI events up to RUN_FINISHED or RUN_ERROR. A run that asks people ends with the outcome `interrupt`.
    """
    agent = call.request.path_params["agent"]
    await find_agent(call.app, agent)
    try:
        reading = await _reading(call, agent)
    except WaitpointError as error:
        # A client hears of what went wrong in its conversation as an event of it.
        return _told(failure(str(error), error.code))
    return _streamed(call, reading)


def _streamed(call: Call[Any, Any], reading: AguiReading) -> AguiStream:
    return AguiStream(reading, call.service.pulse, live=True, expiring=call.caller.expiring(call.app.clock))


async def _reading(call: Call[RunAgentInput, Nothing], agent: str) -> AguiReading:
    app, asked = call.app, call.body
    known = await app.runs.keyed(agent, key_of(asked.thread_id, asked.run_id))
    if asked.resume:
        answered = await _answered(call, agent, asked.resume)
        known = known or answered
    if known is None:
        await check_answered(app, agent, asked.thread_id)
        reading = _place(call, await begin(app, agent, asked, person(call)))
        reading.begin()
        return reading
    reading = _place(call, known)
    await reading.join()
    return reading


async def _answered(call: Call[RunAgentInput, Nothing], agent: str, entries: Sequence[ResumeEntry]) -> str | None:
    """The run that goes on with the answers; None where it has ended and the user has said something new."""
    app, asked = call.app, call.body
    answers = await read_answers(app, agent, asked.thread_id, entries)
    for entry in entries:
        if not call.caller.answers(entry.interrupt_id, answers.run.id):
            raise missing(*ANSWER)
    if not is_answered_by(answers.run, asked):
        # A client that saw its run fail has not forgotten what it was asked.
        if answers.run.state.terminal:
            return None
        raise InvalidRequest("A message came along with the answers.", hint="Answer first; send the message when the run has ended.")
    await answers.give(app, decider(call, None, "ag-ui"))
    return answers.run.id


def _place(call: Call[RunAgentInput, Nothing], run_id: str) -> AguiReading:
    asked = call.body
    names = Names(asked.thread_id, asked.run_id, run_id)
    return AguiReading(call.app, Projection(names, asked.held, asked.shared), Framing(thoughts=call.caller.thoughts))


async def follow_thread(call: Call[Nothing, Nothing]) -> Response:
    """The newest run of a conversation: how things stand, then what happens. With the id of an event as Last-Event-ID, what follows it.

    204 when there is no run, or nothing will follow; 410 when what follows the event is not known any more.
    """
    app, agent, thread = call.app, call.request.path_params["agent"], call.request.path_params["thread"]
    await find_agent(app, agent)
    runs = await runs_of(app, agent, thread)
    last, cursor = _last_event(call.request.headers.get("last-event-id"))
    place = 0 if last is None else next((place for place, run in enumerate(runs) if run.id == last), None)
    if place is None:
        raise RunNotFound(f"No run of this conversation is {last!r}.", hint="Connect without Last-Event-ID.", run_id=last)
    if not runs:
        return Response(status_code=204)
    run, before = runs[place], runs[place:]
    projection = Projection(Names(thread, named(run), run.id), await said_in(app, thread, before))
    reading = AguiReading(app, projection, Framing(thoughts=call.caller.thoughts))
    if cursor is None:
        await reading.join()
    elif not await reading.resume(cursor):
        return Response(status_code=204)
    return _streamed(call, reading)


async def get_capabilities(call: Call[Nothing, Nothing]) -> Response:
    """What an agent can do, as AG-UI says it."""
    record = await find_agent(call.app, call.request.path_params["agent"])
    return Response(dumps(capabilities(record)), media_type="application/json")


def _last_event(header: str | None) -> tuple[str | None, Cursor | None]:
    if not header:
        return None, None
    run_id, _, cursor = header.rpartition(":")
    return run_id, Cursor.parse(cursor)


def _told(frame: bytes) -> Response:
    response = Response(frame)
    response.raw_headers = [*HEADERS, (b"content-length", str(len(frame)).encode())]
    return response


OPERATIONS = (
    Operation(
        method="POST",
        path="/agui/{agent}",
        handler=run_agent,
        needs=needs.TALK,
        summary="Talk to an agent by AG-UI",
        body=RunAgentInput,
        answer=None,
        problems=(400, 404, 409, 503),
        media="text/event-stream",
        headers=("X-Agentflow-By",),
    ),
    Operation(
        method="GET",
        path="/agui/{agent}/{thread}/stream",
        handler=follow_thread,
        needs=needs.READ_THREAD,
        summary="Follow a conversation by AG-UI",
        answer=None,
        statuses=(200, 204),
        problems=(400, 404, 410, 503),
        media="text/event-stream",
        headers=("Last-Event-ID",),
    ),
    Operation(
        method="GET",
        path="/agui/{agent}/capabilities",
        handler=get_capabilities,
        needs=needs.ANY_CALLER,
        summary="See what an agent can do, by AG-UI",
        answer=AgentCapabilities,
        problems=(404,),
    ),
)
"""What the server serves besides `/v1`."""
