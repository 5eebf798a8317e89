"""Who may answer a callback: whoever knows a secret of it. Only hashes of secrets are kept."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256

from agentflow.database.port import Transaction, transaction
from agentflow.storage import runs, tries
from agentflow.storage.runs import Lease
from agentflow.storage.statements import SQL

_NOBODY = sha256(b"").hexdigest()


def hashed(secret: str) -> str:
    """What is kept of a secret: it is random and long, so a plain hash tells nothing of it."""
    return sha256(secret.encode("utf-8", "replace")).hexdigest()


@transaction
def give(lease: Lease, waitpoint_id: str, secret: str, signing: str | None, now: int) -> Transaction[None]:
    """Let a secret answer a callback of the run, beside those that do already. Raises `LeaseLost`."""
    yield from runs.held(lease)
    yield SQL.callbacks.give(hash=hashed(secret), waitpoint=waitpoint_id, run=lease.run, signing=signing, now=now)


@dataclass(frozen=True, slots=True)
class Door:
    """What a secret opens. `known`: there is a callback; `opened`: by this secret; `signing`: the key that calls must be signed with."""

    known: bool
    opened: bool
    signing: str | None = None


def opened_by(waitpoint_id: str, secret: str, now: int) -> Transaction[Door]:
    """What a secret opens; it takes as long where there is no such callback. One that has had too many wrong secrets stays shut."""
    given, found = hashed(secret), False
    signing: str | None = None
    locked = yield from tries.locked(waitpoint_id, now)
    rows = yield SQL.callbacks.of_waitpoint(waitpoint=waitpoint_id)
    for known, key in [(row["hash"], row["signing"]) for row in rows] or [(_NOBODY, None)]:
        if hmac.compare_digest(known, given):
            found, signing = True, key
    return Door(bool(rows), found and not locked and bool(rows), signing)
