"""The model calls of one run: what they count for, and whether its budgets, and those above it, let the next one begin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentflow.clock import SECOND
from agentflow.engine.context import StepCall, StepOptions, WaitRequest
from agentflow.engine.line import line_of
from agentflow.engine.prices import warm
from agentflow.engine.session import PASSING, Session
from agentflow.engine.telling import requested
from agentflow.errors import BudgetExceeded
from agentflow.records import WaitKind, WaitState, new_id
from agentflow.storage import budgets
from agentflow.storage.budgets import Admitted, Asked, Call, Crowded, Later, Refused, Verdict
from agentflow.storage.generations import Generated
from agentflow.storage.statements import SQL
from agentflow.storage.terms import Size, Terms, strictest, used_up
from agentflow.storage.usage import CallUsage, Metered
from agentflow.storage.waitpoints import NewWaitpoint

Wait = Callable[[str, WaitRequest], Awaitable[Any]]

NOT_YET = CallUsage(input=0, output=0, cost=0)


@dataclass(frozen=True, slots=True)
class Asking:
    """A step that wants to begin a call: its key, the call's name, what that uses at most."""

    key: str
    name: str
    size: Size


class Meter:
    """Counts the model calls of a run in memory, and lets them begin."""

    def __init__(self, session: Session, wait: Wait) -> None:
        self.wait = wait
        self._session = session
        self._line = line_of(session.loop)
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

    async def enter(self, key: str, call: StepCall) -> BudgetExceeded | None:
        """Begin the model call of a step, as `Session.enter` begins other work; returns why it may not begin, which is to be recorded."""
        session = self._session
        warm()
        asking = Asking(key, call.options.call or key, await self._size(call))
        while True:
            await session.enter()
            try:
                verdict = await self._admit(asking)
                while isinstance(verdict, Crowded):
                    verdict = await self._in_line(verdict.budget, asking)
            except BaseException:
                self._open.add(asking.name)
                self.leave(asking.name)
                session.leave()
                raise
            if isinstance(verdict, Admitted):
                return None
            if isinstance(verdict, Refused):
                return self._refusal(verdict)
            session.leave()
            await self._pause(key, verdict)

    def leave(self, name: str) -> None:
        """End what `enter` began: a call that was not recorded is under way no longer."""
        if name in self._open:
            self._open.discard(name)
            self.over(name)

    def over(self, name: str) -> None:
        """A call is followed no further, unless this run has left this process: whoever has it then decides."""
        session = self._session
        if not session.closed and session.latched is None:
            session.in_background(self._give_up(name))

    async def metered(
        self, key: str, told: Sequence[CallUsage], options: StepOptions, generated: Sequence[Generated], *, answered: bool
    ) -> Metered | None:
        """What is to be recorded with a try of a step that told this; `answered`: it has a result."""
        used = list(told)
        if answered and options.kind == "llm" and not used:
            # Nothing is known of it, unless what it used is still to come.
            used = [NOT_YET if options.share == "first" else CallUsage()]
        if options.share == "rest":
            used = [replace(one, calls=0) for one in used]
        name = options.call or key
        ends = name in self._open or (options.share == "rest" and answered)
        if not used and not ends and not generated:
            return None
        scopes = await self._counted()
        over = options.share != "first" or not answered
        return Metered(used, scopes, name if ends and self._terms else None, over=over, generated=generated)

    def recorded(self, name: str) -> None:
        """What the call did is recorded."""
        self._open.discard(name)
        self._line.ended(one.id for one in self._terms)

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
                scopes = [*scopes, *above]
                terms += theirs
            self._scopes, self._terms = list(dict.fromkeys(scopes)), strictest(terms)
        return self._scopes

    async def _size(self, call: StepCall) -> Size:
        await self._counted()
        limits = {limit for one in self._terms for limit in one.limits if limit in ("tokens", "usd")}
        return call.size(limits) if call.size is not None and limits else {}

    async def _in_line(self, budget: str, asking: Asking) -> Verdict:
        """What becomes of a call that waits until others have ended: one of each budget looks for all in this process behind it."""
        async with self._line.first(budget) as place:
            while True:
                verdict = await self._admit(asking)
                if not isinstance(verdict, Crowded) or verdict.budget != budget:
                    return verdict
                await place.change()

    async def _admit(self, asking: Asking) -> Verdict:
        if not self._terms:
            return Admitted()
        await self.declare()
        session, now = self._session, self._session.services.clock.now()
        question = NewWaitpoint(id=new_id("wp", now), key=self._place(asking.key), kind=WaitKind.APPROVAL, attempt=session.run.attempt)
        call = Call(name=asking.name, terms=self._terms, size=asking.size, question=question, now=now)
        verdict = await session.transact(lambda lease: budgets.admit(lease, call))
        if isinstance(verdict, Admitted):
            self._open.add(asking.name)
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
            await self.wait(place, WaitRequest(kind=WaitKind.TIMER, due_at=verdict.when, subject={"title": verdict.why}))
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

    async def _give_up(self, name: str) -> None:
        """Count a call as under way no longer. A row that stayed would keep all others of its budget waiting while the run works."""
        session, epoch, delay = self._session, self._session.epoch, SECOND // 50
        while session.latched is None and session.epoch == epoch:
            try:
                await session.services.database.execute(SQL.calls.end(run=session.run.key, step=name, epoch=epoch))
                break
            except PASSING:
                await session.services.clock.sleep_until(session.services.clock.now() + delay)
                delay = min(delay * 2, 5 * SECOND)
        self._line.ended(one.id for one in self._terms)
