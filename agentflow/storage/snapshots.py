"""All that is live in an environment, as those hold it who have no database: bindings, rollouts, and the versions that these lead to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from agentflow.database.port import Transaction
from agentflow.errors import PromptError, RegistryUnreadable
from agentflow.serde import dumps
from agentflow.storage import bindings, prompts, rollouts
from agentflow.storage.bindings import BindingRecord
from agentflow.storage.prompts import VersionRecord
from agentflow.storage.rollouts import RolloutRecord

_CHAIN = 8
"""How many revoked versions in a row name another one to go on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A binding, and the rollout that it stands for where it is one that can be read."""

    binding: BindingRecord
    rollout: RolloutRecord | None = None

    @property
    def numbers(self) -> Iterable[int]:
        """The versions that somebody may get by it."""
        if self.rollout is not None:
            return self.rollout.weights
        return [one for one in (self.binding.number,) if one is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All bindings of an environment and the versions that are live there; `etag` changes when any of it does.

    What is damaged is left out: a version that is gone, the weights of a rollout.
    """

    etag: str
    live: Sequence[Live]
    versions: Sequence[VersionRecord]

    @property
    def bindings(self) -> Sequence[BindingRecord]:
        """What holds under which label."""
        return [one.binding for one in self.live]


def of_env(env: str, now: int) -> Transaction[Snapshot]:
    """What is live in an environment, with the versions that stand for revoked ones."""
    live: list[Live] = []
    for one in (yield from bindings.of_env(env)):
        live.append((yield from _live(one.at(now))))
    versions: dict[tuple[str, int], VersionRecord] = {}
    for one in live:
        for number in one.numbers:
            yield from _add(versions, one.binding.prompt, number)
    found = [versions[key] for key in sorted(versions)]
    held = [[one.binding.prompt, one.binding.label, one.binding.rev, one.binding.mode] for one in live]
    told = dumps([held, [_mark(one) for one in found]])
    return Snapshot(etag=sha256(told.encode()).hexdigest()[:32], live=live, versions=found)


def _mark(one: VersionRecord) -> list[str | int | None]:
    return [one.prompt, one.number, one.hash, one.revoked_at]


def _live(one: BindingRecord) -> Transaction[Live]:
    if one.rollout is None:
        return Live(binding=one)
    try:
        return Live(binding=one, rollout=(yield from rollouts.get(one.prompt, one.rollout)))
    except RegistryUnreadable:
        return Live(binding=one)


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
