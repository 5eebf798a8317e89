"""A run in a process of its own, as its worker holds it: started, spoken to, watched, and buried."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from agentflow.clock import SECOND, microseconds
from agentflow.control import LeaseLost
from agentflow.engine.deaths import Death, judge, limit_of
from agentflow.engine.executor import HANDED_BACK
from agentflow.engine.host import Services
from agentflow.engine.isolation import Isolation
from agentflow.engine.outcome import Failed, Retrying
from agentflow.engine.process import Process
from agentflow.engine.session import Session
from agentflow.engine.settling import Settling
from agentflow.engine.task import Task
from agentflow.records import RunRecord, RunState
from agentflow.storage import runs

_log = logging.getLogger("agentflow.engine")

TICK = 0.2
"""Seconds between looks at a process: what it takes, and whether its time is over."""

START = 120 * SECOND
"""How long a process may take to load the task's code."""

LEAVE = 10 * SECOND
"""How long a process may take to end once its run is out of its hands."""

HAND_BACK = 3 * SECOND
"""How long a process gets to hand its run back before it is killed and its worker does so."""

PAUSE = 10 * SECOND
"""How long a run waits when no process could be started for it."""


@dataclass(frozen=True, slots=True)
class Spawning:
    """How processes for isolated runs are made: the command, and what each of them is told of the installation."""

    command: tuple[str, ...]
    spec: Mapping[str, Any]


