"""Links and wrong secrets, in rows."""

from __future__ import annotations

import pytest

from agentflow.database import Database
from agentflow.records import WaitKind
from agentflow.storage import links, tries, upkeep, waitpoints
from agentflow.storage.links import NewLink
from agentflow.storage.policy import Voter
from agentflow.storage.waitpoints import NewWaitpoint
from tests.contracts.stock import NOW, leased

pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)


async def test_a_lock_ends_after_its_time_and_more_wrong_secrets_do_not_make_it_longer(database: Database) -> None:
    last = NOW
    for number in range(tries.MOST):
        last = NOW + number
        assert await database.transact(tries.count("wp_1", "wp_1", last)) is (number == tries.MOST - 1)
    assert await database.read(tries.locked("wp_1", last))
    assert await database.transact(tries.count("wp_1", "wp_1", last + 1)) is False
    assert await database.read(tries.locked("wp_1", last + tries.LOCK - 1))
    assert not await database.read(tries.locked("wp_1", last + tries.LOCK))
    assert not await database.read(tries.locked("wp_2", last))


async def test_few_wrong_secrets_in_a_long_time_lock_nothing_and_what_is_unknown_is_never_locked(database: Database) -> None:
    for number in range(3 * tries.MOST):
        assert not await database.transact(tries.count("wp_1", "wp_1", NOW + number * tries.WINDOW // 5))
        assert not await database.transact(tries.count("wp_none", None, NOW))
    assert not await database.read(tries.locked("wp_none", NOW))
    assert await database.transact(upkeep.forget_tries(NOW + 10**13, 1)) is True
    assert await database.transact(upkeep.forget_tries(NOW + 10**13, 100)) is False


async def test_links_go_with_their_run(database: Database) -> None:
    lease = await leased(database, "a", 1)
    new = NewWaitpoint(id="wp_1", key="approve#0", kind=WaitKind.APPROVAL, attempt=1, due_at=NOW + 50)
    await database.transact(waitpoints.create(lease, new, NOW))
    wish = NewLink(
        id="i" * 12, secret="s", actor=Voter("maria"), member_of=None, choices=None, made_by=Voter("boss"), expires_at=NOW + 10**9
    )
    _, made = await database.transact(links.make("wp_1", wish, NOW))
    assert (made.expires_at, made.choices) == (NOW + 50, ("approve", "deny", "edit"))
    assert (await database.read(links.opened_by("i" * 12 + "s", NOW))).link == made
    assert (await database.read(links.opened_by("i" * 12 + "t", NOW))).link is None
    await database.execute(upkeep.SQL.links.forget(runs=f"[{lease.run}]"))
    assert (await database.read(links.opened_by("i" * 12 + "s", NOW))).waitpoint is None
