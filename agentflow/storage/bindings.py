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
from agentflow.records import new_id
from agentflow.serde import dumps, loads
from agentflow.storage import prompts, rollouts
from agentflow.storage.prompts import EVENTS, Happening, Own, PromptEvent, VersionRecord
from agentflow.storage.rollouts import chosen
from agentflow.storage.statements import SQL

LIVE = "live"
CODE, PINNED, ROLLOUT = "code", "pinned", "rollout"


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingRecord:
    """What holds under a label in an environment.

    `mode` is code, pinned or rollout; `number` is the version that is live, `code` the one of the code deployed there. A pinned one goes
    back to code at `expires_at`, in microseconds since 1970. `rev` counts its moves; `weights` are those of a rollout.
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

    def at(self, now: int) -> BindingRecord:
        """As it is at that time: what has expired follows the code."""
        expired = self.mode == PINNED and self.expires_at is not None and self.expires_at <= now
        return replace(self, mode=CODE, number=self.code, expires_at=None) if expired else self

    @property
    def ahead(self) -> bool:
        """Whether the code deployed there has another version than is live."""
        return self.code is not None and self.mode != CODE and self.code != self.number

    @property
    def written(self) -> str:
        """What an event tells of it."""
        told = ("mode", "number", "rollout", "expires_at", "rev")
        return dumps({name: getattr(self, name) for name in told if getattr(self, name) is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Who moves which binding, and why. `expect_rev`: only if it was not moved since; `allowed`: whether a protected one may be moved."""

    prompt: str
    env: str
    label: str = LIVE
    actor: str
    reason: str = ""
    expect_rev: int | None = None
    allowed: bool = True


