"""`app.audit`: read and check what was done about questions."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from agentflow.database.port import Database
from agentflow.errors import StorageError
from agentflow.storage import audit
from agentflow.storage.audit import Chain, Head, Verdict

_log = logging.getLogger("agentflow.app")
_PAGE = 500


class Audit:
    """Who decided, and who did what else about questions: a chain of entries, each with the hash of the one before."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sealing: asyncio.Task[None] | None = None

    def poke(self) -> None:
        """Seal what was written, soon: in one transaction for all that is written until then."""
        if self._sealing is None or self._sealing.done():
            self._sealing = asyncio.get_running_loop().create_task(self._seal())

    async def _seal(self) -> None:
        try:
            await self.seal()
        except StorageError as error:
            _log.warning("the audit is sealed later: %s", error)

    async def seal(self) -> None:
        """Seal all that was written until now."""
        while await self._database.transact(audit.seal()):
            pass

    async def entries(self, *, after: int = 0, type: str | None = None, limit: int = 1_000) -> list[dict[str, Any]]:
        """Entries after number `after`, in order.

        `type` is decision, answer, timeout, cancel, supersede, reassign, remind, escalate, link, lock or grant.
        """
        await self.seal()
        return await self._database.read(audit.page(after, type, limit))

    async def head(self) -> Head:
        """Where the chain ends: how many entries it has, and the hash of the last."""
        return await self._database.read(audit.head())

    async def verify(self, expected: Head | None = None) -> Verdict:
        """Whether nothing was changed, taken out, put in or moved; `expected` is a head that was kept elsewhere.

        What is stored says by itself only that much: whoever may write to the database can make a whole new chain.
        """
        await self.seal()
        head = await self._database.read(audit.head())
        chain, after = Chain(head, *(() if expected is None else (expected,))), 0
        while page := await self._database.read(audit.page(after, None, _PAGE)):
            for entry in page:
                chain.add(entry)
            after = page[-1]["seq"]
        return chain.verdict()

    async def close(self) -> None:
        """Let what is under way end."""
        if self._sealing is not None:
            await asyncio.gather(self._sealing, return_exceptions=True)
