"""What can be done with waitpoints from outside of runs."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any

from agentflow.app.auditing import Audit
from agentflow.app.batch import Choice, ballots
from agentflow.app.calling_back import CallbackCall, again, check_signature, no_callback, told
from agentflow.app.grants import Always, Grants, InvalidGrant
from agentflow.app.linking import Links, LinkWish, ReviewLink
from agentflow.app.waking import Waking
from agentflow.clock import Clock, Duration, microseconds
from agentflow.database.port import Database, Row, Transaction
from agentflow.engine.context import current
from agentflow.engine.maintenance import Maintenance
from agentflow.errors import InvalidAnswer, WaitpointAlreadyAnswered, WaitpointTimedOut
from agentflow.records import DeliveryRecord, WaitKind, WaitpointRecord, WaitState
from agentflow.serde import dumps, loads
from agentflow.storage import asking, batch, callbacks, deciding, granting, inbox, ladder, listing, outbox, runs, showing, tries, waitpoints
from agentflow.storage.batch import DecidedAll, OneRefused
from agentflow.storage.deciding import Ballot, Decided
from agentflow.storage.inbox import Inbox, InboxPage
from agentflow.storage.policy import Voter, named
from agentflow.storage.runs import Lessee
from agentflow.storage.showing import Sight
from agentflow.storage.waitpoints import Ending, TokenKey, Woken

_log = logging.getLogger("agentflow.app")
GroupsOf = Callable[[str], Iterable[str] | Awaitable[Iterable[str]]]
"""Tells which groups somebody is in."""


@dataclass(frozen=True, slots=True)
class Vote:
    """What somebody said to a waitpoint. `choice` is approve, deny, answer, cancel, supersede or reassign; `said` what came with it.

    `counted`: whether it counts, `why` it does not. `at` is microseconds since 1970.
    """

    actor: str
    choice: str
    said: Any
    counted: bool
    why: str | None
    at: int

    @classmethod
    def of(cls, row: Row) -> Vote:
        """From its row."""
        return cls(row["actor"], row["choice"], loads(row["body"]), bool(row["counted"]), row["why"], row["at"])


class Waitpoints:
    """`app.waitpoints`: create tokens, see what is waited for, answer."""

    def __init__(self, database: Database, clock: Clock, waking: Waking, maintenance: Maintenance) -> None:
        self._database = database
        self._clock = clock
        self._waking = waking
        self._maintenance = maintenance
        self.groups: GroupsOf | None = None
        self.grants = Grants(database, clock, self._voter)
        self.links = Links(database, clock, self._voter)
        self.audit = Audit(database)

    async def create(
        self,
        *,
        timeout: Duration | None = None,
        title: str = "",
        idempotency_key: str | None = None,
        idempotency_ttl: Duration = "30d",
    ) -> WaitpointRecord:
        """Make a token that `wait_for(token.id)` in a run waits for.

        The same `idempotency_key` gives the same token for as long as `idempotency_ttl`; then a new one.
        """
        now = self._clock.now()
        due = None if timeout is None else now + microseconds(timeout)
        key = None if idempotency_key is None else TokenKey(idempotency_key, now + microseconds(idempotency_ttl))
        made, _ = await self._database.transact(waitpoints.create_free(dumps({"title": title}), None, due, key, now))
        self._maintenance.due(due)
        return made

    async def get(self, waitpoint_id: str) -> WaitpointRecord:
        """A waitpoint as it is now. Raises `WaitpointNotFound`."""
        return await self._database.read(_looked_at(waitpoint_id))

    async def shown_in(self, one: WaitpointRecord) -> Sequence[Sight]:
        """The run that asks, and the runs above it that the question holds up: where it is shown."""
        if one.run_id is None:
            return ()
        run = await self._database.read(runs.get(one.run_id))
        return [Sight(run.id, run.thread, None), *await self._database.read(showing.sights(one.id))]

    async def list(
        self, *, kind: str | None = None, state: str | None = "pending", run_id: str | None = None, limit: int = 100
    ) -> list[WaitpointRecord]:
        """Waitpoints, newest first; by default those that are open, also such as people are not asked: see `held`."""
        found = await self._database.read(listing.waitpoints(kind=kind, state=state, run_id=run_id, limit=limit))
        return await self._database.read(asking.placed(found))

    async def inbox(self, wanted: Inbox, assignee: str | Voter | None = None) -> InboxPage:
        """A page of what is open, newest first; `assignee`: what this person may decide about."""
        voter = None if assignee is None else await self._voter(assignee)
        return await self._database.read(inbox.page(wanted, voter))

    async def approve(
        self, waitpoint_id: str, *, by: str, reason: str | None = None, edits: dict[str, Any] | None = None
    ) -> WaitpointRecord:
        """Answer an approval with yes. Raises as `answer` does."""
        return await self.answer(waitpoint_id, {"approved": True, "reason": reason, "edits": edits}, by=by)

    async def deny(self, waitpoint_id: str, *, by: str, reason: str | None = None, stop: bool = False) -> WaitpointRecord:
        """Answer an approval with no. Raises as `answer` does.

        `stop`, for a tool call: the run that asked ends as cancelled, and all else that it asks people is superseded at once.
        """
        return await self.answer(waitpoint_id, {"approved": False, "reason": reason, **({"stop": True} if stop else {})}, by=by)

    async def answer(self, waitpoint_id: str, value: Any, *, by: str | Voter) -> WaitpointRecord:
        """End a waitpoint with a JSON value, and wake whoever waits for it. An approval that needs more people stays open: see `decide`.

        Raises `WaitpointNotFound`, `InvalidAnswer`, `NotEligible`, `WaitpointAlreadyAnswered` (somebody was first) and `WaitpointTimedOut`
        (too late).
        """
        return (await self.decide(waitpoint_id, value, by=by)).waitpoint

    async def decide(
        self,
        waitpoint_id: str,
        value: Any,
        *,
        by: str | Voter,
        seen: str | None = None,
        idempotency_key: str | None = None,
        always: Always | None = None,
    ) -> Decided:
        """As `answer`, and tells whether that `resolved` it, and how many people it needs and has.

        `seen` is the `digest` of what was shown: raises `SubjectChanged` when it is another by now. The same `idempotency_key` is the same
        decision; raises `IdempotencyConflict` for another one. What does not count is kept, too: see `votes`. `always`: the yes to a tool
        call stands for others with just the same arguments; raises `InvalidGrant` where it cannot.
        """
        one = await self.get(waitpoint_id)
        answer, now = _checked(one, value), self._clock.now()
        voter = await self._voter(by)
        if always is not None:
            ballot = Ballot(voter=voter, choice="approve", answer=answer, seen=seen, key=idempotency_key)
            return await self._always(one, ballot, always)
        if one.kind not in (WaitKind.APPROVAL, WaitKind.INPUT):
            ending = Ending(WaitState.ANSWERED, answer, voter.name)
            woken = await self._waking.transact(one.run_id, lambda who: waitpoints.end(one.id, ending, now, who), self._maintenance.woken)
            self.audit.poke()
            return Decided(woken.waitpoint)
        choice = "answer" if one.kind is WaitKind.INPUT else "approve" if loads(answer)["approved"] else "deny"
        ballot = Ballot(voter=voter, choice=choice, answer=answer, seen=seen, key=idempotency_key)
        return await self._change(one, lambda who: deciding.decide(one.id, ballot, now, who))

    async def decide_many(
        self, choices: Sequence[Choice], *, by: str | Voter, whole: bool = True, idempotency_key: str | None = None
    ) -> list[Decided]:
        """Decide about several calls of one turn of one run: with `whole` all of them or none, else each by itself; see `Decided.refused`.

        Raises `NotOneTurn` for others, and for what is of high risk; `WaitpointNotFound`, `InvalidAnswer`; with `whole` also as `decide`
        does, with the id of the one that is in the way among its details.
        """
        asked = [await self.get(one.waitpoint_id) for one in choices]
        batch.check_one_turn(asked)
        made, now = ballots(choices, asked, await self._voter(by), idempotency_key), self._clock.now()
        try:
            done = await self._waking.transact(asked[0].run_id, lambda who: batch.decide(made, whole, now, who), self._tell_all)
        except OneRefused as refused:
            # With the others it was rolled back, and a try that did not count is kept all the same.
            await self._database.transact(deciding.keep_refused(refused.waitpoint_id, dict(made)[refused.waitpoint_id], refused.error, now))
            self.audit.poke()
            refused.error.details["waitpoint_id"] = refused.waitpoint_id
            raise refused.error from None
        self.audit.poke()
        return list(done.each)

    def _tell_all(self, done: DecidedAll) -> None:
        for one in done.each:
            self._tell(one)

    async def _always(self, one: WaitpointRecord, ballot: Ballot, always: Always) -> Decided:
        said: Any = loads(ballot.answer)
        if one.kind is not WaitKind.APPROVAL or said["approved"] is not True:
            raise InvalidGrant("Only a yes can stand for others.", hint="Leave out `always`; to forbid calls for good, write a rule.")
        now, by, reason = self._clock.now(), ballot.voter.name, said.get("reason")
        fitting = await self.grants.fitting(one, always, said.get("edits"))
        new = self.grants.new(fitting, always, by=by, reason=reason, asked=one, now=now)
        ballot = changed(ballot, answer=dumps({**said, "always": always.told()}))
        return await self._change(one, lambda who: granting.decide_always(one.id, ballot, new, now, who))

    async def cancel(self, waitpoint_id: str, *, by: str | Voter, reason: str | None = None) -> WaitpointRecord:
        """Take a question back: its run goes on without an answer, an approval is a no. Raises as `answer` does."""
        return await self._withdraw(waitpoint_id, "cancel", by, reason)

    async def supersede(self, waitpoint_id: str, *, by: str | Voter, reason: str | None = None) -> WaitpointRecord:
        """As `cancel`, and says that something else took the question's place."""
        return await self._withdraw(waitpoint_id, "supersede", by, reason)

    async def _withdraw(self, waitpoint_id: str, choice: str, by: str | Voter, reason: str | None) -> WaitpointRecord:
        one, now = await self.get(waitpoint_id), self._clock.now()
        _check_open_to_people(one)
        ballot = Ballot(voter=named(by), choice=choice, answer=dumps({"reason": reason}))
        return (await self._change(one, lambda who: deciding.withdraw(one.id, ballot, now, who))).waitpoint

    async def reassign(
        self, waitpoint_id: str, *, by: str | Voter, users: Sequence[str] | None = None, groups: Sequence[str] | None = None
    ) -> WaitpointRecord:
        """Give an open question to other people; None leaves users or groups as they are. Raises as `answer` does."""
        one, now = await self.get(waitpoint_id), self._clock.now()
        _check_open_to_people(one)
        to = {name: list(value) for name, value in (("users", users), ("groups", groups)) if value is not None}
        if not to:
            raise InvalidAnswer("To whom?", hint="Name users or groups.")
        ballot = Ballot(voter=named(by), choice="reassign", answer=dumps({"to": to}))
        return (await self._change(one, lambda _: deciding.reassign(one.id, ballot, now))).waitpoint

    async def link(
        self,
        waitpoint_id: str,
        *,
        actor: str | Voter,
        expires: Duration = "7d",
        choices: Sequence[str] | None = None,
        by: str | Voter = "api",
        replace: bool = False,
    ) -> ReviewLink:
        """Make a link with which one person, and nobody else, decides about an approval or fills in a form, in any browser.

        `actor` is in whose name it decides. `expires` is a duration; it ends with the question at the latest. `choices` are those of
        approve, deny and edit that it offers (all of them); a form has `answer`. `by` is who makes it. With `replace`, links that this
        person was given before are closed.
        The address is told here and never again: only a hash of it is kept. Whoever has it decides as the actor.

        Raises `WaitpointNotFound`, `NotEligible`, `InvalidAnswer`, `WaitpointAlreadyAnswered` and `WaitpointTimedOut`.

            link = await app.waitpoints.link(waiting.id, actor="user:maria", expires="1d")
            await send_mail("maria@example.com", link.url)
        """
        made = await self.links.make(waitpoint_id, LinkWish(actor=actor, expires=expires, choices=choices, by=by, replace=replace))
        self.audit.poke()
        return made

    async def remind(self, waitpoint_id: str, *, by: str) -> WaitpointRecord:
        """Tell all who were told of an open question again.

        Raises as `answer` does, and `RemindedAlready` within a minute of the last time.
        """
        climbed = await self._database.transact(ladder.remind(waitpoint_id, by, self._clock.now()))
        self.audit.poke()
        self._maintenance.reminded(climbed)
        return climbed.waitpoint

    async def deliveries(self, waitpoint_id: str) -> list[DeliveryRecord]:
        """The messages about a waitpoint on the app's channels, in order, and what became of each. Raises `WaitpointNotFound`."""
        await self.get(waitpoint_id)
        return await self._database.read(outbox.of_waitpoint(waitpoint_id))

    async def votes(self, waitpoint_id: str) -> list[Vote]:
        """All that people said to a waitpoint, in order: also what did not count, and why. Raises `WaitpointNotFound`."""
        await self.get(waitpoint_id)
        return [Vote.of(row) for row in await self._database.read(deciding.votes(waitpoint_id))]

    async def _change(self, one: WaitpointRecord, make: Callable[[Lessee | None], Transaction[Decided]]) -> Decided:
        done = await self._waking.transact(one.run_id, make, self._tell)
        self.audit.poke()
        if done.refused is not None:
            raise done.refused
        return done

    def _tell(self, done: Decided) -> None:
        if done.refused is None and done.resolved:
            for ended in (Woken(done.waitpoint, done.runs, done.leased, done.sights), *done.others):
                self._maintenance.woken(ended)
        else:
            self._maintenance.changed(done.waitpoint)

    async def _voter(self, by: str | Voter) -> Voter:
        """Who decides, with the groups that are known of them. Where those cannot be found out, they are in none.

        Code inside of a run decides as that run, which may not.
        """
        inside = current.get()
        if inside is not None:
            return Voter(f"run:{inside.run_id}")
        voter = named(by)
        if self.groups is None:
            return voter
        try:
            found = self.groups(voter.name)
            known = await found if inspect.isawaitable(found) else found
            return changed(voter, groups=frozenset(known) | (voter.groups or frozenset()))
        except Exception:  # noqa: BLE001 - a user's function may raise anything, and nobody decides because of that
            _log.exception("the groups of %s are not known: they count as in none", voter.name)
            return changed(voter, groups=voter.groups or frozenset())

    async def call_back(self, waitpoint_id: str, secret: str, call: CallbackCall) -> None:
        """What a machine sends to a callback. The same message again changes nothing.

        Raises `CallbackNotFound`, `SignatureInvalid`, `InvalidAnswer`, `CallbackConflict`, and `WaitpointTimedOut` when it is too late.
        """
        now = self._clock.now()
        door = await self._database.read(callbacks.opened_by(waitpoint_id, secret, now))
        if not door.opened:
            await self._database.transact(tries.count(waitpoint_id, waitpoint_id if door.known else None, now))
            raise no_callback()
        check_signature(call, door.signing, now)
        one = await self.get(waitpoint_id)
        if again(one, call):
            return
        try:
            if one.state is not WaitState.PENDING:
                raise waitpoints.refusal(one)
            await self.answer(waitpoint_id, call.value, by=Voter(call.by, via="callback"))
        except (WaitpointAlreadyAnswered, WaitpointTimedOut) as error:
            if not again(await self.get(waitpoint_id), call):
                raise told(error) from None


