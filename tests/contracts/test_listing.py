"""Pages of runs and waitpoints on every database: nothing missing, nothing twice, and no more looked at than a page may."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agentflow.database import Database
from agentflow.database.port import Query
from agentflow.records import RunRecord, RunState, WaitKind, WaitState
from agentflow.storage import listing, runs, transitions, waitpoints
from agentflow.storage.listing import LOOK, Count, RunFilter
from agentflow.storage.runs import Debounced
from agentflow.storage.statements import SQL
from agentflow.storage.transitions import End
from agentflow.storage.waitpoints import Ending, NewWaitpoint
from tests.contracts.plans import ROWS, crowd, whole_tables
from tests.contracts.stock import LEASE, NOW, SPENT, leased, new

pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)

FILTERS: list[dict[str, Any]] = [
    {},
    {"task": "t3"},
    {"task": "t9"},
    *({"state": state} for state in RunState),
    {"task": "t2", "state": RunState.COMPLETED},
    {"task": "t4", "state": RunState.FAILED},
    {"task": "t1", "state": RunState.QUEUED},
    {"task": "t3", "state": RunState.RUNNING},
    {"parent": "run_0"},
    {"parent": "run_0", "state": RunState.QUEUED},
    {"parent": "run_0", "tag": "rare", "task": "t1"},
    {"parent": "run_none"},
    {"tag": "odd"},
    {"tag": "odd", "task": "t3"},
    {"tag": "rare", "state": RunState.COMPLETED},
    {"tag": "none"},
]
LAST = {"before": 2**62, "look": 51}
LISTING: dict[str, Callable[[], Query]] = {
    "all": lambda: SQL.list.newest(**LAST),
    "of a task": lambda: SQL.list.of_task(task="t1", **LAST),
    "of a tag": lambda: SQL.list.of_tag(tag="odd", **LAST),
    "of a parent": lambda: SQL.list.of_parent(parent="run_20", **LAST),
    "in a rare state": lambda: SQL.list.in_state(state="failed", **LAST),
    "queued": lambda: SQL.list.queued(most=5_000),
    "running": lambda: SQL.list.running(most=5_000),
    "shown": lambda: SQL.list.show(keys="[3, 2, 1]", task=None, state=None, tag=None, parent=None, limit=51),
    "put off": lambda: SQL.list.put_off(look=200),
    "at the head of a queue": lambda: SQL.list.first_queued(queue="default", look=200),
    "stuck": lambda: SQL.list.stuck(keys="[3, 2, 1]", now=NOW, limit=200),
    "waits of a run": lambda: SQL.list.waits_of_run(run_id="run_18", kind=None, state=None, limit=100),
    "open waits": lambda: SQL.list.waits_open(kind="child", limit=100),
    "the last waits": lambda: SQL.list.waits_newest(kind="child", state=None, look=2_000, limit=100),
}
COUNTING: dict[str, Callable[[], Query]] = {
    "queues": lambda: SQL.list.queues(),
    "queued": lambda: SQL.list.count_queued(queue="default", most=100_000),
    "unserved": lambda: SQL.list.count_unserved(most=100_000),
    "running": lambda: SQL.list.count_running(most=100_000),
    "waiting": lambda: SQL.list.count_aside(state="waiting", most=100_000),
}
SWEEPING: dict[str, Callable[[], Query]] = {
    "a stretch": lambda: SQL.remains.stretch(after=7, look=500),
    "old runs": lambda: SQL.remains.old(after=7, upto=507, before=NOW + 100),
    "deleted runs": lambda: SQL.remains.delete(runs="[3, 2, 1]"),
    "journals": lambda: SQL.journal.forget(runs="[3, 2, 1]", limit=500),
    "waitpoints": lambda: SQL.waitpoints.forget(runs="[3, 2, 1]", limit=500),
    "tokens": lambda: SQL.waitpoints.forget_free(before=NOW, limit=500),
    "blobs": lambda: SQL.blobs.unused(created_at=0, hash="", before=NOW, look=20),
    "unused blobs": lambda: SQL.blobs.forget(hashes='["x"]', before=NOW),
    "the oldest": lambda: SQL.tables.oldest(look=1_000),
}


async def pages(database: Database, **chosen: Any) -> list[Sequence[RunRecord]]:
    found: list[Sequence[RunRecord]] = []
    before: int | None = None
    while True:
        page = await database.read(listing.page(RunFilter(before=before, **chosen)))
        found.append(page.runs)
        if page.next is None:
            return found
        assert before is None or page.next < before
        before = page.next


async def test_pages_by_any_filters_hold_every_run_once_newest_first(database: Database) -> None:
    await crowd(database, NOW)
    await family(database)
    everything = [run for page in await pages(database, limit=5_000) for run in page]
    assert len(everything) == ROWS + 61
    for chosen in FILTERS:
        wanted = [run.id for run in everything if fits(run, **chosen)]
        found = await pages(database, limit=700, **chosen)
        assert [run.id for page in found for run in page] == wanted, chosen


def fits(
    run: RunRecord, *, task: str | None = None, state: RunState | None = None, tag: str | None = None, parent: str | None = None
) -> bool:
    return (
        (task is None or run.task == task)
        and (state is None or run.state is state)
        and (tag is None or tag in run.tags)
        and (parent is None or run.parent_id == parent)
    )


async def family(database: Database) -> None:
    """A parent with children, some of which have tags."""
    parent = await leased(database, number=0)
    for number in range(60):
        tags = [tag for tag, every in (("odd", 2), ("rare", 20)) if number % every == 1]
        await database.transact(runs.start(new(f"child_{number}", task=f"t{number % 5}", tags=tags), NOW, parent))


async def test_a_page_by_several_filters_looks_at_a_bounded_number_of_runs_and_says_where_to_go_on(database: Database) -> None:
    await crowd(database, NOW)
    found = await pages(database, task="t1", state=RunState.COMPLETED, limit=5)
    assert {len(page) for page in found[:-1]} == {5}
    found = await pages(database, tag=None, task="t2", state=RunState.COMPLETED, parent=None, limit=LOOK)
    assert max(len(page) for page in found) <= LOOK
    found = await pages(database, task="unknown", state=RunState.COMPLETED, limit=5)
    assert found == [[]]


async def test_tags_are_listed_once_each_also_of_a_run_that_was_put_off(database: Database) -> None:
    await database.transact(runs.start(new(1, tags=["a", "b", "a"]), NOW))
    for number in (2, 3):
        debounced = Debounced("d", NOW + 100, trailing=True)
        await database.transact(runs.start(new(number, tags=["b"], ready_at=NOW + 10, debounce=debounced), NOW))
    found = {tag: [run.id for run in (await database.read(listing.page(RunFilter(tag=tag)))).runs] for tag in ("a", "b", "c")}
    assert found == {"a": ["run_1"], "b": ["run_2", "run_1"], "c": []}


async def test_counts_are_of_runs_that_have_not_ended_with_the_oldest_that_is_queued(database: Database) -> None:
    for number in (1, 2):
        await database.transact(runs.start(new(number, concurrency_key=f"k{3 - number}"), NOW + number))
    await database.transact(runs.start(new(3, queue="other", ready_at=NOW + 5), NOW))
    running, waiting = await leased(database, number=4), await leased(database, number=5)
    await database.transact(transitions.suspend(waiting, 0, SPENT))
    ended = await leased(database, number=6)
    await database.transact(transitions.finish(ended, End(state=RunState.FAILED), SPENT, NOW))
    assert running.run_id == "run_4"
    assert await database.read(listing.counts()) == [
        Count("default", RunState.QUEUED, 2, NOW + 1),
        Count("default", RunState.RUNNING, 1),
        Count("default", RunState.WAITING, 1),
        Count("other", RunState.SCHEDULED, 1),
    ]


async def test_runs_that_nobody_will_take_are_found_behind_others_and_by_id(database: Database) -> None:
    for number in range(3):
        await database.transact(runs.start(new(number), NOW))
    await database.transact(runs.start(new(7, queue="lonely"), NOW))
    await database.transact(runs.start(new(8, task="gone"), NOW))
    assert {run.id for run in await database.read(listing.stuck(NOW, 10))} == {"run_7", "run_8"}
    assert [run.id for run in await database.read(listing.stuck(NOW, 10, "run_8"))] == ["run_8"]
    assert await database.read(listing.stuck(NOW, 10, "run_1")) == []
    assert len(await database.read(listing.stuck(NOW + LEASE, 10))) == 5


async def test_waitpoints_are_listed_newest_first_by_run_kind_and_state(database: Database) -> None:
    lease = await leased(database)
    for number, kind in enumerate((WaitKind.TIMER, WaitKind.APPROVAL, WaitKind.TIMER)):
        one = NewWaitpoint(id=f"wp_{number}", key=f"w#{number}", kind=kind, attempt=1)
        await database.transact(waitpoints.create(lease, one, NOW + number))
    token, _ = await database.transact(waitpoints.create_free("{}", None, None, None, NOW + 9))
    await database.transact(waitpoints.end("wp_0", Ending(WaitState.ANSWERED, "1", "maria"), NOW))
    expected: list[tuple[dict[str, Any], list[str]]] = [
        ({"state": "pending"}, [token.id, "wp_2", "wp_1"]),
        ({"state": "pending", "limit": 2}, [token.id, "wp_2"]),
        ({"state": "pending", "kind": "timer"}, ["wp_2"]),
        ({"state": "answered"}, ["wp_0"]),
        ({"kind": "timer"}, ["wp_2", "wp_0"]),
        ({"run_id": "run_1"}, ["wp_2", "wp_1", "wp_0"]),
        ({"run_id": "run_1", "state": "pending", "kind": "approval"}, ["wp_1"]),
    ]
    for chosen, ids in expected:
        assert [one.id for one in await database.read(listing.waitpoints(**chosen))] == ids, chosen


async def test_no_statement_of_a_listing_reads_a_whole_table(database: Database) -> None:
    await crowd(database, NOW)
    for queries in (LISTING, COUNTING, SWEEPING):
        read = {what: await whole_tables(database, query()) for what, query in queries.items()}
        assert {what: tables for what, tables in read.items() if tables} == {}
