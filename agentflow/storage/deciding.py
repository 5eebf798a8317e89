"""What people say to a waitpoint: each word is kept, whether it counts or not, and the one that decides ends it.

Decided under the locks of the run and its waitpoint, so of any number that come at once exactly one ends it, and each of the others is told
what did. A refusal is a value here and no exception: the vote that did not count is kept in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agentflow.clock import SECOND
from agentflow.database.port import Row, Transaction, transaction
from agentflow.errors import IdempotencyConflict, InvalidAnswer, WaitpointError, WaitpointTimedOut
from agentflow.records import Failure, RunRecord, WaitKind, WaitpointRecord, WaitState
from agentflow.serde import dumps, encode_failure, loads
from agentflow.storage import asking, audit, outbox, showing, waitpoints
from agentflow.storage.audit import Note
from agentflow.storage.policy import NotEligible, Policy, Said, SubjectChanged, Tally, TooManyDecisions, Voter
from agentflow.storage.runs import Lessee
from agentflow.storage.showing import Sight
from agentflow.storage.statements import SQL
from agentflow.storage.waitpoints import Ending, Woken

_WHY = {"self_approval": ": they asked for it", "not_a_person": ": no run and no agent may"}
MOST = 1_000
"""Votes of one waitpoint of which also those are kept that do not count."""
OFTEN = 30
"""So often one person may decide about one waitpoint within a minute; more is refused, and not kept."""
_MINUTE = 60 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """What somebody says. `answer` is JSON text; `seen` the digest of what they were shown; the same `key` again is the same ballot.

    `covers`: the equal questions that it ends, too; for each of them it is a ballot that `follows` the one that people have seen.
    """

    voter: Voter
    choice: str
    answer: str
    seen: str | None = None
    key: str | None = None
    covers: Sequence[str] = ()
    follows: str | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a ballot: the waitpoint after it, how many were needed and were there, or why it did not count (`refused`).

    `grant` is the id of the one that was given with it; `others` are the questions that ended with it: equal ones, and those that a no
    with `stop` took back.
    """

    waitpoint: WaitpointRecord
    need: int = 1
    have: int = 1
    refused: WaitpointError | None = None
    runs: Sequence[RunRecord] = field(default_factory=tuple[RunRecord, ...])
    leased: Sequence[RunRecord] = field(default_factory=tuple[RunRecord, ...])
    sights: Sequence[Sight] = ()
    grant: str | None = None
    others: Sequence[Woken] = ()

    @property
    def resolved(self) -> bool:
        """Whether the waitpoint has ended."""
        return self.waitpoint.state is not WaitState.PENDING

    @property
    def ended(self) -> Sequence[WaitpointRecord]:
        """What has ended by now."""
        return [*([self.waitpoint] if self.resolved else []), *(one.waitpoint for one in self.others)]


@transaction
def decide(waitpoint_id: str, ballot: Ballot, now: int, lessee: Lessee | None = None) -> Transaction[Decided]:
    """Count a ballot, and end the waitpoint if that decides it. Raises `WaitpointNotFound` and `IdempotencyConflict`."""
    [(one, equal)] = yield from locked_with_equals(waitpoint_id)
    equal = yield from within_reach(ballot.voter, equal)
    done = yield from decide_locked(one, replace(ballot, covers=[other.id for other in equal]), now, lessee, equal)
    yield from asking.leave(done.ended, now)
    return done


def decide_locked(
    one: WaitpointRecord, ballot: Ballot, now: int, lessee: Lessee | None, equal: Sequence[WaitpointRecord] = ()
) -> Transaction[Decided]:
    """As `decide`, for one whose run and row are locked, as are those of its `equal` ones, which end with it.

    A part of a transaction that goes on to `asking.leave`.
    """
    votes = yield SQL.votes.of_waitpoint(waitpoint=one.id)
    policy, said = Policy.of(loads(one.subject)), _said(_standing(votes))
    refused = _too_often(one, ballot.voter, votes, now) or _refused(one, ballot, policy, now)
    before = yield from _before(one, votes, ballot, refused, policy.tally(said))
    if before is not None:
        return before
    if refused is None or _is_kept(votes, refused):
        yield from _keep(one, ballot, refused, now)
    if refused is not None:
        return Decided(one, refused=refused)
    if one.kind is not WaitKind.APPROVAL:
        return (yield from _end(one, Ending(WaitState.ANSWERED, ballot.answer, ballot.voter.name), None, now, lessee))
    tally = policy.tally([*said, _word(ballot.voter.name, ballot.choice, ballot.answer)])
    if tally.end is None:
        return Decided(one, tally.need, len(tally.by))
    followed = yield from _follow(equal, replace(ballot, key=None, covers=(), follows=one.id), now)
    done = yield from _end(one, Ending(WaitState.ANSWERED, ballot.answer, ", ".join(tally.by)), tally, now, lessee)
    done = replace(done, others=followed)
    if tally.end is False and one.run_id is not None and loads(ballot.answer).get("stop") is True:
        return replace(done, others=[*followed, *(yield from _supersede_others(one.run_id, ballot.voter, now))])
    return done


