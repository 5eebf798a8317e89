"""The audit: written with what it tells of, sealed in a chain, and whatever was changed since is found."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentflow.database import Database
from agentflow.database.port import DIALECTS
from agentflow.database.statements import make_statement
from agentflow.records import WaitKind, WaitState
from agentflow.storage import audit, deciding, runs, superseding, transitions, waitpoints
from agentflow.storage.audit import Chain, Head, Verdict
from agentflow.storage.deciding import Ballot
from agentflow.storage.policy import Voter
from agentflow.storage.waitpoints import Ending, NewWaitpoint
from tests.contracts.stock import NOW, lease_of, leased

SPOIL = make_statement("spoil", dict.fromkeys(DIALECTS, "UPDATE audit SET actor = :actor WHERE place = :key"))
DROP = make_statement("drop", dict.fromkeys(DIALECTS, "DELETE FROM audit WHERE place = :key"))
pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)


async def question(database: Database, number: int, kind: WaitKind = WaitKind.APPROVAL) -> str:
    lease = await leased(database, "a", number)
    new = NewWaitpoint(id=f"wp_{number}", key="ask#0", kind=kind, attempt=1, subject='{"title":"?","risk":"high","users":["maria"]}')
    return (await database.transact(waitpoints.create(lease, new, NOW))).id


def ballot(name: str, choice: str = "approve", answer: str = '{"approved":true}') -> Ballot:
    return Ballot(voter=Voter(name, via="link"), choice=choice, answer=answer)


async def entries(database: Database) -> list[dict[str, Any]]:
    while await database.transact(audit.seal()):
        pass
    return await database.read(audit.page(0, None, 10_000))


def look(found: list[dict[str, Any]], *expected: Head) -> Verdict:
    chain = Chain(*expected)
    for entry in found:
        chain.add(entry)
    return chain.verdict()


async def story(database: Database) -> list[dict[str, Any]]:
    """Eight entries about five questions."""
    ids = [await question(database, number) for number in range(5)]
    await database.transact(deciding.decide(ids[0], ballot("otto"), NOW + 1_000))
    await database.transact(deciding.decide(ids[0], ballot("maria"), NOW + 2_000))
    await database.transact(deciding.withdraw(ids[1], ballot("boss", "cancel", '{"reason":"no"}'), NOW + 3_000))
    await database.transact(deciding.reassign(ids[2], ballot("boss", "reassign", '{"to":{"users":["zoe"]}}'), NOW + 4_000))
    await database.transact(waitpoints.end(ids[2], Ending(WaitState.TIMED_OUT, '{"code":"timeout"}', "system:timeout"), NOW + 5_000))
    lease = lease_of(await database.read(runs.get("run_3")))
    await database.transact(superseding.supersede(lease, None, ["ask#0"], NOW + 6_000))
    await database.transact(deciding.decide(ids[3], ballot("maria"), NOW + 7_000))
    await database.transact(transitions.ask_cancel("run_4", "enough", NOW, NOW + 8_000))
    await database.transact(transitions.force_cancel("run_4", NOW + 9_000))
    return await entries(database)


async def test_every_word_and_every_end_is_told_with_who_it_was_and_what_was_asked(database: Database) -> None:
    found = await story(database)
    assert [(one["type"], one["actor"], one["via"]) for one in found] == [
        ("decision", "otto", "link"),
        ("decision", "maria", "link"),
        ("cancel", "boss", "link"),
        ("reassign", "boss", "link"),
        ("timeout", "system:timeout", "timeout"),
        ("supersede", "system:race", "run"),
        ("decision", "maria", "link"),
        ("cancel", "system:run", "run"),
    ]
    assert [(one["detail"]["counted"], one["detail"]["why"]) for one in found if one["type"] == "decision"] == [
        (False, "not_eligible"),
        (True, None),
        (False, "waitpoint_timed_out"),
    ]
    assert found[0]["detail"]["asked"] == {"title": "?", "risk": "high"}
    assert [one["seq"] for one in found] == list(range(1, 9))
    assert look(found) == Verdict(8, await database.read(audit.head()))


async def test_a_changed_a_removed_a_moved_and_an_added_row_and_a_cut_end_are_found(database: Database) -> None:
    found = await story(database)
    head = await database.read(audit.head())
    changed = [one if one["seq"] != 4 else {**one, "actor": "maria"} for one in found]
    mended = [one if one["seq"] != 4 else {**changed[3], "hash": audit.hashed(changed[3])} for one in found]
    removed = [one for one in found if one["seq"] != 4]
    renumbered = [*found[:3], *({**one, "seq": one["seq"] - 1} for one in found[4:])]
    moved = [*found[:2], found[3], found[2], *found[4:]]
    doubled = [*found[:4], found[3], *found[4:]]
    assert [look(one).broken for one in (changed, mended, removed, renumbered, moved, doubled)] == [4, 5, 4, 4, 3, 5]
    assert (look(found[:6]).broken, look(found[:6], head).broken) == (None, 7)
    assert look([], head).broken == 1
    other = Head(6, "0" * 64)
    assert (look(found, other).broken, look(found, head).broken) == (6, None)


async def test_what_is_done_to_the_rows_themselves_is_found(database: Database) -> None:
    found = await story(database)
    await database.execute(SPOIL(key=3, actor="nobody"))
    assert look(await database.read(audit.page(0, None, 100))).broken == 3
    await database.execute(SPOIL(key=3, actor=found[2]["actor"]))
    assert look(await database.read(audit.page(0, None, 100))).broken is None
    await database.execute(DROP(key=5))
    assert look(await database.read(audit.page(0, None, 100))).broken == 5


async def test_many_who_seal_at_once_make_one_chain_without_gaps(database: Database, other: Database) -> None:
    id = await question(database, 0)
    for _ in range(3):
        await asyncio.gather(*(database.transact(deciding.decide(id, ballot(f"stranger{n}"), NOW)) for n in range(20)))
        await asyncio.gather(*(one.transact(audit.seal()) for one in (database, other) * 4))
    found = await entries(database)
    assert len(found) == 60
    assert look(found, await database.read(audit.head())).broken is None
