"""Budgets: whether a model call may begin, and what people said to one that may not.

Lock order: a run's row, then what was granted to budgets, by their ids. Nobody who holds the latter takes another run's row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentflow.clock import SECOND
from agentflow.database.port import Row, Transaction, transaction
from agentflow.records import RunState, WaitpointRecord, WaitState
from agentflow.serde import dumps, loads
from agentflow.storage import runs, waitpoints
from agentflow.storage.runs import Lease
from agentflow.storage.statements import SQL
from agentflow.storage.terms import COUNTED, Grant, Shortage, Size, Terms, Used, crowded, free_at, granted, shortages, subject
from agentflow.storage.waitpoints import NewWaitpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A model call that wants to begin. `name` is its own in the run, `size` what it uses at most, as far as that is known.

    `question` is how people are asked if they must be; `now` is microseconds since 1970.
    """

    name: str
    terms: Sequence[Terms]
    size: Size
    question: NewWaitpoint
    now: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """The call may begin, and counts as under way until it is recorded."""


@dataclass(frozen=True, slots=True)
class Crowded:
    """Calls under way may use up what is left of this budget: try again when one of them has ended."""

    budget: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A limit is reached, and nobody is to be asked."""

    terms: Terms
    short: Sequence[Shortage]
    denied: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """People are asked by the waitpoint `id`; it is `made` if it is this call's own."""

    id: str
    made: WaitpointRecord | None


@dataclass(frozen=True, slots=True)
class Later:
    """At that time enough may be left, and `why`."""

    when: int
    why: str


RESTING = 5 * SECOND
"""How long a call waits before it looks again for one whose run does not work now: that run may need the slot of this one."""

Verdict = Admitted | Crowded | Refused | Asked | Later


@dataclass(frozen=True, slots=True)
class _State:
    terms: Terms
    grant: Grant
    question: str | None
    used: Used
    short: Sequence[Shortage]
    rests: bool


@transaction
def declare(lease: Lease, terms: Sequence[Terms]) -> Transaction[None]:
    """Bring budgets into force for a run and all below it. Raises `LeaseLost`."""
    yield from runs.hold(lease)
    for one in sorted(terms, key=lambda one: one.id):
        yield SQL.budgets.put(run=lease.run, id=one.id, terms=one.written())
        yield SQL.grants.declare(budget=one.id, run=one.own)


@transaction
def above(run: int) -> Transaction[tuple[list[str], list[Terms]]]:
    """What the calls of a run count for beside the run itself: everything of the runs above it. And the budgets that those bring, from

    the run outwards.
    """
    scopes: list[str] = []
    terms: list[Terms] = []
    for row in (yield SQL.budgets.above(run=run)):
        scopes += scopes_of(row["key"], row["thread"], row["concurrency_key"], loads(row["tags"]))
        if row["terms"] is not None:
            terms.append(Terms.read(row["terms"]))
    return list(dict.fromkeys(scopes)), terms


def scopes_of(run: int, thread: str | None, key: str | None, tags: Sequence[str]) -> list[str]:
    """Everything that a call of this run counts for."""
    found = [f"run:{run}"]
    if thread is not None:
        found.append(f"thread:{thread}")
    if key is not None:
        found.append(f"key:{key}")
    # A thread's own tag says the same again.
    return found + [f"tag:{tag}" for tag in tags if tag != f"thread:{thread}"]


@transaction
def admit(lease: Lease, call: Call) -> Transaction[Verdict]:
    """Let a model call begin, or say why not. Raises `LeaseLost`."""
    yield from runs.held(lease)
    locked = {row["budget"]: row for row in (yield SQL.grants.lock(budgets=dumps(sorted(one.id for one in call.terms))))}
    states: list[_State] = []
    for terms in call.terms:
        # A budget that is not there any more went with a run above, which ended before this one and was deleted.
        if terms.id in locked:
            states.append((yield from _state(lease, call, terms, locked[terms.id])))
    short = [one for one in states if one.short]
    if not short:
        return (yield from _begin(lease, call, states))
    for one in short:
        if one.terms.on_limit in ("stop", "fail") or one.grant.denied:
            return Refused(one.terms, one.short, one.grant.denied)
    asking = [one for one in short if one.terms.on_limit == "ask"]
    return (yield from (_ask(lease, call, asking) if asking else _later(call, short)))


def _begin(lease: Lease, call: Call, states: Sequence[_State]) -> Transaction[Admitted | Crowded | Later]:
    for one in states:
        if crowded(one.terms, one.grant, one.used, call.size):
            return Later(call.now + RESTING, "Another model call") if one.rests else Crowded(one.terms.id)
    tokens, cost = call.size.get("tokens"), call.size.get("usd")
    for one in states:
        yield SQL.calls.put(budget=one.terms.id, run=lease.run, step=call.name, epoch=lease.epoch, tokens=tokens, cost=cost)
    return Admitted()


