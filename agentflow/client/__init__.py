"""An agentflow server over HTTP: the verbs of an app, for processes that have neither its code nor its database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic_core import from_json

from agentflow.client.answers import error_of, run_record
from agentflow.client.following import Following
from agentflow.client.grants import ClientGrants
from agentflow.client.prompts import ClientPrompts
from agentflow.client.threads import ClientThread
from agentflow.client.waitpoints import ClientWaitpoints
from agentflow.clock import SECOND, Duration, microseconds
from agentflow.errors import RunTimeout, ServerUnreachable
from agentflow.handle import RunHandle, Writable
from agentflow.records import RunRecord, RunState
from agentflow.serde import ANY, dumps
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor

__all__ = ["Client"]

T = TypeVar("T")


class Client:
    """A server at `url`; `token` is its API key, or a browser token.

    Raises `ServerUnreachable`, and the errors that the server's app raises: `UnknownTask`, `InvalidPayload`, `WaitpointAlreadyAnswered` …

        async with Client("https://agents.example.com", token=key) as client:
            run = await client.start("fulfil", order_id="o-81")
            async for event in run.events():
                print(event.event)
            print(await run.result())
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: Duration = "30s") -> None:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=microseconds(timeout) / SECOND)
        self.url = url
        self.runs = ClientRuns(self)
        self.waitpoints = ClientWaitpoints(self)
        self.grants = ClientGrants(self)
        self.prompts = ClientPrompts(self, self._http)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def start(self, name: str, /, **payload: Any) -> RunHandle[Any]:
        """Start a run by the name of its task."""
        return await self.start_json(name, dumps(payload))

    async def start_json(self, name: str, payload: str, options: Mapping[str, Any] | None = None) -> RunHandle[Any]:
        """As `start`, from JSON text, with the options of `Task.using`."""
        body = {"task": name, "payload": from_json(payload), "options": dict(options or {})}
        return RunHandle((await self.ask("POST", "/v1/runs", body))["id"], self.runs, ANY)

    async def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **query: Any) -> Any:
        """What the server answers to a request, as JSON. Raises what it refuses with."""
        content = None if body is None else dumps(body)
        told = {**(headers or {}), **({} if body is None else {"content-type": "application/json"})}
        wanted = {name: value for name, value in query.items() if value is not None}
        try:
            answer = await self._http.request(method, path, content=content, params=wanted, headers=told)
        except httpx.TransportError as error:
            hint = "Is the server running, and is this its URL?"
            raise ServerUnreachable(f"{self.url} does not answer: {str(error) or type(error).__name__}.", hint=hint) from error
        try:
            answered = from_json(answer.content)
        except ValueError:
            hint = "Is this the URL of an agentflow server?"
            raise ServerUnreachable(f"{self.url} answers {answer.status_code} and no JSON.", hint=hint, status=answer.status_code) from None
        if answer.is_error:
            raise error_of(answer.status_code, answered)
        return answered

    def thread(self, id: str) -> ClientThread:
        """A conversation, by its id.

        >>> run = await client.thread("t-7").send("Make it express.")
        """
        return ClientThread(self, id)

    def follow(self, run_id: str, after: Cursor | None, types: str | None = None) -> AsyncGenerator[StoredEvent]:
        """A run's events, to the `end`, over as many connections as that takes; `types` as in the query of the stream."""
        return Following(self._http, run_id, after, types).events()


class ClientRuns:
    """`client.runs`: look at runs, follow them, stop them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def get(self, run_id: str) -> RunRecord:
        """A run as it is now. Raises `RunNotFound`."""
        return run_record(await self._client.ask("GET", f"/v1/runs/{run_id}"))

    async def list(
        self,
        *,
        task: str | None = None,
        status: RunState | str | None = None,
        tag: str | None = None,
        parent: str | None = None,
        limit: int = 50,
    ) -> list[RunRecord]:
        """The last `limit` runs that fit, newest first, without their values."""
        found: list[RunRecord] = []
        cursor: str | None = None
        while len(found) < limit:
            wanted = min(500, limit - len(found))
            page = await self._client.ask("GET", "/v1/runs", task=task, status=status, tag=tag, parent=parent, cursor=cursor, limit=wanted)
            found += [run_record(one) for one in page["runs"]]
            cursor = page["next"]
            if cursor is None:
                break
        return found

    async def cancel(self, run_id: str, reason: str = "cancelled by the caller") -> RunRecord:
        """Ask a run and its children to stop. Raises `RunNotFound`."""
        return run_record(await self._client.ask("POST", f"/v1/runs/{run_id}/cancel", {"reason": reason}))

    async def send(self, run_id: str, stream: Writable[T] | str, message: T, *, idempotency_key: str | None = None) -> int:
        """Send a message into an input stream of a run; returns its number there. Raises as `RunHandle.send` does."""
        name, data = (stream, message) if isinstance(stream, str) else (stream.name, from_json(stream.write(message)))
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        return (await self._client.ask("POST", f"/v1/runs/{run_id}/inputs/{name}", {"data": data}, headers))["seq"]

    async def ended(self, run_id: str, timeout: Duration | None) -> RunRecord:
        """The run once it has ended. Raises `RunTimeout` after `timeout`."""
        try:
            async with asyncio.timeout(None if timeout is None else microseconds(timeout) / SECOND):
                async with aclosing(self._client.follow(run_id, None, "end")) as events:
                    async for _ in events:
                        pass
        except TimeoutError:
            raise RunTimeout(f"{run_id} has not ended within {timeout}.", hint="The run itself goes on.", run_id=run_id) from None
        return await self.get(run_id)

    async def events(self, run_id: str, after: Cursor | None) -> AsyncGenerator[StoredEvent]:
        """The run's events after a cursor, up to and with its `end`. Where part of them is gone from the stream, `sync.snapshot` says that

        the run is told anew: a `Fold` begins again.
        """
        async with aclosing(self._client.follow(run_id, after)) as events:
            async for event in events:
                yield event
