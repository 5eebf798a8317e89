"""Guards of rollouts: one worker looks every minute at what versions do, and gives all to the baseline where one does worse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from agentflow.clock import SECOND, Clock
from agentflow.database.port import Database
from agentflow.errors import PromptError, StorageError
from agentflow.storage import guards, releases
from agentflow.storage.bindings import BindingRecord, Move
from agentflow.streams.log import PROMPTS, Streams

_log = logging.getLogger("agentflow.prompts")

BEGUN = "guards"
"""The signal that a rollout with guards was begun."""
ACTOR = "system:guard"
EVERY = 60 * SECOND
LEASE = 60 * SECOND
SELDOM = 300 * SECOND
"""How often somebody looks whether there is anything to guard, where no signal came."""


class Guarding:
    """Looks at rollouts, as long as there are any with guards."""

    def __init__(self, database: Database, streams: Streams, clock: Clock) -> None:
        self._database = database
        self._streams = streams
        self._clock = clock
        self._news = asyncio.Event()

    async def work(self, owner: Callable[[], str]) -> None:
        """Look for ever; `owner` is the id of this worker."""
        deaf = self._streams.on_signal(BEGUN, lambda _: self._news.set())
        try:
            while True:
                self._news.clear()
                await self._rest(await self._looked(owner()))
        finally:
            deaf()

    async def look(self, owner: str) -> bool:
        """Look once, unless another worker does or just did; returns whether there is anything to guard."""
        watched = await self._database.read(guards.watched())
        now = self._clock.now()
        if watched and await self._database.transact(guards.elect(owner, now + LEASE, now)):
            for one in watched:
                await self._tried(one, now)
            await self._database.transact(guards.dismiss(owner, now + EVERY, now))
        return bool(watched)

    async def _looked(self, owner: str) -> int:
        """When to look again."""
        try:
            every = EVERY if await self.look(owner) else SELDOM
        except StorageError as error:
            _log.warning("the guards broke off, they look again: %s", error)
            every = EVERY
        except Exception:  # noqa: BLE001 - an odd row must not end the guards of all others for good
            _log.exception("the guards broke off, they look again")
            every = EVERY
        return self._clock.now() + every

    async def _tried(self, one: BindingRecord, now: int) -> None:
        try:
            await self._watch(one, now)
        except Exception:  # noqa: BLE001 - an odd row must not end the guards of those after it
            _log.exception("The guards of %s under %s in %s broke off, they look again", one.prompt, one.label, one.env)

    async def _watch(self, one: BindingRecord, now: int) -> None:
        if one.rolled is None or one.rollout is None:
            return
        breach = await self._database.read(guards.look(one.rollout, one.rolled, now))
        if breach is None:
            return
        move = Move(prompt=one.prompt, env=one.env, label=one.label, actor=ACTOR, reason=str(breach), more={"guard": breach.told})
        try:
            moved = await self._database.transact(releases.breached(move, one.rollout, breach.guard.on_breach, now))
        except PromptError as error:
            _log.error("%s in %s: %s It cannot be taken back: %s", one.prompt, one.env, breach, error)
            return
        if moved is not None:
            self._streams.signal(PROMPTS, "")
            _log.warning("%s in %s: %s v%s takes all.", one.prompt, one.env, breach, moved.number)

    async def _rest(self, until: int) -> None:
        news, time = asyncio.ensure_future(self._news.wait()), asyncio.ensure_future(self._clock.sleep_until(until))
        try:
            await asyncio.wait({news, time}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            time.cancel()
