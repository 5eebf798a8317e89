"""Would today's code go through what a run has recorded?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from logging import getLogger
from typing import Any, NoReturn
from uuid import UUID

from agentflow.clock import SECOND
from agentflow.control import ControlFlow, RunPaused
from agentflow.engine.branch import Branch, Tasks, branch
from agentflow.engine.context import CallbackAddress, ReceiveCall, StartCall, StepCall, WaitRequest, WaitResult, current
from agentflow.engine.racing import Winner
from agentflow.engine.receiving import received
from agentflow.engine.replay import Replay, is_patch
from agentflow.engine.task import Task
from agentflow.engine.tries import recorded
from agentflow.policy import Policy
from agentflow.records import EntryKind, JournalEntry, RunRecord, WaitKind, WaitpointRecord
from agentflow.serde import loads
from agentflow.storage.inputs import Message, is_given_back
from agentflow.storage.pins import Held, Wanted
from agentflow.storage.steering import said
from agentflow.storage.superseding import given_up


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found. `differs`: keys whose recorded input is not what the code asks now; `unasked`: records the code passed by."""

    differs: list[str] = field(default_factory=list[str])
    unasked: list[str] = field(default_factory=list[str])
    answered: int = 0

    @property
    def diverges(self) -> bool:
        """Whether a worker would pause this run, or leave records behind."""
        return bool(self.differs or self.unasked)


class _Frontier(ControlFlow):
    """The code asked for something that is not recorded: the replay is over."""


async def replay(
    task: Task[..., Any],
    run: RunRecord,
    journal: list[JournalEntry],
    waited: Sequence[WaitpointRecord] = (),
    before: Sequence[str] = (),
    bodies: Mapping[str, str] | None = None,
) -> ReplayReport:
    """Run the code of a task against what a run has recorded, `waited` its waitpoints; nothing is executed and nothing is written.

    `before` is what was said in its thread before it, as JSON texts; `bodies` are those of the versions of prompts that it holds, by hash.

    It ends where the record does: at a step that is not recorded, or a wait that has not ended.

    >>> report = await engine.replay(run)
    >>> assert not report.diverges, report
    """
    context = _DryContext(run, journal, waited, task.code, before)
    context.bodies = bodies or {}
    token, spot = current.set(context), branch.set(context.root)
    finished = False
    try:
        # What the code raises is its own business: only what it asked for counts.
        with suppress(_Frontier, Exception):
            await task.perform(run.input)
            finished = True
    finally:
        current.reset(token)
        branch.reset(spot)
    return context.report(finished)


