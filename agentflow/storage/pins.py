"""Which version of a prompt a run holds: chosen once, recorded, the same for all runs of its family and, if asked, of its thread.

The record in a run's journal is what the run goes by; the rows say the same to others: to the runs below it, to the next run of its thread,
and to people who ask who holds a version (`holders`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agentflow.database.port import Row, Transaction, transaction
from agentflow.errors import PromptError, RunError, VersionRevoked
from agentflow.records import JournalEntry
from agentflow.serde import dumps, loads
from agentflow.storage import bindings, journal, prompts, runs
from agentflow.storage.bindings import LIVE, Choice
from agentflow.storage.prompts import Happening, Own, VersionRecord
from agentflow.storage.rollouts import Asker
from agentflow.storage.runs import Lease, NewRun, Started
from agentflow.storage.statements import SQL

_CHAIN = 8
"""How many revoked versions in a row name another one to go on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A prompt that a run asks for.

    `version` is a number or a hash that the caller insists on, `override` one that the process prefers to what is live, `sticky` the key
    that a rollout goes by (default: the concurrency key). `pin` says what holds the version: the run and its family, the run's thread too,
    or this call alone (step). `own` is what the code has, `variables` are JSON values that it is filled with. `fits` renders a body of
    canonical JSON for this caller and returns a hash of what it says; it raises `PromptError` for a body that does not fit.
    """

    prompt: str
    fits: Callable[[str], str]
    label: str = LIVE
    version: int | str | None = None
    override: int | str | None = None
    sticky: str | None = None
    pin: str = "run"
    own: Own | None = None
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def scope(self) -> str:
        """What a pin of it is known by in its run: a version that is insisted on is apart from what a label leads to."""
        return self.label if self.version is None else f"@{self.version}"

    @property
    def key(self) -> str:
        """The key of its record, without a number."""
        return f"prompt:{self.prompt}:{self.scope}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The version that a run holds. `reason` says why it is another one than was chosen first, `branch` where `rendered` was made.

    It has no `number` where the code's version could not be registered. Others with the same `by`, which names variables, get the same.
    """

    number: int | None = None
    hash: str
    body: str
    label: str
    variant: str | None = None
    rollout: str | None = None
    reason: str | None = None
    rendered: str | None = None
    branch: str = ""
    by: tuple[str, ...] = ()

    def written(self) -> str:
        """As it is recorded: the body is known by its hash."""
        told = {name: getattr(self, name) for name in _RECORDED}
        return dumps({name: value for name, value in told.items() if value is not None})

    @classmethod
    def read(cls, text: str, body: str) -> Held:
        """What a run recorded, with the body of that hash."""
        return cls(body=body, **{name: value for name, value in loads(text).items() if name in _RECORDED})


