"""Model calls by the version of a prompt that spoke: written with the step's record or not at all, summed exactly, gone in time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentflow.control import LeaseLost
from agentflow.database import Database
from agentflow.records import EntryKind, JournalEntry
from agentflow.storage import generations, journal, measuring, transitions, upkeep
from agentflow.storage.generations import KEPT, Generated, GenerationRecord, Spoken, Which
from agentflow.storage.measuring import Measured, Metrics
from agentflow.storage.runs import Lease
from agentflow.storage.upkeep import CLOCKS, Place
from agentflow.storage.usage import Metered
from tests.contracts.stock import NOW
from tests.contracts.test_upkeep import DONE, SPENT, leased, sweep

pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)

SPOKEN = Spoken(
    prompt="p", hash="sha256:9f", ref="p@v1#9f", number=1, label="live", variant=None, rollout=None, rendered="r", variables='{"a": 1}'
)
MILLI = 1_000


def tried(spoken: Spoken = SPOKEN, *, cost: int | None = None, took: int = 10, **more: Any) -> Generated:
    """A try that took so many milliseconds and ended now."""
    given: dict[str, Any] = {"env": "prod", "first_at": None, "ended": "answered", **more}
    return Generated(spoken=spoken, used={"input": 3, "output": 4, "cost": cost}, began=NOW - took * MILLI, **given)


async def record(database: Database, lease: Lease, *calls: Generated, at: int = NOW, seq: int = 1) -> None:
    entry = JournalEntry(seq, EntryKind.RESULT, f"ask#{seq}", "1", None, None, 1, 1, NOW, at, lease.epoch)
    await journal.append(database, lease, entry, None, Metered((), (), generated=calls))


async def every(database: Database, **which: Any) -> list[GenerationRecord]:
    return await database.read(generations.each(Which(prompt="p", **which), 100))


async def measured(database: Database, **asked: Any) -> list[Metrics]:
    return await database.read(measuring.measure(Measured(prompt="p", since=-1, **asked)))


async def test_a_worker_without_the_lease_records_no_call(database: Database) -> None:
    lease = await leased(database, number=1)
    with pytest.raises(LeaseLost):
        await record(database, replace(lease, epoch=lease.epoch + 1), tried(replace(SPOKEN, variables='"' + "x" * 2_000 + '"')))
    assert await every(database) == []


async def test_calls_stay_when_their_run_goes_without_what_they_were_told_and_go_in_time(database: Database) -> None:
    old = await leased(database, number=1)
    large = '{"a": "' + "x" * 2_000 + '"}'
    await record(database, old, tried(), tried(replace(SPOKEN, variables=large)))
    found = await every(database)
    assert {one.run_id for one in found} == {"run_1"}
    told = [await database.read(generations.get("p", one.id)) for one in found]
    assert {one.variables for one in told if one is not None} == {'{"a": 1}', large}
    assert await database.read(generations.get("q", found[0].id)) is None
    look = upkeep.unused_blobs(Place(0, ""), NOW + 2 * CLOCKS, 10)
    assert (await database.read(look)).unused == []
    await database.transact(transitions.finish(old, DONE, SPENT, NOW))
    await sweep(database)
    kept = [await database.read(generations.get("p", one.id)) for one in await every(database)]
    assert [(one.run_id, one.variables) for one in kept if one is not None] == [(None, None)] * 2
    assert len((await database.read(upkeep.unused_blobs(Place(0, ""), NOW + 2 * CLOCKS, 10))).unused) == 1
    assert await database.transact(upkeep.expire_generations(NOW + KEPT - 1, 1)) is False
    assert len(await every(database)) == 2
    assert await database.transact(upkeep.expire_generations(NOW + KEPT, 1)) is True
    assert len(await every(database)) == 1


async def test_what_is_measured_is_exact_and_told_apart_by_version_variant_rollout_and_environment(database: Database) -> None:
    lease = await leased(database, number=1)
    baseline, candidate = (replace(SPOKEN, number=number, variant=f"v{number}", rollout="r1") for number in (1, 2))
    calls = [tried(baseline, cost=1_000, took=took, first_at=NOW - took * MILLI + 2 * MILLI) for took in range(1, 101)]
    calls += [tried(candidate, cost=cost, took=5) for cost in (1_000, 3_000)]
    calls += [tried(candidate, ended="failed", error="Refused", took=900), tried(candidate, ended="cancelled", took=900)]
    await record(database, lease, *calls)
    await record(database, lease, tried(replace(SPOKEN, hash="sha256:none", number=None), env="dev"), at=NOW + 1, seq=2)

    second, first, unknown = await measured(database)
    assert (first.version, first.calls, first.errors, first.cost, first.cost_per_call, first.cost_interval) == (
        *(1, 100, 0, 100_000, 1_000),
        (1_000, 1_000),
    )
    assert (first.timed, first.latency_p50, first.latency_p95) == (100, 50 * MILLI, 95 * MILLI)
    assert (first.first_token_p50, first.first_token_p95) == (2 * MILLI, 2 * MILLI)
    assert (second.version, second.calls, second.errors, second.cancelled, second.error_rate) == (2, 4, 1, 1, 1 / 3)
    assert second.error_interval == pytest.approx((0.0615, 0.7923), abs=1e-4)
    assert (second.priced, second.cost_per_call, second.timed, second.first_token_p50) == (2, 2_000, 2, None)
    assert second.cost_interval == pytest.approx((2_000 - 12.7062 * 1_000, 2_000 + 12.7062 * 1_000))
    assert (unknown.version, unknown.calls, unknown.cost_per_call) == (None, 1, None)
    told_apart = await measured(database, by="variant", env="prod")
    assert [(one.variant, one.rollout, one.calls, one.latency_p95) for one in told_apart] == [
        ("v2", "r1", 4, 5 * MILLI),
        ("v1", "r1", 100, 95 * MILLI),
    ]
    assert await measured(database, rollout="r2") == []
    assert [one.calls for one in await measured(database, rollout="r1", by="variant")] == [4, 100]
    assert [one.calls for one in await database.read(measuring.measure(Measured(prompt="p", since=NOW)))] == [1]
    assert {name: one.calls for name, one in (await database.read(measuring.lately("prod", NOW - 1))).items()} == {"p": 104}


async def test_pages_follow_one_another_whatever_is_added(database: Database) -> None:
    lease = await leased(database, number=1)
    for seq in range(1, 6):
        await record(database, lease, tried(replace(SPOKEN, number=1 + seq % 2)), at=NOW + seq // 2, seq=seq)
    assert [one.seq for one in await every(database)] == [5, 4, 3, 2, 1]
    page = await database.read(generations.each(Which(prompt="p"), 2))
    await record(database, lease, tried(), at=NOW + 9, seq=6)
    assert [one.seq for one in await every(database, after=page[-1].id)] == [3, 2, 1]
    assert [one.seq for one in await every(database, version=2, since=NOW)] == [5, 3]
    assert await every(database, variant="v1") == []
