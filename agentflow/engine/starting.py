"""How a run is asked for, from outside of a run and from inside of one."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeVar, cast
from weakref import WeakSet

from agentflow.clock import Duration, microseconds
from agentflow.engine.context import StartCall, StartOptions, WaitRequest, WaitResult, recording
from agentflow.engine.debounce import Debounce
from agentflow.errors import DefinitionError, NotInRun
from agentflow.handle import RunVerbs, Writable
from agentflow.records import RunRecord, RunState, WaitKind, WaitState
from agentflow.storage.pins import Held, Wanted
from agentflow.storage.policy import is_reserved

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TaskName:
    """What a start has to know of a task: name, queue, version, and whether hooks are to be called at its end."""

    name: str
    queue: str
    version: str | None = None
    hooked: bool = False


def start_call(task: TaskName, payload: str, chosen: StartOptions, *, detached: bool = True) -> StartCall:
    """The start call of a task for a payload of JSON text."""
    return StartCall(task.name, task.queue, payload, chosen, task.version, task.hooked, detached)


LONGEST_THREAD = 255
"""Characters of a thread's id."""
LONGEST_NAME = 256
"""Characters of a person's name."""
_KNOWN = {field.name for field in fields(StartOptions)}


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
    _one_of(values, "inherit_prompts", (True, False))
    if "tags" in values:
        values["tags"] = tuple(values["tags"])
    _named(values)
    if values.get("debounce") is not None:
        values["debounce"] = _debounce(values["debounce"])
    weight = values.get("weight", 1)
    if isinstance(weight, bool) or not isinstance(weight, int) or weight < 1:
        raise DefinitionError(
            f"weight={weight!r} is no weight.", hint="Give a whole number from 1: what the start counts in its queue's rate."
        )
    return _compatible(replace(before, **values))


def _named(values: Mapping[str, Any]) -> None:
    if values.get("thread") is not None:
        check_thread(values["thread"])
    if values.get("started_by") is not None:
        check_person(values["started_by"])


def check_thread(given: object) -> str:
    """The id of a thread, if it can be one. Raises `DefinitionError`."""
    if isinstance(given, str) and 0 < len(given) <= LONGEST_THREAD and given.isprintable():
        return given
    hint = f"Give a text of 1 to {LONGEST_THREAD} printable characters, such as the id of a chat."
    raise DefinitionError(f"thread={given!r} is no id of a thread.", hint=hint)


def check_person(given: object) -> str:
    """The name of a person, if it can be one. Raises `DefinitionError`."""
    if isinstance(given, str) and 0 < len(given) <= LONGEST_NAME and given.isprintable() and not is_reserved(given):
        return given
    hint = f"Name a person in 1 to {LONGEST_NAME} printable characters, as who decides is named: user:maria."
    raise DefinitionError(f"{given!r} is no name of a person.", hint=hint)


def thread_tag(thread: str) -> str:
    """The tag that the runs of a thread carry."""
    return f"thread:{thread}"


def _debounce(given: Any) -> Debounce:
    if isinstance(given, Debounce):
        return given
    values: dict[str, Any] = dict(cast("Mapping[str, Any]", given)) if isinstance(given, Mapping) else {}
    if not isinstance(values.get("key"), str) or "delay" not in values or values.keys() - {"key", "delay", "max_delay", "mode"}:
        hint = 'Write debounce={"key": "doc-1", "delay": "5s"}, with "max_delay" and "mode" ("trailing" or "leading") if you like.'
        raise DefinitionError(f"debounce={given!r} is not understood.", hint=hint)
    mode = values.get("mode", "trailing")
    _one_of({"mode": mode}, "mode", ("trailing", "leading"))
    delay = microseconds(values["delay"])
    longest = microseconds(values.get("max_delay", "1h"))
    return Debounce(key=values["key"], delay=delay, max_delay=max(delay, longest), trailing=mode == "trailing")


def _compatible(chosen: StartOptions) -> StartOptions:
    keys = [name for name in ("idempotency_key", "dedupe_key", "debounce") if getattr(chosen, name) is not None]
    if len(keys) > 1:
        hint = "Use the one that says what is meant: idempotency_key for ever, dedupe_key while it is active, debounce until it starts."
        raise DefinitionError(f"{' and '.join(keys)} do not go together.", hint=hint)
    if chosen.debounce is not None and chosen.delay is not None:
        raise DefinitionError("delay and debounce do not go together.", hint='The delay of a debounced start is debounce={"delay": …}.')
    return chosen


def _one_of(values: Mapping[str, Any], name: str, allowed: tuple[object, ...]) -> None:
    if name in values and values[name] not in allowed:
        raise DefinitionError(f"{name}={values[name]!r} is not known.", hint=f"Give one of {allowed}.")


class Launcher(Protocol):
    """Starts runs from outside of a run: an open `Agentflow` app."""

    async def launch(self, call: StartCall) -> str:
        """Store a run; returns its id."""
        ...

    async def prompt(self, wanted: Wanted) -> Held | None:
        """The version of a prompt that is live; None where that cannot be told, and code goes by what it has."""
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

    async def send(self, run_id: str, stream: Writable[T], message: T, *, idempotency_key: str | None = None) -> int:
        return await _app().send(run_id, stream, message, idempotency_key=idempotency_key)


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
