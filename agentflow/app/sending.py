"""Sending messages into runs: from outside of runs, and from inside of one, where it is recorded."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agentflow.app.waking import Waking
from agentflow.clock import Clock
from agentflow.database.port import Database
from agentflow.engine.context import StepCall, StepOptions, current_step, recording
from agentflow.engine.inputs import checked
from agentflow.engine.maintenance import Maintenance
from agentflow.engine.task import Task
from agentflow.errors import StorageError
from agentflow.retry import Retry
from agentflow.serde import ANY, digest
from agentflow.storage import inputs, runs
from agentflow.storage.inputs import NewMessage, Sent

# The step has a key of its own for what it sends, so a try whose end nobody knows may be repeated.
_PATIENT = StepOptions(retry=Retry(attempts=20, initial=0.05, max="5s", on=StorageError))


class Sending:
    """Sends messages into input streams."""

    def __init__(
        self, database: Database, clock: Clock, waking: Waking, maintenance: Maintenance, tasks: Mapping[str, Task[..., Any]]
    ) -> None:
        self._database = database
        self._clock = clock
        self._waking = waking
        self._maintenance = maintenance
        self._tasks = tasks

    async def value(self, run_id: str, name: str, value: Any, key: str | None, sent_by: str | None) -> int:
        """Send a JSON value; it is checked where the code of the run is known. Returns its number in its stream."""
        run = await self._database.read(runs.get(run_id))
        text = checked(name, ANY.encode(value, what=f"a message for {name!r}"), known=run.task in self._tasks)
        return await self.message(run_id, NewMessage(name=name, data=text, key=key, sent_by=sent_by))

    async def message(self, run_id: str, message: NewMessage) -> int:
        """Send a message; inside of a run that is a step. Returns its number in its stream."""
        run = recording()
        if run is None:
            return await self._send(run_id, message)
        # Whatever name its code gives: it is said for those in whose name the run is.
        message = replace(message, sent_by=run.run_id)
        step = f"send.{message.name}"
        body = functools.partial(self._send_once, run_id, message)
        return await run.step(run.key(step), StepCall(step, body, ANY, digest((run_id, message.data)), _PATIENT))

    async def _send_once(self, run_id: str, message: NewMessage) -> int:
        return await self._send(run_id, replace(message, key=message.key or current_step().idempotency_key))

    async def _send(self, run_id: str, message: NewMessage) -> int:
        now = self._clock.now()
        sent = await self._waking.transact(run_id, lambda lessee: inputs.send(run_id, message, now, lessee), self._tell)
        return sent.seq

    def _tell(self, sent: Sent) -> None:
        for run in sent.runs:
            self._maintenance.announce(run)