_RECORDED = ("number", "hash", "label", "variant", "rollout", "reason", "rendered", "branch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a prompt is asked for: environment, the run's task, tags, thread and concurrency key, the branch of its code, the record."""

    env: str
    task: str
    tags: tuple[str, ...]
    thread: str | None
    key: str | None
    branch: str
    entry: JournalEntry


@transaction
def resolve(lease: Lease, wanted: Wanted, place: Place) -> Transaction[Held]:
    """Choose a version for a run and record it. Raises `LeaseLost`, `PromptNotFound`, `VersionNotFound`, `VersionRevoked`,
    `PromptError`.
    """
    yield from runs.held(lease)
    now = place.entry.ended_at
    own = None if wanted.own is None else (yield from prompts.ensure(wanted.own, "code", now))
    top = (yield SQL.pins.top(run=lease.run))[0]["key"]
    choice = yield from _agreed(lease, wanted, place, top, own)
    held = yield from _settled(wanted, choice, own, place.branch)
    yield from _own_pin(lease, wanted, held, now)
    yield from record(lease, place.entry, held)
    return held


@transaction
def adopt(lease: Lease, wanted: Wanted, held: Held, place: Place, *, compared: bool) -> Transaction[Held | None]:
    """What a run holds from now on, recorded, if that is another version: somebody moved its pin, revoked the version, or it does not fit.

    `compared`: whether a replay is to say the same at its first call. Raises `LeaseLost`, `VersionRevoked`, and `PromptError` for a version
    that does not fit where code has no other.
    """
    yield from runs.held(lease)
    now = place.entry.ended_at
    own = None if wanted.own is None else (yield from prompts.ensure(wanted.own, "code", now))
    pinned = yield SQL.pins.get(scope=f"run:{lease.run}", prompt=wanted.prompt, label=wanted.scope)
    if pinned:
        before = yield from prompts.find(wanted.prompt, pinned[0]["hash"])
    else:
        before = yield from prompts.find(wanted.prompt, held.hash)
    moved = None if before.hash == held.hash or not pinned else f"moved by {pinned[0]['moved_by']}"
    version, reason = yield from standing(before)
    version, reason, rendered = yield from _fitting(wanted, version, own, reason or moved)
    if version.hash == held.hash:
        # A run that was made of another one's record tells those below it what it holds.
        yield from _own_pin(lease, wanted, held, now)
        return None
    after = _held(wanted, Choice(version), reason, rendered if compared else None, place.branch)
    yield from _own_pin(lease, wanted, after, now)
    yield from record(lease, place.entry, after)
    return after


@transaction
def resolve_once(lease: Lease, wanted: Wanted, place: Place) -> Transaction[Held]:
    """Choose a version for one call and record it: nobody else holds it. Raises as `resolve`."""
    yield from runs.held(lease)
    now = place.entry.ended_at
    own = None if wanted.own is None else (yield from prompts.ensure(wanted.own, "code", now))
    choice = yield from _chosen(wanted, place, f"run:{lease.run}", own)
    held = yield from _settled(wanted, choice, own, place.branch)
    # Nobody goes by this row: it says that the run needs the version for as long as it is replayed.
    kept = Choice((yield from prompts.hold(wanted.prompt, held.hash)), held.variant, held.rollout)
    yield from _kept_as(f"run:{lease.run}", lease.run, (wanted.prompt, f"@step:{held.number}"), kept, now)
    yield from record(lease, place.entry, held)
    return held


def stale(run: int, wanted: Wanted, held: Held) -> Transaction[bool]:
    """Whether a run may not go on with the version that it holds: `adopt` says what then."""
    pinned = yield SQL.pins.get(scope=f"run:{run}", prompt=wanted.prompt, label=wanted.scope)
    if not pinned or pinned[0]["hash"] != held.hash:
        return True
    found = yield SQL.prompts.hashed(prompt=wanted.prompt, hash=held.hash)
    return bool(found) and found[0]["revoked_at"] is not None


def _agreed(lease: Lease, wanted: Wanted, place: Place, top: int, own: VersionRecord | None) -> Transaction[Choice]:
    """What the run was given to hold; else what its family, or its thread, holds; else what is chosen now, for all of them.

    A version that nobody may go on with keeps nobody from beginning with another: a thread takes that, a family has each run choose.
    """
    now, family, thread = place.entry.ended_at, f"run:{top}", f"thread:{place.thread}"
    given = yield from _kept_in(f"run:{lease.run}", wanted)
    held = yield from _kept_in(family, wanted)
    before = (yield from _kept_in(thread, wanted)) if wanted.pin == "thread" and place.thread is not None else None
    good: list[Choice] = []
    for one in (held, before):
        if one is not None and (yield from _stands(one.version)):
            good.append(one)
    choice = given or (good[0] if good else (yield from _chosen(wanted, place, family, own)))
    if before is not None and before not in good:
        yield from _move(thread, wanted.prompt, wanted.scope, choice.version, "revoked", now)
    elif wanted.pin == "thread" and place.thread is not None:
        agreed = yield from _kept(thread, None, wanted, choice, now)
        choice = agreed if given is None and held is None else choice
    return choice if given is not None or held is not None else (yield from _kept(family, top, wanted, choice, now))


def _kept_in(scope: str, wanted: Wanted) -> Transaction[Choice | None]:
    found = yield SQL.pins.get(scope=scope, prompt=wanted.prompt, label=wanted.scope)
    return (yield from _pinned(found[0])) if found else None


def _stands(version: VersionRecord) -> Transaction[bool]:
    """Whether a run may begin with a version, or with one that stands for it."""
    try:
        yield from standing(version)
    except VersionRevoked:
        return False
    return True


def _chosen(wanted: Wanted, place: Place, family: str, own: VersionRecord | None) -> Transaction[Choice]:
    key, told = wanted.sticky or place.key, wanted.variables
    asker = Asker(key=key, thread=place.thread, root=family, task=place.task, tags=place.tags, variables=told)
    return (yield from choose(wanted, place.env, own, asker, place.entry.ended_at))


def choose(wanted: Wanted, env: str, own: VersionRecord | None, asker: Asker, now: int) -> Transaction[Choice]:
    """The version for somebody who holds none. Raises `PromptNotFound` and `VersionNotFound`."""
    which = wanted.override if wanted.version is None else wanted.version
    if which is not None:
        return Choice((yield from prompts.find(wanted.prompt, which)))
    found = yield from bindings.get(wanted.prompt, env, wanted.label)
    choice = yield from bindings.choose(None if found is None else found.at(now), own, asker)
    if choice is None:
        raise prompts.not_found(wanted.prompt)
    return choice


def live(wanted: Wanted, env: str, now: int) -> Transaction[Held]:
    """The version for code that is in no run. Raises `PromptNotFound`, `VersionNotFound`, `VersionRevoked` and `PromptError`."""
    found = () if wanted.own is None else (yield SQL.prompts.hashed(prompt=wanted.prompt, hash=wanted.own.hash))
    own = prompts.version_of(found[0]) if found else None
    asker = Asker(key=wanted.sticky, thread=None, root=wanted.sticky or "", variables=wanted.variables)
    choice = yield from choose(wanted, env, own, asker, now)
    return (yield from _settled(wanted, choice, own, ""))


def _settled(wanted: Wanted, choice: Choice, own: VersionRecord | None, branch: str) -> Transaction[Held]:
    """What was chosen, or what stands for it where it is revoked or does not fit."""
    version, reason = yield from standing(choice.version)
    version, reason, rendered = yield from _fitting(wanted, version, own, reason)
    return _held(wanted, choice if version.number == choice.version.number else Choice(version, by=choice.by), reason, rendered, branch)


def _kept(scope: str, run: int | None, wanted: Wanted, choice: Choice, now: int) -> Transaction[Choice]:
    return (yield from _kept_as(scope, run, (wanted.prompt, wanted.scope), choice, now))


def _kept_as(scope: str, run: int | None, what: tuple[str, str], choice: Choice, now: int) -> Transaction[Choice]:
    version, (prompt, label) = choice.version, what
    [row] = yield SQL.pins.keep(
        scope=scope,
        prompt=prompt,
        label=label,
        number=version.number,
        hash=version.hash,
        variant=choice.variant,
        rollout=choice.rollout,
        run=run,
        now=now,
    )
    return choice if row["hash"] == version.hash else (yield from _pinned(row))


def _pinned(row: Row) -> Transaction[Choice]:
    version = yield from prompts.find(row["prompt"], row["hash"])
    return Choice(version, row["variant"], row["rollout"])


def standing(version: VersionRecord) -> Transaction[tuple[VersionRecord, str | None]]:
    """The version, or the one that those go on with who hold a revoked one. Raises `VersionRevoked`."""
    reason = None
    for _ in range(_CHAIN):
        policy = version.revoke_policy
        if version.revoked_at is None or policy is None:
            return version, reason
        if not policy.startswith("repin:"):
            break
        reason = "revoked"
        version = yield from prompts.find(version.prompt, prompts.repinned(policy))
    name = f"v{version.number} of {version.prompt}"
    hint = f"Release another version, and move runs that hold it: `agentflow prompts repin <run> {version.prompt} --to <number>`."
    raise VersionRevoked(f"{name} is revoked.", hint=hint, prompt=version.prompt, number=version.number, policy=version.revoke_policy)


def _fitting(
    wanted: Wanted, version: VersionRecord, own: VersionRecord | None, reason: str | None
) -> Transaction[tuple[VersionRecord, str | None, str]]:
    """The version, or what the code has where the version does not fit what the code gives it. Raises `VersionRevoked`."""
    try:
        return version, reason, wanted.fits(version.body)
    except PromptError:
        if own is None or own.hash == version.hash or wanted.version is not None:
            raise
    mine, _ = yield from standing(own)
    return mine, "contract", wanted.fits(mine.body)


def _held(wanted: Wanted, choice: Choice, reason: str | None, rendered: str | None, branch: str) -> Held:
    version = choice.version
    return Held(
        number=version.number,
        hash=version.hash,
        body=version.body,
        label=wanted.label,
        variant=choice.variant,
        rollout=choice.rollout,
        reason=reason,
        rendered=rendered,
        branch=branch,
        by=choice.by,
    )


def _own_pin(lease: Lease, wanted: Wanted, held: Held, now: int) -> Transaction[None]:
    version = yield from prompts.hold(wanted.prompt, held.hash)
    choice = Choice(version, held.variant, held.rollout)
    kept = yield from _kept(f"run:{lease.run}", lease.run, wanted, choice, now)
    if kept.version.hash != held.hash:
        yield from _move(f"run:{lease.run}", wanted.prompt, wanted.scope, version, held.reason or "code", now)


def _move(scope: str, prompt: str, label: str, version: VersionRecord, by: str, now: int) -> Transaction[int]:
    moved = yield SQL.pins.move(scope=scope, prompt=prompt, label=label, number=version.number, hash=version.hash, moved_by=by, now=now)
    return len(moved)


def record(lease: Lease, entry: JournalEntry, held: Held) -> Transaction[None]:
    """Write the record that a run goes by. Raises `LeaseLost`."""
    # It is there already where the connection broke after the commit.
    if not (yield SQL.journal.found(run=lease.run, seq=entry.seq)):
        yield from journal.record(lease, replace(entry, value=held.written()))


@transaction
def repin(run_id: str, prompt: str, to: int | str, said: Happening, now: int) -> Transaction[VersionRecord]:
    """Have a run hold another version from its next lease on, also one that has not asked yet for what is live.

    What code insists on is moved only once nobody may go on with that. Raises `RunNotFound`, `PromptNotFound`, `VersionNotFound`,
    `RunError` for a run that has ended and `PromptError` for a version that is revoked.
    """
    run = yield from runs.lock(run_id)
    if run.state.terminal:
        raise RunError(f"{run_id} is {run.state.value}: it holds nothing any more.", hint="Start it anew.", run_id=run_id)
    yield from prompts.lock(prompt)
    version = yield from prompts.find(prompt, to)
    if version.revoked_at is not None:
        raise PromptError(f"v{version.number} of {prompt} is revoked.", hint="Take another version.", prompt=prompt)
    if not (yield from _repinned(f"run:{run.key}", version, said.actor, now)):
        yield from _kept_as(f"run:{run.key}", run.key, (prompt, LIVE), Choice(version), now)
    told = Happening(type="run.repinned", actor=said.actor, reason=said.reason, before=dumps(run_id), after=dumps(version.number))
    yield from prompts.tell(prompt, told, now)
    return version


def _repinned(scope: str, version: VersionRecord, by: str, now: int) -> Transaction[int]:
    moved = 0
    for row in (yield SQL.pins.of_scope(scope=scope)):
        if row["prompt"] != version.prompt:
            continue
        insisted = row["label"].startswith("@")
        if not insisted or not (yield from _stands((yield from _pinned(row)).version)):
            moved += yield from _move(scope, version.prompt, row["label"], version, by, now)
    return moved


@dataclass(frozen=True, slots=True)
class Holding:
    """What a run holds from its start: what the run with that key holds, and versions of prompts by their numbers."""

    of: int | None
    versions: Mapping[str, int]


@transaction
def start(new: NewRun, holding: Holding, now: int) -> Transaction[Started]:
    """Start a run that holds versions before it asks for them. Raises as `runs.start`, and `VersionNotFound`."""
    started = yield from runs.start(new, now)
    held: dict[tuple[str, str], Choice] = {}
    if holding.of is not None:
        for row in (yield SQL.pins.of_scope(scope=f"run:{holding.of}")):
            if row["prompt"]:
                # Nobody chose it anew: what it says is no word on the rollout that did.
                held[row["prompt"], row["label"]] = Choice((yield from _pinned(row)).version)
    for prompt, number in holding.versions.items():
        labels = {LIVE, *(label for name, label in held if name == prompt and not label.startswith("@"))}
        held |= dict.fromkeys(((prompt, label) for label in labels), Choice((yield from prompts.find(prompt, number))))
    run = started.run.key
    for (prompt, label), choice in held.items():
        yield from prompts.hold(prompt, choice.version.hash)
        yield from _kept_as(f"run:{run}", run, (prompt, label), choice, now)
    return started


@transaction
def upgrade(thread: str, prompt: str, said: Happening, now: int) -> Transaction[bool]:
    """Have the next run of a thread take what is live then; False when the thread holds no version. Raises `PromptNotFound`."""
    yield from prompts.lock(prompt)
    if not (yield SQL.pins.drop(scope=f"thread:{thread}", prompt=prompt)):
        return False
    told = Happening(type="thread.upgraded", actor=said.actor, reason=said.reason, before=dumps(thread))
    yield from prompts.tell(prompt, told, now)
    return True
