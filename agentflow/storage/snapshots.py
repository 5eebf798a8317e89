"""All that is live in an environment, as those hold it who have no database: bindings, rollouts, and the versions that these lead to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from agentflow.database.port import Transaction
from agentflow.errors import PromptError
from agentflow.serde import dumps
from agentflow.storage import bindings, prompts
from agentflow.storage.bindings import BindingRecord
from agentflow.storage.prompts import VersionRecord

_CHAIN = 8
"""How many revoked versions in a row name another one to go on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All bindings of an environment and the versions that are live there; `etag` changes when any of it does.

    What is damaged is left out: a version that is gone, the weights of a rollout.
    """

    etag: str
    bindings: Sequence[BindingRecord]
    versions: Sequence[VersionRecord]


def of_env(env: str, now: int) -> Transaction[Snapshot]:
    """What is live in an environment, with the versions that stand for revoked ones."""
    live = [one.at(now) for one in (yield from bindings.of_env(env))]
    versions: dict[tuple[str, int], VersionRecord] = {}
    for one in live:
        for number in one.versions:
            yield from _add(versions, one.prompt, number)
    found = [versions[key] for key in sorted(versions)]
    held = [[one.prompt, one.label, one.rev, one.mode, sorted(one.weights.items())] for one in live]
    told = dumps([held, [_mark(one) for one in found]])
    return Snapshot(etag=sha256(told.encode()).hexdigest()[:32], bindings=live, versions=found)


def _mark(one: VersionRecord) -> list[str | int | None]:
    return [one.prompt, one.number, one.hash, one.revoked_at]


def _add(versions: dict[tuple[str, int], VersionRecord], prompt: str, number: int) -> Transaction[None]:
    """A version, and those that stand for it."""
    for _ in range(_CHAIN):
        if (prompt, number) in versions:
            return
        try:
            version = versions[prompt, number] = yield from prompts.find(prompt, number)
        except PromptError:
            return
        policy = version.revoke_policy or ""
        if not policy.startswith("repin:"):
            return
        number = prompts.repinned(policy)