@dataclass(frozen=True, slots=True)
class Asker:
    """Whom a rollout chooses for: the key that the caller gave, its thread, and the run at the top of its family."""

    key: str | None
    thread: str | None
    root: str

    def sticks(self, sticky: str) -> str:
        """What keeps the choice: the run, the thread or the key, or what there is instead of it."""
        if sticky == "key" and self.key is not None:
            return self.key
        return self.thread if sticky != "run" and self.thread is not None else self.root


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that was chosen, and by which rollout, if any."""

    version: VersionRecord
    variant: str | None = None
    rollout: str | None = None


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
    columns = {one.name: row[one.name] for one in fields(BindingRecord) if one.name != "weights"}
    columns["protected"] = bool(columns["protected"])
    weights: dict[int, float] = {}
    if row["rollout"] is not None:
        # One that is damaged has no weights: whoever looks, or mends it by a release, still sees the binding.
        with suppress(RegistryUnreadable):
            weights = dict((yield from rollouts.get(row["prompt"], row["rollout"])).weights)
    return BindingRecord(**columns, weights=weights)


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


@transaction
def release(move: Move, to: int | str, expires_at: int | None, now: int) -> Transaction[BindingRecord]:
    """Have one version hold, until `expires_at` if that is given. Raises `VersionNotFound`, `BindingConflict` and `BindingProtected`."""
    before = yield from _locked(move, now)
    version = yield from _good(move.prompt, to)
    after = replace(before, mode=PINNED, number=version.number, rollout=None, expires_at=expires_at, weights={})
    return (yield from _moved(move, "released", before, after, now))


@transaction
def follow_code(move: Move, now: int) -> Transaction[BindingRecord]:
    """Have the version hold that code has. Raises `BindingConflict` and `BindingProtected`."""
    before = yield from _locked(move, now)
    after = replace(before, mode=CODE, number=before.code, rollout=None, expires_at=None, weights={})
    return (yield from _moved(move, "follows.code", before, after, now))


@transaction
def roll_out(move: Move, weights: Mapping[int, float], sticky: str, now: int) -> Transaction[BindingRecord]:
    """Have several versions hold side by side. Raises `VersionNotFound`, `PromptError`, `BindingConflict` and `BindingProtected`."""
    before = yield from _locked(move, now)
    _check_weights(weights, sticky)
    for number in weights:
        yield from _good(move.prompt, number)
    id = new_id("rollout", now)
    # The salt stays: with other weights only those keys move whose version changes.
    yield SQL.bindings.add_rollout(
        id=id,
        prompt=move.prompt,
        env=move.env,
        label=move.label,
        weights=dumps({str(number): weight for number, weight in sorted(weights.items())}),
        sticky=sticky,
        salt=f"{move.prompt}/{move.env}/{move.label}",
        actor=move.actor,
        now=now,
    )
    largest = max(sorted(weights), key=lambda number: weights[number])
    after = replace(before, mode=ROLLOUT, number=largest, rollout=id, expires_at=None, weights=dict(weights))
    return (yield from _moved(move, "rollout", before, after, now))


@transaction
def roll_back(move: Move, now: int) -> Transaction[BindingRecord]:
    """Have hold what held before the last move; again, what held before that. Raises `PromptError` when there was none, or it has ended."""
    before = yield from _locked(move, now)
    event = yield from last_move(move.prompt, move.env, move.label)
    if event is None or event.before is None:
        hint = "Release a version that is good."
        raise PromptError(f"{move.prompt} has no earlier state in {move.env}.", hint=hint, prompt=move.prompt)
    said: dict[str, Any] = loads(event.before)
    # To go back behind a deploy is to hold the version that code had then.
    mode = PINNED if event.type == "deployed" else said["mode"]
    number = before.code if mode == CODE else said.get("number")
    weights: dict[int, float] = {}
    if mode == ROLLOUT:
        weights = dict((yield from rollouts.get(move.prompt, said["rollout"])).weights)
    for one in weights or ([] if number is None or mode == CODE else [number]):
        yield from _good(move.prompt, one)
    after = replace(before, mode=mode, number=number, rollout=said.get("rollout"), expires_at=said.get("expires_at"), weights=weights)
    _check_back(event, before, after, now)
    return (yield from _moved(move, "rolled.back", before, after, now))


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
def protect(move: Move, protected: bool, now: int) -> Transaction[BindingRecord]:
    """Say whether a binding is protected. Raises `BindingConflict` and `BindingProtected`."""
    before = yield from _locked(move, now)
    return (yield from _moved(move, "protected" if protected else "unprotected", before, replace(before, protected=protected), now))


def choose(binding: BindingRecord | None, own: VersionRecord | None, asker: Asker) -> Transaction[Choice | None]:
    """The version that holds for somebody; None where neither a binding nor code says so.

    Raises `RegistryUnreadable` and `VersionNotFound`.
    """
    if binding is None or binding.mode == CODE:
        number = None if binding is None else binding.number
        # Whoever has the code gets what that says: while a deploy is under way, two versions of it are at work.
        if own is not None:
            return Choice(own)
        return None if binding is None or number is None else Choice((yield from prompts.find(binding.prompt, number)))
    if binding.mode == ROLLOUT:
        found = yield from rollouts.get(binding.prompt, binding.rollout or "")
        number = chosen(found.weights, found.salt, asker.sticks(found.sticky))
        return Choice((yield from prompts.find(binding.prompt, number)), f"v{number}", binding.rollout)
    return Choice((yield from prompts.find(binding.prompt, binding.number or 0)))


_MOVES = frozenset({"deployed", "released", "follows.code", "rollout", "rolled.back"})


def last_move(prompt: str, env: str, label: str) -> Transaction[PromptEvent | None]:
    """The move that going back takes back: what held before it is in `before`."""
    history = yield from _history(prompt, env)
    return _undone([one for one in history if one.label == label and one.type in _MOVES])


def _undone(moves: Sequence[PromptEvent]) -> PromptEvent | None:
    """The last move that was not taken back: each going back takes back one more."""
    skipped = 0
    for one in reversed(moves):
        if one.type == "rolled.back":
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


def _locked(move: Move, now: int) -> Transaction[BindingRecord]:
    yield from prompts.lock(move.prompt)
    found = yield from get(move.prompt, move.env, move.label)
    if move.expect_rev is not None and move.expect_rev != (found.rev if found else 0):
        now_is = {} if found is None else {one.name: getattr(found, one.name) for one in fields(found)}
        hint = "Look at how it is now, and move it again if that is still right."
        raise BindingConflict(f"{move.prompt} in {move.env} was moved meanwhile.", hint=hint, prompt=move.prompt, binding=now_is)
    if found is not None and found.protected and not move.allowed:
        hint = "Have somebody move it who may."
        raise BindingProtected(f"{move.prompt} in {move.env} is protected.", hint=hint, prompt=move.prompt)
    if found is not None:
        return found.at(now)
    live = yield from get(move.prompt, move.env, LIVE)
    return BindingRecord(prompt=move.prompt, env=move.env, label=move.label, code=None if live is None else live.code)


def _good(prompt: str, which: int | str) -> Transaction[VersionRecord]:
    version = yield from prompts.find(prompt, which)
    if version.revoked_at is not None:
        raise PromptError(f"v{version.number} of {prompt} is revoked.", hint="Take another version.", prompt=prompt)
    return version


def _moved(move: Move, kind: str, before: BindingRecord, after: BindingRecord, now: int) -> Transaction[BindingRecord]:
    after = replace(after, rev=before.rev + 1, updated_at=now)
    yield from _put(after)
    told = Happening(
        type=kind,
        actor=move.actor,
        reason=move.reason,
        env=move.env,
        label=move.label,
        before=before.written if before.rev else None,
        after=after.written,
    )
    yield from prompts.tell(move.prompt, told, now)
    return after


def _put(one: BindingRecord) -> Transaction[None]:
    columns: dict[str, Any] = {name.name: getattr(one, name.name) for name in fields(one) if name.name != "weights"}
    yield SQL.bindings.put(**columns | {"protected": int(one.protected)})


def _check_weights(weights: Mapping[int, float], sticky: str) -> None:
    if not weights or any(not 0 <= one < float("inf") for one in weights.values()) or sum(weights.values()) <= 0:
        raise PromptError(f"{dict(weights)} are no weights.", hint="Give a number for each version: {3: 0.9, 5: 0.1}.")
    if sticky not in ("run", "thread", "key"):
        raise PromptError(f"sticky={sticky!r} is not understood.", hint="Say run, thread or key.")
