"""PostgreSQL when the network and the server are not kind: what cannot have been committed is done again, nothing hangs for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from agentflow.clock import SystemClock
from agentflow.database import Transaction, transaction
from agentflow.database.migrate import migrate
from agentflow.errors import ConnectionLost, DatabaseUnreachable, StorageError
from tests.contracts import ledger
from tests.contracts.places import opened, through, until
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy


@pytest.fixture
def own_server() -> Generator[PostgresServer]:
    """A server that the test may stop."""
    with PostgresServer.running() as server:
        yield server


async def test_a_connection_cut_before_the_commit_costs_nothing_but_time(url: str, proxy: Proxy) -> None:
    times = 0

    @transaction
    def put_with_a_cut() -> Transaction[int]:
        nonlocal times
        times += 1
        yield ledger.put(name="a", value=1)
        if times == 1:
            proxy.cut()
        yield ledger.put(name="b", value=1)
        return times

    async with opened(through(url, proxy.port)) as database:
        assert await database.transact(put_with_a_cut()) == 2
        assert await ledger.names(database) == {"a", "b"}


async def test_a_transaction_that_cannot_be_begun_again_says_so_by_an_error_that_passes(url: str, proxy: Proxy) -> None:
    def put_with_a_cut() -> Transaction[None]:
        yield ledger.put(name="a", value=1)
        proxy.cut()
        yield ledger.put(name="b", value=1)

    async with opened(through(url, proxy.port)) as database:
        with pytest.raises(DatabaseUnreachable):
            await database.transact(put_with_a_cut())
        assert await ledger.names(database) == set()


async def test_a_connection_cut_during_the_commit_leaves_the_outcome_to_the_caller(url: str, proxy: Proxy) -> None:
    times = 0

    @transaction
    def put() -> Transaction[None]:
        nonlocal times
        times += 1
        yield ledger.put(name="a", value=1)

    def watch(chunk: bytes) -> None:
        if b"COMMIT\0" in chunk:
            proxy.cut()

    async with opened(through(url, proxy.port)) as database:
        proxy.watch = watch
        with pytest.raises(ConnectionLost, match="may or may not be there"):
            await database.transact(put())
        assert times == 1
        assert await ledger.names(database) <= {"a"}


async def test_a_connection_cut_during_a_statement_of_its_own_leaves_the_outcome_to_the_caller(url: str, proxy: Proxy) -> None:
    async with opened(through(url, proxy.port), pool="1") as database:
        await database.execute(ledger.put(name="a", value=1))
        proxy.watch = lambda chunk: proxy.cut()
        with pytest.raises(ConnectionLost):
            await database.execute(ledger.add(name="a", amount=1))
        proxy.watch = lambda chunk: None
        assert await ledger.value(database, "a") in (1, 2)


async def test_a_read_is_done_again_when_its_connection_breaks(url: str, proxy: Proxy) -> None:
    async with opened(through(url, proxy.port), pool="1") as database:
        await database.execute(ledger.put(name="a", value=7))
        cuts = iter([proxy.cut])
        proxy.watch = lambda chunk: next(cuts, lambda: None)()
        assert await ledger.value(database, "a") == 7


async def test_what_is_asked_for_while_the_server_is_away_is_done_when_it_is_back(url: str, proxy: Proxy) -> None:
    async with opened(through(url, proxy.port)) as database:
        await database.execute(ledger.put(name="a", value=0))
        proxy.refuse()
        proxy.cut()
        calls = [asyncio.create_task(database.transact(ledger.put_all(f"{number}"))) for number in range(20)]
        reading = asyncio.create_task(ledger.value(database, "a"))
        before = proxy.connections
        await asyncio.wait([reading, *calls], timeout=0.2)
        assert not any(call.done() for call in calls)
        proxy.accept()
        assert await asyncio.gather(*calls) == [1] * 20
        assert await reading == 0
        assert proxy.connections > before


async def test_a_server_that_stays_away_ends_patience_with_an_error_that_says_where_it_is(url: str, proxy: Proxy) -> None:
    proxy.refuse()
    async with opened(through(url, proxy.port), patience="0.2") as database:
        calls = [database.execute(ledger.put(name=f"{number}", value=1)) for number in range(20)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {DatabaseUnreachable}
        assert f"127.0.0.1:{proxy.port}" in str(outcomes[0])


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_server_that_is_restarted_loses_nothing_acknowledged(own_server: PostgresServer, mode: str) -> None:
    acknowledged: set[str] = set()
    going = True

    async def write(writer: int) -> None:
        number = 0
        while going:
            name = f"{writer}-{number}"
            try:
                await database.transact(ledger.put_all(name))
            except ConnectionLost:
                pass
            else:
                acknowledged.add(name)
            number += 1

    with own_server.database() as url:
        async with opened(url) as database:
            await migrate(database, ledger.MIGRATIONS, SystemClock())
            writers = [asyncio.create_task(write(writer)) for writer in range(8)]
            for _ in range(2):
                reached = len(acknowledged) + 200
                await until(lambda reached=reached: len(acknowledged) >= reached)
                await asyncio.to_thread(own_server.restart, "fast" if mode == "fast" else "immediate")
            reached = len(acknowledged) + 200
            await until(lambda: len(acknowledged) >= reached)
            going = False
            await asyncio.gather(*writers)
            assert acknowledged <= await ledger.names(database)


async def test_a_network_that_swallows_packets_hangs_no_call_for_ever(url: str, proxy: Proxy) -> None:
    async with opened(through(url, proxy.port), command_timeout="0.3", connect_timeout="0.3", patience="0.1") as database:
        await database.execute(ledger.put(name="a", value=1))
        proxy.hold()
        with pytest.raises(ConnectionLost):
            await database.execute(ledger.add(name="a", amount=1))
        with pytest.raises(DatabaseUnreachable, match="no answer in time"):
            await ledger.value(database, "a")
        with pytest.raises(DatabaseUnreachable):
            await database.transact(ledger.put_all("b"))
        proxy.resume()
        assert await database.transact(ledger.put_all("c")) == 1


async def test_a_blocking_connection_gives_up_and_comes_back(url: str, proxy: Proxy) -> None:
    async with opened(through(url, proxy.port)) as database:
        other = database.blocking()
        assert await asyncio.to_thread(other.transact, ledger.put_all("a")) == 1
        proxy.hold()
        with pytest.raises(StorageError):
            await asyncio.to_thread(other.transact, ledger.put_all("b"))
        proxy.resume()
        proxy.cut()
        assert await asyncio.to_thread(other.transact, ledger.put_all("c")) == 1
        await asyncio.to_thread(other.close)
        with pytest.raises(StorageError, match="closed"):
            other.transact(ledger.put_all("d"))
