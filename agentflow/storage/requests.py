"""Moves that were asked for under a policy: each is a run that has people and evaluations agree, and moves the binding once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from agentflow.database.port import Row, Transaction, transaction
from agentflow.errors import PromptError, RequestNotFound
from agentflow.records import RunState
from agentflow.serde import dumps, loads
from agentflow.storage import bindings, policies, prompts, releases, runs
from agentflow.storage.bindings import BindingRecord, Move
from agentflow.storage.prompts import Happening
from agentflow.storage.releases import Target
from agentflow.storage.runs import NewRun, Started
from agentflow.storage.statements import SQL

State = Literal["asked", "released", "denied", "conflict"]
LATEST = 100
"""Requests that are listed at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """A move that somebody asked for.

    `state` is asked, released, denied, or conflict: it was agreed to and could not be done any more. `outcome` says who agreed, or why not.
    `rev` is that of the binding when it was asked for; `run_id` is the run that asks, under `waitpoint` where people do. Times are
    microseconds since 1970.
    """

    id: str
    prompt: str
    env: str
    label: str
    run_id: str
    waitpoint: str | None
    target: Target
    rev: int
    policy: str
    actor: str
    reason: str
    state: State
    at: int
    ended_at: int | None = None
    outcome: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def move(self) -> Move:
        """The move, as whoever asked for it makes it."""
        return Move(
            prompt=self.prompt,
            env=self.env,
            label=self.label,
            actor=self.actor,
            reason=self.reason,
            expect_rev=self.rev,
            more={"request": self.id},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A move that is asked for: under which `policy`, and the `waitpoint` at which people are going to be asked, if they are."""

    id: str
    move: Move
    target: Target
    policy: str
    waitpoint: str | None


@transaction
def ask(new: NewRun, wish: Wish, now: int) -> Transaction[Started]:
    """Start the run that asks for a move.

    Raises `PromptNotFound`, `VersionNotFound`, `PromptError`, `BindingConflict`, `BindingProtected`.
    """
    started = yield from runs.start(new, now)
    how, target = wish.move, wish.target
    before = yield from bindings.locked(how, now)
    yield from releases.check(how.prompt, target)
    yield SQL.requests.add(
        id=wish.id,
        prompt=how.prompt,
        env=how.env,
        label=how.label,
        run=started.run.id,
        waitpoint=wish.waitpoint,
        target=dumps(target.told),
        rev=before.rev,
        policy=wish.policy,
        actor=how.actor,
        reason=how.reason,
        now=now,
    )
    asked = {"request": wish.id, "run": started.run.id, "waitpoint": wish.waitpoint, **target.told}
    told = _happened("release.requested", how, before, {name: value for name, value in asked.items() if value is not None})
    yield from prompts.tell(how.prompt, told, now)
    return started


@transaction
def carry_out(id: str, run_id: str, agreed: Mapping[str, Any], now: int) -> Transaction[RequestRecord]:
    """Move what was agreed to, if it is as it was when that was asked for: once, whoever tries again. `agreed`: who did, to be told."""
    request = yield from _locked(id, run_id)
    if request.state != "asked":
        return request
    try:
        before = yield from _as_asked(request, now)
    except PromptError as error:
        return (yield from _ended(request, "conflict", {**agreed, "code": error.code, "why": error.message}, now))
    yield from prompts.tell(request.prompt, _happened("release.approved", request.move, before, {"request": id, **agreed}), now)
    after = yield from releases.put(request.move, request.target, before, now)
    return (yield from _ended(request, "released", {**agreed, "rev": after.rev}, now))


@transaction
def give_up(id: str, run_id: str, state: State, why: Mapping[str, Any], now: int) -> Transaction[RequestRecord]:
    """End a request that is not going to be carried out, unless it has ended."""
    request = yield from _locked(id, run_id)
    return request if request.state != "asked" else (yield from _ended(request, state, why, now))


def get(id: str) -> Transaction[RequestRecord]:
    """A request. Raises `RequestNotFound`."""
    found = yield SQL.requests.get(id=id)
    if not found:
        raise RequestNotFound(f"There is no request {id!r}.", hint="Ask for the move again.")
    return _request(found[0])


def of_prompt(prompt: str, env: str | None = None) -> Transaction[Sequence[RequestRecord]]:
    """What was asked for of a prompt, the newest first."""
    return [_request(row) for row in (yield SQL.requests.of_prompt(prompt=prompt, env=env, limit=LATEST))]


def _locked(id: str, run_id: str) -> Transaction[RequestRecord]:
    """A request under the lock of its prompt, for the run that was started for it and no other."""
    yield from prompts.lock((yield from get(id)).prompt)
    request = yield from get(id)
    if request.run_id != run_id:
        raise PromptError(f"{run_id} is not the run of {id}.", hint="Ask for the move again.", prompt=request.prompt)
    return request


def _as_asked(request: RequestRecord, now: int) -> Transaction[BindingRecord]:
    """What is to be moved, if nobody moved it, or the versions, or the policy, meanwhile. Raises `PromptError`."""
    policy = yield from policies.of(request.prompt, request.env)
    if policy is not None and policy.asks and policy.id != request.policy:
        raise PromptError(f"The policy of {request.prompt} in {request.env} was changed meanwhile.", hint="Ask for it again.")
    before = yield from bindings.locked(request.move, now)
    yield from releases.check(request.prompt, request.target)
    return before


def _ended(request: RequestRecord, state: State, outcome: Mapping[str, Any], now: int) -> Transaction[RequestRecord]:
    yield SQL.requests.end(id=request.id, state=state, outcome=dumps(dict(outcome)), now=now)
    if state != "released":
        now_is = yield from bindings.get(request.prompt, request.env, request.label)
        told = _happened(f"release.{state}", request.move, now_is, {"request": request.id, **outcome})
        yield from prompts.tell(request.prompt, told, now)
    return (yield from get(request.id))


def _happened(kind: str, how: Move, before: BindingRecord | None, after: Mapping[str, Any]) -> Happening:
    """An event of a request: what holds meanwhile, and what is said of it."""
    held = None if before is None or not before.rev else before.written
    by = str(after.get("by") or how.actor)
    return Happening(type=kind, actor=by, reason=how.reason, env=how.env, label=how.label, before=held, after=dumps(dict(after)))


def _request(row: Row) -> RequestRecord:
    plain = ("id", "prompt", "env", "label", "waitpoint", "rev", "policy", "actor", "reason", "state", "at", "ended_at")
    record = {name: row[name] for name in plain}
    outcome = loads(row["outcome"] or "{}")
    if row["state"] == "asked" and (row["run_state"] is None or RunState(row["run_state"]).terminal):
        # Only its run carries it out.
        record["state"], outcome = "denied", {"why": f"Its run is {row['run_state'] or 'deleted'}."}
    told: dict[str, Any] = {"target": Target.read(loads(row["target"])), "outcome": outcome, "run_id": row["run"]}
    return RequestRecord(**record, **told)