class _DryContext:
    """A run's context that answers from the journal alone."""

    def __init__(
        self, run: RunRecord, journal: list[JournalEntry], waited: Sequence[WaitpointRecord], code: str, before: Sequence[str]
    ) -> None:
        self._run = run
        self._code = code
        self.waited = {one.key: one for one in sorted(waited, key=lambda one: one.attempt) if one.key and one.ended_at is not None}
        self._replay = Replay(journal, run.attempt, self.waited, (one.key for one in waited if one.key and one.ended_at is None))
        recorded = (EntryKind.RESULT, EntryKind.VALUE)
        # A patch that is taken out of the code again leaves its record behind, and that disturbs nobody.
        self._recorded = [entry.key for entry in journal if entry.kind in recorded and not is_patch(entry.key)]
        self._asked: list[str] = []
        self._differs: list[str] = []
        self.root = Branch("", Tasks())
        self.run_id, self.task, self.attempt, self.tags = run.id, run.task, run.attempt, run.tags
        self.bodies: Mapping[str, str] = {}
        self._held: dict[str, Held] = {}
        self.metadata: dict[str, Any] = loads(run.metadata)
        self.idempotency_key = run.idempotency_key or run.id
        self.replaying = True
        self.cancelled: str | None = None
        self.deadline: datetime | None = None
        self.started_by = run.started_by
        self.policy: Policy | None = None
        self.log: Any = getLogger("agentflow.replay")
        self.thread = None if run.thread is None else _DryThread(run.thread, self, before)

    def report(self, finished: bool) -> ReplayReport:
        passed = [key for key in self._recorded if key not in self._asked] if finished else []
        return ReplayReport(self._differs, passed, len(self._asked))

    def find(self, key: str) -> JournalEntry:
        found = self._replay.ask(key)
        if found is None:
            raise _Frontier
        self._asked.append(key)
        return found

    def look(self, key: str) -> JournalEntry | None:
        """What may be recorded, or not."""
        found = self._replay.ask(key)
        if found is not None:
            self._asked.append(key)
        return found

    async def now(self) -> datetime:
        return datetime.fromtimestamp(loads(self.find(self.key("now")).value or "0") / SECOND, UTC)

    async def uuid4(self) -> UUID:
        return UUID(loads(self.find(self.key("uuid4")).value or "null"))

    async def random(self) -> float:
        return loads(self.find(self.key("random")).value or "0")

    def key(self, name: str, explicit: str | None = None) -> str:
        return f"{name}:{explicit}" if explicit is not None else (branch.get() or self.root).key(name)

    async def step(self, key: str, call: StepCall) -> Any:
        found = self.find(key)
        try:
            self._replay.check(found, call.digest, self._code)
        except RunPaused:
            self._differs.append(key)
        return recorded(found, call)

    def recorded(self, key: str) -> bool:
        return self._replay.known(key) or key in self.waited

    def unsettled(self, key: str) -> int:
        return self._replay.unsettled(key)

    def over(self, call: str) -> None:
        pass

    async def wait(self, key: str, request: WaitRequest) -> WaitResult:
        self._replay.ask(key)
        one = self.waited.get(key)
        if one is None:
            raise _Frontier
        return WaitResult(one.id, one.state, one.answer, one.answered_by, one.subject)

    async def open(self, key: str, request: WaitRequest) -> str:
        one = self.waited.get(key)
        if one is None:
            raise _Frontier
        return one.id

    async def address(self, waitpoint_id: str, *, signed: bool) -> CallbackAddress:
        return CallbackAddress(f"/v1/callbacks/{waitpoint_id}/replayed", "http://replayed.invalid", "whsec_" if signed else None)

    async def side_by_side(self, key: str, waits: Sequence[Awaitable[Any]], *, every: bool) -> Any:
        tasks = [asyncio.ensure_future(one) for one in waits]
        winner = Winner.of(self._replay.ask(key), self.attempt)
        if winner is not None:
            self._asked += [key, *(one for one in self._recorded if given_up(one, winner.dropped))]
            return await winner.replayed(tasks)
        try:
            if every:
                return tuple(await asyncio.gather(*tasks))
            raise _Frontier
        finally:
            for one in tasks:
                one.cancel()

    async def child(self, key: str, call: StartCall) -> WaitResult:
        return await self.wait(key, WaitRequest(kind=WaitKind.CHILD))

    async def start(self, key: str, call: StartCall) -> str:
        return loads(self.find(key).value or "null")

    async def patch(self, name: str) -> bool:
        found = self._replay.patched(name)
        if found is not None:
            return bool(loads(found.value or "false"))
        if self._replay.unasked:
            return False
        raise _Frontier

    async def prompt(self, wanted: Wanted) -> Held:
        once = wanted.pin == "step"
        held = None if once else self._held.get(wanted.key)
        if held is None:
            records, text = 0, self.find(self.key(f"{wanted.key}:step") if once else f"{wanted.key}#0").value
            while not once and (later := self.look(f"{wanted.key}#{records + 1}")) is not None:
                records, text = records + 1, later.value
            body = self.bodies.get(loads(text or "{}")["hash"]) or (wanted.own.body if wanted.own is not None else "")
            held = self._held[wanted.key] = Held.read(text or "{}", body)
        return held

    async def receive(self, key: str, call: ReceiveCall) -> str | None:
        found = self._replay.ask(key)
        if found is None or is_given_back(found):
            raise _Frontier
        self._asked.append(key)
        return received(found)

    async def above(self, target: str) -> str | None:
        return self._run.parent_id

    async def stop(self, reason: str) -> NoReturn:
        raise _Frontier

    async def caught_up(self) -> None:
        """A replay says nothing."""

    def publish(self, event: Any) -> None:
        """A replay says nothing."""


class _DryThread:
    """A conversation as its run found it."""

    def __init__(self, id: str, run: _DryContext, before: Sequence[str]) -> None:
        self.id = id
        self._run = run
        self._before = before

    async def history(self) -> list[str]:
        self._run.find(self._run.key("thread.history"))
        return list(self._before)

    async def append(self, messages: Sequence[str]) -> None:
        self._run.find(self._run.key("thread.append"))

    async def sum_up(self, count: int, summary: str) -> None:
        """A replay writes nothing."""

    async def heard(self, key: str) -> Any | None:
        found = self._run.look(key)
        return None if found is None or is_given_back(found) else said(Message.of(found.value or ""))
