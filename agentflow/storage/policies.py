"""What has to be before a prompt is moved: people who agree, an evaluation that passes, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentflow.database.port import Row, Transaction, transaction
from agentflow.records import new_id
from agentflow.serde import dumps, loads
from agentflow.storage import audit, prompts
from agentflow.storage.audit import Note
from agentflow.storage.prompts import Happening
from agentflow.storage.statements import SQL

ALL = "*"
"""Stands for every prompt that has no policy of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRecord:
    """What has to be before a prompt, or `*`, is moved in an environment. Each change of it is another `id`.

    `people` who agree, of `who` (as a waitpoint stores it: users, groups, notify); they are asked for `lasts` microseconds. `gate` is the
    task that evaluates each version that is new there.
    """

    prompt: str
    env: str
    people: int = 0
    gate: str | None = None
    who: Mapping[str, Any] = field(default_factory=dict[str, Any])
    lasts: int | None = None
    id: str = ""
    actor: str = ""
    at: int = 0

    @property
    def asks(self) -> bool:
        """Whether anything has to be at all."""
        return self.people > 0 or self.gate is not None

    @property
    def told(self) -> dict[str, Any]:
        """What an event tells of it."""
        said = {"prompt": self.prompt, "people": self.people, "gate": self.gate, **self.who, "lasts": self.lasts}
        return {name: value for name, value in said.items() if value is not None}


def of(prompt: str, env: str) -> Transaction[PolicyRecord | None]:
    """What holds for a prompt in an environment: its own policy, else that of all."""
    found = yield SQL.policies.get(prompt=prompt, env=env)
    return _policy(found[0]) if found else None


def everything() -> Transaction[Sequence[PolicyRecord]]:
    """All policies, by prompt and environment."""
    return [_policy(row) for row in (yield SQL.policies.list())]


@transaction
def put(policy: PolicyRecord, reason: str, now: int) -> Transaction[PolicyRecord]:
    """Set a policy. Requests under the one before it lapse. Raises `PromptNotFound`."""
    before = yield from of(policy.prompt, policy.env)
    if policy.prompt != ALL:
        yield from prompts.lock(policy.prompt)
    new = new_id("policy", now)
    columns = {name: getattr(policy, name) for name in ("prompt", "env", "people", "gate", "lasts", "actor")}
    [row] = yield SQL.policies.put(id=new, who=dumps(dict(policy.who)), now=now, **columns)
    told = Happening(
        type="policy.changed",
        actor=policy.actor,
        reason=reason,
        env=policy.env,
        before=None if before is None else dumps(before.told),
        after=dumps(policy.told),
    )
    # One prompt after the other by name, as deploys do: nobody waits for whom he holds up.
    named = [policy.prompt] if policy.prompt != ALL else [row["name"] for row in (yield SQL.prompts.names())]
    for name in named:
        yield from prompts.lock(name)
        yield from prompts.tell(name, told, now)
    detail = {"env": policy.env, **policy.told, "reason": reason}
    yield from audit.tell(Note(type="prompt.policy", waitpoint=None, run_id=None, actor=policy.actor, via="prompts", detail=detail), now)
    return _policy(row)


def _policy(row: Row) -> PolicyRecord:
    columns = {name: row[name] for name in ("prompt", "env", "people", "gate", "lasts", "id", "actor", "at")}
    return PolicyRecord(who=loads(row["who"]), **columns)
