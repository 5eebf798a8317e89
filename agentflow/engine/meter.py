"""The model calls of one run: what they count for, and whether its budgets, and those above it, let the next one begin."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from agentflow.engine.context import StepOptions, WaitRequest
from agentflow.engine.prices import call_usage, warm
from agentflow.engine.session import Session
from agentflow.engine.telling import requested
from agentflow.errors import BudgetExceeded, StorageError
from agentflow.records import WaitKind, WaitState, new_id
from agentflow.storage import budgets
from agentflow.storage.budgets import Admitted, Asked, Call, Crowded, Later, Refused, Verdict
from agentflow.storage.statements import SQL
from agentflow.storage.terms import Terms, used_up
from agentflow.storage.usage import CallUsage, Metered
from agentflow.storage.waitpoints import NewWaitpoint
from agentflow.streams.events import Usage

Wait = Callable[[str, WaitRequest], Awaitable[Any]]

NOT_YET = CallUsage(input=0, output=0, cost=0)

_FIRST, _LAST = 0.01, 0.25
"""Seconds of real time between looks whether a call of others has ended."""


class Meter:
    """Counts the model calls of a run in memory, and lets them begin."""

    def __init__(self, session: Session, wait: Wait) -> None:
        self.wait = wait
        self._session = session
        self._declared = not session.budgets
        self._scopes: Sequence[str] | None = None
        self._terms: Sequence[Terms] = ()
        self._open: set[str] = set()

    async def declare(self) -> None:
        """Bring the run's budgets into force, before a run below it begins. Under the lease."""
        if not self._declared:
            terms = self._own()
            await self._session.transact(lambda lease: budgets.declare(lease, terms))
            self._declared = True

    async def enter(self, key: str) -> BudgetExceeded | None:
        """Begin the model call of a step, as `Session.enter` begins other work; returns why it may not begin, which is to be recorded."""
        session, delay = self._session, _FIRST
        warm()
        while True:
            await session.enter()
            try:
                verdict = await self._admit(key)
                if isinstance(verdict, Crowded):
                    await asyncio.sleep(delay)
                    delay = min(2 * delay, _LAST)
            except BaseException:
                self._open.add(key)
                self.leave(key)
                session.leave()
                raise
            if isinstance(verdict, Admitted):
                return None
            if isinstance(verdict, Refused):
                return self._refusal(verdict)
            session.leave()
            if not isinstance(verdict, Crowded):
                await self._pause(key, verdict)

    def leave(self, key: str) -> None:
        """End what `enter` began: a call that was not recorded is under way no longer."""
        if key in self._open:
            self._open.discard(key)
            self._session.in_background(self._give_up(key))

    async def metered(self, key: str, told: Sequence[Usage], answered: StepOptions | None) -> Metered | None:
        """What is to be recorded with a step that told this; `answered` are the options of one that has a result."""
        used = [call_usage(one) for one in told]
        if answered is not None and answered.share == "rest":
            used = [replace(one, calls=0) for one in used]
        elif answered is not None and answered.begins and not used:
            # Nothing is known of it, unless what it used is still to come.
            used = [NOT_YET if answered.share == "first" else CallUsage()]
        if not used and key not in self._open:
            return None
        return Metered(used, await self._counted(), admitted=key in self._open)

    def recorded(self, key: str) -> None:
        """The call is recorded."""
        self._open.discard(key)

    # -- how -----------------------------------------------------------------------------------------------------------------------------

    def _own(self) -> list[Terms]:
        return [one.terms(self._session.run) for one in self._session.budgets]

    async def _counted(self) -> Sequence[str]:
        """Everything that this run's calls count for; read once, for what is above a run never changes."""
        if self._scopes is None:
            run = self._session.run
            scopes, terms = budgets.scopes_of(run.key, run.thread, run.concurrency_key, run.tags), self._own()
            if run.parent_id is not None:
                above, theirs = await self._session.read(lambda: budgets.above(run.key))
                scopes, known = [*scopes, *above], {one.id for one in terms}
                terms += [one for one in theirs if one.id not in known]
            self._scopes, self._terms = list(dict.fromkeys(scopes)), terms
        return self._scopes

    async def _admit(self, key: str) -> Verdict:
        await self._counted()
        if not self._terms:
            return Admitted()
        await self.declare()
        session, now = self._session, self._session.services.clock.now()
        question = NewWaitpoint(id=new_id("wp", now), key=self._place(key), kind=WaitKind.APPROVAL, attempt=session.run.attempt)
        call = Call(step=key, terms=self._terms, question=question, now=now)
        verdict = await session.transact(lambda lease: budgets.admit(lease, call))
        if isinstance(verdict, Admitted):
            self._open.add(key)
        return verdict

    def _place(self, key: str) -> str:
        """The key of the next wait of a step for its budget."""
        number, known = 0, self._session.known
        while (found := known.get(f"{key}~budget.{number}")) is not None and found.state is not WaitState.PENDING:
            number += 1
        return f"{key}~budget.{number}"

    async def _pause(self, key: str, verdict: Asked | Later) -> None:
        place = self._place(key)
        if isinstance(verdict, Later):
            await self.wait(place, WaitRequest(kind=WaitKind.TIMER, due_at=verdict.when, subject={"title": "A budget's window"}))
            return
        session, made = self._session, verdict.made
        if made is not None and place not in session.known:
            session.known[place] = made
            session.publish(requested(made))
            await session.tell_above(made)
            session.services.host.hint(made.due_at)
        title = {"title": "The answer to a question about a budget"}
        await self.wait(place, WaitRequest(kind=WaitKind.CALLBACK, target=verdict.id, subject=title))

    def _refusal(self, refused: Refused) -> BudgetExceeded:
        terms, run = refused.terms, self._session.run
        told = used_up(terms, refused.short, run.key)
        return BudgetExceeded(
            f"{told}, and nobody granted more." if refused.denied else f"{told}.",
            hint='Raise its budget, or let people decide: Budget(..., on_limit="ask").',
            run_id=run.id,
            budget=terms.scope,
            on_limit="stop" if terms.on_limit == "ask" else terms.on_limit,
            limits={one.name: {"spent": one.spent, "limit": one.limit, "unknown": one.unknown} for one in refused.short},
        )

    async def _give_up(self, key: str) -> None:
        session = self._session
        with suppress(StorageError):
            await session.services.database.execute(SQL.calls.end(run=session.run.key, step=key, epoch=session.epoch))
