"""Runs over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from agentflow.app import Agentflow
from agentflow.app.rebuild import Rebuilt, holds, load
from agentflow.errors import StreamUnavailable
from agentflow.records import RunRecord
from agentflow.serde import dumps
from agentflow.server.calls import Call, answer
from agentflow.server.errors import InvalidRequest
from agentflow.server.frames import Framing, parse_types
from agentflow.server.index import IndexReading
from agentflow.server.many import ManyReadings
from agentflow.server.models import EventPage, Journal, MovedRun, RunDetail, RunPage
from agentflow.server.needs import permit_run
from agentflow.server.persons import person
from agentflow.server.reading import Reading, snapshot_value
from agentflow.server.requests import (
    CancelRun,
    EventQuery,
    IndexQuery,
    MoveRun,
    Nothing,
    RescheduleRun,
    ResumeRun,
    RunQuery,
    StartRun,
    StreamQuery,
    StreamRuns,
)
from agentflow.server.stream import EventStream, Source
from agentflow.server.token_models import StartedRun
from agentflow.server.tokens import permitted, reading_token
from agentflow.server.views import entry_view, run_detail, run_view
from agentflow.storage.listing import RunFilter
from agentflow.storage.usage import of_run
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.reader import StreamLost


async def start_run(call: Call[StartRun, Nothing]) -> Response:
    """201 with the new run; 200 with the run that the idempotency key started before."""
    options = _options(call)
    key = options.get("idempotency_key")
    known = None if key is None else await call.app.runs.keyed(call.body.task, key)
    handle = await call.app.start_json(call.body.task, dumps(call.body.payload), options)
    token = reading_token(call.app, call.caller, handle.id)
    started = StartedRun(**dict(await seen(call.app, handle.id)), token=token)
    return answer(started, 200 if handle.id == known else 201)


def _options(call: Call[StartRun, Nothing]) -> dict[str, Any]:
    options = call.body.options.model_dump(exclude_none=True)
    key = _idempotency_key(call)
    if key is not None:
        options["idempotency_key"] = key
    grant = call.caller.grant
    chosen = options if grant is None else permitted(grant, options)
    name = person(call, options.get("started_by"))
    return chosen if name is None else {**chosen, "started_by": name}


def _idempotency_key(call: Call[StartRun, Nothing]) -> str | None:
    header, said = call.request.headers.get("idempotency-key"), call.body.options.idempotency_key
    if header and said and header != said:
        raise InvalidRequest("The header Idempotency-Key and options.idempotency_key differ.", hint="Send one of them.")
    return header or said


async def _detail(app: Agentflow, run_id: str, status: int = 200) -> Response:
    return answer(await seen(app, run_id), status)


async def seen(app: Agentflow, run_id: str) -> RunDetail:
    """A run with its values, its open waitpoints, and the cursor of its stream."""
    # The cursor first: what happens in between is then both in the run and after the cursor, never in neither.
    cursor = None
    with suppress(StreamUnavailable):
        cursor = await app.streams.tail(run_id)
    run = await app.runs.get(run_id)
    waiting = [] if run.state.terminal else await app.runs.waiting_for(run_id)
    return run_detail(run, waiting, None if cursor is None else str(cursor), await app.database.read(of_run(run.key)))


async def list_runs(call: Call[Nothing, RunQuery]) -> Response:
    """A page of runs, newest first. With several filters a page may be short, or empty, and have a `next` all the same."""
    wanted = call.query
    page = await call.app.runs.page(
        RunFilter(task=wanted.task, state=wanted.status, tag=wanted.tag, parent=wanted.parent, before=wanted.cursor, limit=wanted.limit)
    )
    return answer(RunPage(runs=[run_view(run) for run in page.runs], next=None if page.next is None else str(page.next)))


async def get_run(call: Call[Nothing, Nothing]) -> Response:
    """A run with its values, its open waitpoints, and the cursor of its stream."""
    return await _detail(call.app, call.id)


async def cancel_run(call: Call[CancelRun, Nothing]) -> Response:
    """Ask a run and its children to stop; again, or after its end, this changes nothing."""
    await call.app.runs.cancel(call.id, call.body.reason)
    return await _detail(call.app, call.id)


async def resume_run(call: Call[ResumeRun, Nothing]) -> Response:
    """Let a paused run go on."""
    await call.app.runs.resume(call.id, rerun=call.body.rerun)
    return await _detail(call.app, call.id)


async def reschedule_run(call: Call[RescheduleRun, Nothing]) -> Response:
    """Put off a run that has not begun, or bring it forward; 409 when its delay has ended."""
    wanted = call.body
    at = None if wanted.at is None else datetime.fromtimestamp(wanted.at / 1_000, UTC)
    await call.app.runs.reschedule(call.id, delay=wanted.delay, at=at, payload=wanted.payload)
    return await _detail(call.app, call.id)


async def move_run(call: Call[MoveRun, Nothing]) -> Response:
    """Have a run taken by another version of its code, from its next lease on."""
    moved = await call.app.runs.move(call.id, to=call.body.to, force=call.body.force)
    return answer(MovedRun(**dict(await seen(call.app, call.id)), warning=moved.warning))


async def get_journal(call: Call[Nothing, Nothing]) -> Response:
    """What a run has recorded, in order."""
    used = await call.app.runs.usage_of_steps(call.id)
    return answer(Journal(entries=[entry_view(entry, used.get(entry.seq)) for entry in await call.app.runs.journal(call.id)]))


async def stream_run(call: Call[Nothing, StreamQuery]) -> Response:
    """Server-sent events: the run's log after a cursor, live, to its `end`. 204 when nothing follows the cursor."""
    call.service.pulse.admit()
    query = call.query
    framing = Framing(parse_types(query.types), call.caller.thoughts)
    reading = Reading(call.app, call.id, _cursor(call.request, query.after), framing, query.start)
    if not await reading.begin():
        return Response(status_code=204)
    return _streamed(call, reading, live=query.live)


