"""Moves of what is live: released, followed, rolled out by people, and taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

from agentflow.database.port import Transaction, transaction
from agentflow.errors import PromptError, RegistryUnreadable
from agentflow.records import new_id
from agentflow.serde import dumps, loads
from agentflow.storage import bindings, policies, prompts, rollouts
from agentflow.storage.bindings import CODE, PINNED, ROLLOUT, BindingRecord, Move
from agentflow.storage.policies import PolicyRecord
from agentflow.storage.prompts import EVENTS, Happening, PromptEvent, VersionRecord
from agentflow.storage.rollouts import Plan, Rollout
from agentflow.storage.statements import SQL


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What shall hold: the version of the code, one `version` by number or hash (for `lasts` microseconds), or several by a `plan`."""

    mode: str = PINNED
    version: int | str | None = None
    lasts: int | None = None
    plan: Plan | None = None

    @property
    def numbers(self) -> Sequence[int]:
        """The versions that are named, where they are named by number."""
        return self.plan.versions if self.plan is not None else [self.version] if isinstance(self.version, int) else []

    @property
    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        said = {"mode": self.mode, "version": self.version, "lasts": self.lasts, "plan": None if self.plan is None else self.plan.told}
        return {name: value for name, value in said.items() if value is not None}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        """From `told`."""
        plan = None if told.get("plan") is None else Plan.read(told["plan"])
        return cls(plan=plan, **{name: value for name, value in told.items() if name != "plan"})


@transaction
def move(how: Move, target: Target, now: int) -> Transaction[BindingRecord | PolicyRecord]:
    """Have something hold; returns the policy, and moves nothing, where one has to be asked first.

    Raises `PromptNotFound`, `VersionNotFound`, `PromptError`, `BindingConflict` and `BindingProtected`.
    """
    before = yield from bindings.locked(how, now)
    policy = yield from policies.of(how.prompt, how.env)
    if policy is not None and policy.asks:
        yield from check(how.prompt, target)
        return policy
    return (yield from put(how, target, before, now))


def check(prompt: str, target: Target) -> Transaction[None]:
    """Raise `VersionNotFound`, and `PromptError` for a version that nobody may begin with."""
    versions = target.plan.versions if target.plan is not None else [] if target.version is None else [target.version]
    for one in versions:
        yield from bindings.good(prompt, one)


def put(how: Move, target: Target, before: BindingRecord, now: int) -> Transaction[BindingRecord]:
    """Have something hold of what is locked, whatever policies say."""
    cleared = replace(_cleared(before), mode=target.mode)
    if target.mode == CODE:
        return (yield from bindings.moved(how, "follows.code", before, replace(cleared, number=before.code), now))
    yield from check(how.prompt, target)
    if target.plan is not None:
        after = yield from _begun(how, target.plan, cleared, now)
        return (yield from bindings.moved(how, "rollout", before, after, now))
    version = yield from bindings.good(how.prompt, target.version or 0)
    until = None if target.lasts is None else now + target.lasts
    return (yield from bindings.moved(how, "released", before, replace(cleared, number=version.number, expires_at=until), now))


def _cleared(before: BindingRecord) -> BindingRecord:
    return replace(before, rollout=None, expires_at=None, weights={}, rolled=None)


def _begun(how: Move, plan: Plan, cleared: BindingRecord, now: int) -> Transaction[BindingRecord]:
    new = new_id("rollout", now)
    # The salt stays: with other weights only those keys move whose version changes.
    begun = Rollout(plan=plan, salt=f"{how.prompt}/{how.env}/{how.label}", begun_at=now)
    yield SQL.bindings.add_rollout(
        id=new,
        prompt=how.prompt,
        env=how.env,
        label=how.label,
        weights=dumps(plan.told["weights"]),
        sticky=plan.sticky,
        salt=begun.salt,
        terms=plan.terms,
        actor=how.actor,
        now=now,
    )
    return replace(cleared, mode=ROLLOUT, rollout=new, rolled=begun).at(now)


@transaction
def roll_back(how: Move, now: int) -> Transaction[BindingRecord]:
    """Have hold what held before the last move; again, what held before that. Raises `PromptError` when there was none, or it has ended.

    No policy is asked: it leads only to what held before.
    """
    before = yield from bindings.locked(how, now)
    return (yield from back(how, "rolled.back", before, now))


def back(how: Move, kind: str, before: BindingRecord, now: int) -> Transaction[BindingRecord]:
    """Have hold what held before the last move of what is locked."""
    event = yield from last_move(how.prompt, how.env, how.label)
    if event is None or event.before is None:
        hint = "Release a version that is good."
        raise PromptError(f"{how.prompt} has no earlier state in {how.env}.", hint=hint, prompt=how.prompt)
    said: dict[str, Any] = loads(event.before)
    number: int | None = said.get("number")
    if said["mode"] == ROLLOUT:
        # Begun anew: while it did not hold its ramp did not grow, and its guards saw nothing.
        plan = (yield from rollouts.get(how.prompt, said["rollout"])).plan
        yield from check(how.prompt, Target(mode=ROLLOUT, plan=plan))
        return (yield from bindings.moved(how, kind, before, (yield from _begun(how, plan, _cleared(before), now)), now))
    # To go back behind a deploy is to hold the version that code had then: today's is one that nobody may have agreed to.
    same = number is None or (event.type != "deployed" and number == before.code)
    mode = CODE if said["mode"] == CODE and same else PINNED
    if mode == PINNED:
        yield from bindings.good(how.prompt, number or 0)
    number = before.code if mode == CODE else number
    after = replace(_cleared(before), mode=mode, number=number, expires_at=said.get("expires_at"))
    _check_back(event, before, after, now)
    return (yield from bindings.moved(how, kind, before, after, now))


