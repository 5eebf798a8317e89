"""Several decisions at once: about calls that one turn of one run waits for, and that are of little risk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentflow.database.port import Transaction, transaction
from agentflow.errors import WaitpointError
from agentflow.records import RunRecord, WaitKind, WaitpointRecord
from agentflow.serde import loads
from agentflow.storage import asking, deciding
from agentflow.storage.deciding import Ballot, Decided
from agentflow.storage.runs import Lessee

GRAVE = ("high", "critical")
"""Risks that are decided one by one."""


class NotOneTurn(WaitpointError):
    """These cannot be decided together; `details["waitpoints"]` are those that are in the way."""

    code = "not_one_turn"
    http_status = 409


@dataclass(frozen=True, slots=True)
class DecidedAll:
    """What became of each ballot, in order; or `failed`, at which place, where all or none was asked for: then nothing was recorded."""

    each: Sequence[Decided]

    @property
    def runs(self) -> Sequence[RunRecord]:
        """Runs to be told."""
        return [run for one in self.each for run in one.runs]

    @property
    def leased(self) -> Sequence[RunRecord]:
        """Runs that were leased at once."""
        return [run for one in self.each for run in one.leased]


class OneRefused(Exception):
    """One of the ballots does not count, and all or none was asked for."""

    def __init__(self, waitpoint_id: str, error: WaitpointError) -> None:
        super().__init__(waitpoint_id)
        self.waitpoint_id = waitpoint_id
        self.error = error


def check_one_turn(asked: Sequence[WaitpointRecord]) -> None:
    """Raise `NotOneTurn` unless these are calls of one agent in one run, of no high risk, each named once.

    The loop of an agent goes on when all calls of its turn are through, so those that it has open at once are of one turn.
    """
    first, subjects = asked[0], {one.id: loads(one.subject) for one in asked}
    apart = [one.id for one in asked if one.kind is not WaitKind.APPROVAL or one.run_id != first.run_id or "call" not in subjects[one.id]]
    apart += [id for id, subject in subjects.items() if subject.get("agent") != subjects[first.id].get("agent")]
    if apart or len(subjects) < len(asked):
        hint = "Decide about those of one turn of one run together, each once, and about the others one by one."
        raise NotOneTurn("These are not calls of one turn.", hint=hint, waitpoints=sorted(set(apart)))
    grave = [id for id, subject in subjects.items() if subject.get("risk") in GRAVE]
    if grave:
        raise NotOneTurn("What is of high risk is decided one by one.", hint="Decide about each of these by itself.", waitpoints=grave)


@transaction
def decide(ballots: Sequence[tuple[str, Ballot]], whole: bool, now: int, lessee: Lessee | None = None) -> Transaction[DecidedAll]:
    """Count ballots, one after the other; with `whole` all of them, or none. Each ends the equals of its question, too.

    Raises `NotOneTurn`, `WaitpointNotFound`, `IdempotencyConflict`, and `OneRefused` where none was counted for that.
    """
    named = dict.fromkeys(waitpoint_id for waitpoint_id, _ in ballots)
    locked = {one.id: (one, equal) for one, equal in (yield from deciding.locked_with_equals(*named))}
    check_one_turn([locked[waitpoint_id][0] for waitpoint_id, _ in ballots])
    done, decided_about = list[Decided](), set(named)
    for waitpoint_id, ballot in ballots:
        one, equal = locked[waitpoint_id]
        equal = [other for other in (yield from deciding.within_reach(ballot.voter, equal)) if other.id not in decided_about]
        decided = yield from deciding.decide_locked(one, replace(ballot, covers=[other.id for other in equal]), now, lessee, equal)
        decided_about |= {ended.id for ended in decided.ended}
        if whole and decided.refused is not None:
            raise OneRefused(waitpoint_id, decided.refused)
        # A worker has one slot for the run: what wakes it leases it.
        lessee = None if decided.leased else lessee
        done.append(decided)
    yield from asking.leave([ended for one in done for ended in one.ended], now)
    return DecidedAll(done)
