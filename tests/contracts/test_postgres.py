"""PostgreSQL beyond what all databases share: deadlocks, many calls as one, schemas, migrations beside work, poolers, certificates."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agentflow.clock import SystemClock
from agentflow.database import Database, Row, Transaction, open_database, transaction
from agentflow.database.migrate import migrate
from agentflow.database.statements import make_statement
from agentflow.errors import ConfigurationError, ConnectionLost, DatabaseBusy, DatabaseUnreachable, DatabaseUnreadable, StorageError
from tests.contracts import ledger
from tests.contracts.places import PATIENCE, opened, through, until, with_options
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy
from tests.servers.tls import Authority, terminator

# -- transactions that meet --------------------------------------------------------------------------------------------------------------


async def test_a_deadlock_is_broken_and_both_transactions_are_done(url: str) -> None:
    meet = threading.Barrier(2)
    tries: list[str] = []

    @transaction
    def cross(first: str, second: str) -> Transaction[None]:
        tries.append(first)
        yield ledger.add(name=first, amount=1)
        if tries.count(first) == 1:
            meet.wait(PATIENCE)
        yield ledger.add(name=second, amount=1)

    async with opened(url) as database:
        await database.transact(ledger.put_all("a", "b"))
        one, other = database.blocking(), database.blocking()
        await asyncio.gather(asyncio.to_thread(one.transact, cross("a", "b")), asyncio.to_thread(other.transact, cross("b", "a")))
        assert len(tries) == 3
        assert await ledger.value(database, "a") == await ledger.value(database, "b") == 3
        one.close()
        other.close()


async def test_a_transaction_that_the_server_refuses_as_conflicting_is_begun_again(url: str) -> None:
    tries = 0

    @transaction
    def conflict_once() -> Transaction[int]:
        nonlocal tries
        tries += 1
        yield ledger.put(name=f"try {tries}", value=1)
        yield from (ledger.fail_as_serialization(),) if tries == 1 else ()
        return tries

    async with opened(url) as database:
        assert await database.transact(conflict_once()) == 2
        assert await ledger.names(database) == {"try 2"}

        def conflict() -> Transaction[None]:
            yield ledger.fail_as_serialization()

        with pytest.raises(DatabaseBusy):
            await database.transact(conflict())


async def test_more_transactions_than_connections_wait_for_their_turn(url: str) -> None:
    async with opened(url, pool="2") as database:
        await database.execute(ledger.put(name="a", value=0))
        calls = [database.transact(ledger.put_all(f"{number}")) for number in range(50)]
        more = [database.execute(ledger.add(name="a", amount=1)) for _ in range(50)]
        assert await asyncio.gather(*calls) == [1] * 50
        await asyncio.gather(*more)
        assert await ledger.value(database, "a") == 50


async def test_a_process_that_stands_still_in_a_transaction_does_not_keep_its_locks(url: str) -> None:
    """Found by the soak: a stopped worker held the row of a queue, and no other could claim from it. When it goes on, it begins again."""
    async with opened(url, command_timeout="1") as stopped, opened(url) as other:
        await other.execute(ledger.put(name="a", value=0))
        tries: list[int] = []

        @transaction
        def stand_still() -> Transaction[int]:
            tries.append(1)
            value = (yield ledger.add(name="a", amount=1))[0]["value"]
            if len(tries) == 1:
                # As a process does that is stopped: its event loop does not turn.
                threading.Event().wait(2.5)
            yield ledger.add(name="a", amount=1)
            return value

        assert await stopped.transact(stand_still()) == 1
        assert len(tries) == 2
        assert await ledger.value(other, "a") == 2
        assert await silence(stopped) == "1s"
        assert await silence(other) == "10s"


async def silence(database: Database) -> str:
    """For how long a transaction may be silent."""
    shown = make_statement("show", {"postgres": "SHOW idle_in_transaction_session_timeout"})
    return (await database.fetch(shown()))[0]["idle_in_transaction_session_timeout"]


async def test_a_caller_that_is_cancelled_gives_its_connection_back(url: str) -> None:
    async with opened(url, pool="1") as database, opened(url) as other:
        await database.transact(ledger.put_all("a", "b"))
        held = asyncio.Event()

        def hold() -> Transaction[None]:
            yield ledger.add(name="a", amount=1)
            held.set()
            yield ledger.add(name="b", amount=1)

        blocker = other.blocking()
        locked, free = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def lock() -> Transaction[None]:
            yield ledger.add(name="b", amount=1)
            loop.call_soon_threadsafe(locked.set)
            asyncio.run_coroutine_threadsafe(free.wait(), loop).result(PATIENCE)

        locking = asyncio.create_task(asyncio.to_thread(blocker.transact, lock()))
        await locked.wait()
        caller = asyncio.create_task(database.transact(hold()))
        await held.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert await ledger.value(database, "a") == 1
        free.set()
        await locking
        blocker.close()


# -- many as one -------------------------------------------------------------------------------------------------------------------------


async def test_calls_of_one_moment_go_as_one_and_each_gets_its_own_rows(url: str) -> None:
    async with opened(url) as database:
        answers = await asyncio.gather(*(database.execute(ledger.put(name=f"{number}", value=number)) for number in range(100)))
        assert [[row["value"] for row in rows] for rows in answers] == [[number] for number in range(100)]
        assert database.batches == 1
        assert len(await ledger.names(database)) == 100


async def test_of_many_that_go_as_one_only_the_guilty_fails(url: str) -> None:
    async with opened(url) as database:
        await database.execute(ledger.put(name="7", value=0))
        calls = (database.execute(ledger.put(name=f"{number}", value=number)) for number in range(20))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [number for number, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)] == [7]
        assert isinstance(outcomes[7], StorageError)


async def test_a_cancelled_caller_takes_no_other_of_its_batch_with_it(url: str) -> None:
    async with opened(url) as database:
        calls = [asyncio.create_task(database.execute(ledger.put(name=f"{number}", value=1))) for number in range(10)]
        await asyncio.sleep(0)
        calls[3].cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [number for number, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)] == [3]


async def test_a_batch_whose_connection_breaks_tells_every_caller(url: str, proxy: Proxy) -> None:
    async with opened(through(url, proxy.port)) as database:
        await ledger.names(database)
        proxy.watch = lambda chunk: proxy.cut()
        calls = (database.execute(ledger.put(name=f"{number}", value=1)) for number in range(10))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        proxy.watch = lambda chunk: None
        assert {type(outcome) for outcome in outcomes} == {ConnectionLost}
        assert len(await ledger.names(database)) in (0, 10)


# -- migrations and schemas --------------------------------------------------------------------------------------------------------------


async def test_two_installations_in_one_database_do_not_see_each_other(url: str) -> None:
    ours, theirs = open_database(url, schema="staging"), open_database(f"{url}?schema=production")
    assert await asyncio.gather(*(migrate(one, ledger.MIGRATIONS, SystemClock()) for one in (ours, theirs))) == [[1, 2]] * 2
    await asyncio.gather(ours.transact(ledger.put_all("a")), theirs.transact(ledger.put_all("a", "b")))
    blocking = ours.blocking()
    await asyncio.to_thread(blocking.transact, ledger.put_all("c"))
    await asyncio.to_thread(blocking.close)
    assert await ledger.names(ours) == {"a", "c"}
    assert await ledger.names(theirs) == {"a", "b"}
    await asyncio.gather(ours.close(), theirs.close())


async def test_a_migration_does_not_queue_behind_a_long_transaction(url: str, postgres: PostgresServer, tmp_path: Path) -> None:
    (tmp_path / "0001_ledger.sql").write_text((ledger.MIGRATIONS / "0001_ledger.sql").read_text())
    (tmp_path / "0002_index.sql").write_text((ledger.MIGRATIONS / "0002_index.sql").read_text())
    (tmp_path / "0003_more.sql").write_text("ALTER TABLE ledger_entry ADD COLUMN more TEXT;\n")
    locked, free = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def work() -> Transaction[None]:
        yield ledger.add(name="opening; balance", amount=1)
        loop.call_soon_threadsafe(locked.set)
        asyncio.run_coroutine_threadsafe(free.wait(), loop).result(PATIENCE)

    async with opened(url) as database, opened(url) as worker:
        other = worker.blocking()
        working = asyncio.create_task(asyncio.to_thread(other.transact, work()))
        await locked.wait()
        migrating = asyncio.create_task(migrate(database, tmp_path, SystemClock()))
        await until(lambda: "canceling statement due to lock timeout" in postgres.log)
        assert await ledger.value(worker, "opening; balance") == 0
        free.set()
        await working
        assert await migrating == [3]
        assert await ledger.names(worker) == set()
        await asyncio.to_thread(other.close)


async def test_a_prepared_statement_outlives_a_migration(url: str, postgres: PostgresServer) -> None:
    name = urlsplit(url).path[1:]
    async with opened(url, pool="1") as database:
        await database.execute(ledger.put(name="a", value=1))
        assert len(await database.transact(all_columns())) == 2
        postgres.query("ALTER TABLE ledger_entry ADD COLUMN more TEXT DEFAULT 'x'", name)
        assert {row["more"] for row in await database.transact(all_columns())} == {"x"}


@transaction
def all_columns() -> Transaction[list[Row]]:
    return list((yield ledger.whole()))


# -- what stands between -----------------------------------------------------------------------------------------------------------------


async def test_a_pooler_in_transaction_mode_keeps_schemas_and_transactions_apart(pgbouncer: PgBouncer, url: str) -> None:
    address = pgbouncer.url(url)
    async with opened(address, schema="staging") as ours, opened(address, schema="production") as theirs:
        await asyncio.gather(*(migrate(one, ledger.MIGRATIONS, SystemClock()) for one in (ours, theirs)))
        for one, prefix in ((ours, "a"), (theirs, "b")):
            await asyncio.gather(*(one.transact(ledger.put_all(f"{prefix}{number}")) for number in range(20)))
        assert {name[0] for name in await ledger.names(ours)} == {"a"}
        assert {name[0] for name in await ledger.names(theirs)} == {"b"}


async def test_a_certificate_of_the_known_authority_is_taken_and_another_is_refused(
    url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    known, stranger = Authority(tmp_path / "known"), Authority(tmp_path / "stranger")
    async with terminator(postgres.port, known, postgres=True) as port:
        address = with_options(through(url, port), sslmode="verify-full")
        async with opened(address, sslrootcert=str(known.certificate)) as database:
            assert await database.transact(ledger.put_all("a")) == 1
        async with opened(address, sslrootcert=str(stranger.certificate), patience="0") as database:
            with pytest.raises(DatabaseUnreadable, match="certificate"):
                await database.transact(ledger.put_all("b"))


# -- what cannot work --------------------------------------------------------------------------------------------------------------------


async def test_a_database_that_does_not_exist_is_refused_at_once_with_a_hint(postgres: PostgresServer) -> None:
    async with opened(postgres.url("nowhere")) as database:
        with pytest.raises(DatabaseUnreadable, match="createdb"):
            await ledger.names(database)


async def test_a_user_that_may_not_do_it_is_refused_with_a_hint(url: str, postgres: PostgresServer) -> None:
    name = urlsplit(url).path[1:]
    user = f"guest_of_{name}"
    postgres.query(f"CREATE ROLE {user} LOGIN", name)
    guest = urlsplit(url)._replace(netloc=f"{user}@127.0.0.1:{postgres.port}").geturl()
    async with opened(guest) as database:
        with pytest.raises(DatabaseUnreadable, match="Grant this user"):
            await ledger.names(database)


async def test_a_server_that_takes_no_writes_says_to_use_the_primary(url: str, postgres: PostgresServer) -> None:
    name = urlsplit(url).path[1:]
    postgres.query(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    async with opened(url, patience="0") as database:
        with pytest.raises(DatabaseUnreachable, match="primary"):
            await database.execute(ledger.add(name="a", amount=1))
        with pytest.raises(DatabaseUnreachable, match="primary"):
            await database.transact(ledger.put_all("a"))


@pytest.mark.parametrize(
    ("query", "tells"),
    [
        ("pol=3", "Known are command_timeout"),
        ("pool=many", "no whole number"),
        ("pool=0", "no whole number"),
        ("patience=-1", "no number of seconds"),
        ("pgbouncer=maybe", "neither true nor false"),
        ("schema=Robert';--", "cannot be the schema"),
        ("schema=pg_mine", "cannot be the schema"),
    ],
)
def test_an_option_that_cannot_work_is_named(query: str, tells: str) -> None:
    with pytest.raises(ConfigurationError, match=tells):
        open_database(f"postgresql://localhost/agents?{query}")


async def test_what_asyncpg_cannot_use_is_a_configuration_error(postgres: PostgresServer) -> None:
    async with opened(postgres.url(), sslmode="sometimes") as database:
        with pytest.raises(ConfigurationError, match="sslmode"):
            await ledger.names(database)
