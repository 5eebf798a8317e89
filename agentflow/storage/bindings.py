"""What holds of a prompt in an environment: the version that code has, one that somebody released, or several side by side.

Every move locks the prompt's row, counts the binding's `rev` on and writes an event that says who did it, from what, to what and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any

from agentflow.database.port import Row, Transaction, transaction
from agentflow.errors import BindingConflict, BindingProtected, PromptError, RegistryUnreadable
from agentflow.serde import dumps
from agentflow.storage import prompts, rollouts
from agentflow.storage.prompts import Happening, Own, VersionRecord
from agentflow.storage.rollouts import Asker, Rollout
from agentflow.storage.statements import SQL

LIVE = "live"
CODE, PINNED, ROLLOUT = "code", "pinned", "rollout"


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingRecord:
    """What holds under a label in an environment.

    `mode` is code, pinned or rollout; `number` is the version that is live, `code` the one of the code deployed there. A pinned one goes
    back to code at `expires_at`, in microseconds since 1970. `rev` counts its moves; `weights` are those of a rollout, which is `rolled`.
    """

    prompt: str
    env: str
    label: str
    mode: str = CODE
    number: int | None = None
    rollout: str | None = None
    expires_at: int | None = None
    code: int | None = None
    protected: bool = False
    rev: int = 0
    updated_at: int = 0
    weights: Mapping[int, float] = field(default_factory=dict[int, float])
    rolled: Rollout | None = None

    def at(self, now: int) -> BindingRecord:
        """As it is at that time: what has expired follows the code, what is on a ramp has its share."""
        if self.rolled is not None:
            weights = self.rolled.weights(now)
            return replace(self, weights=weights, number=max(sorted(weights), key=lambda number: weights[number]))
        expired = self.mode == PINNED and self.expires_at is not None and self.expires_at <= now
        return replace(self, mode=CODE, number=self.code, expires_at=None) if expired else self

    @property
    def versions(self) -> Sequence[int]:
        """All versions that somebody may get."""
        return self.rolled.plan.versions if self.rolled is not None else () if self.number is None else (self.number,)

    @property
    def ahead(self) -> bool:
        """Whether the code deployed there has another version than is live."""
        return self.code is not None and self.mode != CODE and self.code != self.number

    @property
    def written(self) -> str:
        """What an event tells of it."""
        return self.told({})

    def told(self, more: Mapping[str, Any]) -> str:
        """What an event tells of it, and of what moved it."""
        held = {name: getattr(self, name) for name in ("mode", "number", "rollout", "expires_at", "rev")}
        return dumps({**{name: value for name, value in held.items() if value is not None}, **more})


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Who moves which binding, and why. `expect_rev`: only if it was not moved since; `allowed`: whether a protected one may be moved.

    `more` is told by the event, too: the request that was agreed to, the figures of a guard.
    """

    prompt: str
    env: str
    label: str = LIVE
    actor: str
    reason: str = ""
    expect_rev: int | None = None
    allowed: bool = True
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that was chosen, by which rollout, if any, and which variables (`by`) had a part in it."""

    version: VersionRecord
    variant: str | None = None
    rollout: str | None = None
    by: tuple[str, ...] = ()


def get(prompt: str, env: str, label: str) -> Transaction[BindingRecord | None]:
    """A binding, if there is one."""
    found = yield SQL.bindings.get(prompt=prompt, env=env, label=label)
    return (yield from _whole(found[0])) if found else None


def of_prompt(prompt: str) -> Transaction[Sequence[BindingRecord]]:
    """All bindings of a prompt."""
    return (yield from _all((yield SQL.bindings.of_prompt(prompt=prompt))))


def of_env(env: str) -> Transaction[Sequence[BindingRecord]]:
    """All bindings of an environment."""
    return (yield from _all((yield SQL.bindings.of_env(env=env))))


def _all(rows: Iterable[Row]) -> Transaction[Sequence[BindingRecord]]:
    made: list[BindingRecord] = []
    for row in rows:
        made.append((yield from _whole(row)))
    return made


def _whole(row: Row) -> Transaction[BindingRecord]:
    columns: dict[str, Any] = {one.name: row[one.name] for one in fields(BindingRecord) if one.name not in _OF_PLAN}
    columns["protected"] = bool(columns["protected"])
    found = BindingRecord(**columns)
    if found.rollout is None:
        return found
    # One that is damaged has no weights: whoever looks, or mends it by a release, still sees the binding.
    with suppress(RegistryUnreadable):
        begun = yield from rollouts.get(found.prompt, found.rollout)
        return replace(found, rolled=begun, weights=begun.plan.weights)
    return found


_OF_PLAN = frozenset({"weights", "rolled"})


def rolled_out() -> Transaction[Sequence[BindingRecord]]:
    """All bindings under which several versions hold."""
    return (yield from _all((yield SQL.bindings.rolled_out())))


def undeployed(own: Iterable[Own], env: str) -> Transaction[list[Own]]:
    """What code has and the registry does not know as that of the code in an environment."""
    known = {row["name"]: (*_agreed(row), row["hash"]) for row in (yield SQL.bindings.deployed(env=env))}
    return [one for one in own if known.get(one.name) != (one.description, one.contract, one.trusting, one.hash)]


def _agreed(row: Row) -> tuple[str, str, bool]:
    return row["description"], row["contract"], bool(row["trusting"])


@transaction
def deploy(own: Iterable[Own], env: str, actor: str, now: int) -> Transaction[Sequence[BindingRecord]]:
    """Register what code has: bindings that follow the code move. Returns the live ones that do not, and are behind it."""
    behind: list[BindingRecord] = []
    for one in sorted(own, key=lambda one: one.name):
        row = yield from prompts.lock_own(one, now)
        if _agreed(row) != (one.description, one.contract, one.trusting):
            yield SQL.prompts.describe(name=one.name, description=one.description, contract=one.contract, trusting=int(one.trusting))
        yield SQL.bindings.agree(prompt=one.name, env=env, contract=one.contract, trusting=int(one.trusting))
        version = yield from prompts.ensure(one, actor, now)
        first = BindingRecord(prompt=one.name, env=env, label=LIVE)
        labels = {found.label: found for found in (yield from of_prompt(one.name)) if found.env == env}
        for before in ({LIVE: first} | labels).values():
            if before.code != version.number:
                after = yield from _deployed(before, version, actor, now)
                behind += [after] if after.ahead and after.label == LIVE else []
    return behind


def _deployed(before: BindingRecord, version: VersionRecord, actor: str, now: int) -> Transaction[BindingRecord]:
    current = before.at(now)
    number = version.number if current.mode == CODE else current.number
    after = replace(current, number=number, code=version.number, rev=before.rev + 1, updated_at=now)
    kind = "deployed" if after.mode == CODE else "code.ahead"
    yield from _put(after)
    yield from prompts.tell(
        after.prompt,
        Happening(
            type=kind,
            actor=actor,
            env=after.env,
            label=after.label,
            before=current.written if before.rev else None,
            after=after.written,
            reason=f"code has v{version.number}",
        ),
        now,
    )
    return after


def choose(binding: BindingRecord | None, own: VersionRecord | None, asker: Asker) -> Transaction[Choice | None]:
    """The version that holds for somebody, of a binding as it is now; None where neither a binding nor code says so.

    Raises `RegistryUnreadable` and `VersionNotFound`.
    """
    if binding is None or binding.mode == CODE:
        number = None if binding is None else binding.number
        # Whoever has the code gets what that says: while a deploy is under way, two versions of it are at work.
        if own is not None:
            return Choice(own)
        return None if binding is None or number is None else Choice((yield from prompts.find(binding.prompt, number)))
    if binding.mode == ROLLOUT:
        rolled = binding.rolled or (yield from rollouts.get(binding.prompt, binding.rollout or ""))
        number, taking_part = rolled.choose(binding.weights, asker)
        version = yield from prompts.find(binding.prompt, number)
        by = tuple(rolled.plan.conditions.get("variables", ()))
        return Choice(version, f"v{number}", binding.rollout, by) if taking_part else Choice(version, by=by)
    return Choice((yield from prompts.find(binding.prompt, binding.number or 0)))


def locked(move: Move, now: int) -> Transaction[BindingRecord]:
    """Lock what is to be moved; returns how it is now. Raises `PromptNotFound`, `BindingConflict` and `BindingProtected`."""
    yield from prompts.lock(move.prompt)
    found = yield from get(move.prompt, move.env, move.label)
    if move.expect_rev is not None and move.expect_rev != (found.rev if found else 0):
        now_is = {} if found is None else {one.name: getattr(found, one.name) for one in fields(found) if one.name != "rolled"}
        hint = "Look at how it is now, and move it again if that is still right."
        raise BindingConflict(f"{move.prompt} in {move.env} was moved meanwhile.", hint=hint, prompt=move.prompt, binding=now_is)
    if found is not None and found.protected and not move.allowed:
        hint = "Have somebody move it who may."
        raise BindingProtected(f"{move.prompt} in {move.env} is protected.", hint=hint, prompt=move.prompt)
    if found is not None:
        return found.at(now)
    live = yield from get(move.prompt, move.env, LIVE)
    return BindingRecord(prompt=move.prompt, env=move.env, label=move.label, code=None if live is None else live.code)


def good(prompt: str, which: int | str) -> Transaction[VersionRecord]:
    """A version that somebody may begin with. Raises `VersionNotFound`, and `PromptError` for one that is revoked."""
    version = yield from prompts.find(prompt, which)
    if version.revoked_at is not None:
        raise PromptError(f"v{version.number} of {prompt} is revoked.", hint="Take another version.", prompt=prompt)
    return version


def moved(move: Move, kind: str, before: BindingRecord, after: BindingRecord, now: int) -> Transaction[BindingRecord]:
    """Move a binding that is locked, and tell of it as an event of that kind."""
    after = replace(after, rev=before.rev + 1, updated_at=now)
    yield from _put(after)
    told = Happening(
        type=kind,
        actor=move.actor,
        reason=move.reason,
        env=move.env,
        label=move.label,
        before=before.written if before.rev else None,
        after=after.told(move.more),
    )
    yield from prompts.tell(move.prompt, told, now)
    return after


def _put(one: BindingRecord) -> Transaction[None]:
    columns: dict[str, Any] = {name.name: getattr(one, name.name) for name in fields(one) if name.name not in _OF_PLAN}
    yield SQL.bindings.put(**columns | {"protected": int(one.protected)})
