"""What the log of a thread must hold on every database: what was answered anew is left out and not lost, and a fork copies nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentflow.control import LeaseLost
from agentflow.database import Database
from agentflow.errors import DefinitionError, RunError, ThreadBusy, ThreadExists, ThreadNotFound
from agentflow.storage import runs, threads, transitions
from agentflow.storage.runs import Lease
from agentflow.storage.statements import SQL
from agentflow.storage.threads import Outrun, Summary
from tests.contracts.stock import DONE, NOW, SPENT, claim, leased, new
from tests.contracts.test_threads import appended


async def say(database: Database, number: int, *words: str, thread: str = "t-7", follows: int | None = None) -> None:
    """A run of a thread, from its start to its end."""
    lease = await leased(database, number=number, thread=thread, follows=follows)
    run = await database.read(runs.get(f"run_{number}"))
    assert run.follows == follows
    bodies = [f'"{word}"' for word in words]
    await database.transact(threads.append(lease, thread, bodies, appended(lease), run.follows))
    await database.transact(transitions.finish(lease, DONE, SPENT, NOW))


async def said(database: Database, thread: str = "t-7", **chosen: Any) -> list[str]:
    return [one.body.strip('"') for one in await database.read(threads.said(thread, **chosen))]


async def fork(database: Database, thread: str, at: int | None, new: str) -> None:
    await database.transact(threads.fork(thread, at, new, NOW))


async def test_what_is_answered_anew_follows_what_led_to_it_and_the_first_answer_stays_in_the_log(database: Database) -> None:
    await say(database, 1, "q1", "a1")
    await say(database, 2, "q2", "a2")
    await say(database, 3, "q2", "a2 anew", follows=2)
    assert await said(database) == ["q1", "a1", "q2", "a2 anew"]
    assert await said(database, head=4) == ["q1", "a1", "q2", "a2"], "what was said before is there"
    await say(database, 4, "q3", "a3")
    assert await said(database) == ["q1", "a1", "q2", "a2 anew", "q3", "a3"]
    assert [one.seq for one in await database.read(threads.said("t-7"))] == [1, 2, 5, 6, 7, 8]
    assert await said(database, after=2, upto=7) == ["q2", "a2 anew", "q3"]


async def test_an_answer_may_be_made_anew_again_and_again_also_the_very_first_one(database: Database) -> None:
    await say(database, 1, "q1", "a1")
    for number in (2, 3):
        await say(database, number, "q1", f"a1.{number}", follows=0)
    assert await said(database) == ["q1", "a1.3"]
    await say(database, 4, "q2", "a2")
    await say(database, 5, "edited", "b", follows=6)
    assert await said(database) == ["q1", "a1.3", "edited", "b"]
    await say(database, 6, "back", "c", follows=2)
    assert await said(database) == ["q1", "a1", "back", "c"]


async def test_a_run_that_answers_anew_and_says_nothing_changes_nothing(database: Database) -> None:
    await say(database, 1, "q1", "a1")
    await say(database, 2, follows=0)
    assert await said(database) == ["q1", "a1"]


async def test_a_fork_has_what_led_to_its_message_and_goes_its_own_way(database: Database) -> None:
    await say(database, 1, "q1", "a1")
    await say(database, 2, "q2", "a2")
    await say(database, 3, "q2", "anew", follows=2)
    await fork(database, "t-7", None, "whole")
    await fork(database, "t-7", 2, "begin")
    await fork(database, "t-7", 4, "as it was")
    await fork(database, "t-7", 0, "empty")
    rows = await database.fetch(SQL.threads.newest(touched_at=NOW + 1, key=100, limit=9))
    assert len(rows) == 5
    assert await said(database, "whole") == ["q1", "a1", "q2", "anew"]
    assert await said(database, "begin") == ["q1", "a1"]
    assert await said(database, "as it was") == ["q1", "a1", "q2", "a2"]
    assert await said(database, "empty") == []
    await say(database, 4, "q3", "a3", thread="begin")
    await say(database, 5, "on", "it goes")
    assert await said(database, "begin") == ["q1", "a1", "q3", "a3"]
    assert await said(database) == ["q1", "a1", "q2", "anew", "on", "it goes"]
    assert await said(database, "whole") == ["q1", "a1", "q2", "anew"]


async def test_a_fork_of_a_fork_and_an_answer_made_anew_before_the_fork(database: Database) -> None:
    await say(database, 1, "q1", "a1", "q2", "a2")
    await fork(database, "t-7", 4, "b")
    await say(database, 2, "q3", "a3", thread="b")
    await fork(database, "b", 5, "c")
    await fork(database, "c", 3, "d")
    assert await said(database, "c") == ["q1", "a1", "q2", "a2", "q3"]
    assert await said(database, "d") == ["q1", "a1", "q2"]
    await say(database, 3, "q2", "anew", thread="b", follows=2)
    assert await said(database, "b") == ["q1", "a1", "q2", "anew"]
    assert await said(database, "c") == ["q1", "a1", "q2", "a2", "q3"]


async def test_a_fork_is_made_once_and_only_of_what_there_is(database: Database) -> None:
    await say(database, 1, "q1", "a1")
    for _ in range(2):
        made = await database.transact(threads.fork("t-7", 1, "b", NOW))
        assert (made.id, made.source, made.base, made.messages, made.turns, made.agent) == ("b", "t-7", 1, 1, 0, "t")
    with pytest.raises(ThreadExists):
        await fork(database, "t-7", 2, "b")
    with pytest.raises(ThreadExists):
        await fork(database, "b", None, "t-7")
    with pytest.raises(ThreadNotFound):
        await fork(database, "none", None, "x")
    for wrong in (3, -1):
        with pytest.raises(DefinitionError, match="no message"):
            await fork(database, "t-7", wrong, "x")


async def test_a_summary_stands_for_what_leads_to_its_message_and_for_nothing_else(database: Database) -> None:
    await say(database, 1, "q1", "a1", "q2", "a2")
    lease = await leased(database, number=2, thread="t-7")

    async def summary(thread: str = "t-7", head: int = 99) -> tuple[int, str] | None:
        found = await database.read(threads.summary(thread, head))
        return None if found is None else (found.upto, found.body)

    assert await summary() is None
    for text in ("s2", "later"):
        await database.transact(threads.sum_up(lease, "t-7", Summary(2, text), NOW))
    await database.transact(transitions.finish(lease, DONE, SPENT, NOW))
    assert await summary() == (2, "s2")
    assert await summary(head=1) is None
    await fork(database, "t-7", 3, "b")
    assert await summary("b") == (2, "s2")
    await say(database, 3, "else", follows=1)
    assert await summary() is None, "what it stands for is no part of the conversation any more"
    assert await summary(head=4) == (2, "s2")
    stale = replace(lease, epoch=0)
    with pytest.raises(LeaseLost):
        await database.transact(threads.sum_up(stale, "t-7", Summary(3, "no"), NOW))


async def test_an_answer_is_made_anew_only_where_nobody_is_under_way_and_nothing_has_come_since(database: Database) -> None:
    await say(database, 1, "q1", "a1")
    with pytest.raises(Outrun):
        await database.transact(threads.start_anew(new(2, thread="t-7", follows=0), 1, NOW))
    begun = await database.transact(threads.start_anew(new(3, thread="t-7", follows=0), 2, NOW))
    assert (begun.run.turn, begun.run.follows, begun.existed) == (2, 0, False), "what was refused took no place"
    with pytest.raises(ThreadBusy) as busy:
        await database.transact(threads.start_anew(new(4, thread="t-7", follows=0), 2, NOW))
    assert busy.value.details["run_id"] == "run_3"
    assert await claimed(database) == ["run_3"]


async def claimed(database: Database) -> list[str]:
    return [run.id for run in await database.transact(claim("b"))]


async def test_a_failed_answer_anew_is_asked_for_again_not_taken_up(database: Database) -> None:
    await say(database, 1, "q1", "a1")
    lease: Lease = await leased(database, number=2, thread="t-7", follows=0)
    await database.transact(transitions.finish(lease, replace(DONE, state=transitions.RunState.FAILED, output=None), SPENT, NOW))
    with pytest.raises(RunError, match="Ask for another answer") as refused:
        await database.transact(transitions.revive("run_2", NOW))
    assert refused.value.details["run_id"] == "run_2"


async def test_a_summary_made_in_a_fork_is_known_there_and_in_its_forks_but_not_in_its_source(database: Database) -> None:
    await say(database, 1, "q1", "a1", "q2", "a2")
    await fork(database, "t-7", 3, "b")
    await fork(database, "t-7", 3, "c")
    lease = await leased(database, number=2, thread="b")
    await database.transact(threads.sum_up(lease, "b", Summary(2, "of b"), NOW))
    await fork(database, "b", 3, "d")
    await fork(database, "b", 1, "e")

    async def summary(thread: str, by: int | None = None) -> str | None:
        found = await database.read(threads.summary(thread, 99, by))
        return None if found is None else found.body

    assert [await summary(thread) for thread in ("t-7", "b", "c", "d", "e")] == [None, "of b", None, "of b", None]
    known = await database.read(threads.summary("b", 99))
    own = await leased(database, number=3, thread="t-7")
    await database.transact(threads.sum_up(own, "t-7", Summary(2, "of t-7"), NOW))
    assert [await summary(thread) for thread in ("t-7", "b", "c", "d")] == ["of t-7", "of b", "of t-7", "of b"]
    assert known is not None
    assert await summary("d", known.thread) == "of b", "who has begun with one keeps to it"
    await database.transact(threads.sum_up(own, "t-7", Summary(3, "more of t-7"), NOW))
    assert await summary("b") == "more of t-7"
    assert await summary("b", known.thread) == "of b"