def _ask(lease: Lease, call: Call, asking: Sequence[_State]) -> Transaction[Asked]:
    """One question for all limits that the same people decide; whoever comes while it is open waits for its answer, too."""
    for one in asking:
        if one.question is not None:
            asked = yield from waitpoints.get(one.question)
            yield from _remember(one.terms, asked.id)
            # It is this very call's own where the run comes back to it, or the connection broke after the commit.
            return Asked(asked.id, asked if (asked.run_id, asked.key) == (lease.run_id, call.question.key) else None)
    first = asking[0].terms
    together = [one for one in asking if list(one.terms.groups) == list(first.groups)]
    told = subject([(one.terms, one.grant, one.short) for one in together], lease.run)
    due = None if first.expires is None else call.now + first.expires
    made = yield from waitpoints.insert(lease, replace(call.question, subject=dumps(told), due_at=due), None, call.now)
    for one in together:
        yield SQL.grants.ask(budget=one.terms.id, question=made.id)
        yield from _remember(one.terms, made.id)
    return Asked(made.id, made)


def _remember(terms: Terms, question: str) -> Transaction[None]:
    if terms.turnwise:
        yield SQL.askers.put(budget=terms.id, run=terms.owner, question=question)


def _later(call: Call, short: Sequence[_State]) -> Transaction[Later]:
    when = call.now + SECOND
    for one in short:
        terms = one.terms
        past = yield SQL.usage.each(scope=terms.scope, run=None, since=_since(terms, call.now))
        used = [(row["at"], _each(row)) for row in past]
        when = max(when, free_at(terms, one.grant, used))
    return Later(when, "A budget's window")


def _each(row: Row) -> dict[str, int | None]:
    tokens = None if row["output"] is None else (row["input"] or 0) + row["output"]
    return {"usd": row["cost"], "tokens": tokens, "turns": row["calls"]}


def _state(lease: Lease, call: Call, terms: Terms, row: Row) -> Transaction[_State]:
    grant, question = yield from _said(terms, row, call.now)
    if terms.turnwise:
        grant = (yield from _denied(terms, call.now)) or grant
    # In this order: on PostgreSQL a call that is recorded between the two counts twice then, and never not at all.
    under_way = yield SQL.calls.open(budget=terms.id, run=lease.run, step=call.name)
    used = yield from _used(terms, [{"tokens": one["tokens"], "usd": one["cost"]} for one in under_way], call.now)
    rests = any(one["state"] != RunState.RUNNING for one in under_way)
    return _State(terms, grant, question, used, shortages(terms, grant, used), rests)


def _said(terms: Terms, row: Row, now: int) -> Transaction[tuple[Grant, str | None]]:
    """What people said so far, and the question that is open. An answer is taken in by whoever comes first after it."""
    decided = row["decided_at"] is not None and row["decided_at"] > _since(terms, now)
    grant = Grant.read(row["amount"], denied=bool(row["denied"]) and not terms.turnwise) if decided else Grant()
    if row["question"] is None:
        return grant, None
    found = yield SQL.waitpoints.get(id=row["question"])
    state = WaitState(found[0]["state"]) if found else WaitState.CANCELLED
    if state is WaitState.PENDING:
        return grant, row["question"]
    if state is WaitState.CANCELLED:
        # The run that asked is gone: somebody else asks anew.
        yield SQL.grants.ask(budget=terms.id, question=None)
        return grant, None
    answer: dict[str, Any] = loads(found[0]["answer"]) if state is WaitState.ANSWERED else {}
    if answer.get("approved") is True:
        grant = granted(terms, grant, answer.get("edits"))
    elif terms.turnwise:
        yield SQL.askers.deny(budget=terms.id, question=row["question"], amount=grant.written(), now=now)
    else:
        grant = replace(grant, denied=True)
    yield SQL.grants.decide(budget=terms.id, amount=grant.written(), denied=int(grant.denied), now=now)
    return grant, None


def _denied(terms: Terms, now: int) -> Transaction[Grant | None]:
    """What had been granted to a thread when it was a no for this run; None where it never was."""
    found = yield SQL.askers.denied(budget=terms.id, run=terms.owner)
    return Grant.read(found[0]["amount"], denied=True) if found and found[0]["denied_at"] > _since(terms, now) else None


def _used(terms: Terms, under_way: Sequence[Size], now: int) -> Transaction[Used]:
    [used] = yield SQL.usage.sum(scope=terms.scope, run=None, since=_since(terms, now))
    spent = {"usd": used["cost"], "tokens": used["input"] + used["output"], "turns": used["calls"]}
    if terms.limits.keys() - set(COUNTED):
        spent |= yield from _times(terms.owner, now)
    unknown = {"usd": used["unpriced"], "tokens": used["unmetered"]}
    return Used(spent, unknown, under_way)


def _times(run: int, now: int) -> Transaction[dict[str, int]]:
    """Since when a run is at work, waits and all, and for how long it worked without them."""
    [found] = yield SQL.budgets.times(run=run)
    working = now - found["leased_at"] if found["state"] == RunState.RUNNING else 0
    return {"time": now - (found["started_at"] or now), "active": found["active"] + working}


def _since(terms: Terms, now: int) -> int:
    return -1 if terms.window is None else now - terms.window
