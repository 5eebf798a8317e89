"""A Redis Cluster: each run's keys are in one slot, and each slot at one node at a time.

A map of our own over plain connections: redis-py's cluster client packs every command in Python and knows nothing of calls that must
neither be lost nor done twice. What is said to a node goes in one write; nodes are spoken to side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from agentflow.errors import StreamUnavailable
from agentflow.streams.address import Address
from agentflow.streams.ears import Handler, Listener
from agentflow.streams.health import Health
from agentflow.streams.slots import Map, Node, Tags, slot_of
from agentflow.streams.wire import Job, Script, Wire, unavailable

_HOPS = 4


class Cluster:
    """A network whose places are slots."""

    def __init__(self, address: Address) -> None:
        self._map = Map(address)

    def link(self, *, patient: bool) -> ClusterLink:
        """Connections for commands, one to each node."""
        return ClusterLink(self._map, patient=patient)

    def channels(self, silence: float) -> ClusterChannels:
        """Connections for channels, one to each node."""
        return ClusterChannels(self._map, silence)

    def on_back(self, callback: Callable[[float], None]) -> None:
        """Call `callback` with the seconds that a node was away, whenever one is back."""
        self._map.on_back(callback)

    async def close(self) -> None:
        """Look after the nodes no more."""
        await self._map.close()


class ClusterLink:
    """A wire to each node."""

    sharded = True

    def __init__(self, map: Map, *, patient: bool) -> None:
        self._map = map
        self._patient = patient
        self._tags = Tags()
        self._wires: dict[Node, Wire] = {}
        self._closing: set[asyncio.Task[None]] = set()
        map.on_change(self._close_left)

    def place(self, run_id: str) -> int:
        """The slot of a run."""
        return slot_of(run_id)

    def any_place(self) -> int:
        """A slot of a node that is not known to be away."""
        return next((slot for slot in range(0, 16_384, 64) if self._map.health_of(slot).fault is None), 0)

    def health(self, place: int | None) -> Health:
        """Of the node that has a slot now."""
        return self._map.health_of(place or 0)

    def key(self, name: str, place: int | None) -> str:
        """A key in a slot."""
        return f"af:{{{self._tags.of(place or 0)}}}:{name}"

    async def ask(self, place: int | None, *command: Any) -> Any:
        """Send a command about keys of a slot. Raises `StreamUnavailable`."""
        [reply] = await self._all([(place or 0, command)])
        if isinstance(reply, StreamUnavailable):
            raise reply
        return reply

    async def work(self, script: Script, jobs: Sequence[Job]) -> list[Any]:
        """Run a script for each job, whose keys are in one slot each."""
        replies = await self._all([(job.place or 0, job.by_digest(script)) for job in jobs])
        unknown = [at for at, reply in enumerate(replies) if reply is _UNKNOWN]
        if unknown:
            again = await self._all([(jobs[at].place or 0, jobs[at].by_source(script)) for at in unknown])
            for at, reply in zip(unknown, again, strict=True):
                replies[at] = reply
        return replies

    async def close(self) -> None:
        """Close all connections."""
        wires, self._wires = self._wires, {}
        await asyncio.gather(*(wire.close() for wire in wires.values()), *self._closing)

    async def _all(self, wanted: Sequence[tuple[int, Sequence[Any]]]) -> list[Any]:
        """The replies, or what kept a command from being done; goes after slots that have moved."""
        replies: list[Any] = [None] * len(wanted)
        left = list(range(len(wanted)))
        for _ in range(_HOPS):
            nodes = await self._sorted(wanted, left, replies)
            await asyncio.gather(*(self._one(node, wanted, at, replies) for node, at in nodes.items()))
            left = [at for places in nodes.values() for at in places if replies[at] is _MOVED]
            if not left:
                return replies
        for at in left:
            replies[at] = StreamUnavailable("A slot of the cluster moves to and fro.", hint="It is tried again.")
        return replies

    async def _sorted(self, wanted: Sequence[tuple[int, Sequence[Any]]], left: list[int], replies: list[Any]) -> dict[Node, list[int]]:
        if not self._map.known:
            try:
                if not self._patient:
                    self._map.health.check()
                await self._map.refresh()
            except StreamUnavailable as error:
                for at in left:
                    replies[at] = error
                return {}
        nodes: dict[Node, list[int]] = {}
        for at in left:
            owner = self._map.owner(wanted[at][0])
            if owner is not None:
                nodes.setdefault(owner, []).append(at)
            else:
                self._map.suspect()
                replies[at] = StreamUnavailable(f"No node of the cluster has slot {wanted[at][0]}.", hint="Check CLUSTER INFO.")
        return nodes

    async def _one(self, node: Node, wanted: Sequence[tuple[int, Sequence[Any]]], places: list[int], replies: list[Any]) -> None:
        try:
            said: list[Any] = await self._wire(node).pipe([wanted[at][1] for at in places])
        except StreamUnavailable as error:
            self._map.suspect()
            said = [error] * len(places)
        for at, reply in zip(places, said, strict=True):
            refused = isinstance(reply, Exception)
            replies[at] = await self._understood(wanted[at], reply) if refused else reply

    async def _understood(self, wanted: tuple[int, Sequence[Any]], refusal: Exception) -> Any:
        slot, command = wanted
        said: Any = refusal
        match type(refusal).__name__:
            case "MovedError":
                self._map.moved(slot, said.node_addr)
                return _MOVED
            case "AskError":
                return await self._asking(self._map.node(said.node_addr), command)
            case "NoScriptError":
                return _UNKNOWN
            case _:
                self._map.suspect()
                return unavailable(refusal)

    async def _asking(self, node: Node, command: Sequence[Any]) -> Any:
        """The slot is on its way to this node, which takes commands about it only when asked so."""
        try:
            _, reply = await self._wire(node).pipe([("ASKING",), command])
        except StreamUnavailable as error:
            return error
        if type(reply).__name__ == "NoScriptError":
            return _UNKNOWN
        if isinstance(reply, Exception):
            return unavailable(reply)
        return reply

    def _wire(self, node: Node) -> Wire:
        wire = self._wires.get(node)
        if wire is None:
            wire = self._wires[node] = Wire(node.endpoint, node.health, patient=self._patient)
        return wire

    def _close_left(self) -> None:
        for node in [node for node in self._wires if node not in self._map.nodes]:
            closing = asyncio.create_task(self._wires.pop(node).close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


_MOVED = object()
_UNKNOWN = object()


class ClusterChannels:
    """A subscriber at each node: of a run's channel where its slot is, of all others anywhere, for those are told to every node."""

    def __init__(self, map: Map, silence: float) -> None:
        self._map = map
        self._silence = silence
        self._handlers: dict[str, Handler] = {}
        self._placed: dict[str, Listener] = {}
        self._listeners: dict[Node, Listener] = {}
        self._anywhere = Listener(_Anywhere(map), map.health, silence=silence)
        self._closing: set[asyncio.Task[None]] = set()
        map.on_change(self._place_all)

    def add(self, channel: str, handler: Handler) -> None:
        """Hear a channel."""
        if "{" not in channel:
            self._anywhere.add(channel, handler)
            return
        self._handlers[channel] = handler
        self._place(channel)

    def remove(self, channel: str) -> None:
        """Hear it no more."""
        self._handlers.pop(channel, None)
        self._placed.pop(channel, self._anywhere).remove(channel)

    async def close(self) -> None:
        """Stop listening."""
        await asyncio.gather(self._anywhere.close(), *(one.close() for one in self._listeners.values()), *self._closing)

    def _place(self, channel: str) -> None:
        node = self._map.owner(slot_of(channel.partition("{")[2].partition("}")[0]))
        if node is None:
            # Where it is will be known after the next look.
            self._map.suspect()
            return
        listener = self._listeners.get(node)
        if listener is None:
            listener = Listener(node.endpoint, node.health, silence=self._silence, sharded=True, on_fault=self._map.suspect)
            self._listeners[node] = listener
        before = self._placed.get(channel)
        if before is not listener:
            if before is not None:
                before.remove(channel)
            self._placed[channel] = listener
            listener.add(channel, self._handlers[channel])

    def _place_all(self) -> None:
        for channel in self._handlers:
            self._place(channel)
        for node in [node for node in self._listeners if node not in self._map.nodes]:
            closing = asyncio.create_task(self._listeners.pop(node).close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


class _Anywhere:
    """Some node that should be up."""

    mode = "cluster"
    generation = 0

    def __init__(self, map: Map) -> None:
        self._map = map

    async def url(self) -> str:
        await self._map.refresh()
        for node in self._map.nodes:
            if node.health.fault is None:
                return await node.endpoint.url()
        raise StreamUnavailable("No node of the cluster answers.", hint="Check that it runs.")

    async def close(self) -> None:
        return None
