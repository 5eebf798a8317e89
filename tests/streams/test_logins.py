"""What a Redis may say no to, and what the error then says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agentflow.errors import StreamUnavailable
from agentflow.streams import StoredEvent, Streams
from agentflow.streams.events import End, RunStarted
from tests.servers.tls import Authority, terminator
from tests.servers.valkey import SentinelTrio, ValkeyCluster, ValkeyServer

Collect = Callable[..., Coroutine[Any, Any, list[StoredEvent]]]
Open = Callable[..., Streams]


@pytest.fixture(scope="module")
def guarded() -> Iterator[ValkeyServer]:
    with ValkeyServer.running({"requirepass": "secret"}) as server:
        server.command("ACL", "SETUSER", "streams", "on", ">tea", "~af:*", "&af:*", "+@all", "-@admin", "-@dangerous")
        server.command("ACL", "SETUSER", "reader", "on", ">tea", "~af:*", "&af:*", "+@read", "+@connection", "+@pubsub")
        yield server


def _at(server: ValkeyServer, login: str) -> str:
    return server.url.replace("//", f"//{login}@")


async def _refusal(open_streams: Open, url: str) -> StreamUnavailable:
    with pytest.raises(StreamUnavailable) as refused:
        await open_streams(url).tail("run_1")
    return refused.value


async def _works(streams: Streams, collect: Collect) -> None:
    reading = asyncio.create_task(collect(streams, "run_1"))
    streams.publish("run_1", 1, RunStarted("tell"))
    streams.publish("run_1", 1, End("completed"))
    assert [entry.type for entry in await reading] == ["run.started", "end"]


async def test_a_user_with_a_password_streams(guarded: ValkeyServer, open_streams: Open, collect: Collect) -> None:
    await _works(open_streams(_at(guarded, "streams:tea") + "/0"), collect)


async def test_a_database_of_its_own_is_one(guarded: ValkeyServer, open_streams: Open) -> None:
    one, other = (open_streams(_at(guarded, ":secret") + f"/{number}") for number in (1, 2))
    one.publish("run_7", 1, RunStarted("tell"))
    await one.flush()
    assert await one.tail("run_7") is not None
    assert await other.tail("run_7") is None


@pytest.mark.parametrize("login", ["", "streams:wrong", "nobody:tea"])
async def test_a_missing_or_wrong_password_is_told_apart_from_a_redis_that_is_gone(
    guarded: ValkeyServer, open_streams: Open, login: str
) -> None:
    refused = await _refusal(open_streams, _at(guarded, login) if login else guarded.url)
    assert "refuses the login" in refused.message
    assert "password" in refused.hint


async def test_a_user_that_may_not_do_what_streams_need_is_told_so(guarded: ValkeyServer, open_streams: Open) -> None:
    refused = await _refusal(open_streams, _at(guarded, "reader:tea"))
    assert "does not permit" in refused.message
    assert "evalsha" in refused.message
    assert "+@all" in refused.hint


async def test_writes_that_are_refused_are_told_once_and_sent_when_they_are_permitted(
    guarded: ValkeyServer, open_streams: Open, caplog: pytest.LogCaptureFixture
) -> None:
    guarded.command("ACL", "SETUSER", "later", "on", ">tea", "~af:*", "&af:*", "+@all", "-eval", "-evalsha")
    streams = open_streams(_at(guarded, "later:tea"))
    streams.publish("run_8", 1, RunStarted("tell"))
    async with asyncio.timeout(10):
        while "takes no events" not in caplog.text:
            await asyncio.sleep(0)
    guarded.command("ACL", "SETUSER", "later", "+eval", "+evalsha")
    await streams.flush()
    assert len(await streams.read("run_8")) == 1
    assert caplog.text.count("takes no events") == caplog.text.count("takes events again") == 1


async def test_a_cluster_and_its_password(open_streams: Open, collect: Collect) -> None:
    with ValkeyCluster.running(password="secret") as cluster:
        await _works(open_streams(cluster.url.replace("//", "//:secret@")), collect)
        assert "refuses the login" in (await _refusal(open_streams, cluster.url)).message


async def test_what_is_of_another_form_than_the_url_says_is_told(cluster: ValkeyCluster, guarded: ValkeyServer, open_streams: Open) -> None:
    assert "redis+cluster://" in (await _refusal(open_streams, cluster.masters[0].url)).hint
    alone = _at(guarded, ":secret").replace("redis:", "redis+cluster:")
    assert "Write redis:// for a single server" in str(await _refusal(open_streams, alone))


async def test_a_replica_is_not_taken_for_a_master(guarded: ValkeyServer, open_streams: Open) -> None:
    with ValkeyServer.running({"replicaof": f"127.0.0.1 {guarded.port}", "masterauth": "secret"}) as replica:
        refused = await _refusal(open_streams, replica.url)
    assert "replica" in refused.message
    assert "redis+sentinel://" in refused.hint


async def test_sentinels_that_know_no_such_master_say_so(sentinels: SentinelTrio, open_streams: Open) -> None:
    refused = await _refusal(open_streams, f"redis+sentinel://:spare@{sentinels.hosts}/other?sentinel_password=watch")
    assert "'other'" in refused.message
    assert "refuses the login" in str(await _refusal(open_streams, f"redis+sentinel://:spare@{sentinels.hosts}/main"))


@pytest.fixture(scope="module")
def sentinels() -> Iterator[SentinelTrio]:
    with SentinelTrio.running(password="spare", sentinel_password="watch") as trio:
        yield trio


async def test_sentinels_and_their_master_may_have_different_passwords(
    sentinels: SentinelTrio, open_streams: Open, collect: Collect
) -> None:
    await _works(open_streams(f"redis+sentinel://:spare@{sentinels.hosts}/main/0?sentinel_password=watch"), collect)


@asynccontextmanager
async def _saying(hello: bytes) -> AsyncGenerator[str]:
    """A server that answers everything with these bytes, as old ones do."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            for _ in range(data.count(b"*")):
                writer.write(hello)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_a_redis_that_is_too_old_is_refused(open_streams: Open) -> None:
    words = (b"server", b"redis", b"version", b"6.2.14", b"mode", b"standalone", b"role", b"master")
    old = b"*8\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    for hello, said in ((old, "Redis is 6.2.14"), (b"-ERR unknown command 'HELLO'\r\n", "older than 7.0")):
        async with _saying(hello) as url:
            refused = await _refusal(open_streams, url)
            assert said in refused.message
            assert "7.0" in refused.hint


async def test_tls_is_checked_against_the_authority_of_the_url(
    guarded: ValkeyServer, tmp_path: Path, open_streams: Open, collect: Collect
) -> None:
    authority = Authority(tmp_path / "tls")
    async with terminator(guarded.port, authority) as port:
        secure = f"rediss://:secret@localhost:{port}"
        await _works(open_streams(f"{secure}/4?ssl_ca_certs={authority.certificate}"), collect)
        await _works(open_streams(f"{secure}/5?ssl_cert_reqs=none&ssl_check_hostname=false"), collect)
        refused = await _refusal(open_streams, secure)
        assert "not trusted" in refused.message
        assert "ssl_ca_certs" in refused.hint
