"""A grant for one use, and two calls at once: one of them is let through, in either database."""

from __future__ import annotations

import asyncio
from typing import Any

from agentflow.clock import SECOND
from agentflow.database import Database
from agentflow.records import GrantedCall, GrantRecord, WaitKind, WaitState
from agentflow.storage import granting, upkeep
from agentflow.storage.granting import NewGrant
from agentflow.storage.waitpoints import NewWaitpoint
from tests.contracts.stock import NOW, leased

CALL = GrantedCall(tool="t", arguments={"n": 1}, agent="a")


async def given(database: Database, **chosen: Any) -> GrantRecord:
    values: dict[str, Any] = {"scope": "all", "scope_id": "", "tool": "t", "fits": '{"args":{"n":{"is":1}}}', "granted_by": "maria"}
    new = NewGrant(id="grant_1", expires_at=NOW + SECOND, **{**values, **chosen})
    return await database.transact(granting.create(new, NOW))


async def asked(database: Database, number: int, now: int = NOW, thread: str | None = None) -> WaitState:
    lease = await leased(database, "a", number)
    new = NewWaitpoint(id=f"wp_{number}", key="approve#0", kind=WaitKind.APPROVAL, attempt=1)
    return (await database.transact(granting.open_wait(lease, new, CALL, thread, now))).state


async def test_of_calls_at_once_a_grant_lets_as_many_through_as_it_may(database: Database, other: Database) -> None:
    await given(database, max_uses=3)
    ends = await asyncio.gather(*(asked(database if number % 2 else other, number) for number in range(12)))
    assert ends.count(WaitState.ANSWERED) == 3
    assert (await database.read(granting.get("grant_1"))).uses == 3


async def test_the_same_transaction_again_counts_no_second_use(database: Database) -> None:
    await given(database)
    lease = await leased(database, "a", 1)
    new = NewWaitpoint(id="wp_1", key="approve#0", kind=WaitKind.APPROVAL, attempt=1)
    twice = [await database.transact(granting.open_wait(lease, new, CALL, None, NOW)) for _ in range(2)]
    assert [one.state for one in twice] == [WaitState.ANSWERED] * 2
    assert (await database.read(granting.get("grant_1"))).uses == 1


async def test_a_grant_counts_in_its_scope_and_until_its_time(database: Database) -> None:
    await given(database, scope="thread", scope_id="t-1")
    assert await asked(database, 1, thread="t-1") is WaitState.ANSWERED
    assert [await asked(database, 2), await asked(database, 3, thread="t-2"), await asked(database, 4, NOW + SECOND, "t-1")] == [
        WaitState.PENDING
    ] * 3
    assert not await database.transact(granting.forget(NOW, 10))
    assert len(await database.read(granting.newest(None, None, 10))) == 1
    assert not await database.transact(granting.forget(NOW + SECOND, 10))
    assert await database.read(granting.newest(None, "t", 10)) == []
    assert await database.transact(upkeep.clear(10)) is False
