"""The master that sentinels name. They are asked at every connect, so a failover is followed by the next call.

They also tell when it has changed: a master that is replaced without being dead takes writes for some seconds more, which are lost.
"""

from __future__ import annotations

import asyncio

from agentflow.errors import StreamUnavailable
from agentflow.streams.address import Address, Host
from agentflow.streams.ears import Listener
from agentflow.streams.health import Health
from agentflow.streams.wire import Remote, connect, knock, unavailable

_SILENCE = 5.0
_PATIENCE = 1.0
"""Seconds that a sentinel gets to answer before the next one is asked."""


class Sentinels:
    """The sentinels of a URL, as an endpoint: its URL is that of the master they know now."""

    mode = "standalone"

    def __init__(self, address: Address) -> None:
        self._address = address
        self._hosts = list(address.hosts)
        self._master: Host | None = None
        self.generation = 0
        watcher = _Watcher(self)
        self._health = Health(f"A sentinel of {address.shown}", lambda: knock(watcher))
        self._listener = Listener(watcher, self._health, silence=_SILENCE)
        self._listening = False

    @property
    def watcher(self) -> str:
        """The URL of the sentinel to listen to."""
        return self._address.watcher(self._hosts[0])

    async def url(self) -> str:
        if not self._listening:
            self._listening = True
            self._listener.add("+switch-master", self._switched)
        failures: list[str] = []
        for host in tuple(self._hosts):
            try:
                async with asyncio.timeout(_PATIENCE):
                    master = await self._ask(host)
            except (StreamUnavailable, TimeoutError) as error:
                failures.append(f"{host[0]}:{host[1]}: {error if str(error) else 'no answer in time'}")
                continue
            # The one that answered is asked first the next time.
            self._hosts.remove(host)
            self._hosts.insert(0, host)
            self._master = master
            return self._address.server(master)
        raise StreamUnavailable(
            f"No sentinel names a master {self._address.master!r} ({'; '.join(failures)}).",
            hint="Check the sentinels and the name of the master in redis=; runs go on meanwhile.",
        )

    async def close(self) -> None:
        await self._listener.close()
        await self._health.close()

    def turn(self) -> None:
        """Let the next sentinel be the first."""
        self._hosts.append(self._hosts.pop(0))

    def _switched(self, said: bytes | None) -> None:
        words = (said or b"").decode().split()
        if len(words) == 5 and words[0] == self._address.master and self._master != (words[3], int(words[4])):
            self.generation += 1

    async def _ask(self, host: Host) -> Host:
        connection = await connect(Remote(self._address.watcher(host), "sentinel"))
        try:
            await connection.send([("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._address.master)])
            named = await connection.reply()
        finally:
            await connection.close()
        if isinstance(named, Exception):
            raise unavailable(named)
        if named is None:
            raise StreamUnavailable(f"It knows no master {self._address.master!r}.")
        return named[0].decode(), int(named[1])


class _Watcher:
    """The sentinel to listen to, another one at each connect: the last may be the one that is away."""

    mode = "sentinel"
    generation = 0

    def __init__(self, sentinels: Sentinels) -> None:
        self._sentinels = sentinels

    async def url(self) -> str:
        self._sentinels.turn()
        return self._sentinels.watcher

    async def close(self) -> None:
        return None
