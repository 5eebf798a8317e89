"""Conversations over HTTP: the verbs of an app's thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from agentflow.client.answers import Handling, run_record
from agentflow.handle import RunHandle
from agentflow.records import RunRecord
from agentflow.serde import ANY


class ClientThread:
    """`client.thread(id)`: a conversation of many runs. It begins with its first run.

    >>> run = await client.thread("t-7").send("Make it express.")
    >>> await run.result()
    """

    def __init__(self, client: Handling, id: str) -> None:
        self._client = client
        self.id = id

    def __repr__(self) -> str:
        return f"ClientThread({self.id!r})"

    async def send(
        self, text: str, *, mode: Literal["queue", "steer"] = "queue", agent: str | None = None, idempotency_key: str | None = None
    ) -> RunHandle[Any]:
        """Start the next run of the conversation, or with `mode="steer"` have the agent that is at work hear it. As `Thread.send`.

        Raises `UnknownTask`, `IdempotencyConflict`.
        """
        return await self._begin("messages", {"text": text, "mode": mode, "agent": agent}, idempotency_key)

    async def regenerate(self, text: str | None = None, *, agent: str | None = None, idempotency_key: str | None = None) -> RunHandle[Any]:
        """Have the last question answered anew, or `text` in its place. Raises `ThreadBusy`, `ThreadNotFound`."""
        return await self._begin("regenerate", {"text": text, "agent": agent}, idempotency_key)

    async def stop(self, *, run: str | None = None, reason: str = "stopped") -> RunRecord | None:
        """End the turn of `run`, or of whoever is at work; returns the run, None where nobody was. As `Thread.stop`."""
        stopped = await self._ask("stop", {"run": run, "reason": reason})
        return None if stopped["run"] is None else run_record(stopped["run"])

    async def fork(self, at: int | None = None, id: str | None = None) -> ClientThread:
        """A new conversation that begins with this one up to message `at`. Raises `ThreadNotFound`, `ThreadExists`."""
        return ClientThread(self._client, (await self._ask("fork", {"at": at, "id": id}))["id"])

    async def history(self) -> list[dict[str, Any]]:
        """What was said, as JSON messages of pydantic-ai, in order. Raises `ThreadNotFound`."""
        said: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = await self._client.ask("GET", self._path, after=after)
            said += [one["message"] for one in page["messages"]]
            after = page["next"]
        return said

    async def active(self) -> RunRecord | None:
        """The run whose turn it is. Raises `ThreadNotFound`."""
        found = (await self._client.ask("GET", self._path, limit=1))["active_run"]
        return None if found is None else await self._client.runs.get(found)

    @property
    def _path(self) -> str:
        return f"/v1/threads/{quote(self.id, safe='')}"

    async def _begin(self, verb: str, body: Mapping[str, Any], key: str | None) -> RunHandle[Any]:
        started = await self._ask(verb, body, {} if key is None else {"idempotency-key": key})
        return RunHandle(started["id"], self._client.runs, ANY)

    async def _ask(self, verb: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
        given = {name: value for name, value in body.items() if value is not None}
        return await self._client.ask("POST", f"{self._path}/{verb}", given, headers)
