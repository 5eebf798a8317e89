"""What is waited for, over HTTP: see it, decide, and have people told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from agentflow.client.answers import Asking, delivery_record, error_of, waitpoint_record
from agentflow.clock import SECOND, Duration, microseconds
from agentflow.errors import AgentflowError
from agentflow.records import DeliveryRecord, WaitpointRecord
from agentflow.storage.deciding import Decided


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLink:
    """A link that was made. `path` is the address without the server's name: a secret; `url` the whole of it, None where the server does
    not know how people reach it. `expires_at` is microseconds since 1970."""

    id: str
    waitpoint_id: str
    actor: str
    choices: tuple[str, ...]
    expires_at: int
    path: str = field(repr=False)
    url: str | None = field(repr=False)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """From its JSON."""
        return cls(
            id=told["id"],
            waitpoint_id=told["waitpoint"],
            actor=told["actor"],
            choices=tuple(told["choices"]),
            expires_at=told["expires_at"] * 1_000,
            path=told["path"],
            url=told["url"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientVote:
    """What somebody said to a waitpoint; `why` it did not count, if it was not `counted`. `at` is microseconds since 1970."""

    actor: str
    choice: str
    said: Any
    counted: bool
    why: str | None
    at: int


class ClientWaitpoints:
    """`client.waitpoints`: see what is waited for, answer."""

    def __init__(self, client: Asking) -> None:
        self._client = client

    async def get(self, waitpoint_id: str) -> WaitpointRecord:
        """A waitpoint as it is now. Raises `WaitpointNotFound`."""
        return waitpoint_record(await self._client.ask("GET", f"/v1/waitpoints/{waitpoint_id}"))

    async def list(
        self, *, kind: str | None = None, state: str | None = "pending", run_id: str | None = None, limit: int = 100
    ) -> list[WaitpointRecord]:
        """Waitpoints, newest first; by default those that people are asked, or of a run all that are open."""
        found = await self._client.ask("GET", "/v1/waitpoints", kind=kind, state=state or "any", run=run_id, limit=limit)
        return [waitpoint_record(one) for one in found["waitpoints"]]

    async def inbox(
        self,
        *,
        assignee: str | None = None,
        risk: Sequence[str] = (),
        tool: str | None = None,
        thread: str | None = None,
        limit: int = 100,
    ) -> list[WaitpointRecord]:
        """The last `limit` questions that people are asked, newest first: that `assignee` may decide, of such risk, about such a tool."""
        found: list[WaitpointRecord] = []
        wanted: dict[str, Any] = {"assignee": assignee, "risk": ",".join(risk) or None, "tool": tool, "thread": thread}
        cursor: str | None = None
        while len(found) < limit:
            page = await self._client.ask("GET", "/v1/waitpoints", **wanted, cursor=cursor, limit=min(500, limit - len(found)))
            found += [waitpoint_record(one) for one in page["waitpoints"]]
            cursor = page["next"]
            if cursor is None:
                break
        return found

    async def create(self, *, timeout: Duration | None = None, title: str = "", idempotency_key: str | None = None) -> WaitpointRecord:
        """Make a token that `wait_for(token.id)` in a run waits for; the same `idempotency_key` gives the same one."""
        lasts = None if timeout is None else microseconds(timeout) / SECOND
        body = {"timeout": lasts, "title": title, "idempotency_key": idempotency_key}
        return waitpoint_record(await self._client.ask("POST", "/v1/waitpoints", _said(body)))

    async def decide(
        self,
        waitpoint_id: str,
        said: Mapping[str, Any],
        *,
        by: str,
        seen: str | None = None,
        idempotency_key: str | None = None,
        always: Mapping[str, Any] | None = None,
    ) -> Decided:
        """Decide, and be told whether that `resolved` it, and how many people it needs and has.

        `said` is `{"approved": True, "reason": …, "edits": …}`, or `{"value": …}` for a form or a token. `seen` is the digest of what was
        shown. The same `idempotency_key` is the same decision. `always` makes a grant of the yes: `{"scope": "thread", "expires": "1h"}`.
        Raises as `answer` does, and `NotEligible`, `SubjectChanged`, `InvalidAnswer`.

        >>> done = await client.waitpoints.decide(one.id, {"approved": True}, by="maria", seen=digest)
        """
        body = {**said, "by": by, "seen_digest": seen, "always": None if always is None else dict(always)}
        path = f"/v1/waitpoints/{waitpoint_id}/decisions"
        told = await self._client.ask("POST", path, _said(body), _keyed(idempotency_key))
        return Decided(waitpoint_record(told), told["need"], told["have"], grant=told["grant"])

    async def decide_many(
        self, decisions: Sequence[Mapping[str, Any]], *, by: str, whole: bool = True, idempotency_key: str | None = None
    ) -> list[Decided | AgentflowError]:
        """Decide about several calls of one turn of one run: with `whole` all of them or none, else each by itself.

        Each is `{"id": …, "approved": …, "reason": …, "edits": …, "seen_digest": …}`; for one that does not count there is the error that
        says why. Raises `NotOneTurn`, and with `whole` as `decide`.
        """
        body = {"decisions": [dict(one) for one in decisions], "mode": "all" if whole else "each", "by": by}
        told = await self._client.ask("POST", "/v1/waitpoints/decisions", body, _keyed(idempotency_key))
        return [_outcome(one) for one in told["results"]]

    async def link(
        self,
        waitpoint_id: str,
        *,
        actor: str,
        expires: Duration = "7d",
        choices: Sequence[str] | None = None,
        by: str | None = None,
        replace: bool = False,
    ) -> ClientLink:
        """Make a link with which one person, and nobody else, decides in any browser. It is told here and never again.

        `choices` are those of approve, deny and edit that it offers, all by default; `replace` closes the links that this person was given
        before. Raises as `decide` does.
        """
        body = {"actor": actor, "expires": microseconds(expires) / SECOND, "choices": choices, "by": by, "replace": replace}
        return ClientLink.of(await self._client.ask("POST", f"/v1/waitpoints/{waitpoint_id}/links", _said(body)))

    async def remind(self, waitpoint_id: str, *, by: str) -> WaitpointRecord:
        """Tell all who were told of an open question again; not twice within a minute. Raises as `answer` does."""
        return waitpoint_record(await self._client.ask("POST", f"/v1/waitpoints/{waitpoint_id}/remind", {"by": by}))

    async def deliveries(self, waitpoint_id: str) -> list[DeliveryRecord]:
        """The messages about a waitpoint, in order, and what became of each. Raises `WaitpointNotFound`."""
        told = await self._client.ask("GET", f"/v1/waitpoints/{waitpoint_id}/deliveries")
        return [delivery_record(waitpoint_id, one) for one in told["deliveries"]]

    async def votes(self, waitpoint_id: str) -> list[ClientVote]:
        """All that people said to a waitpoint, in order: also what did not count, and why. Raises `WaitpointNotFound`."""
        told = await self._client.ask("GET", f"/v1/waitpoints/{waitpoint_id}/votes")
        return [ClientVote(**{**one, "at": one["at"] * 1_000}) for one in told["votes"]]

    async def approve(
        self, waitpoint_id: str, *, by: str, reason: str | None = None, edits: dict[str, Any] | None = None
    ) -> WaitpointRecord:
        """Answer an approval with yes. Raises `WaitpointAlreadyAnswered` and `WaitpointTimedOut`."""
        return (await self.decide(waitpoint_id, {"approved": True, "reason": reason, "edits": edits}, by=by)).waitpoint

    async def deny(self, waitpoint_id: str, *, by: str, reason: str | None = None, stop: bool = False) -> WaitpointRecord:
        """Answer an approval with no; with `stop` the run whose tool call it is ends. Raises `WaitpointAlreadyAnswered` and

        `WaitpointTimedOut`.
        """
        return (await self.decide(waitpoint_id, {"approved": False, "reason": reason, **({"stop": True} if stop else {})}, by=by)).waitpoint

    async def answer(self, waitpoint_id: str, value: Any, *, by: str) -> WaitpointRecord:
        """End a token with a JSON value. Raises `WaitpointAlreadyAnswered` and `WaitpointTimedOut`."""
        return (await self.decide(waitpoint_id, {"value": value}, by=by)).waitpoint

    async def cancel(self, waitpoint_id: str, *, by: str, reason: str | None = None) -> WaitpointRecord:
        """Take a question back: its run goes on without an answer. Raises as `answer` does."""
        return waitpoint_record(await self._client.ask("POST", f"/v1/waitpoints/{waitpoint_id}/cancel", {"by": by, "reason": reason}))

    async def supersede(self, waitpoint_id: str, *, by: str, reason: str | None = None) -> WaitpointRecord:
        """As `cancel`, and says that something else took the question's place."""
        body = {"by": by, "reason": reason, "superseded": True}
        return waitpoint_record(await self._client.ask("POST", f"/v1/waitpoints/{waitpoint_id}/cancel", body))

    async def reassign(
        self, waitpoint_id: str, *, by: str, users: list[str] | None = None, groups: list[str] | None = None
    ) -> WaitpointRecord:
        """Give an open question to other people; None leaves users or groups as they are. Raises as `answer` does."""
        body = {"by": by, "users": users, "groups": groups}
        return waitpoint_record(await self._client.ask("POST", f"/v1/waitpoints/{waitpoint_id}/reassign", body))


def _said(body: Mapping[str, Any]) -> dict[str, Any]:
    """What is not left out; a value may be null."""
    return {name: value for name, value in body.items() if value is not None or name == "value"}


def _keyed(key: str | None) -> dict[str, str]:
    return {} if key is None else {"idempotency-key": key}


def _outcome(one: Mapping[str, Any]) -> Decided | AgentflowError:
    if one["problem"] is not None:
        return error_of(409, one["problem"])
    told = one["waitpoint"]
    return Decided(waitpoint_record(told), told["need"], told["have"], grant=told["grant"])
