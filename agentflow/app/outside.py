"""The versions of prompts for code that is in no run: what is live; where the registry cannot be read, what was, or what the code has."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from hashlib import sha256

from agentflow.clock import SECOND, Clock
from agentflow.database.port import Database
from agentflow.errors import AgentflowError, PromptError, RegistryUnreadable, StorageError, VersionNotFound, VersionRevoked
from agentflow.serde import dumps
from agentflow.storage import fallbacks, pins
from agentflow.storage.fallbacks import Tally
from agentflow.storage.pins import Held, Wanted

Key = tuple[str, str, str | None, bytes]
_PATIENCE = 2.0
"""Seconds that a call waits for a registry where there is something else to go by."""
_REST = 15 * SECOND
"""Microseconds for which a registry that could not be reached is left alone."""
_REMEMBERED = 1_000
_DAMAGED = (RegistryUnreadable, VersionNotFound)
_log = logging.getLogger("agentflow.prompts")


class Outside:
    """What code outside of runs asks for. What it went by instead is told as events once the registry is back."""

    def __init__(self, database: Database, clock: Clock, environment: str) -> None:
        self._database = database
        self._clock = clock
        self._environment = environment
        self._tally = Tally()
        self._last: OrderedDict[Key, Held] = OrderedDict()
        self._by: dict[tuple[str, str], tuple[str, ...]] = {}
        self._rests_until = 0

    async def live(self, wanted: Wanted) -> Held | None:
        """The version that holds; None for the code's own. Raises `VersionRevoked`, and `PromptError` for who has or wants no other."""
        own, now = wanted.own, self._clock.now()
        insists = wanted.version is not None or wanted.override is not None
        if own is None or insists:
            return await self._database.read(pins.live(wanted, self._environment, now))
        if now < self._rests_until:
            return self._instead(wanted, own.hash, "unreachable", now)
        try:
            async with asyncio.timeout(_PATIENCE):
                held = await self._database.read(pins.live(wanted, self._environment, now))
        except (TimeoutError, StorageError) as error:
            self._rests_until = now + _REST
            return self._instead(wanted, own.hash, _reason(error), now)
        except VersionRevoked:
            # An answer: what held before holds no more.
            self._last.pop(self._key(wanted), None)
            raise
        except PromptError as error:
            if not isinstance(error, _DAMAGED):
                self._last.pop(self._key(wanted), None)
            held = self._instead(wanted, own.hash, _reason(error), now)
        else:
            self._remember(wanted, held)
        await self._tell(now)
        return held

    def _key(self, wanted: Wanted) -> Key:
        """Who gets the same: of the variables only those count that the last rollout asked for."""
        told = [wanted.variables.get(name) for name in self._by.get((wanted.prompt, wanted.label), ())]
        return wanted.prompt, wanted.label, wanted.sticky, sha256(dumps(told).encode()).digest() if told else b""

    def _remember(self, wanted: Wanted, held: Held) -> None:
        self._by[wanted.prompt, wanted.label] = held.by
        key = self._key(wanted)
        self._last[key] = held
        self._last.move_to_end(key)
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)

    def _instead(self, wanted: Wanted, hash: str, reason: str, now: int) -> Held | None:
        held = self._last.get(self._key(wanted))
        try:
            if held is not None:
                wanted.fits(held.body)
        except PromptError:
            held = None
        if self._tally.count(wanted.prompt, reason, hash if held is None else held.hash, now):
            _log.warning("%s goes by %s: %s", wanted.prompt, "the code's own version" if held is None else f"v{held.number}", reason)
        return held

    async def _tell(self, now: int) -> None:
        taken = self._tally.take()
        if not taken:
            return
        try:
            await self._database.transact(fallbacks.tell(taken, self._environment, "app", now))
        except StorageError as error:
            self._tally.give_back(taken)
            _log.warning("What prompts went by instead cannot be recorded yet: %s", error)


def _reason(error: BaseException) -> str:
    return f"{error.code}: {error.message}" if isinstance(error, AgentflowError) else "unreachable"
