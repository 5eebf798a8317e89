"""A worker's lease: one row, renewed by a thread, so that code which blocks the event loop does not cost the runs."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentflow.clock import Clock
from agentflow.database.port import BlockingDatabase, Database
from agentflow.errors import StorageError
from agentflow.records import TaskRecord, WorkerRecord, new_id
from agentflow.storage import workers

_log = logging.getLogger("agentflow.engine")


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """How long a lease lasts and how often it is renewed, in microseconds."""

    length: int
    renew_every: int


class WorkerLease:
    """Keeps one worker on the list of the living. `on_lost` is called on the event loop when that fails for good."""

    def __init__(self, database: Database, clock: Clock, terms: LeaseTerms, on_lost: Callable[[], None]) -> None:
        self.worker_id = ""
        self.expires_at = 0
        self.claimed_at = 0
        self._database = database
        self._clock = clock
        self._terms = terms
        self._on_lost = on_lost
        self._blocking: BlockingDatabase | None = None
        self._renewing = threading.Lock()
        self._closing = False
        self._stop: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()

    async def take(self, slots: int, queues: Sequence[str], tasks: Sequence[TaskRecord], serves: Sequence[str]) -> str:
        """Register under a new id, which is returned, and begin to renew."""
        now = self._clock.now()
        self.worker_id = new_id("worker", now)
        self.claimed_at, self.expires_at = now, now + self._terms.length
        record = WorkerRecord(
            id=self.worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            slots=slots,
            queues=tuple(queues),
            tasks=tuple(serves),
            state="live",
            started_at=now,
            expires_at=self.expires_at,
            claimed_at=now,
        )
        await self._database.transact(workers.register(record, tasks, now))
        self._closing = False
        if self._blocking is None:
            self._blocking = self._database.blocking()
        self._stop = self._clock.beat(self._terms.renew_every, self.renew)
        return self.worker_id

    def renew(self) -> None:
        """Renew once, from whatever thread: a failure is made good by the next renewal, until the lease has ended."""
        with self._renewing:
            if self._blocking is not None and not self._closing:
                self._renew(self._blocking)
        self._close_unless_renewing()

    def _renew(self, blocking: BlockingDatabase) -> None:
        now = self._clock.now()
        until = now + self._terms.length
        try:
            held = blocking.transact(workers.renew(self.worker_id, until, self.claimed_at))
        except StorageError as error:
            _log.warning("%s could not renew its lease: %s", self.worker_id, error)
            held = now < self.expires_at
            until = self.expires_at
        if held:
            self.expires_at = until
            return
        _log.error("%s lost its lease: its runs go to other workers", self.worker_id)
        self.rest()
        self._loop.call_soon_threadsafe(self._on_lost)

    def rest(self) -> None:
        """Stop renewing."""
        if self._stop is not None:
            self._stop()
            self._stop = None

    async def release(self) -> None:
        """Leave the list of the living."""
        self.rest()
        await self._database.transact(workers.remove(self.worker_id))
        self.close()

    def close(self) -> None:
        """Stop renewing and close the thread's connection; the lease runs out by itself."""
        self.rest()
        self._closing = True
        self._close_unless_renewing()

    def _close_unless_renewing(self) -> None:
        # A renewal that is under way in the thread uses the connection, and closes it when it is done.
        if self._closing and self._renewing.acquire(blocking=False):
            try:
                blocking, self._blocking = self._blocking, None
                if blocking is not None:
                    blocking.close()
            finally:
                self._renewing.release()
