"""Tickets: what an EventSource, which sends no headers, has in its address instead of a token. Good for one run, once, within a minute."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from pydantic_core import from_json, to_json

from agentflow.app import Agentflow
from agentflow.auth.scopes import THOUGHTS, Scopes
from agentflow.auth.tokens import Grant
from agentflow.clock import SECOND

LIFE = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket is good for. `key` is the id of the API key that it came of; None where the server had none."""

    key: str | None
    grant: Grant


async def issue(app: Agentflow, run_id: str, key: str | None, grant: Grant | None) -> tuple[str, int]:
    """A ticket for reading one run as its caller may, and when it expires, in microseconds since 1970. Raises `StreamUnavailable`."""
    text = secrets.token_urlsafe(32)
    until = app.clock.now() + LIFE
    scopes = (f"run:read:{run_id}", *((THOUGHTS,) if grant is None or grant.scopes.thoughts else ()))
    note = _Note(
        until=until,
        key=key,
        id="ticket" if grant is None else grant.id,
        subject=None if grant is None else grant.subject,
        expires_at=None if grant is None else grant.expires_at,
        scopes=scopes,
    )
    await app.streams.put_note(run_id, _name(text), to_json(asdict(note)), LIFE)
    return text, until


async def use(app: Agentflow, run_id: str, text: str) -> Ticket | None:
    """What a ticket is good for, which it is no more then; None when it is good for nothing. Raises `StreamUnavailable`."""
    # What can be no run is no place to look at.
    is_run = Scopes.known((f"run:read:{run_id}",)).runs
    found = await app.streams.take_note(run_id, _name(text)) if is_run else None
    if found is None:
        return None
    note = _Note(**from_json(found))
    now = app.clock.now()
    if now >= note.until or (note.expires_at is not None and now >= note.expires_at):
        return None
    return Ticket(note.key, Grant(id=note.id, scopes=Scopes.known(note.scopes), subject=note.subject, expires_at=note.expires_at))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    until: int
    key: str | None
    id: str
    subject: str | None
    expires_at: int | None
    scopes: Any


def _name(text: str) -> str:
    # What is kept is of no use to who can read it.
    return f"ticket:{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"
