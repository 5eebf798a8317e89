"""The audit over HTTP: a line of JSON for each entry."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import Response

from agentflow.server import needs
from agentflow.server.calls import Call, Operation
from agentflow.server.requests import Nothing, Strict

JSONL = "application/jsonl"


class AuditQuery(Strict):
    """Which entries: those after number `after`, in order; of one `type`, or all."""

    type: str | None = Field(None, min_length=1, max_length=64)
    after: int = Field(0, ge=0, lt=2**63)
    limit: int = Field(1_000, ge=1, le=10_000)


class AuditEntry(BaseModel):
    """One line. `hash` is over all the others, and `prev` is the hash of the entry before it.

    `type`: decision, answer, timeout, cancel, supersede, reassign, remind, escalate, link, lock or grant.
    """

    seq: int
    type: str
    at: int
    waitpoint: str | None
    run: str | None
    actor: str
    via: str
    detail: Any
    prev: str
    hash: str


async def export_audit(call: Call[Nothing, AuditQuery]) -> Response:
    """Entries, one a line, each with the hash of the one before it. `agentflow audit verify` checks them; go on after the last `seq`.

    The header X-Agentflow-Audit-Head is where the whole chain ends, NUMBER:HASH: kept elsewhere, it shows later what was changed before.
    """
    wanted = call.query
    found = await call.app.audit.entries(after=wanted.after, type=wanted.type, limit=wanted.limit)
    place, hashed = await call.app.audit.head()
    headers = {"cache-control": "no-store", "x-agentflow-audit-head": f"{place}:{hashed}"}
    return Response("".join(line(one) for one in found), media_type=JSONL, headers=headers)


def line(entry: dict[str, Any]) -> str:
    """An entry as it is exported."""
    return json.dumps(entry, separators=(",", ":")) + "\n"


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/audit",
        handler=export_audit,
        needs=needs.KEY,
        summary="Export who decided what",
        query=AuditQuery,
        answer=AuditEntry,
        media=JSONL,
    ),
)
