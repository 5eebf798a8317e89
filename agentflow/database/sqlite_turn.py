"""Fairness between the connections of a SQLite file.

SQLite keeps no queue for its write lock: a process that writes without pause leaves it free for microseconds, and others that try now
and then miss those for seconds. So who waits holds a shared lock on a file beside the database, and a busy writer looks there and pauses.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class WriteTurn:
    """One connection's sign to the others at the same file. On Windows nobody signs and nobody pauses."""

    def __init__(self, database: Path) -> None:
        # Never the database file itself: closing a descriptor of it would drop SQLite's own locks.
        self._file = os.open(f"{database}-turn", os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        self._asking = False

    def ask(self) -> None:
        """Tell the others that this connection waits, until `got`."""
        if not self._asking:
            self._asking = self._lock(exclusive=False)

    def got(self) -> None:
        """This connection waits no longer."""
        if self._asking:
            self._asking = False
            self._unlock()

    def wanted(self) -> bool:
        """Whether another connection waits. Only for one that does not wait itself."""
        if not self._lock(exclusive=True):
            return True
        self._unlock()
        return False

    def close(self) -> None:
        """Close the file, once; it stays, as others may use it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    if sys.platform != "win32":

        def _lock(self, *, exclusive: bool) -> bool:
            try:
                fcntl.flock(self._file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        def _unlock(self) -> None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    else:

        def _lock(self, *, exclusive: bool) -> bool:
            return exclusive

        def _unlock(self) -> None:
            pass
