"""What every database must hold."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentflow.clock import SystemClock
from agentflow.control import LeaseLost
from agentflow.database import Database, Statements, Transaction
from agentflow.database.migrate import migrate
from agentflow.errors import SchemaNewer, StorageError
from tests.contracts import ledger
from tests.contracts.ledger.child import INCREMENTS
from tests.contracts.places import Place

CHILD = ("-m", "tests.contracts.ledger.child")
PATIENCE = 60


@pytest.fixture
def template() -> None:
    """None: these tests have tables of their own."""


@pytest.fixture
async def database(place: Place) -> AsyncIterator[Database]:
    opened = place.open()
    await migrate(opened, ledger.MIGRATIONS, SystemClock())
    yield opened
    await opened.close()


async def test_a_transaction_returns_its_value_and_its_writes_are_seen(database: Database) -> None:
    assert await database.transact(ledger.put_all("a", "b")) == 2
    assert await ledger.names(database) == {"a", "b"}


async def test_a_statement_returns_its_rows(database: Database) -> None:
    rows = await database.execute(ledger.put(name="a", value=7))
    assert [(row["name"], row["value"]) for row in rows] == [("a", 7)]
    assert await ledger.value(database, "a") == 7


async def test_a_transaction_reads_its_own_writes_and_what_was_committed_before(database: Database) -> None:
    await asyncio.gather(database.execute(ledger.put(name="a", value=10)), database.execute(ledger.put(name="b", value=0)))
    moved = await asyncio.gather(*(database.transact(ledger.move("a", "b", 2)) for _ in range(5)))
    assert sorted(moved) == [2, 4, 6, 8, 10]


@pytest.mark.parametrize("error", [ValueError("no"), LeaseLost("stale"), asyncio.CancelledError()])
async def test_what_a_transaction_raises_reaches_its_caller_and_undoes_its_writes(database: Database, error: BaseException) -> None:
    with pytest.raises(type(error)):
        await database.transact(ledger.put_then_raise("a", error))
    assert await ledger.names(database) == set()
    assert await database.transact(ledger.put_all("a")) == 1


async def test_of_many_at_once_a_failing_transaction_is_undone_alone(database: Database) -> None:
    await database.execute(ledger.put(name="taken", value=1))
    outcomes = await asyncio.gather(
        database.transact(ledger.put_all("a", "b")),
        database.transact(ledger.put_then_raise("c", LeaseLost("stale"))),
        database.execute(ledger.put(name="d", value=1)),
        database.transact(ledger.put_all("e", "taken")),
        database.execute(ledger.put(name="taken", value=1)),
        database.transact(ledger.put_all("f")),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [int, LeaseLost, list, StorageError, StorageError, int]
    assert await ledger.names(database) == {"a", "b", "d", "f", "taken"}


async def test_a_refused_statement_says_which_one_it_was(database: Database) -> None:
    await database.execute(ledger.put(name="a", value=1))
    with pytest.raises(StorageError, match="ledger/put"):
        await database.execute(ledger.put(name="a", value=1))


async def test_a_value_that_no_column_takes_fails_its_own_transaction_alone(database: Database) -> None:
    outcomes = await asyncio.gather(
        database.execute(ledger.put(name="a", value=2**70)),
        database.execute(ledger.put(name="b", value=1)),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], Exception)
    assert await ledger.names(database) == {"b"}


async def test_what_was_acknowledged_is_there_after_reopening(place: Place, database: Database) -> None:
    await asyncio.gather(database.transact(ledger.put_all("a", "b")), database.execute(ledger.put(name="c", value=1)))
    await database.close()
    again = place.open()
    assert await ledger.names(again) == {"a", "b", "c"}
    await again.close()


async def test_more_requests_than_a_group_holds_are_all_answered(database: Database) -> None:
    answers = await asyncio.gather(*(database.transact(ledger.put_all(f"{number}")) for number in range(700)))
    assert sum(answers) == len(await ledger.names(database)) == 700


async def test_a_cancelled_caller_leaves_the_others_unharmed_and_its_own_transaction_whole(database: Database) -> None:
    calls = [asyncio.create_task(database.transact(ledger.put_all(f"{number}", f"{number}-twin"))) for number in range(6)]
    calls[0].cancel()
    await asyncio.sleep(0)
    calls[1].cancel()
    await asyncio.sleep(0)
    calls[2].cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert [call.cancelled() for call in calls[:2]] == [True, True]
    found = await ledger.names(database)
    assert {name for number in (3, 4, 5) for name in (f"{number}", f"{number}-twin")} <= found
    assert all((f"{number}" in found) == (f"{number}-twin" in found) for number in range(3))
    assert await database.transact(ledger.put_all("later")) == 1


async def test_a_cancelled_lone_call_leaves_the_database_usable(database: Database) -> None:
    for work in (database.execute(ledger.put(name="a", value=1)), database.transact(ledger.put_all("b"))):
        call = asyncio.create_task(work)
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert await database.transact(ledger.put_all("later")) == 1


async def test_the_loop_runs_while_another_connection_holds_the_lock(database: Database) -> None:
    await database.execute(ledger.put(name="shared", value=0))
    held, free = threading.Event(), threading.Event()

    def hold() -> Transaction[None]:
        yield ledger.add(name="shared", amount=1)
        held.set()
        assert free.wait(PATIENCE)

    other = database.blocking()
    holder = asyncio.create_task(asyncio.to_thread(other.transact, hold()))
    async with asyncio.timeout(PATIENCE):
        await asyncio.to_thread(held.wait)
        waiting = [asyncio.create_task(database.execute(ledger.add(name="shared", amount=1))) for _ in range(3)]
        loop = asyncio.get_running_loop()
        longest, last = 0.0, loop.time()
        for _ in range(3_000):
            await asyncio.sleep(0)
            longest, last = max(longest, loop.time() - last), loop.time()
        assert not any(call.done() for call in waiting)
        assert await ledger.value(database, "shared") == 0
        free.set()
        await asyncio.gather(holder, *waiting)
    other.close()
    assert longest < 1
    assert await ledger.value(database, "shared") == 4


async def test_a_blocking_transaction_is_durable_or_undone(database: Database) -> None:
    other = database.blocking()
    assert await asyncio.to_thread(other.transact, ledger.put_all("a")) == 1
    with pytest.raises(LeaseLost):
        await asyncio.to_thread(other.transact, ledger.put_then_raise("b", LeaseLost("stale")))
    with pytest.raises(StorageError):
        await asyncio.to_thread(other.transact, ledger.put_all("c", "a"))
    assert other.transact(ledger.put_all("d")) == 1
    other.close()
    assert await ledger.names(database) == {"a", "d"}


async def test_no_write_of_two_processes_is_lost(place: Place, database: Database) -> None:
    await database.execute(ledger.put(name="shared", value=0))
    children = [await asyncio.create_subprocess_exec(sys.executable, *CHILD, "increment", place.url) for _ in range(2)]
    for _ in range(50):
        await database.execute(ledger.add(name="shared", amount=1))
    async with asyncio.timeout(PATIENCE):
        assert [await child.wait() for child in children] == [0, 0]
    assert await ledger.value(database, "shared") == 2 * INCREMENTS + 50


async def test_a_process_that_writes_without_pause_does_not_starve_the_others(place: Place, database: Database) -> None:
    command = (sys.executable, *CHILD, "acknowledge", place.url)
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    other = database.blocking()
    async with asyncio.timeout(PATIENCE):
        while not await ledger.names(database):
            await asyncio.sleep(0)
        for number in range(20):
            await database.execute(ledger.put(name=f"loop {number}", value=1))
            await asyncio.to_thread(other.transact, ledger.put_all(f"thread {number}"))
    assert child.returncode is None
    child.kill()
    await child.wait()
    other.close()


async def test_every_write_that_a_killed_process_was_told_of_is_there(place: Place, database: Database) -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, *CHILD, "acknowledge", place.url, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    async with asyncio.timeout(PATIENCE):
        told = [await child.stdout.readline() for _ in range(500)]
        child.send_signal(signal.SIGKILL)
        told += (await child.stdout.read()).splitlines(keepends=True)
        await child.wait()
    acknowledged = {line.decode().strip() for line in told if line.endswith(b"\n")}
    found = await ledger.names(database)
    assert acknowledged <= found
    pairs = {name for name in found if not name.endswith("twin") and int(name.split("-")[1]) % 2 == 0}
    assert {f"{name}-twin" for name in pairs} == {name for name in found if name.endswith("twin")}


async def test_closing_finishes_what_was_asked_for(place: Place, database: Database) -> None:
    calls = [asyncio.create_task(database.transact(ledger.put_all(f"{number}"))) for number in range(300)]
    await asyncio.sleep(0)
    await database.close()
    assert await asyncio.gather(*calls) == [1] * 300
    again = place.open()
    assert len(await ledger.names(again)) == 300
    await again.close()


async def test_a_closed_database_refuses_and_may_be_closed_again(database: Database) -> None:
    await database.close()
    for call in (
        database.execute(ledger.put(name="a", value=1)),
        database.transact(ledger.put_all("a")),
        database.fetch(ledger.everything()),
    ):
        with pytest.raises(StorageError, match="closed"):
            await call
    await database.close()


async def test_migrations_are_applied_once_however_many_ask(place: Place) -> None:
    databases = [place.open() for _ in range(3)]
    applied = await asyncio.gather(*(migrate(database, ledger.MIGRATIONS, SystemClock()) for database in databases))
    assert sorted(applied) == [[], [], [1, 2]]
    assert await ledger.value(databases[0], "opening; balance") == 0
    for database in databases:
        await database.close()


async def test_migrations_are_applied_once_by_several_processes(place: Place) -> None:
    command = (sys.executable, *CHILD, "migrated", place.url)
    children = [await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE) for _ in range(3)]
    async with asyncio.timeout(PATIENCE):
        outputs = [await child.communicate() for child in children]
    assert sorted(output.decode().strip() for output, _ in outputs) == ["[1, 2]", "[]", "[]"]


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(place: Place, tmp_path: Path) -> None:
    folder = shutil.copytree(ledger.MIGRATIONS, tmp_path / "migrations")
    broken = folder / "0002_index.sql"
    whole = broken.read_text()
    broken.write_text(whole.replace("value)", "no_such_column)"))
    database = place.open()
    with pytest.raises(StorageError, match="0002_index"):
        await migrate(database, folder, SystemClock())
    broken.write_text(whole)
    assert await migrate(database, folder, SystemClock()) == [1, 2]
    await database.close()


async def test_a_schema_that_is_newer_than_the_code_is_refused(database: Database, tmp_path: Path) -> None:
    folder = shutil.copytree(ledger.MIGRATIONS, tmp_path / "migrations")
    (folder / "0002_index.sql").unlink()
    with pytest.raises(SchemaNewer, match="Upgrade agentflow"):
        await migrate(database, folder, SystemClock())


async def test_a_migration_that_changed_after_it_was_applied_is_refused(database: Database, tmp_path: Path) -> None:
    folder = shutil.copytree(ledger.MIGRATIONS, tmp_path / "migrations")
    changed = folder / "0001_ledger.sql"
    changed.write_text(changed.read_text().replace("balance", "sum"))
    with pytest.raises(StorageError, match="0001_ledger"):
        await migrate(database, folder, SystemClock())


def test_a_statement_refuses_missing_and_unknown_parameters() -> None:
    with pytest.raises(StorageError, match=r"Missing: name; unknown: title\."):
        ledger.get(title="a")


def test_every_statement_file_of_the_package_loads() -> None:
    statements = Statements(ledger.FOLDER)
    assert statements.names() == [f"ledger/{name}" for name in ("add", "all", "conflict", "get", "owe", "put", "whole")]
    assert statements("ledger/add").parameters == {"amount", "name"}
    with pytest.raises(StorageError, match="ledger/remove"):
        statements("ledger/remove")
