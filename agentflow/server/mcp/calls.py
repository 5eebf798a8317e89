"""The calls of an MCP client: each is a run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import anyio
from mcp.server import Server
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from agentflow.app import Agentflow
from agentflow.clock import Duration, microseconds
from agentflow.errors import AgentflowError, InvalidPayload, RunError, RunNotFound, RunTimeout, StreamError
from agentflow.serde import dumps
from agentflow.server.mcp.answering import answered, questions, refused
from agentflow.server.mcp.offers import CANCEL, GET, listed, offers
from agentflow.streams.events import ApprovalRequested, ChildStarted, Event, RunWaiting, StepCompleted, StepStarted

Context = ServerRequestContext[Any, Any]
Place = tuple[str | None, object]

IDEMPOTENCY_KEY = "agentflow/idempotency-key"
"""In the `_meta` of a call: the same key again, from whatever client, is the same run."""

WAIT: Duration = "45s"
"""How long a call waits for the end of its run; many clients give up after a minute."""

TAG = "mcp"
"""What the runs carry that MCP clients have started."""

_PACE = 200_000
"""Microseconds between two notifications of progress."""

_LATE = 10
"""Seconds that the word of a cancellation may come after it: the SDK cuts the call off first."""

_log = logging.getLogger("agentflow.mcp")


class Calls:
    """Answers the calls of all clients of one server."""

    def __init__(self, app: Agentflow, wait: Duration) -> None:
        self._closing = False
        self._app = app
        self._wait = wait
        self._offers = offers(app.tasks.values())
        self._going: dict[Place, str] = {}
        microseconds(wait)

    def close(self) -> None:
        """The server goes: calls that are cut off now are not cancelled by their clients."""
        self._closing = True

    @property
    def server(self) -> Server[Any]:
        """The MCP server of these calls."""
        from importlib.metadata import version

        made: Server[Any] = Server(
            "agentflow",
            version=version("agentflow"),
            instructions=f"A call starts a run. If it takes long you are told its id: {GET} has its result later, {CANCEL} stops it.",
            on_list_tools=self._list,
            on_call_tool=self._call,
        )
        made.middleware.append(self._hear)
        return made

    async def _list(self, context: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=listed(self._offers.values()))

    async def _call(self, context: Context, params: CallToolRequestParams) -> CallToolResult:
        arguments = params.arguments or {}
        try:
            if params.name == GET:
                return await self._get(context, **_known(arguments, run=str, wait=float, offset=int))
            if params.name == CANCEL:
                return await self._stop(**_known(arguments, run=str))
            return await self._start(context, params.name, arguments)
        except (InvalidPayload, RunError) as error:
            return refused(str(error))
        except AgentflowError:
            _log.exception("a call of %s failed", params.name)
            return refused("The tool failed.")

    async def _start(self, context: Context, name: str, arguments: dict[str, Any]) -> CallToolResult:
        found = self._offers.get(name)
        if found is None or found.task is None:
            raise MCPError(INVALID_PARAMS, f"There is no tool {name!r}.")
        key = (context.meta or {}).get(IDEMPOTENCY_KEY)
        options = {} if key is None else {"idempotency_key": str(key)}
        run = await self._app.start_json(found.task.name, dumps(arguments), {"tags": [TAG], **options})
        place = _place(context, context.request_id)
        if place is not None:
            self._going[place] = run.id
        try:
            await self._followed(context, run.id, self._wait)
        except asyncio.CancelledError:
            await self._cut_off(run.id, place)
            raise
        if place is not None:
            self._going.pop(place, None)
        return await answered(self._app, run.id)

    async def _get(self, context: Context, run: str, wait: float = 0, offset: int | None = None) -> CallToolResult:
        await self._check(run)
        if wait > 0:
            await self._followed(context, run, min(wait, microseconds(self._wait) / 1_000_000))
        return await answered(self._app, run, offset)

    async def _stop(self, run: str) -> CallToolResult:
        await self._check(run)
        await self._app.runs.cancel(run, "cancelled by an MCP client")
        return await answered(self._app, run)

    async def _check(self, run_id: str) -> None:
        """Raise `RunNotFound` for a run that no MCP client has started: a model may know the ids of others."""
        if TAG not in (await self._app.runs.get(run_id)).tags:
            raise RunNotFound(f"There is no run {run_id}.", run_id=run_id)

    async def _followed(self, context: Context, run_id: str, wait: Duration) -> None:
        """Return when a run has ended, waits for a person, or has been waited for long enough; tell of its progress meanwhile."""
        work: list[Coroutine[Any, Any, None]] = [self._ended(run_id, wait), self._watched(context, run_id)]
        tasks = [asyncio.ensure_future(one) for one in work]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def _ended(self, run_id: str, wait: Duration) -> None:
        with suppress(RunTimeout):
            await self._app.runs.ended(run_id, wait)

    async def _watched(self, context: Context, run_id: str) -> None:
        count, last = 0, 0
        with suppress(StreamError):
            async for stored in self._app.runs.events(run_id):
                now = self._app.clock.now()
                said = _progress(stored.event)
                if said and now - last >= _PACE:
                    count, last = count + 1, now
                    await context.session.report_progress(count, message=said)
                if isinstance(stored.event, (ApprovalRequested, RunWaiting)) and await questions(self._app, run_id):
                    return
        # Whatever the stream could not tell, the database does.
        await asyncio.get_running_loop().create_future()

    # -- cancellation ------------------------------------------------------------------------------------------------------------------

    async def _cut_off(self, run_id: str, place: Place | None) -> None:
        """A call ended without an answer: its client is gone, which stops nothing, or has cancelled it, which it may be about to say.

        A call without a place is cancelled by closing its connection.
        """
        if place is not None:
            asyncio.get_running_loop().call_later(_LATE, self._going.pop, place, None)
        elif not self._closing:
            await self._cancel(run_id)

    async def _hear(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        if ctx.method == "notifications/cancelled" and ctx.params is not None:
            place = _place(ctx, ctx.params.get("requestId"))
            run_id = None if place is None else self._going.pop(place, None)
            if run_id is not None:
                await self._cancel(run_id)
        return await call_next(ctx)

    async def _cancel(self, run_id: str) -> None:
        with anyio.CancelScope(shield=True):
            await self._app.runs.cancel(run_id, "cancelled by an MCP client")


def _place(context: Context, request_id: object) -> Place | None:
    """Where a call is: ids of requests count in their session. Over HTTP the modern protocol has none, and all clients count alike."""
    request = context.request
    if request is None:
        return None, request_id
    return None if context.protocol_version in MODERN_PROTOCOL_VERSIONS else (request.headers.get("mcp-session-id"), request_id)


def _progress(event: Event) -> str | None:
    match event:
        case StepStarted(name=name):
            return name
        case StepCompleted(name=name):
            return f"{name}: done"
        case ChildStarted(name=name):
            return f"{name} began"
        case RunWaiting(on=on):
            return f"waits: {on}"
        case _:
            return None


def _known(given: dict[str, Any], **types: Callable[..., Any]) -> dict[str, Any]:
    """The arguments of a tool of ours. Raises `InvalidPayload`."""
    if (unknown := given.keys() - types.keys()) or "run" not in given:
        problem = f"It knows no {', '.join(sorted(unknown))}." if unknown else "run is missing."
        raise InvalidPayload(problem, hint=f"Its arguments are {', '.join(types)}.")
    try:
        return {name: types[name](value) for name, value in given.items() if value is not None}
    except (TypeError, ValueError) as error:
        raise InvalidPayload(f"An argument is of another type: {error}.") from None
