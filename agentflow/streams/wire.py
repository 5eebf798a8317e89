"""Redis: the one file that knows redis-py.

A fault of any kind is a `StreamUnavailable`, and the next call connects anew: who calls decides whether to wait and when to try again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from agentflow.errors import StreamUnavailable
from agentflow.streams.health import Health

_CONNECT_SECONDS = 5.0
_CLOSE_SECONDS = 0.5
_OLDEST = 7
_HINT = "Check that Redis runs and that redis= is its URL; runs go on meanwhile."
_REFUSALS = {
    "AuthenticationError": ("refuses the login", "Check user and password in redis= (of sentinels: sentinel_password=)."),
    "NoPermissionError": (
        "does not permit what streams need",
        "The user needs ~af:* &af:* and +@all, or at least the commands named here.",
    ),
    "ReadOnlyError": ("is a replica", "Pass redis= the master, or redis+sentinel:// so that it is found."),
    "OutOfMemoryError": ("is full", "Give it more memory, or a maxmemory-policy such as volatile-ttl."),
    "MaxConnectionsError": ("has too many clients", "Raise its maxclients."),
}


class Endpoint(Protocol):
    """Where Redis is. `mode` is what HELLO must say of it: standalone, cluster or sentinel.

    `generation` rises when the server at the URL is another one now: who is connected must ask for the URL again.
    """

    mode: str
    generation: int

    async def url(self) -> str:
        """The URL of a server that should be up; starts one if that is ours to do. Raises `StreamUnavailable`."""
        ...

    async def close(self) -> None:
        """This process needs the server no more."""
        ...


class Remote:
    """A Redis that somebody else runs."""

    def __init__(self, url: str, mode: str = "standalone") -> None:
        self._url = url
        self.mode = mode
        self.generation = 0

    async def url(self) -> str:
        return self._url

    async def close(self) -> None:
        return None


class Script:
    """A Lua script that is sent by its digest."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Job:
    """What a script is to do with keys that live together; `place` is where, None where there is one place."""

    place: int | None
    keys: Sequence[str]
    arguments: Sequence[Any]

    def by_digest(self, script: Script) -> Sequence[Any]:
        """The command, of a script that the server should know."""
        return ("EVALSHA", script.digest, len(self.keys), *self.keys, *self.arguments)

    def by_source(self, script: Script) -> Sequence[Any]:
        """The command, of a script that the server does not know."""
        return ("EVAL", script.source, len(self.keys), *self.keys, *self.arguments)


