"""PostgreSQL for a thread that has no event loop: the driver on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from agentflow.database.port import Database, T, Transaction
from agentflow.errors import StorageError


class BlockingPostgres:
    """Blocks the calling thread, whichever that is, for as long as the database that `make` opens has patience.

    Its loop and connection exist from the first call on. What the loop of the program does, or user code on it, does not hold it up.
    """

    def __init__(self, make: Callable[[], Database]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._database: Database | None = None
        self._closed = False

    def transact(self, transaction: Transaction[T]) -> T:
        """Run a transaction; return its value once it is durable. Raises `StorageError` within seconds when the server is away."""
        with self._lock:
            loop, database = self._open()
            return asyncio.run_coroutine_threadsafe(database.transact(transaction), loop).result()

    def close(self) -> None:
        """Close the connection; a second time does nothing."""
        with self._lock:
            self._closed = True
            loop, database, thread = self._loop, self._database, self._thread
            self._loop = self._database = self._thread = None
            if loop is None or database is None or thread is None:
                return
            asyncio.run_coroutine_threadsafe(database.close(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _open(self) -> tuple[asyncio.AbstractEventLoop, Database]:
        if self._closed:
            raise StorageError("The connection is closed.", hint="Open another one with `blocking()`.")
        if self._loop is None or self._database is None:
            self._loop, self._database = asyncio.new_event_loop(), self._make()
            self._thread = threading.Thread(target=self._loop.run_forever, name="agentflow-postgres", daemon=True)
            self._thread.start()
        return self._loop, self._database
