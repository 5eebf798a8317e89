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
from agentflow.storage.statements import SQL

_CHAIN = 8
"""How many revoked versions in a row name another one to go on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All bindings of an environment and the versions that are live there; `etag` changes when any of it does.

    `others` are those that somebody may come to without a move: the code's where a release ends by itself, and revoked ones, which older
    code may have, with what stands for them. What is damaged is left out: a version that is gone, the weights of a rollout.
    """

    etag: str
    bindings: Sequence[BindingRecord]
    versions: Sequence[VersionRecord]
    others: Sequence[VersionRecord]

    @property
    def known(self) -> Sequence[VersionRecord]:
        """All versions that a follower needs."""
        return [*self.versions, *self.others]


def of_env(env: str, now: int) -> Transaction[Snapshot]:
    """What is live in an environment, with the versions that stand for revoked ones."""
    live = [one.at(now) for one in (yield from bindings.of_env(env))]
    versions: dict[tuple[str, int], VersionRecord] = {}
    for one in live:
        for number in one.versions:
            yield from _add(versions, one.prompt, number)
    others = dict(versions)
    for one in live:
        if one.expires_at is not None and one.code is not None:
            yield from _add(others, one.prompt, one.code)
    for row in (yield SQL.prompts.revoked()):
        yield from _add(others, row["prompt"], row["number"])
    found, more = [versions[key] for key in sorted(versions)], [others[key] for key in sorted(others.keys() - versions.keys())]
    held = [[one.prompt, one.label, one.rev, one.mode, sorted(one.weights.items())] for one in live]
    told = dumps([held, [_mark(one) for one in found], [_mark(one) for one in more]])
    return Snapshot(etag=sha256(told.encode()).hexdigest()[:32], bindings=live, versions=found, others=more)


def _mark(one: VersionRecord) -> list[str | int | None]:
    return [one.prompt, one.number, one.hash, one.revoked_at, one.revoke_policy]


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