class Connection:
    """An open connection; `pack` makes the bytes of a command, in C: redis-py packs in Python, which costs more than all else."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._refused = importlib.import_module("redis.exceptions").ResponseError
        self.pack: Any = importlib.import_module("hiredis").pack_command

    async def send(self, commands: Iterable[Sequence[Any]]) -> None:
        """Send commands in one write."""
        await self._library.send_packed_command([self.pack(tuple(command)) for command in commands], False)

    async def reply(self) -> Any:
        """The next reply; what the server refuses is an exception, returned."""
        try:
            return await self._library.read_response()
        except self._refused as error:
            return error

    async def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(*faults()):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._library.disconnect()


async def connect(endpoint: Endpoint, health: Health | None = None) -> Connection:
    """Connect, log in, and see that it is a server we can use. Raises `StreamUnavailable`."""
    try:
        connection = await _open(await endpoint.url(), endpoint.mode)
    except faults() as error:
        fault = unavailable(error)
        if health is not None:
            health.lost(fault)
        raise fault from error
    if health is not None:
        health.found()
    return connection


async def knock(endpoint: Endpoint) -> None:
    """Connect and hang up. Raises `StreamUnavailable`."""
    await (await connect(endpoint)).close()


class Wire:
    """One connection for commands, made at the first call. With `patient`, a call may be the one that finds out that the server is back."""

    def __init__(self, endpoint: Endpoint, health: Health | None = None, *, timeout: float = 5.0, patient: bool = True) -> None:
        self._endpoint = endpoint
        self._health = health
        self._timeout = timeout
        self._gate = None if patient else health
        self._connection: Connection | None = None
        self._closed = False
        self._generation = 0
        self._turn = asyncio.Lock()

    async def call(self, *command: Any) -> Any:
        """Send a command, return its reply. Raises `StreamUnavailable`."""
        [reply] = await self.pipe([command])
        if isinstance(reply, Exception):
            await self.drop()
            raise unavailable(reply) from reply
        return reply

    async def run(self, script: Script, jobs: Sequence[Job]) -> list[Any]:
        """Run a script for each job, loading it first where it is unknown; a refusal is in its job's place. Raises `StreamUnavailable`."""
        replies = await self.pipe([job.by_digest(script) for job in jobs])
        unknown = [at for at, reply in enumerate(replies) if type(reply).__name__ == "NoScriptError"]
        if unknown:
            again = await self.pipe([jobs[at].by_source(script) for at in unknown])
            for at, reply in zip(unknown, again, strict=True):
                replies[at] = reply
        return replies

    async def pipe(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands in one write; a refusal is an exception in its place among the replies. Raises `StreamUnavailable`."""
        if self._gate is not None:
            self._gate.check()
        async with self._turn:
            # Whoever had the turn may have found out that nobody answers.
            if self._gate is not None:
                self._gate.check()
            return await self._pipe(commands)

    async def _pipe(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        if self._closed:
            raise StreamUnavailable("These streams are closed.", hint="Open the app again.")
        try:
            if self._generation != self._endpoint.generation:
                await self._drop()
            connection = self._connection
            if connection is None:
                self._generation = self._endpoint.generation
                connection = self._connection = await connect(self._endpoint, self._health)
            # Not redis-py's own timeout: its `wait_for` swallows a cancellation that comes while a command is being sent.
            async with asyncio.timeout(self._timeout):
                await connection.send(commands)
                return [await connection.reply() for _ in commands]
        except asyncio.CancelledError:
            await self._drop()
            raise
        except faults() as error:
            await self._drop()
            fault = unavailable(error)
            if isinstance(error, TimeoutError) and self._health is not None:
                self._health.lost(fault)
            raise fault from error

    async def drop(self) -> None:
        """Close the connection; the next call makes another."""
        async with self._turn:
            await self._drop()

    async def close(self) -> None:
        """Close it for good."""
        self._closed = True
        await self.drop()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


@cache
def _driver() -> Any:
    """What connections tell of their library: to look up its version takes each of them 5 ms, in which the loop stands still."""
    return importlib.import_module("redis.driver_info").DriverInfo()


async def _open(url: str, mode: str) -> Connection:
    # The import takes a third of a second: the loop goes on meanwhile.
    library = await asyncio.to_thread(importlib.import_module, "redis.asyncio.connection")
    retry = importlib.import_module("redis.asyncio.retry").Retry
    backoff = importlib.import_module("redis.backoff").NoBackoff
    options: dict[str, Any] = library.parse_url(url)
    kind = options.pop("connection_class", library.Connection)
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
    options.setdefault("socket_connect_timeout", _CONNECT_SECONDS)
    raw = kind(protocol=2, retry=retry(backoff(), 0), socket_timeout=None, driver_info=_driver(), **options)
    connection = Connection(raw)
    try:
        async with asyncio.timeout(options["socket_connect_timeout"]):
            await raw.connect()
            await _greet(connection, mode)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _greet(connection: Connection, mode: str) -> None:
    await connection.send([("HELLO", 2)])
    said = await connection.reply()
    if isinstance(said, Exception):
        if type(said).__name__ == "NoPermissionError":
            return
        raise StreamUnavailable(f"Redis is older than 7.0, or no Redis: {said}.", hint="Streams need Redis 7.0 or later, or Valkey.")
    known = dict(zip(said[::2], said[1::2], strict=True))
    version, is_mode, role = (known.get(name, b"").decode() for name in (b"version", b"mode", b"role"))
    if version.split(".")[0].isdigit() and int(version.split(".")[0]) < _OLDEST:
        raise StreamUnavailable(f"Redis is {version}, too old for streams.", hint="Streams need Redis 7.0 or later, or Valkey.")
    if is_mode and is_mode != mode:
        raise StreamUnavailable(f"Redis is not in {mode} mode but {is_mode}.", hint=_WRITE[is_mode])
    if mode == "standalone" and role != "master":
        raise StreamUnavailable("Redis is a replica, which takes no writes.", hint=_REFUSALS["ReadOnlyError"][1])


_WRITE = {
    "standalone": "Write redis:// for a single server.",
    "cluster": "Write redis+cluster:// for a cluster.",
    "sentinel": "Write redis+sentinel://host:26379/master-name for sentinels.",
}


def faults() -> tuple[type[Exception], ...]:
    """What may go wrong with a connection."""
    # Asked for only once something failed, so redis-py is imported by then, or was never needed.
    return (importlib.import_module("redis.exceptions").RedisError, StreamUnavailable, OSError, TimeoutError, RuntimeError)


def unavailable(error: Exception) -> StreamUnavailable:
    """A fault as ours."""
    if isinstance(error, StreamUnavailable):
        return error
    what, hint = _REFUSALS.get(type(error).__name__, ("does not answer", _HINT))
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        what, hint = "shows a certificate that is not trusted", "Pass ssl_ca_certs= the path of its authority's certificate in redis=."
    refused = isinstance(error, importlib.import_module("redis.exceptions").ResponseError)
    return StreamUnavailable(f"Redis {what}: {str(error).rstrip('.') or type(error).__name__}.", hint=hint, refused=refused)