def _check_back(event: PromptEvent, before: BindingRecord, after: BindingRecord, now: int) -> None:
    """To go back to what would end at once, or from what has ended to what holds already, changes nothing."""
    released: dict[str, Any] = loads(event.after or "{}")
    if after.at(now).mode != after.mode:
        number = after.number
    elif released.get("expires_at", now + 1) <= now and (before.mode, before.number) == (after.mode, after.number):
        number = released.get("number")
    else:
        return
    message = f"The release of v{number} of {after.prompt} has ended by itself: there is nothing to go back to."
    raise PromptError(message, hint="Release a version that is good.", prompt=after.prompt)


@transaction
def protect(how: Move, protected: bool, now: int) -> Transaction[BindingRecord]:
    """Say whether a binding is protected. Raises `BindingConflict` and `BindingProtected`."""
    before = yield from bindings.locked(how, now)
    kind = "protected" if protected else "unprotected"
    return (yield from bindings.moved(how, kind, before, replace(before, protected=protected), now))


@transaction
def breached(how: Move, rollout: str, on_breach: str, now: int) -> Transaction[BindingRecord | None]:
    """Give all to the baseline of a rollout that did worse; None, and nothing is moved, where it holds no more. No policy is asked.

    What held before the rollout holds again where `on_breach` is rollback, and there is any.
    """
    before = yield from bindings.locked(how, now)
    if before.rollout != rollout or before.rolled is None:
        return None
    if on_breach == "rollback":
        try:
            return (yield from back(how, "guard.rolled.back", before, now))
        except PromptError:
            # Nothing held before, or it has ended.
            pass
    baseline = before.rolled.plan.baseline
    after = replace(before, mode=PINNED, number=baseline, rollout=None, rolled=None, weights={})
    return (yield from bindings.moved(how, "guard.paused", before, after, now))


@transaction
def revoke(prompt: str, number: int, policy: str, said: Happening, now: int) -> Transaction[VersionRecord]:
    """Take a version back, as `prompts.revoke` does.

    Where it is live and a policy has others agree, only a version that was live there before stands for it: a revocation is no release.
    Raises as `prompts.revoke`.
    """
    yield from prompts.lock(prompt)
    target = prompts.repinned(policy) if policy.startswith("repin:") else None
    # Readers go from a revoked version to the one that stands for it: whatever leads to this one is moved by it.
    moved = yield from _led_over(prompt, number)
    for one in (yield from bindings.of_prompt(prompt)) if target is not None else ():
        rule = yield from policies.of(prompt, one.env)
        if rule is None or not rule.asks or moved.isdisjoint(_to_hold(one.at(now))):
            continue
        if target not in (yield from _held_before(prompt, one)):
            hint = "Name a version that was live there, say pause or fail, or have a release agreed to first."
            raise PromptError(f"v{target} of {prompt} was never live in {one.env}, where others have to agree.", hint=hint, prompt=prompt)
    return (yield from prompts.revoke(prompt, number, policy, said, now))


def _led_over(prompt: str, number: int) -> Transaction[set[int]]:
    """A version, and those that were taken back and have it stand for them, over others or at once."""
    stands: dict[int, set[int]] = {}
    for one in (yield from prompts.of_prompt(prompt)):
        if one.revoked_at is not None and (one.revoke_policy or "").startswith("repin:"):
            stands.setdefault(prompts.repinned(one.revoke_policy or ""), set()).add(one.number)
    found, ahead = set[int](), {number}
    while ahead:
        found |= ahead
        ahead = {before for one in ahead for before in stands.get(one, ())} - found
    return found


def _to_hold(one: BindingRecord) -> set[int]:
    """The versions that a binding names now, and the one that it names once its release ends by itself."""
    return {*one.versions, *(() if one.expires_at is None or one.code is None else (one.code,))}


def _held_before(prompt: str, one: BindingRecord) -> Transaction[set[int]]:
    """The versions that held under a binding at any time."""
    found, begun = set(one.versions), set[str]()
    for event in (yield from _history(prompt, one.env)):
        if event.label == one.label and event.type in _MOVES:
            held: dict[str, Any] = loads(event.after or "{}")
            found |= {held["number"]} if held.get("number") is not None else set()
            begun |= {held["rollout"]} if held.get("rollout") is not None else set()
    for id in sorted(begun):
        with suppress(RegistryUnreadable):
            found |= set((yield from rollouts.get(prompt, id)).plan.versions)
    return found


_BACK = frozenset({"rolled.back", "guard.rolled.back"})
_MOVES = frozenset({"deployed", "released", "follows.code", "rollout", "guard.paused"}) | _BACK


def last_move(prompt: str, env: str, label: str) -> Transaction[PromptEvent | None]:
    """The move that going back takes back: what held before it is in `before`."""
    history = yield from _history(prompt, env)
    return _undone([one for one in history if one.label == label and one.type in _MOVES])


def _undone(moves: Sequence[PromptEvent]) -> PromptEvent | None:
    """The last move that was not taken back: each going back takes back one more."""
    skipped = 0
    for one in reversed(moves):
        if one.type in _BACK:
            skipped += 1
        elif skipped:
            skipped -= 1
        else:
            return one
    return None


def _history(prompt: str, env: str) -> Transaction[list[PromptEvent]]:
    found: list[PromptEvent] = []
    while True:
        page = yield from prompts.events(prompt, env, found[-1].seq if found else 0)
        found += page
        if len(page) < EVENTS:
            return found