async def stream_runs(call: Call[StreamRuns, Nothing]) -> Response:
    """Server-sent events of several runs, each with `run` and `id` in its JSON, until all have ended."""
    call.service.pulse.admit()
    types = parse_types(None if call.body.types is None else ",".join(call.body.types))
    readings: list[Reading] = []
    for run_id, after in call.body.runs.items():
        # What does not exist is said before anything is streamed.
        await permit_run(call.app, call.caller, run_id)
        await call.app.runs.get(run_id)
        framing = Framing(types, call.caller.thoughts, run=run_id)
        readings.append(Reading(call.app, run_id, Cursor.parse(after) if after else None, framing))
    return _streamed(call, ManyReadings(call.app, readings), live=call.body.live)


async def stream_index(call: Call[Nothing, IndexQuery]) -> Response:
    """Server-sent events of a list: the runs as they are now, then each that changes."""
    call.service.pulse.admit()
    wanted, query = call.query, call.query.tag
    if wanted.thread is not None and query is not None:
        raise InvalidRequest("tag and thread are both given.", hint="Send one of them: a thread is the tag thread:<id>.")
    tag = query if wanted.thread is None else f"thread:{wanted.thread}"
    found = RunFilter(task=wanted.task, state=wanted.status, tag=tag, parent=wanted.parent, limit=wanted.limit)
    return _streamed(call, IndexReading(call.service.index, found), live=wanted.live)


def _streamed(call: Call[Any, Any], source: Source, *, live: bool) -> EventStream:
    return EventStream(source, call.service.pulse, live=live, expiring=call.caller.expiring(call.app.clock))


async def list_events(call: Call[Nothing, EventQuery]) -> Response:
    """The run's log after a cursor, as far as it goes now."""
    after = _cursor(call.request, call.query.after)
    run = await call.app.runs.get(call.id)
    if holds(run, after):
        return _rebuilt(call, await call.app.database.read(load(call.id)), after)
    try:
        events = await call.app.streams.read(call.id, after, call.query.limit)
        whole = bool(events) or not run.state.terminal or (await call.app.streams.ends([call.id]))[0] == (after, True)
    except (StreamLost, StreamUnavailable) as error:
        return await _instead(call, run, error)
    if not whole:
        return _rebuilt(call, await call.app.database.read(load(call.id)), None)
    ended = events[-1].ended if events else run.state.terminal
    return _page(_shown(call, events), str(events[-1].id) if events else call.query.after, ended=ended)


async def _instead(call: Call[Nothing, EventQuery], run: RunRecord, error: StreamLost | StreamUnavailable) -> Response:
    """The stream is gone: the log from the database, all at once while the run still goes on."""
    if isinstance(error, StreamUnavailable) and not run.state.terminal:
        raise error
    rebuilt = await call.app.database.read(load(call.id))
    if rebuilt.run.state.terminal:
        return _rebuilt(call, rebuilt, None)
    known = [{"event": from_json(event.json())} for event in Framing(thoughts=call.caller.thoughts).chosen(rebuilt.events)]
    return _page([{"event": snapshot_value(rebuilt.run)}, *known], error.details.get("tail") or None, ended=False)


def _rebuilt(call: Call[Nothing, EventQuery], rebuilt: Rebuilt, after: Cursor | None) -> Response:
    """A page of the rebuilt log; without a cursor of its own, from its start with a reset."""
    limit = call.query.limit
    if after is None:
        page = rebuilt.events[: max(limit - 1, 0)]
        head = [{"id": str(rebuilt.start), "event": snapshot_value(rebuilt.run)}]
    else:
        page, head = rebuilt.after(after)[:limit], []
    position = page[-1].id if page else after or rebuilt.start
    return _page([*head, *_shown(call, page)], str(position), ended=position >= rebuilt.events[-1].id)


def _shown(call: Call[Nothing, EventQuery], events: Sequence[StoredEvent]) -> list[dict[str, Any]]:
    return [{"id": str(event.id), "event": from_json(event.json())} for event in Framing(thoughts=call.caller.thoughts).chosen(events)]


def _page(events: list[dict[str, Any]], following: str | None, *, ended: bool) -> Response:
    return answer(EventPage(events=events, next=following, ended=ended))


def _cursor(request: Request, after: str | None) -> Cursor | None:
    # On its own reconnect an EventSource sends the header, and the old address with the old `after`.
    text = request.headers.get("last-event-id") or after
    return Cursor.parse(text) if text else None
