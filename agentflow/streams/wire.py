"""Redis: the one file that knows redis-py.

A fault of any kind is a `StreamUnavailable`, and the next call connects anew: who calls decides whether to wait and when to try again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Protocol

from agentflow.errors import ConfigurationError, StreamUnavailable

_Client = Any
"""A redis-py client; the library leaves its replies untyped."""

_CONNECT_SECONDS = 5.0
_HINT = "Check that Redis runs and that redis= is its URL; runs go on meanwhile."


class Endpoint(Protocol):
    """Where Redis is."""

    async def url(self) -> str:
        """The URL of a server that should be up; starts one if that is ours to do. Raises `StreamUnavailable`."""
        ...

    async def close(self) -> None:
        """This process needs the server no more."""
        ...


class Remote:
    """A Redis that somebody else runs. Raises `ConfigurationError` for a URL that cannot be one."""

    def __init__(self, url: str) -> None:
        if not url.startswith(("redis://", "rediss://", "unix://")):
            raise ConfigurationError(f"{url!r} is not the URL of a Redis.", hint="Write redis://, rediss:// or unix://.")
        self._url = url

    async def url(self) -> str:
        return self._url

    async def close(self) -> None:
        return None


class Script:
    """A Lua script that is sent by its digest."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class Wire:
    """One connection for commands, made at the first call."""

    def __init__(self, endpoint: Endpoint, *, timeout: float = 5.0) -> None:
        self._endpoint = endpoint
        self._timeout = timeout
        self._client: _Client = None
        self._turn = asyncio.Lock()

    async def call(self, *command: Any) -> Any:
        """Send a command, return its reply. Raises `StreamUnavailable`."""
        async with self._turn:
            return await self._call(command)

    async def run(self, script: Script, keys: Sequence[str], arguments: Iterable[Any]) -> Any:
        """Run a script, loading it first where it is unknown. Raises `StreamUnavailable`."""
        tail = (len(keys), *keys, *arguments)
        async with self._turn:
            reply = await self._call(("EVALSHA", script.digest, *tail), unknown=_UNKNOWN)
            return reply if reply is not _UNKNOWN else await self._call(("EVAL", script.source, *tail))

    async def _call(self, command: Sequence[Any], unknown: Any = None) -> Any:
        try:
            if self._client is None:
                self._client = await _open(await self._endpoint.url(), single=True)
            # Not redis-py's own timeout: its `wait_for` swallows a cancellation that comes while a command is being sent.
            async with asyncio.timeout(self._timeout):
                # Packed in C: redis-py packs in Python, which costs more than all else of a large append.
                connection = self._client.connection
                await connection.send_packed_command(importlib.import_module("hiredis").pack_command(tuple(command)))
                return await self._client.parse_response(connection, command[0])
        except asyncio.CancelledError:
            await self._drop()
            raise
        except _faults() as error:
            if unknown is not None and type(error).__name__ == "NoScriptError":
                return unknown
            await self._drop()
            raise _unavailable(error) from error

    async def close(self) -> None:
        """Close the connection."""
        async with self._turn:
            await self._drop()

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await _shut(client)


_UNKNOWN = object()
_ALWAYS = "af:listening"


class Ears:
    """One connection that hears channels."""

    def __init__(self, client: _Client) -> None:
        self._client = client
        self._channels = client.pubsub()

    @classmethod
    async def open(cls, endpoint: Endpoint) -> Ears:
        """Connect. Raises `StreamUnavailable`."""
        try:
            ears = cls(await _open(await endpoint.url(), single=False))
        except _faults() as error:
            raise _unavailable(error) from error
        # redis-py stops listening when no channel is left, so there always is one.
        await ears.add([_ALWAYS])
        return ears

    async def add(self, channels: Iterable[str]) -> None:
        """Hear these too. Raises `StreamUnavailable`."""
        try:
            await self._channels.subscribe(*channels)
        except _faults() as error:
            raise _unavailable(error) from error

    async def remove(self, channels: Iterable[str]) -> None:
        """Hear these no more. Raises `StreamUnavailable`."""
        try:
            await self._channels.unsubscribe(*channels)
        except _faults() as error:
            raise _unavailable(error) from error

    async def messages(self) -> AsyncIterator[tuple[str, bytes | None]]:
        """What is heard: the channel and its message, or None when a channel begins to be heard. Raises `StreamUnavailable`."""
        try:
            async for message in self._channels.listen():
                if message["type"] == "message":
                    yield message["channel"].decode(), message["data"]
                elif message["type"] == "subscribe":
                    yield message["channel"].decode(), None
        except _faults() as error:
            raise _unavailable(error) from error

    async def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(*_faults()):
            await self._channels.aclose()
        await _shut(self._client)


async def _open(url: str, *, single: bool) -> _Client:
    # The import takes a third of a second: the loop goes on meanwhile.
    redis = await asyncio.to_thread(importlib.import_module, "redis.asyncio")
    retry = importlib.import_module("redis.asyncio.retry").Retry
    backoff = importlib.import_module("redis.backoff").NoBackoff
    client = redis.Redis.from_url(
        url,
        protocol=2,
        retry=retry(backoff(), 0),
        socket_timeout=None,
        socket_connect_timeout=_CONNECT_SECONDS,
        **({} if url.startswith("unix:") else {"socket_keepalive": True}),
        single_connection_client=single,
    )
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            await client.initialize()
    except BaseException:
        await _shut(client)
        raise
    return client


async def _shut(client: _Client) -> None:
    with contextlib.suppress(*_faults()):
        await client.aclose(close_connection_pool=True)


def _faults() -> tuple[type[Exception], ...]:
    # Asked for only once something failed, so redis-py is imported by then, or was never needed.
    return (importlib.import_module("redis.exceptions").RedisError, StreamUnavailable, OSError, TimeoutError, RuntimeError)


def _unavailable(error: Exception) -> StreamUnavailable:
    if isinstance(error, StreamUnavailable):
        return error
    return StreamUnavailable(f"Redis does not answer: {error}.", hint=_HINT)
