"""What can be done with waitpoints from outside of runs."""

from __future__ import annotations

from typing import Any

from agentflow.app.waking import Waking
from agentflow.clock import Clock, Duration, microseconds
from agentflow.database.port import Database
from agentflow.engine.maintenance import Maintenance
from agentflow.errors import InvalidAnswer
from agentflow.records import WaitKind, WaitpointRecord, WaitState
from agentflow.serde import dumps
from agentflow.storage import listing, waitpoints
from agentflow.storage.waitpoints import Ending, TokenKey


class Waitpoints:
    """`app.waitpoints`: create tokens, see what is waited for, answer."""

    def __init__(self, database: Database, clock: Clock, waking: Waking, maintenance: Maintenance) -> None:
        self._database = database
        self._clock = clock
        self._waking = waking
        self._maintenance = maintenance

    async def create(
        self,
        *,
        timeout: Duration | None = None,
        title: str = "",
        idempotency_key: str | None = None,
        idempotency_ttl: Duration = "30d",
    ) -> WaitpointRecord:
        """Make a token that `wait_for(token.id)` in a run waits for.

        The same `idempotency_key` gives the same token for as long as `idempotency_ttl`; then a new one.
        """
        now = self._clock.now()
        due = None if timeout is None else now + microseconds(timeout)
        key = None if idempotency_key is None else TokenKey(idempotency_key, now + microseconds(idempotency_ttl))
        made, _ = await self._database.transact(waitpoints.create_free(dumps({"title": title}), None, due, key, now))
        self._maintenance.due(due)
        return made

    async def get(self, waitpoint_id: str) -> WaitpointRecord:
        """A waitpoint as it is now. Raises `WaitpointNotFound`."""
        return await self._database.read(waitpoints.get(waitpoint_id))

    async def list(
        self, *, kind: str | None = None, state: str | None = "pending", run_id: str | None = None, limit: int = 100
    ) -> list[WaitpointRecord]:
        """Waitpoints, newest first; by default those that are open."""
        return await self._database.read(listing.waitpoints(kind=kind, state=state, run_id=run_id, limit=limit))

    async def approve(
        self, waitpoint_id: str, *, by: str, reason: str | None = None, edits: dict[str, Any] | None = None
    ) -> WaitpointRecord:
        """Answer an approval with yes. Raises as `answer` does."""
        return await self.answer(waitpoint_id, {"approved": True, "reason": reason, "edits": edits}, by=by)

    async def deny(self, waitpoint_id: str, *, by: str, reason: str | None = None) -> WaitpointRecord:
        """Answer an approval with no. Raises as `answer` does."""
        return await self.answer(waitpoint_id, {"approved": False, "reason": reason}, by=by)

    async def answer(self, waitpoint_id: str, value: Any, *, by: str) -> WaitpointRecord:
        """End a waitpoint with a JSON value, and wake whoever waits for it.

        Raises `WaitpointNotFound`, `InvalidAnswer`, `WaitpointAlreadyAnswered` (somebody was first) and `WaitpointTimedOut` (too late).
        """
        one = await self.get(waitpoint_id)
        ending = Ending(WaitState.ANSWERED, _checked(one, value), by)
        now = self._clock.now()
        woken = await self._waking.transact(one.run_id, lambda lessee: waitpoints.end(one.id, ending, now, lessee), self._maintenance.woken)
        return woken.waitpoint


def _checked(one: WaitpointRecord, value: Any) -> str:
    if one.kind is WaitKind.SIGNAL:
        hint = "Send one: `agentflow runs send RUN NAME JSON`, POST /v1/runs/{id}/inputs/{name}, or run.send()."
        raise InvalidAnswer(f"{one.id} waits for a message, which is sent to its run.", hint=hint)
    if one.kind in (WaitKind.TIMER, WaitKind.CHILD):
        raise InvalidAnswer(f"{one.id} waits for a {one.kind.value}, which nobody can answer.", hint="Cancel the run instead.")
    if one.kind is not WaitKind.APPROVAL:
        return dumps(value)
    from agentflow.app.decision import DecisionBody

    return DecisionBody.checked(value, one)