def _follow(equal: Sequence[WaitpointRecord], ballot: Ballot, now: int) -> Transaction[list[Woken]]:
    """What people said to a question they have said to its equals: each has its own vote, end and entry in the audit.

    Only the run whose question they have seen is stopped by it.
    """
    said: Any = loads(ballot.answer)
    ballot = replace(ballot, answer=dumps({name: value for name, value in said.items() if name != "stop"}))
    ended: list[Woken] = []
    for other in equal:
        done = yield from decide_locked(other, ballot, now, None)
        if done.refused is None and done.resolved:
            ended += [Woken(done.waitpoint, done.runs, done.leased, done.sights), *done.others]
    return ended


@transaction
def keep_refused(waitpoint_id: str, ballot: Ballot, refused: WaitpointError, now: int) -> Transaction[None]:
    """Keep a ballot that was refused, where what refused it took its vote along. Raises `WaitpointNotFound`."""
    one = yield from locked(waitpoint_id)
    votes = yield SQL.votes.of_waitpoint(waitpoint=one.id)
    came_before = ballot.key is not None and any(vote["key"] == ballot.key for vote in votes)
    if _is_kept(votes, refused) and not came_before:
        yield from _keep(one, ballot, refused, now)


@transaction
def withdraw(waitpoint_id: str, ballot: Ballot, now: int, lessee: Lessee | None = None) -> Transaction[Decided]:
    """Take a question back: `choice` is cancel or supersede. Raises `WaitpointNotFound`."""
    one = yield from locked(waitpoint_id)
    refused = None if one.state is WaitState.PENDING else waitpoints.refusal(one)
    yield from _keep(one, ballot, refused, now)
    if refused is not None:
        return Decided(one, refused=refused)
    word = {"cancel": "cancelled", "supersede": "superseded"}[ballot.choice]
    reason = loads(ballot.answer).get("reason")
    why = f"It was {word} by {ballot.voter.name}{f': {reason}' if reason else '.'}"
    ending = Ending(WaitState.CANCELLED, encode_failure(Failure(code=word, type="WaitpointTimedOut", message=why)), ballot.voter.name)
    done = yield from _end(one, ending, None, now, lessee)
    yield from asking.leave(done.ended, now)
    return done


@transaction
def reassign(waitpoint_id: str, ballot: Ballot, now: int) -> Transaction[Decided]:
    """Give an open question, and its equals, to others: the answer of the ballot says to whom, and they decide it from the beginning.

    Raises `WaitpointNotFound`, and `InvalidAnswer` where they could not decide it.
    """
    [(one, equal)] = yield from locked_with_equals(waitpoint_id)
    done = yield from _reassign(one, replace(ballot, covers=[other.id for other in equal]), now)
    for other in equal if done.refused is None else ():
        yield from _reassign(other, replace(ballot, follows=one.id), now)
    if done.refused is None:
        yield from asking.reseal(done.waitpoint)
    return done


def _reassign(one: WaitpointRecord, ballot: Ballot, now: int) -> Transaction[Decided]:
    refused = None if one.state is WaitState.PENDING else waitpoints.refusal(one)
    subject = dumps({**loads(one.subject), **loads(ballot.answer)["to"]})
    if refused is None:
        _check_decidable(one.id, Policy.of(loads(subject)))
    yield from _keep(one, ballot, refused, now)
    if refused is not None:
        return Decided(one, refused=refused)
    yield SQL.waitpoints.reassign(id=one.id, subject=subject)
    yield SQL.links.revoke(waitpoint=one.id, actor=None, now=now)
    if outbox.is_told(subject) and ballot.follows is None:
        yield from outbox.tell(one.id, loads(subject), "reassigned", now)
    return Decided(replace(one, subject=subject), Policy.of(loads(subject)).need, 0)


def _check_decidable(waitpoint_id: str, policy: Policy) -> None:
    if not policy.users and not policy.groups:
        hint = "Name users or groups."
        raise InvalidAnswer(f"{waitpoint_id} would be for everybody: with neither users nor groups anybody decides.", hint=hint)
    able = sum(policy.refuses(Voter(name)) is None for name in policy.users)
    if not policy.groups and able < policy.need:
        hint = "Name more users, or groups."
        raise InvalidAnswer(f"Nobody could decide {waitpoint_id}: {policy.need} are needed, and {able} of these may.", hint=hint)


