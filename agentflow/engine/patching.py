"""Changes of code that runs under way must not see."""

from __future__ import annotations

import asyncio

from agentflow.engine.calls import finishing
from agentflow.engine.context import recording, scope
from agentflow.engine.replay import Replay, patch_key
from agentflow.engine.session import Session
from agentflow.errors import DefinitionError, NotInRun
from agentflow.records import EntryKind
from agentflow.serde import dumps, loads


async def patch(name: str) -> bool:
    """Whether the run around this code takes the new way at a place where its code was changed; outside of a run it does.

    Decided when the run first comes to a patch of that name, and recorded: the same in every branch, at every replay and in every attempt.
    The new way is for a run that has nothing recorded ahead of it: everything that it has recorded or waits for, the code has asked for
    again by then. Whatever else may have come here before the change, so it goes the old way; also, to be safe, a run that recorded a step
    which its code no longer calls. Take the old way out of the code once no run that began before the change is active.

    `name` is unique in the task. Raises `NotInRun` inside of a step, and `DefinitionError` for an empty name.

        if await patch("faster-search"):
            hits = await search_index(query)
        else:
            hits = await search(query)
    """
    if not name.strip():
        raise DefinitionError("patch() needs a name.", hint='Write patch("faster-search"): each change has its own.')
    run = recording()
    if run is not None:
        return await run.patch(name)
    if scope.get() is not None:
        raise NotInRun("patch() was called inside a step.", hint="Ask in the task, between steps, and hand the answer to the step.")
    return True


class Patches:
    """The patches that one run in memory has come to."""

    def __init__(self, session: Session, replay: Replay) -> None:
        self._session = session
        self._replay = replay
        self._taken: dict[str, bool] = {}
        self._recorded: set[str] = set()
        self._recording = asyncio.Lock()

    async def taken(self, name: str) -> bool:
        """Whether the run takes the new way; decided at once, returned when it is recorded."""
        if name not in self._taken:
            found = self._replay.patched(name)
            self._taken[name] = not self._replay.unasked if found is None else bool(loads(found.value or "false"))
            if found is not None:
                self._recorded.add(name)
        if name not in self._recorded:
            await self._record(name)
        return self._taken[name]

    async def _record(self, name: str) -> None:
        """Record the decision, once for all branches that ask at the same time."""
        session = self._session
        await session.enter()
        try:
            async with self._recording:
                if name not in self._recorded:
                    await finishing(session.append(EntryKind.VALUE, patch_key(name), dumps(self._taken[name])))
                    self._recorded.add(name)
        finally:
            session.leave()
