"""Standing yeses of people to calls of tools, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentflow.client.answers import Asking, grant_record
from agentflow.records import GrantRecord


class ClientGrants:
    """`client.grants`: give them, see which count, take them back."""

    def __init__(self, client: Asking) -> None:
        self._client = client

    async def list(self, *, tool: str | None = None, every: bool = False, limit: int = 100) -> list[GrantRecord]:
        """Grants, newest first: those that count now; `every` one with those that are over."""
        found = await self._client.ask("GET", "/v1/grants", tool=tool, every="true" if every else None, limit=limit)
        return [grant_record(one) for one in found["grants"]]

    async def create(
        self,
        call: str,
        *,
        by: str,
        always: Mapping[str, Any] | None = None,
        scope_id: str | None = None,
        match: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> GrantRecord:
        """Give a grant: to the tool named `call`, or with the id of a question about one (`wp_…`) to calls like the one that it is about.

        `always` says where, how long and how often it counts: `{"scope": "thread", "expires": "1h", "max_uses": 20}`. `match` says which
        calls, `scope_id` names the run, thread or agent where the question does not. Raises `InvalidGrant`, `NotEligible`, and as
        `client.waitpoints.answer` does.

        >>> grant = await client.grants.create(question.id, by="maria", always={"scope": "thread"})
        """
        named = {"from_waitpoint" if call.startswith("wp_") else "tool": call}
        given = {"match": match, "scope_id": scope_id, "reason": reason}
        body = {**(always or {}), **named, "by": by, **{name: one for name, one in given.items() if one is not None}}
        return grant_record(await self._client.ask("POST", "/v1/grants", body))

    async def revoke(self, grant_id: str, *, by: str) -> GrantRecord:
        """Take a grant back, at once; again, it changes nothing. Raises `GrantNotFound`."""
        return grant_record(await self._client.ask("DELETE", f"/v1/grants/{grant_id}", headers={"x-agentflow-by": by}))
