"""What a worker asks all day is answered from an index, however many rows there are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentflow.database import Database
from agentflow.database.port import Query
from agentflow.storage.statements import SQL
from tests.contracts.plans import backlog, crowd, whole_tables
from tests.contracts.stock import NOW

pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)

TASKS = '["t1", "t2"]'
CLAIM = {"tasks": TASKS, "worker": "w1", "limit": 10, "look": 1_000, "now": NOW}
SPENT = {"active": 1, "code": None}


def pick(after: str | None) -> Query:
    return SQL.queues.pick(queue="limited", after=after, key_concurrency=2, lanes=10, **CLAIM)


CLAIMING: dict[str, Callable[[], Query]] = {
    "open queues": lambda: SQL.runs.pick(queues='[["default", "k5"], ["other", null]]', **CLAIM),
    "a limited queue": lambda: pick(None),
    "a limited queue after a key": lambda: pick("k5"),
    "how many run in a queue": lambda: SQL.queues.running(queue="limited"),
    "what started of late": lambda: SQL.starts.recent(queue="limited", scopes='["queue", "key:k5", "key:k6"]', since=NOW),
    "leases": lambda: SQL.runs.take(keys="[7, 17, 27]", worker="w1", now=NOW),
}
WORKING: dict[str, Callable[[], Query]] = {
    "the end of a simple run": lambda: SQL.runs.complete(run=8, epoch=1, output="1", now=NOW, **SPENT),
    "suspension": lambda: SQL.runs.suspend(run=8, epoch=1, wakes=0, **SPENT),
    "a run by id": lambda: SQL.runs.lock(id="run_8"),
    "who waits for a run": lambda: SQL.waitpoints.of_target(target="run_8"),
    "what a run waits for": lambda: SQL.waitpoints.open_of_run(run_id="run_18"),
    "the journal of a run": lambda: SQL.journal.load(run=8),
    "the next message of a run": lambda: SQL.inputs.next(run=8, name="inbox"),
    "how many messages a run has": lambda: SQL.inputs.ends(run=8, name="inbox"),
    "a message by its key": lambda: SQL.inputs.known(run=8, name="inbox", idempotency_key="k8"),
    "a message that is received": lambda: SQL.inputs.take(run=8, name="inbox", seq=1, entry=3),
    "the root of a family": lambda: SQL.runs.root(run=8),
    "a dedupe key": lambda: SQL.runs.deduped(task="t1", dedupe_key="d11"),
    "who is ahead in a thread": lambda: SQL.threads.ahead(thread="t", turn=7),
    "what was said in a thread": lambda: SQL.threads.said(thread=7, after=3, upto=9),
    "where a thread's log goes on": lambda: SQL.threads.stretches(thread=7, upto=9),
    "a summary": lambda: SQL.threads.summary(thread=7, after=3, upto=9),
    "whose turn it is in a thread": lambda: SQL.threads.active(thread="t"),
    "what a run used": lambda: SQL.usage.sum(scope="run:8", run=8, since=-1),
    "what a key used in a window": lambda: SQL.usage.sum(scope="key:k5", run=None, since=NOW),
    "what a version of a prompt used": lambda: SQL.generations.used(prompt="p7", number=1, since=-1),
    "the sums of a prompt's calls": lambda: SQL.generations.sums(prompt="p7", since=NOW, env=None, rollout=None, by="version"),
    "how long the last calls of a version took": lambda: SQL.generations.recent(
        prompt="p7", number=1, since=NOW, env=None, rollout=None, variant=None, by="version", limit=100
    ),
    "the last calls of a prompt": lambda: SQL.generations.each(prompt="p7", variant=None, since=-1, after=None, limit=50),
    "the next calls of a version": lambda: SQL.generations.of_version(
        prompt="p7", number=1, variant=None, since=-1, after="gen_8", limit=50
    ),
    "what prompts did of late": lambda: SQL.generations.lately(env="prod", since=NOW + 19_900),
    "the calls of a run": lambda: SQL.generations.of_run(run=7, run_id="run_7", limit=1_000),
    "a call by its id": lambda: SQL.generations.get(prompt="p7", id="gen_8"),
    "each call of a key in a window": lambda: SQL.usage.each(scope="key:k5", run=None, since=NOW),
    "the budgets above a run": lambda: SQL.budgets.above(run=8),
    "calls under way": lambda: SQL.calls.open(budget="b", run=8, step="s"),
    "children to cancel": lambda: SQL.runs.children_to_cancel(run=8),
}
UPKEEP: dict[str, Callable[[], Query]] = {
    "delays that end": lambda: SQL.runs.promote(now=NOW + 100, limit=256),
    "lives that end": lambda: SQL.runs.expired(now=NOW + 100, limit=256),
    "waits that end": lambda: SQL.waitpoints.due(now=NOW + 100, limit=256),
    "when to look again": lambda: SQL.runs.next_due(worker="w1"),
    "cancels that are overdue": lambda: SQL.runs.overdue_cancels(now=NOW, limit=256),
    "parents that cancel": lambda: SQL.runs.parents_cancelling(limit=256),
    "hooks": lambda: SQL.runs.hooks_due(now=NOW, again=NOW, tasks=TASKS, limit=256),
    "dead workers": lambda: SQL.workers.dead(now=NOW, limit=256),
    "what a worker holds": lambda: SQL.runs.of_worker(worker="w1", limit=256),
    "runs of a version": lambda: SQL.versions.left(task="t1", version="1", until=NOW, limit=500),
    "moving runs of a version": lambda: SQL.versions.move_many(task="t1", version="1", to="2", until=NOW, limit=500),
    "waiting runs by version": lambda: SQL.versions.waiting(look=1_000),
    "how many runs each worker holds": lambda: SQL.workers.held(),
    "what is put back": lambda: SQL.runs.serve(queues='["default"]', tasks=TASKS),
    "old calls of keys": lambda: SQL.usage.expire(now=NOW + 1_010, limit=256),
    "old calls of prompts": lambda: SQL.generations.expire(before=NOW + 10, limit=256),
    "what deleted runs were told": lambda: SQL.generations.forget(runs="[7, 17]", limit=256),
    "messages that are due": lambda: SQL.deliveries.claim(holder="h", channels='["slack"]', until=NOW, limit=16, now=NOW),
    "when a message is due": lambda: SQL.deliveries.next(channels='["slack"]'),
    "reminders that are due": lambda: SQL.rungs.due(now=NOW, limit=256),
    "old starts": lambda: SQL.starts.forget(before=NOW, limit=256),
}


@pytest.fixture
async def crowded(database: Database) -> Database:
    await crowd(database, NOW)
    return database


async def test_no_statement_of_a_claim_reads_a_whole_table(crowded: Database) -> None:
    assert await wasteful(crowded, CLAIMING) == {}


async def test_no_statement_of_a_claim_reads_a_whole_table_when_all_runs_are_queued(database: Database) -> None:
    await backlog(database, NOW)
    assert await wasteful(database, {what: query for what, query in CLAIMING.items() if "queue" in what}) == {}


async def test_no_statement_about_one_run_reads_a_whole_table(crowded: Database) -> None:
    assert await wasteful(crowded, WORKING) == {}


async def test_no_statement_of_maintenance_reads_a_whole_table(crowded: Database) -> None:
    assert await wasteful(crowded, UPKEEP) == {}


async def test_runs_without_a_worker_are_found_without_reading_all_runs(crowded: Database) -> None:
    assert await wasteful(crowded, {"orphans": lambda: SQL.runs.orphans(limit=256)}) == {}


async def wasteful(database: Database, queries: dict[str, Callable[[], Query]]) -> dict[str, set[str]]:
    read = {what: await whole_tables(database, query()) for what, query in queries.items()}
    return {what: tables for what, tables in read.items() if tables}