def _supersede_others(run_id: str, by: Voter, now: int) -> Transaction[list[Woken]]:
    """Nobody is asked any more by a run that is stopped, and no late yes lets anything begin. Returns the questions that this ended."""
    gone = Failure(code="superseded", type="WaitpointTimedOut", message=f"{by.name} stopped its run.")
    detail = {"state": WaitState.CANCELLED.value, "why": gone.message}
    ended: list[Woken] = []
    for other in (yield from waitpoints.open_of_run(run_id)):
        if other.kind in (WaitKind.APPROVAL, WaitKind.INPUT):
            yield SQL.waitpoints.lock(id=other.id)
            ending = Ending(WaitState.CANCELLED, encode_failure(gone), by.name)
            ended.append((yield from waitpoints.end_locked(other, ending, now, None)))
            note = Note(type="supersede", waitpoint=other.id, run_id=run_id, actor=by.name, via=by.via, detail=detail)
            yield from audit.tell(note, now)
    return ended


def votes(waitpoint_id: str) -> Transaction[list[Row]]:
    """All that was said to a waitpoint, in order."""
    return list((yield SQL.votes.of_waitpoint(waitpoint=waitpoint_id)))


def locked(waitpoint_id: str) -> Transaction[WaitpointRecord]:
    """A waitpoint, with its run and its row locked, as a part of a transaction. Raises `WaitpointNotFound`."""
    one = yield from waitpoints.get(waitpoint_id)
    if one.run_id is not None:
        yield SQL.runs.lock(id=one.run_id)
    yield SQL.waitpoints.lock(id=waitpoint_id)
    return (yield from waitpoints.get(waitpoint_id))


def locked_with_equals(*waitpoint_ids: str) -> Transaction[list[tuple[WaitpointRecord, list[WaitpointRecord]]]]:
    """As `locked`, each with the equal questions that are open, if it is.

    Runs are locked as others lock several: later ones first. Raises `WaitpointNotFound`.
    """
    if len(waitpoint_ids) == 1 and len((yield SQL.asking.equal(waitpoint=waitpoint_ids[0]))) < 2:
        return [((yield from locked(waitpoint_ids[0])), [])]
    runs, rows = set[int](), set[str](waitpoint_ids)
    equal: dict[str, list[str]] = {}
    for waitpoint_id in waitpoint_ids:
        runs.update(row["run"] for row in (yield SQL.waitpoints.get(id=waitpoint_id)) if row["run"] is not None)
        group = yield SQL.asking.equal(waitpoint=waitpoint_id)
        runs.update(row["run"] for row in group)
        equal[waitpoint_id] = [row["waitpoint"] for row in group]
    for run in sorted(runs, reverse=True):
        yield SQL.runs.lock_key(key=run)
    known: dict[str, WaitpointRecord] = {}
    for waitpoint_id in sorted(rows.union(*equal.values())):
        yield SQL.waitpoints.lock(id=waitpoint_id)
        known[waitpoint_id] = yield from waitpoints.get(waitpoint_id)
    return [(known[one], _open_beside(known[one], [known[other] for other in equal[one]])) for one in waitpoint_ids]


def _open_beside(one: WaitpointRecord, equal: Sequence[WaitpointRecord]) -> list[WaitpointRecord]:
    if one.state is not WaitState.PENDING:
        return []
    return [other for other in equal if other is not one and other.state is WaitState.PENDING]


def within_reach(voter: Voter, equal: Sequence[WaitpointRecord]) -> Transaction[list[WaitpointRecord]]:
    """Those of equal questions that a voter may answer with the one that they were asked."""
    if voter.reach is None:
        return list(equal)
    found: list[WaitpointRecord] = []
    for other in equal:
        runs = [other.run_id, *(sight.run_id for sight in (yield from showing.sights(other.id)))]
        if voter.reach.covers(other.id, runs):
            found.append(other)
    return found


def _refused(one: WaitpointRecord, ballot: Ballot, policy: Policy, now: int) -> WaitpointError | None:
    if one.state is not WaitState.PENDING:
        return waitpoints.refusal(one)
    late = too_late(one, now)
    if late is not None:
        return late
    shown = loads(one.subject).get("digest")
    if ballot.seen is not None and shown is not None and ballot.seen != shown:
        message = f"What {one.id} asks about is not what was shown."
        return SubjectChanged(message, hint="Look at it again, then decide.", waitpoint_id=one.id, digest=shown)
    return not_eligible(one, ballot.voter, policy)


def too_late(one: WaitpointRecord, now: int) -> WaitpointTimedOut | None:
    """The error that tells of a question whose time is over, though nothing has ended it yet."""
    if one.due_at is None or one.due_at > now:
        return None
    return WaitpointTimedOut(f"The time of {one.id} is over.", hint="It can no longer be answered.", waitpoint_id=one.id, state="timed_out")


