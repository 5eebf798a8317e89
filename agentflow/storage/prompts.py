"""Prompts and their versions: what there is to say, numbered, known by a hash and never changed; and what happened to them, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from agentflow.database.port import Row, Transaction, transaction
from agentflow.errors import PromptError, PromptNotFound, VersionNotFound
from agentflow.serde import dumps
from agentflow.storage.statements import SQL

EVENTS = 200
"""Events that are read at once."""


@dataclass(frozen=True, slots=True)
class Own:
    """A prompt as code has it: `contract` is the JSON schema of its variables, `body` canonical JSON with that hash.

    `trusting`: text from outside may stand in system messages.
    """

    name: str
    hash: str
    body: str
    contract: str = "{}"
    description: str = ""
    trusting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRecord:
    """A version of a prompt. `body` is canonical JSON, `source` is code, dashboard, api or import; times are microseconds since 1970."""

    prompt: str
    number: int
    hash: str
    body: str
    source: str
    note: str
    actor: str
    created_at: int
    revoked_at: int | None = None
    revoke_policy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptEvent:
    """Something that happened to a prompt. `before` and `after` are JSON texts of the binding, where one was moved."""

    seq: int
    prompt: str
    env: str | None
    label: str | None
    type: str
    before: str | None
    after: str | None
    actor: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """An event that is to be told."""

    type: str
    actor: str
    reason: str = ""
    env: str | None = None
    label: str | None = None
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A version to be kept, unless one with its hash is there."""

    prompt: str
    hash: str
    body: str
    source: str
    actor: str
    note: str = ""


def version_of(row: Row) -> VersionRecord:
    """A row of `prompt_versions`."""
    return VersionRecord(**{field.name: row[field.name] for field in fields(VersionRecord)})


def lock(name: str) -> Transaction[Row]:
    """Lock a prompt's row, which every change of it does first. Raises `PromptNotFound`."""
    found = yield SQL.prompts.lock(name=name)
    if not found:
        raise not_found(name)
    return found[0]


def lock_own(own: Own, now: int) -> Transaction[Row]:
    """Lock the row of a prompt that code has, or an import brings: it is there from now on."""
    yield SQL.prompts.put(name=own.name, description=own.description, contract=own.contract, trusting=int(own.trusting), now=now)
    return (yield from lock(own.name))


def not_found(name: str) -> PromptError:
    """The error for a prompt that nobody registered."""
    return PromptNotFound(f"There is no prompt {name!r}.", hint="Start a worker whose code has it, or import it.", prompt=name)


def tell(prompt: str, happening: Happening, now: int) -> Transaction[None]:
    """Write an event of a prompt whose row is locked."""
    yield SQL.prompts.count_event(name=prompt)
    columns: dict[str, Any] = {field.name: getattr(happening, field.name) for field in fields(Happening)}
    yield SQL.prompts.tell(prompt=prompt, now=now, **columns)


def find(prompt: str, which: int | str) -> Transaction[VersionRecord]:
    """A version by its number or hash (`sha256:…`). Raises `VersionNotFound`."""
    if isinstance(which, int):
        found = yield SQL.prompts.version(prompt=prompt, number=which)
    else:
        found = yield SQL.prompts.hashed(prompt=prompt, hash=which)
    if not found:
        name = f"v{which}" if isinstance(which, int) else which
        raise VersionNotFound(f"{prompt} has no version {name}.", hint=f"See `agentflow prompts show {prompt}`.", prompt=prompt)
    return version_of(found[0])


def hold(prompt: str, hash: str) -> Transaction[VersionRecord]:
    """A version that is held from now on: nobody deletes it meanwhile. Raises `VersionNotFound`."""
    found = yield SQL.prompts.hold(prompt=prompt, hash=hash)
    return version_of(found[0]) if found else (yield from find(prompt, hash))


def ensure(own: Own, actor: str, now: int) -> Transaction[VersionRecord]:
    """The version of a body that code has: registered now if it never was."""
    found = yield SQL.prompts.hashed(prompt=own.name, hash=own.hash)
    if found:
        return version_of(found[0])
    yield from lock_own(own, now)
    return (yield from keep(NewVersion(prompt=own.name, hash=own.hash, body=own.body, source="code", actor=actor), now))


def keep(new: NewVersion, now: int) -> Transaction[VersionRecord]:
    """Number a version and keep it; of the same content there is only one. The prompt's row is locked."""
    found = yield SQL.prompts.hashed(prompt=new.prompt, hash=new.hash)
    if found:
        return version_of(found[0])
    [counted] = yield SQL.prompts.count(name=new.prompt)
    columns: dict[str, Any] = {field.name: getattr(new, field.name) for field in fields(NewVersion)}
    [row] = yield SQL.prompts.add(number=counted["versions"], now=now, **columns)
    yield from tell(new.prompt, Happening(type="version.created", actor=new.actor, reason=new.note, after=dumps(row["number"])), now)
    return version_of(row)


@transaction
def save(new: NewVersion, now: int) -> Transaction[VersionRecord]:
    """Keep a version of a prompt that is there. Raises `PromptNotFound`."""
    yield from lock(new.prompt)
    return (yield from keep(new, now))


@transaction
def create(own: Own, source: str, actor: str, now: int, note: str = "") -> Transaction[VersionRecord]:
    """Keep a version of a prompt that may be new, as an import brings it."""
    yield from lock_own(own, now)
    return (yield from keep(NewVersion(prompt=own.name, hash=own.hash, body=own.body, source=source, actor=actor, note=note), now))


@transaction
def revoke(prompt: str, number: int, policy: str, said: Happening, now: int) -> Transaction[VersionRecord]:
    """Take a version back: runs that hold it do what `policy` says when they go on. Raises `VersionNotFound` and `PromptError`.

    `policy` is `repin:<number>`, `pause` or `fail`.
    """
    yield from lock(prompt)
    before = yield from find(prompt, number)
    if policy.startswith("repin:"):
        target = yield from find(prompt, repinned(policy))
        if target.number == number or target.revoked_at is not None:
            raise PromptError(f"v{target.number} of {prompt} is revoked itself.", hint="Name a version that is good.", prompt=prompt)
    elif policy not in ("pause", "fail"):
        raise PromptError(f"{policy!r} is no policy.", hint="Say repin:<number>, pause or fail.", prompt=prompt)
    [row] = yield SQL.prompts.revoke(prompt=prompt, number=number, policy=policy, now=now)
    kind = Happening(type="version.revoked", actor=said.actor, reason=said.reason, before=dumps(before.number), after=dumps(policy))
    yield from tell(prompt, kind, now)
    return version_of(row)


def repinned(policy: str) -> int:
    """The number in a policy `repin:<number>`. Raises `PromptError`."""
    number = policy.removeprefix("repin:")
    if not (number.isascii() and number.isdigit()):
        raise PromptError(f"{policy!r} is no policy.", hint="Say repin:<number>, pause or fail.")
    return int(number)


def of_prompt(prompt: str) -> Transaction[Sequence[VersionRecord]]:
    """All versions of a prompt, the newest first."""
    return [version_of(row) for row in (yield SQL.prompts.versions(prompt=prompt))]


def events(prompt: str, env: str | None = None, after: int = 0) -> Transaction[Sequence[PromptEvent]]:
    """What happened to a prompt after event `after`, oldest first, `EVENTS` at most."""
    found = yield SQL.prompts.events(prompt=prompt, env=env, after=after, limit=EVENTS)
    return [PromptEvent(**{field.name: row[field.name] for field in fields(PromptEvent)}) for row in found]