class Isolated:
    """A run whose code is in a child process, which works under this worker's lease. The slot is held until the process is gone."""

    def __init__(
        self, services: Services, run: RunRecord, task: Task[..., Any], spawning: Spawning, on_end: Callable[[RunRecord], None]
    ) -> None:
        self.session = Session(services, run, task.code)
        self.gone = False
        self._services = services
        self._task = task
        self._isolation = task.options.isolation or Isolation()
        self._limit = limit_of(self._isolation, run)
        self._settling = Settling(services, self.session, task)
        self._spawning = spawning
        self._on_end = on_end
        self._grace = min(microseconds(self._isolation.kill_after), services.cancel_grace)
        self._process: Process | None = None
        self._deadlines: dict[str, int] = {}
        self._killed: str | None = None
        self._seen = 0
        self._words: dict[str, Any] = {}
        self._handing_back = False
        self.life = asyncio.get_running_loop().create_task(self._run(), context=Context())

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.session.run.id

    @property
    def epoch(self) -> int:
        """The lease under which it works."""
        return self.session.epoch

    # -- what the worker asks ------------------------------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Something woke the run while it works: have its process see what has ended."""
        self._tell({"woken": True})

    def cancel(self, reason: str) -> None:
        """Have its code cancelled; after the grace time the process is killed."""
        if self.session.ask_cancel(reason):
            self._tell({"cancel": reason})
            self._expect("cancel", self._grace)

    def lose(self) -> None:
        """The lease is gone: nothing that its process does counts any more."""
        self.session.latch(LeaseLost(self.run_id))
        self.session.closed = True
        if "left" not in self._words:
            self._kill("lost")

    async def hand_back(self) -> None:
        """The worker shuts down: the run goes back to its queue, and the process ends."""
        self._handing_back = True
        self._tell({"hand_back": True})
        self._expect("hand_back", HAND_BACK)
        await asyncio.wait({self.life})

    # -- its life ------------------------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            process = await self._start()
            if process is not None:
                await self._watch(process)
                await self._bury(process.ended.result())
        except LeaseLost:
            pass
        except Exception:  # noqa: BLE001 - a defect here must not take the worker down with it
            _log.exception("%s: the engine failed; the run is recovered, and given up after too many such ends", self.run_id)
        finally:
            if self._process is not None:
                self._kill("left")
                self._process.close()
            self.gone = True
            self._services.host.left(self)

    async def _start(self) -> Process | None:
        try:
            process = self._process = await Process.start(self._spawning.command, self._spec())
        except OSError as error:
            await self._put_off(str(error))
            return None
        self._expect("start", START)
        if self.session.closed:
            self._kill("lost")
        reason = self.session.run.cancel_reason
        if reason is not None:
            self.cancel(reason)
        elif self.session.cancel_reason is not None:
            self._tell({"cancel": self.session.cancel_reason})
        return process

    def _spec(self) -> dict[str, Any]:
        module = self._task.function.__module__
        return {
            **self._spawning.spec,
            "parent": os.getpid(),
            "path": sys.path,
            "task": self._task.name,
            "module": {"name": module, "file": getattr(sys.modules.get(module), "__file__", None)},
            "run": self.run_id,
            "epoch": self.epoch,
            "limit": self._limit,
            "grace": self._grace,
            "public_url": self._services.public_url,
            "environment": self._services.environment,
            "channels": sorted(self._services.channels),
            "max_open_questions": self._services.max_open_questions,
        }

    async def _watch(self, process: Process) -> None:
        listening = asyncio.ensure_future(self._listen(process))
        try:
            while not (await asyncio.wait({process.ended}, timeout=TICK))[0]:
                self._check(process)
            # Nobody of its group keeps the line open, so what it said last is heard at once.
            process.kill()
            await asyncio.wait({listening}, timeout=1)
        finally:
            listening.cancel()

    async def _listen(self, process: Process) -> None:
        async for words in process.words():
            self._words |= words
            if "up" in words:
                self._deadlines.pop("start", None)
                self._limit_duration()
            if "left" in words:
                self._expect("left", LEAVE)

    def _limit_duration(self) -> None:
        # It works from now on: what its start took does not count.
        self.session.take(self.session.run)
        longest = self._task.options.max_duration
        if longest is not None:
            self._expect("timeout", longest - self.session.run.active + self._grace)

    def _expect(self, what: str, within: int) -> None:
        self._deadlines.setdefault(what, self._services.clock.now() + within)

    def _check(self, process: Process) -> None:
        taken, now = process.memory(), self._services.clock.now()
        self._seen = max(self._seen, taken)
        if self._limit is not None and taken > self._limit:
            self._kill("memory")
        for what, due in self._deadlines.items():
            if due <= now:
                self._kill(what)

    def _kill(self, why: str) -> None:
        process = self._process
        if process is not None and self._killed is None and not process.ended.done():
            self._killed = why
            process.kill()

    def _tell(self, words: Mapping[str, Any]) -> None:
        if self._process is not None:
            self._process.tell(words)

    # -- its end -------------------------------------------------------------------------------------------------------------------------

    async def _bury(self, code: int) -> None:
        """See whether the process has recorded how its run left it, and do so if it has not."""
        session = self.session
        run = await session.transact(lambda lease: runs.find(lease.run_id))
        if run is None or run.epoch != self.epoch or run.state is not RunState.RUNNING:
            if run is not None and run.epoch == self.epoch:
                self._on_end(run)
            return
        if run.cancel_reason is None and self._handing_back:
            await self._settling.hand_back(HANDED_BACK)
            return
        if run.cancel_reason is None and "unable" in self._words and "up" not in self._words:
            await self._put_off(self._words["unable"])
            return
        death = Death(code=code, killed=self._killed, words=self._words, limit=self._limit, seen=self._seen, cancelled=run.cancel_reason)
        outcome = judge(death, run, self._isolation, self._task.options.retry, self._services.clock.now())
        if isinstance(outcome, Failed | Retrying):
            _log.warning("%s: %s", self.run_id, outcome.error.message)
        await self._settling.settle(outcome)

    async def _put_off(self, why: str) -> None:
        """None of its code has begun, for no fault of its own: it is tried again later, and that costs no attempt."""
        _log.error("%s: no process could be started for it, trying again in %d s: %s", self.run_id, PAUSE // SECOND, why)
        ready_at = self._services.clock.now() + PAUSE
        await self._settling.hand_back(f"no process could be started for it: {why}", ready_at)
        self._services.host.hint(ready_at)
