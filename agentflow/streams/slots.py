"""Which of a cluster's nodes has what: the slot of a run, and who has that slot now."""

from __future__ import annotations

import asyncio
import random
from binascii import crc_hqx
from collections.abc import Callable, Iterable
from typing import Any

from agentflow.errors import StreamUnavailable
from agentflow.streams.address import Address, Host
from agentflow.streams.health import Health
from agentflow.streams.wire import Remote, connect, knock, unavailable

SLOTS = 16_384
_ASKED_AT_ONCE = 3
_SOONEST = 0.1


def slot_of(tag: str) -> int:
    """The slot of a key with this hash tag."""
    return crc_hqx(tag.encode(), 0) % SLOTS


class Tags:
    """A short hash tag for each slot."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        self._tried = 0

    def of(self, slot: int) -> str:
        """The tag whose keys are in a slot."""
        while slot not in self._known:
            tag = f"{self._tried:x}"
            self._known.setdefault(slot_of(tag), tag)
            self._tried += 1
        return self._known[slot]


class Node:
    """A master of the cluster."""

    def __init__(self, host: Host, endpoint: Remote, knocks: Callable[[Node], Any]) -> None:
        self.host = host
        self.endpoint = endpoint
        self.health = Health(f"The Redis node {host[0]}:{host[1]}", lambda: knocks(self))


class Map:
    """Who has which slot, as far as known. It is asked for anew whenever something does not fit."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._nodes: dict[Host, Node] = {}
        self._owners: list[Node | None] = [None] * SLOTS
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = float("-inf")
        self._patched = False
        self._later: asyncio.TimerHandle | None = None
        self._changed: list[Callable[[], None]] = []
        self._back: list[Callable[[float], None]] = []
        self.health = Health(f"The Redis cluster at {address.shown}", self.refresh)

    @property
    def known(self) -> bool:
        """Whether anybody was ever asked."""
        return bool(self._nodes)

    @property
    def nodes(self) -> Iterable[Node]:
        """The masters that have slots."""
        return self._nodes.values()

    def owner(self, slot: int) -> Node | None:
        """Who has a slot; None while nobody is known to."""
        return self._owners[slot]

    def health_of(self, slot: int) -> Health:
        """The health of who has a slot; the cluster's own while nobody is known to."""
        owner = self._owners[slot]
        return self.health if owner is None else owner.health

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` when slots have other owners."""
        self._changed.append(callback)

    def on_back(self, callback: Callable[[float], None]) -> None:
        """Call `callback` when a node or the cluster is back."""
        self._back.append(callback)
        for health in (self.health, *(node.health for node in self.nodes)):
            health.on_back(callback)

    def moved(self, slot: int, host: Host) -> None:
        """A node says who has a slot."""
        self._owners[slot] = self.node(host)
        self._patched = True
        self.suspect()

    def node(self, host: Host) -> Node:
        """A node by its address."""
        node = self._nodes.get(host)
        if node is None:
            node = self._nodes[host] = Node(host, Remote(self._address.server(host), "cluster"), self._knock)
            for callback in self._back:
                node.health.on_back(callback)
        return node

    def suspect(self) -> None:
        """Something does not fit: look again, beside whatever goes on."""
        loop = asyncio.get_running_loop()
        if self._asking is None and loop.time() - self._asked_at >= _SOONEST:
            self._ask()
        elif self._later is None:
            self._later = loop.call_later(_SOONEST, self._suspect_again)

    def _suspect_again(self) -> None:
        self._later = None
        self.suspect()

    async def refresh(self) -> None:
        """Look again. Raises `StreamUnavailable` when no node answers."""
        await asyncio.shield(self._asking or self._ask())

    async def close(self) -> None:
        """Look no more."""
        if self._later is not None:
            self._later.cancel()
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        for health in (self.health, *(node.health for node in self.nodes)):
            await health.close()

    def _ask(self) -> asyncio.Task[None]:
        self._asked_at = asyncio.get_running_loop().time()
        asking = self._asking = asyncio.create_task(self._look(), name="agentflow-streams-map")
        asking.add_done_callback(self._asked)
        return asking

    def _asked(self, asking: asyncio.Task[None]) -> None:
        self._asking = None
        error = None if asking.cancelled() else asking.exception()
        if isinstance(error, StreamUnavailable):
            self.health.lost(error)
        elif error is None and not asking.cancelled():
            self.health.found()

    async def _look(self) -> None:
        up = [node.host for node in self.nodes if node.health.fault is None]
        random.shuffle(up)
        rest = dict.fromkeys([*up[_ASKED_AT_ONCE:], *self._nodes, *self._address.hosts])
        errors: list[str] = []
        for hosts in (up[:_ASKED_AT_ONCE], [host for host in rest if host not in up[:_ASKED_AT_ONCE]]):
            found = await self._first_answer(hosts, errors)
            if found is not None:
                self._take(*found)
                return
        raise StreamUnavailable(
            f"No node of the cluster answers ({'; '.join(errors[-3:])}).",
            hint="Check that it runs and that redis= names some of its nodes.",
        )

    async def _first_answer(self, hosts: list[Host], errors: list[str]) -> tuple[Host, list[Any]] | None:
        asking = [asyncio.create_task(self._slots(host)) for host in hosts]
        try:
            for answer in asyncio.as_completed(asking):
                try:
                    return await answer
                except StreamUnavailable as error:
                    errors.append(str(error))
        finally:
            for one in asking:
                one.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        return None

    async def _slots(self, host: Host) -> tuple[Host, list[Any]]:
        connection = await connect(Remote(self._address.server(host), "cluster"))
        try:
            await connection.send([("CLUSTER", "SLOTS")])
            said = await connection.reply()
        finally:
            await connection.close()
        if isinstance(said, Exception):
            raise unavailable(said)
        if not said:
            raise StreamUnavailable(f"{host[0]}:{host[1]} knows of no slots.", hint="Has the cluster been created?")
        return host, said

    def _take(self, asked: Host, ranges: list[Any]) -> None:
        owners: list[Node | None] = [None] * SLOTS
        for first, last, master, *_ in ranges:
            # A node that does not know its own name means itself.
            node = self.node(((master[0] or b"").decode() or asked[0], int(master[1])))
            owners[first : last + 1] = [node] * (last + 1 - first)
        changed = self._patched or owners != self._owners
        self._patched = False
        self._owners = owners
        left = [node for node in self._nodes.values() if node not in owners]
        for node in left:
            del self._nodes[node.host]
            node.health.found("is not asked any more: another node has its part,")
        if changed or left:
            for callback in tuple(self._changed):
                callback()

    async def _knock(self, node: Node) -> None:
        await self.refresh()
        if self._nodes.get(node.host) is node:
            await knock(node.endpoint)
