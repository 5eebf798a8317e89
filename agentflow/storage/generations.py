"""Model calls by the version of a prompt that spoke: a row for each try, summed when somebody asks.

They are written with the step's record. They outlive their run, without what it was told, and go when they are `KEPT` for long enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from agentflow.clock import SECOND
from agentflow.database.port import Row, Transaction
from agentflow.records import JournalEntry, new_id
from agentflow.storage import blobs
from agentflow.storage.statements import SQL

KEPT = 90 * 86_400 * SECOND
"""For how long calls are kept, in microseconds."""
OF_RUN = 1_000
"""Calls of a run that are told of."""
_SMALL = 1_024
"""Characters of variables that a row holds: those of forty turns of an agent are one blob, else."""

Ending = Literal["answered", "failed", "cancelled"]
"""How a try of a model call ended. A cancelled one is no error: nobody wanted its answer any more."""


def ref(name: str, number: int | None, hash: str) -> str:
    """What people and traces call a version.

    >>> ref("support", 3, "sha256:9f2c1a77…")
    'support@v3#9f2c1a'
    """
    told = "" if number is None else f"@v{number}"
    return f"{name}{told}#{hash.removeprefix('sha256:')[:6]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """The version of a prompt by which code speaks to a model.

    `ref` is what people call it, `variables` what it was filled with, as JSON text, `rendered` a hash of what it says.
    """

    prompt: str
    hash: str
    ref: str
    number: int | None
    label: str | None
    variant: str | None
    rollout: str | None
    rendered: str
    variables: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """A try of a model call that a version spoke: what it `used`, by columns, when it began and told its first token, and how it ended.

    `call` names a call that several steps follow: it began with the first of them. Times are microseconds since 1970.
    """

    spoken: Spoken
    used: Mapping[str, Any]
    env: str
    began: int
    first_at: int | None
    ended: Ending
    error: str | None = None
    call: str | None = None


def put(run: int, entry: JournalEntry, one: Generated) -> Transaction[None]:
    """Record it, as a part of the transaction that records the step."""
    spoken, now = one.spoken, entry.ended_at
    variables = yield from blobs.stow(spoken.variables, now, _SMALL)
    told = {name: getattr(spoken, name) for name in ("prompt", "hash", "number", "label", "variant", "rollout", "rendered")}
    timed = {name: getattr(one, name) for name in ("env", "began", "first_at", "ended", "error", "call")}
    columns = {name: one.used.get(name) for name in _USED}
    yield SQL.generations.put(
        id=new_id("gen", now), run=run, seq=entry.seq, step=entry.key, now=now, variables=variables, **told, **timed, **columns
    )


_USED = ("provider", "model", "input", "output", "cached", "reasoning", "cost")


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRecord:
    """A try of a model call that a version of a prompt spoke. Times are microseconds, `cost` nano-USD; None is not known.

    `version` is None where the registry did not know it, `run_id` where the run is deleted. `at` is when it ended, `duration` how long it
    took, `first_token` how long its first word; `error` is the name of what failed. `variables`, JSON text, are told of a single call only.
    """

    id: str
    prompt: str
    version: int | None
    hash: str
    env: str
    label: str | None
    variant: str | None
    rollout: str | None
    run_id: str | None
    seq: int
    step: str
    at: int
    duration: int
    first_token: int | None
    provider: str | None
    model: str | None
    input: int | None
    output: int | None
    cached: int | None
    reasoning: int | None
    cost: int | None
    ended: Ending
    error: str | None
    rendered: str
    variables: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Calls of a prompt after `since` (microseconds since 1970), of a version and a variant, or all; after the one that `after` names."""

    prompt: str
    version: int | None = None
    variant: str | None = None
    since: int = -1
    after: str | None = None


def each(which: Which, limit: int) -> Transaction[list[GenerationRecord]]:
    """Calls, the newest first."""
    told: dict[str, Any] = {"prompt": which.prompt, "variant": which.variant, "since": which.since, "after": which.after, "limit": limit}
    if which.version is None:
        found = yield SQL.generations.each(**told)
    else:
        found = yield SQL.generations.of_version(number=which.version, **told)
    return [_record(row) for row in found]


def of_run(run: int, run_id: str) -> Transaction[list[GenerationRecord]]:
    """The calls of one run, in their order; `OF_RUN` at most."""
    return [_record(row) for row in (yield SQL.generations.of_run(run=run, run_id=run_id, limit=OF_RUN))]


def get(prompt: str, id: str) -> Transaction[GenerationRecord | None]:
    """One call, with the variables that the prompt was filled with; None where there is none."""
    found = yield SQL.generations.get(prompt=prompt, id=id)
    if not found:
        return None
    variables = found[0]["variables"]
    return replace(_record(found[0]), variables=None if variables is None else (yield from blobs.full(variables)))


def _record(row: Row) -> GenerationRecord:
    plain = {one.name: row[one.name] for one in fields(GenerationRecord) if one.name not in ("version", "variables")}
    return GenerationRecord(version=row["number"] or None, **plain)
