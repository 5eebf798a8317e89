"""The database when the machine is not kind: no room, no permission, no database, a lock that stays, a worker that dies."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentflow.clock import SystemClock
from agentflow.database import Transaction, open_database
from agentflow.database.migrate import migrate
from agentflow.database.sqlite import CommitWatch, SqliteDatabase
from agentflow.errors import ConfigurationError, DatabaseBusy, DatabaseUnreadable, StorageError
from agentflow.testing.faults import Crashed, CrashingDatabase
from tests.contracts import ledger

CHILD = ("-m", "tests.contracts.ledger.child")
PATIENCE = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(path, busy_limit=0.1)
    await migrate(opened, ledger.MIGRATIONS, SystemClock())
    yield opened
    await opened.close()


def test_a_file_that_is_no_database_is_refused_by_name(path: Path) -> None:
    path.write_bytes(b"Dear diary, today was a good day. " * 100)
    with pytest.raises(DatabaseUnreadable, match=r"ledger\.db is damaged or is no SQLite database"):
        open_database(str(path))


async def test_a_damaged_database_is_refused_and_says_to_restore_a_backup(path: Path, database: SqliteDatabase) -> None:
    await asyncio.gather(*(database.execute(ledger.put(name=f"{number}", value=number)) for number in range(2_000)))
    await database.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    damaged = open_database(str(path))
    with pytest.raises(DatabaseUnreadable, match="restore a backup"):
        await damaged.fetch(ledger.everything())
    await damaged.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseUnreadable, match=r"Make .*/file/deep a folder"):
        open_database(f"sqlite:///{tmp_path}/file/deep/ledger.db")


async def test_a_folder_that_may_not_be_written_is_refused_with_a_hint() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        output = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(sys.executable, *CHILD, "nothing", f"{name}/ledger.db", stderr=output)
        async with asyncio.timeout(PATIENCE):
            _, errors = await child.communicate()
    assert child.returncode == 1
    assert "DatabaseUnreadable" in errors.decode()
    assert "this user may write it" in errors.decode()


async def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/a/b/ledger.db")
    assert await migrate(database, ledger.MIGRATIONS, SystemClock()) == [1, 2]
    await database.close()


@pytest.mark.parametrize("url", ["mysql://localhost/db", "postgresql+asyncpg://localhost/db", ":memory:", "sqlite:///", ""])
def test_a_url_that_cannot_work_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError):
        open_database(url)


async def test_after_a_full_disk_writes_go_on_and_nothing_acknowledged_is_lost(path: Path, database: SqliteDatabase) -> None:
    await database.close()
    child = await asyncio.create_subprocess_exec(sys.executable, *CHILD, "fill", str(path), stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(PATIENCE):
        output, _ = await child.communicate()
    assert child.returncode == 0
    lines = output.decode().splitlines()
    before, after = lines[: lines.index("full")], lines[lines.index("full") + 1 :]
    assert before
    assert len(after) == 50
    again = open_database(str(path))
    found = await ledger.names(again)
    assert {*before, *after} <= found
    await again.close()


async def test_a_lock_that_stays_fails_those_who_wait_and_only_them(database: SqliteDatabase) -> None:
    held, free = threading.Event(), threading.Event()

    def hold() -> Transaction[None]:
        yield ledger.put(name="theirs", value=1)
        held.set()
        assert free.wait(PATIENCE)

    other = database.blocking()
    holder = asyncio.create_task(asyncio.to_thread(other.transact, hold()))
    async with asyncio.timeout(PATIENCE):
        await asyncio.to_thread(held.wait)
        alone = database.execute(ledger.put(name="alone", value=1))
        with pytest.raises(DatabaseBusy, match="keeps the write lock"):
            await alone
        outcomes = await asyncio.gather(*(database.transact(ledger.put_all(f"{n}")) for n in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [DatabaseBusy] * 3
        free.set()
        await holder
    other.close()
    assert await database.transact(ledger.put_all("later")) == 1
    assert await ledger.names(database) == {"theirs", "later"}


def test_an_interrupt_inside_a_group_commits_nothing_of_it_and_leaves_the_loop_once(path: Path) -> None:
    with asyncio.Runner() as runner:
        database = SqliteDatabase(path)
        runner.run(migrate(database, ledger.MIGRATIONS, SystemClock()))
        loop = runner.get_loop()
        works = (ledger.put_all("a"), ledger.put_then_raise("b", KeyboardInterrupt()), ledger.put_all("c"))
        calls = [loop.create_task(database.transact(work)) for work in works]
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(calls[0])
        loop.run_until_complete(asyncio.wait(calls))
        assert [type(call.exception()) for call in calls] == [StorageError] * 3
        assert loop.run_until_complete(ledger.names(database)) == set()
        assert loop.run_until_complete(database.transact(ledger.put_all("later"))) == 1
        loop.run_until_complete(database.close())


def test_commits_move_to_a_thread_while_the_disk_is_slow_and_come_back() -> None:
    watch = CommitWatch(0.002)
    for _ in range(32):
        watch.record(0.0005)
    assert not watch.slow
    for _ in range(32):
        watch.record(0.004)
    assert watch.slow
    for number in range(32):
        watch.record(0.006 if number % 2 else 0.0005)
    assert not watch.slow


async def test_a_worker_crashed_before_a_write_never_wrote_it(database: SqliteDatabase) -> None:
    crashing = CrashingDatabase(database, after=2)
    await crashing.execute(ledger.put(name="a", value=1))
    with pytest.raises(Crashed):
        await crashing.transact(ledger.put_all("b"))
    assert crashing.crashed.is_set()
    assert crashing.writes == 2
    assert await ledger.names(database) == {"a"}


async def test_a_worker_crashed_after_a_write_has_written_it_but_never_hears(database: SqliteDatabase) -> None:
    crashing = CrashingDatabase(database, after=2, mode="after")
    outcomes = await asyncio.gather(*(crashing.transact(ledger.put_all(f"{number}")) for number in range(2)), return_exceptions=True)
    assert isinstance(outcomes[1], Crashed)
    assert await ledger.names(database) == {"0", "1"}


async def test_a_crashed_worker_reaches_nothing_any_more(database: SqliteDatabase) -> None:
    crashing = CrashingDatabase(database, after=1)
    other = crashing.blocking()
    for call in (
        crashing.execute(ledger.put(name="a", value=1)),
        crashing.transact(ledger.put_all("b")),
        crashing.fetch(ledger.everything()),
    ):
        with pytest.raises(Crashed):
            await call
    with pytest.raises(Crashed):
        other.transact(ledger.put_all("c"))
    with pytest.raises(Crashed):
        crashing.blocking()
    other.close()
    assert await ledger.names(database) == set()


async def test_a_group_that_cannot_be_committed_fails_as_a_whole_and_the_next_one_goes_on(database: SqliteDatabase) -> None:
    await database.execute(ledger.put(name="a", value=1))
    outcomes = await asyncio.gather(
        database.transact(ledger.put_all("b")),
        database.transact(ledger.owe("b", "nobody")),
        database.transact(ledger.put_then_raise("c", ValueError("no"))),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [StorageError] * 3
    assert await ledger.names(database) == {"a"}
    assert await database.transact(ledger.owe("a", "a")) is None
