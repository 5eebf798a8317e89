"""Five ways to end a question, each in a process of its own, all at once: one of them does, and the others are told which."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agentflow.database import Database, Transaction, transaction
from agentflow.records import EntryKind, JournalEntry, RunState, WaitKind, WaitState
from agentflow.storage import batch, deciding, journal, runs, superseding, transitions, upkeep, waitpoints
from agentflow.storage.deciding import Ballot
from agentflow.storage.policy import Voter
from agentflow.storage.runs import Lessee
from agentflow.storage.waitpoints import Ending, NewWaitpoint
from tests.contracts.places import Place
from tests.contracts.stock import DONE, NOW, SPENT, claim, lease_of, leased, new

ROUNDS = 1_000
WAYS = {
    "approve": ("answered", "approve"),
    "deny": ("answered", "deny"),
    "timeout": ("timed_out", "system:timeout"),
    "cancel": ("cancelled", "cancel"),
    "supersede": ("cancelled", "supersede"),
}
"""How each way ends a question, and who is told to have done so."""


async def ask(database: Database, number: int) -> None:
    lease = await leased(database, "a", number)
    new = NewWaitpoint(id=f"wp_{number}", key="approve#0", kind=WaitKind.APPROVAL, attempt=1, subject='{"title":"?"}')
    await database.transact(waitpoints.create(lease, new, NOW))
    assert await database.transact(transitions.suspend(lease, 0, SPENT)) is None


async def contender(url: str, way: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "tests.contracts.contender", url, way, str(ROUNDS))
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=2**24)


async def line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    return await process.stdout.readline()


@pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)
async def test_a_thousand_times_one_way_ends_it_and_wakes_once_and_each_loser_is_told_which(database: Database, place: Place) -> None:
    """T39, H15"""
    processes = {way: await contender(place.url, way) for way in WAYS}
    for start in range(0, ROUNDS, 100):
        await asyncio.gather(*(ask(database, number) for number in range(start, start + 100)))
    assert [await line(process) for process in processes.values()] == [b"ready\n"] * len(WAYS)
    for process in processes.values():
        assert process.stdin is not None
        process.stdin.write(b"go\n")
    told = {way: json.loads(await line(process)) for way, process in processes.items()}
    assert [await process.wait() for process in processes.values()] == [0] * len(WAYS)
    winners: dict[int, str] = {}
    for way, all_of_it in told.items():
        for number, won, _, _ in all_of_it:
            assert not (won and number in winners), (number, way, winners[number])
            if won:
                winners[number] = way
    assert len(winners) == ROUNDS
    for way, all_of_it in told.items():
        wrong = [(number, way, state, by) for number, _, state, by in all_of_it if (state, by) != WAYS[winners[number]]]
        assert wrong == []
    for start in range(0, ROUNDS, 100):
        await asyncio.gather(*(check(database, number, WAYS[winners[number]]) for number in range(start, start + 100)))


async def check(database: Database, number: int, end: tuple[str, str]) -> None:
    """One end, one wake, and every word of people is kept: one that counts at most."""
    ended = await database.read(waitpoints.get(f"wp_{number}"))
    assert (ended.state.value, ended.answered_by) == end
    run = await database.read(runs.get(f"run_{number}"))
    assert (run.state, run.wakes) == (RunState.QUEUED, 1)
    votes: list[Any] = await database.read(deciding.votes(f"wp_{number}"))
    assert sorted(vote["actor"] for vote in votes) == sorted(set(WAYS) - {"timeout"})
    counted = [vote["actor"] for vote in votes if vote["counted"]]
    assert counted == ([] if ended.state is WaitState.TIMED_OUT else [end[1]])


@pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)
async def test_a_run_that_gives_up_a_question_and_whoever_answers_it_agree_on_its_end(database: Database, other: Database) -> None:
    for number in range(200):
        lease = await leased(database, "a", number)
        new = NewWaitpoint(id=f"wp_{number}", key="ask#0/ask#0", kind=WaitKind.INPUT, attempt=1)
        await database.transact(waitpoints.create(lease, new, NOW))
        entry = JournalEntry(1, EntryKind.VALUE, "race#0", "{}", None, None, 1, 1, NOW, NOW, lease.epoch)
        ballot = Ballot(voter=Voter("maria"), choice="answer", answer="1")
        giving_up = database.transact(superseding.supersede(lease, entry, ["ask#0/"], NOW))
        answering = other.transact(deciding.decide(f"wp_{number}", ballot, NOW))
        gone, answered = await asyncio.gather(*((giving_up, answering) if number % 2 else (answering, giving_up)))
        gone, answered = (gone, answered) if number % 2 else (answered, gone)
        assert isinstance(gone, superseding.Superseded)
        assert isinstance(answered, deciding.Decided)
        ended = await database.read(waitpoints.get(f"wp_{number}"))
        assert bool(gone.waits) is (ended.state is WaitState.CANCELLED) is (answered.refused is not None)
        run = await database.read(runs.get(f"run_{number}"))
        assert run.wakes == (0 if gone.waits else 1)
        assert len(await database.read(journal.load(lease.run))) == 1


async def test_votes_go_with_their_run_and_with_their_token(database: Database) -> None:
    await ask(database, 1)
    token, _ = await database.transact(waitpoints.create_free("{}", None, None, None, NOW))
    ballot = Ballot(voter=Voter("boss"), choice="cancel", answer="{}")
    for id in ("wp_1", token.id):
        await database.transact(deciding.withdraw(id, ballot, NOW))
        assert len(await database.read(deciding.votes(id))) == 1
    [run] = await database.transact(claim("b"))
    await database.transact(transitions.finish(lease_of(run), DONE, SPENT, NOW))
    await database.transact(upkeep.delete("run_1"))
    while await database.transact(upkeep.clear(100)):
        pass
    await database.transact(upkeep.forget_tokens(NOW + 1, 100))
    assert [len(await database.read(deciding.votes(id))) for id in ("wp_1", token.id)] == [0, 0]


def recorded(work: Transaction[Any], names: list[str]) -> Transaction[Any]:
    """A transaction, and the names of its statements."""
    inner, rows = iter(work), None
    while True:
        try:
            query = next(inner) if rows is None else inner.send(rows)
        except StopIteration as stop:
            return stop.value
        names.append(query.statement.name)
        rows = yield query


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize("way", ["decide", "withdraw", "end", "finish", "supersede", "batch"])
async def test_the_row_of_a_family_is_the_last_that_is_locked_when_a_question_ends(database: Database, way: str) -> None:
    above, waiter = await leased(database, "a", 1), await leased(database, "a", 3)
    wait = NewWaitpoint(id="wp_child", key="t#0", kind=WaitKind.CHILD, attempt=1, target="run_2")
    child = new(2, lessee=Lessee("a", "run_2"))
    started, _ = await database.transact(waitpoints.start_child(above, child, wait, NOW))
    lease = lease_of(started.run)
    asked = NewWaitpoint(id="wp_1", key="ask#0/", kind=WaitKind.APPROVAL, attempt=1, subject='{"title":"?","call":"c1"}')
    await database.transact(waitpoints.create(lease, asked, NOW))
    same = NewWaitpoint(id="wp_3", key="same#0", kind=WaitKind.CALLBACK, attempt=1, target="wp_1")
    await database.transact(waitpoints.create(waiter, same, NOW))
    ballot = Ballot(voter=Voter("maria"), choice="approve", answer='{"approved":true}')
    ways: dict[str, Callable[[], Transaction[Any]]] = {
        "decide": lambda: deciding.decide("wp_1", ballot, NOW),
        "withdraw": lambda: deciding.withdraw("wp_1", replace(ballot, choice="cancel", answer="{}"), NOW),
        "end": lambda: waitpoints.end("wp_1", Ending(WaitState.TIMED_OUT), NOW),
        "finish": lambda: transitions.finish(lease, DONE, SPENT, NOW),
        "supersede": lambda: superseding.supersede(lease, None, ["ask#0/"], NOW),
        "batch": lambda: batch.decide([("wp_1", ballot)], True, NOW),
    }
    names: list[str] = []
    await database.transact(transaction(recorded)(ways[way](), names))
    locks = [one for one in names if one in ("runs/lock", "runs/wake", "waitpoints/lock", "waitpoints/end", "asking/hold_of")]
    assert (locks[-1], locks.count("asking/hold_of"), "waitpoints/end" in locks) == ("asking/hold_of", 1, True)
