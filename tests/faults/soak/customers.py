"""Who starts runs, answers approvals and cancels, from two processes' worth of clients at once, and remembers what it was told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from agentflow import Agentflow
from agentflow.errors import StorageError, WaitpointAlreadyAnswered, WaitpointTimedOut
from agentflow.records import WaitpointRecord
from tests.faults.soak.workload import Order, pause

T = TypeVar("T")
PATIENCE = 60.0


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """What a call returns once the database is there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await call()
            except StorageError:
                await pause(0.1)


@dataclass
class Memory:
    """What clients were told. `placed`: the ids of the runs of each key; `answers`: who was told that their yes or no counts."""

    placed: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    orders: dict[str, Order] = field(default_factory=dict[str, Order])
    answers: dict[str, list[tuple[str, bool]]] = field(default_factory=dict[str, list[tuple[str, bool]]])
    twice: int = 0
    refused: int = 0
    late: int = 0
    cancelled: set[str] = field(default_factory=set[str])


class Customers:
    """Clients under fault."""

    def __init__(self, seed: int, clients: Sequence[Agentflow], placed: Callable[[str], None]) -> None:
        self.memory = Memory()
        self._seed = seed
        self._clients = clients
        self._placed = placed
        self._seen: set[str] = set()

    async def order(self, orders: Sequence[Order], began: float) -> None:
        """Start every run at its time."""
        async with asyncio.TaskGroup() as group:
            for one in orders:
                await pause(max(0.0, began + one.at - asyncio.get_running_loop().time()))
                group.create_task(self._place(one))

    async def attend(self) -> None:
        """Answer whoever asks, for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                for one in await insist(lambda: self._clients[0].waitpoints.list(kind="approval", limit=1_000)):
                    if one.id not in self._seen:
                        self._seen.add(one.id)
                        group.create_task(self._decide(one, random.Random(f"{self._seed}/answers/{len(self._seen)}")))
                await pause(0.1)

    async def _place(self, order: Order) -> None:
        chance = random.Random(f"{self._seed}/{order.key}")
        clients = self._clients if chance.random() < 0.4 else [chance.choice(self._clients)]
        self.memory.twice += len(clients) - 1
        self.memory.orders[order.key] = order
        found = await asyncio.gather(*(insist(lambda client=client: self._start(client, order)) for client in clients))
        self.memory.placed[order.key] = set(found)
        self._placed(found[0])
        if order.cancel is not None:
            await pause(order.cancel)
            await insist(lambda: chance.choice(self._clients).runs.cancel(found[0]))
            self.memory.cancelled.add(found[0])

    async def _start(self, client: Agentflow, order: Order) -> str:
        return (await client.start_json(order.kind, order.payload, {"idempotency_key": order.key})).id

    async def _decide(self, one: WaitpointRecord, chance: random.Random) -> None:
        await pause(8.0 if one.due_at is not None and chance.random() < 0.4 else chance.uniform(0, 2))
        yes, clients = chance.random() < 0.75, list(enumerate(self._clients))
        if chance.random() < 0.3:
            self.memory.twice += 1
            await asyncio.gather(*(self._answer(one.id, number, client, yes ^ bool(number)) for number, client in clients))
        else:
            await self._answer(one.id, *chance.choice(clients), yes)

    async def _answer(self, waitpoint: str, number: int, client: Agentflow, yes: bool) -> None:
        by = f"client {number}"
        say = client.waitpoints.approve if yes else client.waitpoints.deny
        try:
            await insist(lambda: say(waitpoint, by=by))
        except WaitpointAlreadyAnswered:
            self.memory.refused += 1
        except WaitpointTimedOut:
            self.memory.late += 1
        else:
            self.memory.answers.setdefault(waitpoint, []).append((by, yes))
