"""Deletion of versions of prompts that nobody needs: the number is never used again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agentflow.database.port import Transaction, transaction
from agentflow.errors import PromptError, VersionInUse
from agentflow.serde import loads
from agentflow.storage import bindings, prompts, releases, rollouts
from agentflow.storage.bindings import ROLLOUT, BindingRecord
from agentflow.storage.prompts import Happening, VersionRecord, version_of
from agentflow.storage.statements import SQL

NAMED = 20
"""Runs and threads that an error names."""


@transaction
def delete_version(prompt: str, number: int, said: Happening, now: int) -> Transaction[VersionRecord]:
    """Delete a version; what it was is returned. Raises `PromptNotFound`, `VersionNotFound`, and `VersionInUse` with all that uses it."""
    yield from prompts.lock(prompt)
    yield from prompts.find(prompt, number)
    # From here on nobody takes hold of it; who did before is seen by what is asked after this.
    yield SQL.prompts.lock_version(prompt=prompt, number=number)
    by = [*(yield from _bound(prompt, number, now)), *(yield from _standing_for(prompt, number)), *(yield from _held(prompt, number))]
    if (yield SQL.generations.uses(prompt=prompt, number=number)):
        by.append("model calls that are kept")
    if by:
        hint = "Release another version, move the runs and upgrade the threads that hold it; or revoke it."
        told = f"v{number} of {prompt} is in use: {', '.join(by[:5])}{' …' if len(by) > 5 else ''}."
        raise VersionInUse(told, hint=hint, prompt=prompt, number=number, by=by)
    [row] = yield SQL.prompts.delete(prompt=prompt, number=number)
    happening = Happening(type="version.deleted", actor=said.actor, reason=said.reason, before=str(number))
    yield from prompts.tell(prompt, happening, now)
    return version_of(row)


def _bound(prompt: str, number: int, now: int) -> Transaction[list[str]]:
    found: list[str] = []
    for binding in (yield from bindings.of_prompt(prompt)):
        one, place = binding.at(now), f"{binding.label} in {binding.env}"
        if number == one.number or number in one.versions:
            found.append(place)
        elif number == one.code:
            found.append(f"code of {place}")
        elif number in (yield from _before(one)):
            found.append(f"rollback of {place}")
    return found


def _before(one: BindingRecord) -> Transaction[Iterable[int]]:
    """The versions that going back would have hold."""
    move = yield from releases.last_move(one.prompt, one.env, one.label)
    said: Mapping[str, Any] = loads((move.before if move is not None else None) or "{}")
    if said.get("mode") != ROLLOUT:
        return [said["number"]] if "number" in said else []
    try:
        return (yield from rollouts.get(one.prompt, str(said.get("rollout")))).plan.versions
    except PromptError:
        return []


def _standing_for(prompt: str, number: int) -> Transaction[list[str]]:
    revoked = [one for one in (yield from prompts.of_prompt(prompt)) if (one.revoke_policy or "").startswith("repin:")]
    return [f"revoked v{one.number}" for one in revoked if prompts.repinned(one.revoke_policy or "") == number]


def _held(prompt: str, number: int) -> Transaction[list[str]]:
    found = yield SQL.pins.users(prompt=prompt, number=number, limit=NAMED)
    return list(dict.fromkeys(f"run {row['id']}" if row["id"] is not None else row["scope"].replace(":", " ", 1) for row in found))
