"""Doing what the schedule says."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from agentflow.clock import SECOND
from tests.faults.soak.clock import EVERYBODY, Offsets
from tests.faults.soak.fleet import Fleet
from tests.faults.soak.schedule import Fault
from tests.faults.soak.stores import Store
from tests.faults.soak.workload import pause
from tests.servers.proxy import Proxy
from tests.servers.valkey import ValkeyServer

NOTABLE = 1.0
"""Seconds that a fault may take longer than it was to, before that is told: servers are slow to start on a busy machine."""
UNHEARD = 0.03
"""Seconds before a cut in which answers are lost."""


@dataclass(frozen=True)
class Field:
    """All that can be hit: the workers and the wires of each, the stores, the clocks."""

    fleet: Fleet
    databases: Mapping[int, Proxy | None]
    streams: Mapping[int, Proxy]
    store: Store
    valkey: ValkeyServer
    offsets: Offsets


class Misfortune:
    """Does the faults of a schedule, each at its time, and undoes them."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self.done: Counter[str] = Counter()
        self._kinds: dict[str, Callable[[Fault], Awaitable[None]]] = {
            "kill": self._kill,
            "zombie": self._zombie,
            "drain": self._drain,
            "jump": self._jump,
            "leap": self._leap,
            "cut redis": self._cut_redis,
            "kill redis": self._kill_redis,
            "flush redis": self._flush_redis,
            "cut database": self._cut_database,
            "hold database": self._hold_database,
            "restart database": self._restart_database,
            "crash database": self._crash_database,
        }

    async def happen(self, schedule: Sequence[Fault], began: float) -> None:
        """Do them all; `began` is the loop's time at which the schedule began. Returns when the last one has ended."""
        async with asyncio.TaskGroup() as group:
            for fault in schedule:
                await pause(max(0.0, began + fault.at - asyncio.get_running_loop().time()))
                print(f"  {fault}", flush=True)
                group.create_task(self._one(fault))

    async def _one(self, fault: Fault) -> None:
        self.done[fault.kind] += 1
        began = asyncio.get_running_loop().time()
        await self._kinds[fault.kind](fault)
        longer = asyncio.get_running_loop().time() - began - fault.lasts
        if longer > NOTABLE:
            print(f"          {fault.kind} took {longer:.1f} s longer", flush=True)

    # -- workers -------------------------------------------------------------------------------------------------------------------------

    async def _kill(self, fault: Fault) -> None:
        self._field.fleet.signal(fault.worker, signal.SIGKILL)
        await pause(fault.lasts)
        await self._field.fleet.start(fault.worker)

    async def _zombie(self, fault: Fault) -> None:
        self._field.fleet.signal(fault.worker, signal.SIGSTOP)
        await pause(fault.lasts)
        self._field.fleet.signal(fault.worker, signal.SIGCONT)

    async def _drain(self, fault: Fault) -> None:
        """A deployment: it is asked to stop, and must be gone soon, whatever else goes wrong meanwhile."""
        fleet = self._field.fleet
        fleet.signal(fault.worker, signal.SIGTERM)
        await pause(fault.lasts)
        if fleet.alive(fault.worker):
            self.done["drains cut short"] += 1
            fleet.signal(fault.worker, signal.SIGKILL)
        await fleet.start(fault.worker)

    # -- time ----------------------------------------------------------------------------------------------------------------------------

    async def _jump(self, fault: Fault) -> None:
        self._field.offsets.set(fault.worker, int(fault.jump * SECOND))
        await pause(fault.lasts)
        self._field.offsets.set(fault.worker, 0)

    async def _leap(self, fault: Fault) -> None:
        self._field.offsets.set(EVERYBODY, self._field.offsets.at(EVERYBODY) + int(fault.jump * SECOND))

    # -- stores and the wires to them ----------------------------------------------------------------------------------------------------

    async def _cut(self, proxy: Proxy, seconds: float) -> None:
        """What was asked for last may have been done: its answer is lost."""
        proxy.refuse()
        proxy.swallow()
        await pause(UNHEARD)
        proxy.cut()
        await pause(seconds)
        proxy.accept()

    async def _cut_redis(self, fault: Fault) -> None:
        await self._cut(self._field.streams[fault.worker], fault.lasts)

    async def _cut_database(self, fault: Fault) -> None:
        proxy = self._field.databases[fault.worker]
        assert proxy is not None
        await self._cut(proxy, fault.lasts)

    async def _hold_database(self, fault: Fault) -> None:
        """A partition: what the worker wrote meanwhile arrives late, when its runs are others'."""
        proxy = self._field.databases[fault.worker]
        assert proxy is not None
        proxy.hold()
        await pause(fault.lasts)
        proxy.resume()

    async def _kill_redis(self, fault: Fault) -> None:
        await asyncio.to_thread(self._field.valkey.kill)
        await pause(fault.lasts)
        await asyncio.to_thread(self._field.valkey.start)

    async def _flush_redis(self, fault: Fault) -> None:
        await asyncio.to_thread(self._field.valkey.command, "FLUSHALL")

    async def _restart_database(self, fault: Fault) -> None:
        await self._field.store.restart(crash=False, seconds=fault.lasts)

    async def _crash_database(self, fault: Fault) -> None:
        await self._field.store.restart(crash=True, seconds=fault.lasts)