def _looked_at(waitpoint_id: str) -> Transaction[WaitpointRecord]:
    one = yield from waitpoints.get(waitpoint_id)
    return (yield from asking.placed([one]))[0]


def _check_open_to_people(one: WaitpointRecord) -> None:
    if one.kind not in (WaitKind.APPROVAL, WaitKind.INPUT, WaitKind.CALLBACK, WaitKind.TOKEN) or "thread" in loads(one.subject):
        raise InvalidAnswer(f"{one.id} waits for a {one.kind.value}, which is no question.", hint="Cancel the run instead.")


def _checked(one: WaitpointRecord, value: Any) -> str:
    if one.kind is WaitKind.SIGNAL:
        hint = "Send one: `agentflow runs send RUN NAME JSON`, POST /v1/runs/{id}/inputs/{name}, or run.send()."
        raise InvalidAnswer(f"{one.id} waits for a message, which is sent to its run.", hint=hint)
    if one.kind in (WaitKind.TIMER, WaitKind.CHILD):
        raise InvalidAnswer(f"{one.id} waits for a {one.kind.value}, which nobody can answer.", hint="Cancel the run instead.")
    # pydantic is loaded with the first answer.
    from agentflow.app.decision import DecisionBody, fitting

    if one.kind is not WaitKind.APPROVAL:
        return dumps(value if one.schema is None else fitting(value, one))
    return DecisionBody.checked(value, one)