def not_eligible(one: WaitpointRecord, voter: Voter, policy: Policy) -> NotEligible | None:
    """The error that tells somebody that they may not decide."""
    why = policy.refuses(voter)
    if why is None:
        return None
    message = f"{voter.name} may not decide about {one.id}{_WHY.get(why, '')}."
    return NotEligible(message, hint="Somebody else has to.", waitpoint_id=one.id, reason=why)


def _too_often(one: WaitpointRecord, voter: Voter, votes: Sequence[Row], now: int) -> TooManyDecisions | None:
    if sum(vote["actor"] == voter.name and vote["at"] > now - _MINUTE for vote in votes) < OFTEN:
        return None
    message = f"{voter.name} has decided {OFTEN} times about {one.id} within a minute."
    return TooManyDecisions(message, hint="Wait a minute.", waitpoint_id=one.id, retry_after=60)


def _before(
    one: WaitpointRecord, votes: Sequence[Row], ballot: Ballot, refused: WaitpointError | None, tally: Tally
) -> Transaction[Decided | None]:
    """What becomes of a ballot that came before; None where it did not, or where it counts only now: then its key is free for that.

    Raises `IdempotencyConflict`.
    """
    vote = next((vote for vote in votes if ballot.key is not None and vote["key"] == ballot.key), None)
    if vote is None:
        return None
    if (vote["actor"], vote["choice"], vote["body"]) != (ballot.voter.name, ballot.choice, ballot.answer):
        hint = "Use another key for another decision."
        raise IdempotencyConflict(f"The idempotency key {ballot.key!r} belongs to another decision about {one.id}.", hint=hint)
    counts = any(other["seq"] == vote["seq"] for other in _standing(votes))
    if refused is not None and not counts:
        return Decided(one, refused=refused)
    if vote["counted"]:
        # Also one from before the question went to others: a message that is sent again is no new word.
        return Decided(one, tally.need, len(tally.by))
    yield SQL.votes.free_key(waitpoint=one.id, seq=vote["seq"])
    return None


def _is_kept(votes: Sequence[Row], refused: WaitpointError) -> bool:
    """Whether also this one is kept that does not count."""
    return len(votes) < MOST and not isinstance(refused, TooManyDecisions)


def _standing(votes: Sequence[Row]) -> list[Row]:
    """The votes that count: what was said before a question went to others was said to another question."""
    last = max((vote["seq"] for vote in votes if vote["counted"] and vote["choice"] == "reassign"), default=0)
    return [vote for vote in votes if vote["counted"] and vote["seq"] > last]


def _keep(one: WaitpointRecord, ballot: Ballot, refused: WaitpointError | None, now: int) -> Transaction[None]:
    why = None if refused is None else refused.details.get("reason", refused.code)
    counted = refused is None
    yield SQL.votes.put(
        waitpoint=one.id,
        actor=ballot.voter.name,
        choice=ballot.choice,
        body=ballot.answer,
        key=ballot.key,
        counted=int(counted),
        why=why,
        now=now,
    )
    subject = loads(one.subject)
    detail = {"choice": ballot.choice, "said": loads(ballot.answer), "counted": counted, "why": why, "seen": ballot.seen}
    if ballot.covers and counted:
        detail["covers"] = list(ballot.covers)
    if ballot.follows is not None:
        detail["follows"] = ballot.follows
    shown = {name: subject[name] for name in ("title", "tool", "digest", "risk") if subject.get(name) is not None}
    type = ballot.choice if ballot.choice in ("cancel", "supersede", "reassign") else "decision"
    voter = ballot.voter
    yield from audit.tell(
        Note(type=type, waitpoint=one.id, run_id=one.run_id, actor=voter.name, via=voter.via, detail={**detail, "asked": shown}), now
    )


def _end(one: WaitpointRecord, ending: Ending, tally: Tally | None, now: int, lessee: Lessee | None) -> Transaction[Decided]:
    woken = yield from waitpoints.end_locked(one, ending, now, lessee)
    need, have = (1, 1) if tally is None else (tally.need, len(tally.by))
    return Decided(woken.waitpoint, need, have, None, woken.runs, woken.leased, woken.sights)


def _said(counted: Sequence[Row]) -> list[Said]:
    return [_word(vote["actor"], vote["choice"], vote["body"]) for vote in counted if vote["choice"] in ("approve", "deny")]


def _word(actor: str, choice: str, answer: str) -> Said:
    edits: Any = loads(answer).get("edits")
    return Said(actor, choice == "approve", dumps(edits) if edits else None)
