"""How readers and writers reach the keys of a run, wherever these live."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from agentflow.errors import StreamUnavailable
from agentflow.streams.address import read_address
from agentflow.streams.ears import Handler, Listener
from agentflow.streams.embedded import EmbeddedServer
from agentflow.streams.health import Health
from agentflow.streams.sentinels import Sentinels
from agentflow.streams.wire import Endpoint, Job, Remote, Script, Wire, knock, unavailable


class Link(Protocol):
    """Connections for commands. A place is where keys that may be named in one command live together."""

    sharded: bool
    """Whether channels are heard and spoken to at the place of their run only."""

    def place(self, run_id: str) -> int | None:
        """Where the keys of a run live."""
        ...

    def any_place(self) -> int | None:
        """A place that should be up."""
        ...

    def health(self, place: int | None) -> Health:
        """Of the server that has a place now."""
        ...

    def key(self, name: str, place: int | None) -> str:
        """A key of this name at a place."""
        ...

    async def ask(self, place: int | None, *command: Any) -> Any:
        """Send a command about keys of a place, return its reply. Raises `StreamUnavailable`."""
        ...

    async def work(self, script: Script, jobs: Sequence[Job]) -> list[Any]:
        """Run a script for each job; returns each one's reply, or the `StreamUnavailable` that kept it from being done."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Channels(Protocol):
    """The subscriber of a process."""

    def add(self, channel: str, handler: Handler) -> None:
        """Hear a channel."""
        ...

    def remove(self, channel: str) -> None:
        """Hear it no more."""
        ...

    async def close(self) -> None:
        """Stop listening."""
        ...


class Network(Protocol):
    """A Redis of some form."""

    def link(self, *, patient: bool) -> Link:
        """Connections for commands. With `patient`, calls find out themselves whether a server that was away is back."""
        ...

    def channels(self, silence: float) -> Channels:
        """Connections for channels; one that says nothing for `silence` seconds is asked whether it is still there."""
        ...

    def on_back(self, callback: Callable[[float], None]) -> None:
        """Call `callback` with the seconds that a server was away, whenever one is back."""
        ...

    async def close(self) -> None:
        """This process needs it no more."""
        ...


def network(url: str | None, directory: Path) -> Network:
    """The Redis of a URL, or the embedded one of a directory. Raises `ConfigurationError` for a URL that cannot be one. Does no I/O."""
    if url is None:
        return OneServer(EmbeddedServer(directory), f"The Redis of {directory}")
    address = read_address(url)
    if address.form == "cluster":
        from agentflow.streams.cluster import Cluster

        return Cluster(address)
    return OneServer(Sentinels(address) if address.form == "sentinel" else Remote(url), f"Redis at {address.shown}")


class OneServer:
    """A server that has it all: one alone, or the master of its replicas."""

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        self._endpoint = endpoint
        self._health = Health(name, lambda: knock(endpoint))

    def link(self, *, patient: bool) -> Link:
        return _Direct(Wire(self._endpoint, self._health, patient=patient), self._health)

    def channels(self, silence: float) -> Channels:
        return Listener(self._endpoint, self._health, silence=silence)

    def on_back(self, callback: Callable[[float], None]) -> None:
        self._health.on_back(callback)

    async def close(self) -> None:
        await self._health.close()
        await self._endpoint.close()


class _Direct:
    sharded = False

    def __init__(self, wire: Wire, health: Health) -> None:
        self._wire = wire
        self._health = health

    def place(self, run_id: str) -> None:
        return None

    def any_place(self) -> None:
        return None

    def health(self, place: int | None) -> Health:
        return self._health

    def key(self, name: str, place: int | None) -> str:
        return f"af:{name}"

    async def ask(self, place: int | None, *command: Any) -> Any:
        return await self._wire.call(*command)

    async def work(self, script: Script, jobs: Sequence[Job]) -> list[Any]:
        try:
            replies = await self._wire.run(script, jobs)
        except StreamUnavailable as error:
            return [error] * len(jobs)
        refused = [at for at, reply in enumerate(replies) if isinstance(reply, Exception)]
        if refused:
            # A replica now, or about to go: the next call connects to whoever is the master then.
            await self._wire.drop()
            for at in refused:
                replies[at] = unavailable(replies[at])
        return replies

    async def close(self) -> None:
        await self._wire.close()
