"""How a run is asked for, from outside of a run and from inside of one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from weakref import WeakSet

from agentflow.clock import Duration, microseconds
from agentflow.engine.context import StartCall, WaitRequest, WaitResult, recording
from agentflow.errors import DefinitionError, NotInRun
from agentflow.handle import RunVerbs
from agentflow.records import RunRecord, RunState, WaitKind, WaitState

NAME = re.compile(r"[A-Za-z_][\w.\-]*")


@dataclass(frozen=True, slots=True)
class Queue:
    """Where runs wait for a worker. Workers serve all queues unless told otherwise."""

    name: str

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise DefinitionError(f"{self.name!r} is no name for a queue.", hint="Use letters, digits, '_', '-' and '.'.")


DEFAULT_QUEUE = Queue("default")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """What holds for one start. Times are microseconds; see `Task.using`."""

    delay: int | None = None
    ttl: int | None = None
    idempotency_key: str | None = None
    idempotency_scope: str = "run"
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    priority: int = 0
    concurrency_key: str | None = None
    on_parent_cancel: str | None = None


@dataclass(frozen=True, slots=True)
class TaskName:
    """What a start has to know of a task: name, queue, version, and whether hooks are to be called at its end."""

    name: str
    queue: str
    version: str | None = None
    hooked: bool = False


def start_call(task: TaskName, payload: str, chosen: StartOptions, *, detached: bool = True) -> StartCall:
    """The start call of a task for a payload of JSON text."""
    return StartCall(
        task=task.name,
        queue=task.queue,
        payload=payload,
        delay=chosen.delay,
        ttl=chosen.ttl,
        idempotency_key=chosen.idempotency_key,
        idempotency_scope=chosen.idempotency_scope,
        tags=chosen.tags,
        metadata=chosen.metadata,
        priority=chosen.priority,
        concurrency_key=chosen.concurrency_key,
        on_parent_cancel=chosen.on_parent_cancel or ("leave" if detached else "cancel"),
        version=task.version,
        hooked=task.hooked,
    )


_KNOWN = {"delay", "ttl", "idempotency_key", "idempotency_scope", "tags", "metadata", "priority", "concurrency_key", "on_parent_cancel"}


def start_options(before: StartOptions, given: Mapping[str, Any]) -> StartOptions:
    """Start options with what is given instead. Raises `DefinitionError` for unknown names and values."""
    unknown = given.keys() - _KNOWN
    if unknown:
        raise DefinitionError(f"using() knows no {', '.join(sorted(unknown))}.", hint=f"It knows {', '.join(sorted(_KNOWN))}.")
    values = dict(given)
    for name in ("delay", "ttl"):
        if values.get(name) is not None:
            values[name] = microseconds(values[name])
    _one_of(values, "idempotency_scope", ("run", "global"))
    _one_of(values, "on_parent_cancel", ("cancel", "leave"))
    if "tags" in values:
        values["tags"] = tuple(values["tags"])
    return replace(before, **values)


def _one_of(values: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> None:
    if name in values and values[name] not in allowed:
        raise DefinitionError(f"{name}={values[name]!r} is not known.", hint=f"Give one of {allowed}.")


class Launcher(Protocol):
    """Starts runs from outside of a run: an open `Agentflow` app."""

    async def launch(self, call: StartCall) -> str:
        """Store a run; returns its id."""
        ...

    @property
    def verbs(self) -> RunVerbs:
        """What a handle can do."""
        ...


launcher: ContextVar[Launcher | None] = ContextVar("agentflow_launcher", default=None)
opened: WeakSet[Launcher] = WeakSet()
"""The apps that are open in this process."""


def around() -> Launcher | None:
    """The open app around this code; where none is, as in a request handler of a mounted app, the only one that is open."""
    return launcher.get() or (next(iter(opened), None) if len(opened) == 1 else None)


class Inside:
    """What a handle can do inside a run: its result is waited for durably."""

    def __init__(self, task: str) -> None:
        self._task = task

    async def ended(self, run_id: str, timeout: Duration | None) -> RunRecord:
        run = recording()
        if run is None:
            return await _app().ended(run_id, timeout)
        due = None if timeout is None else microseconds(timeout)
        request = WaitRequest(kind=WaitKind.CHILD, target=run_id, due_after=due, subject={"task": self._task, "run": run_id})
        result = await run.wait(run.key(f"{self._task}.result"), request)
        return _as_record(run_id, self._task, result)

    async def get(self, run_id: str) -> RunRecord:
        return await _app().get(run_id)

    async def cancel(self, run_id: str, reason: str) -> RunRecord:
        return await _app().cancel(run_id, reason)

    def events(self, run_id: str, after: Any) -> Any:
        return _app().events(run_id, after)


def _app() -> RunVerbs:
    app = around()
    if app is None:
        raise NotInRun("There is no open app around this code.")
    return app.verbs


def _as_record(run_id: str, task: str, result: WaitResult) -> RunRecord:
    done = result.state is WaitState.ANSWERED
    return RunRecord.ended(
        run_id,
        task,
        RunState.COMPLETED if done else RunState.FAILED,
        output=(result.answer or "null") if done else None,
        error=None if done else result.answer,
    )
