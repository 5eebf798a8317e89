"""The seam between a run's code and the engine behind it.

Code inside a run (steps, waits, child calls, agents, integrations) reaches the engine only through `TaskContext`; nothing above this file
may know which engine that is.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NoReturn, Protocol
from uuid import UUID

from agentflow.engine.debounce import Debounce
from agentflow.engine.thread_scope import ThreadScope
from agentflow.errors import NotInRun
from agentflow.policy import Policy
from agentflow.records import GrantedCall, WaitKind, WaitState
from agentflow.retry import NO_RETRY, Retry
from agentflow.serde import Codec
from agentflow.storage.pins import Held, Wanted
from agentflow.streams.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions:
    """How a step is tried. `timeout` and `idle_timeout` are microseconds for one try; `kind` is what viewers see: code, llm or tool.

    Budgets let a step of kind llm begin, and count it as a model call. `share` is for a call that is several steps: the `first` is what is
    let begin and counted, the `rest` tells what the call used. All of them name the `call`, which is under way until its rest is recorded
    or its code says `over`.
    """

    retry: Retry = NO_RETRY
    timeout: int | None = None
    idle_timeout: int | None = None
    kind: str = "code"
    share: Literal["whole", "first", "rest"] = "whole"
    call: str | None = None

    @property
    def begins(self) -> bool:
        """Whether a model call begins with the step."""
        return self.kind == "llm" and self.share != "rest"


Measure = Callable[[Collection[str]], Mapping[str, int | None]]
"""What a call uses at most of these limits; None, or nothing, is not known."""


@dataclass(frozen=True, slots=True)
class StepCall:
    """One call of a step: what to run, how to store its result, and a digest of its input.

    `rescue` is asked when the last try has failed, inside of the step: what it returns is recorded as the result; it raises the error that
    it does not make a result of. Another error of it is final: the body has run, and does not run again for that. `size` says what a model
    call uses at most, for certain, of those limits it is asked about: `tokens`, in and out, and `usd`, in nano-USD. `consent` is where
    people agreed to it, a waitpoint: then each try is recorded before it begins. `inner`: it asks and changes nothing outside of the run.
    """

    name: str
    body: Callable[[], Awaitable[Any]]
    codec: Codec
    digest: str
    options: StepOptions = StepOptions()
    rescue: Callable[[Exception], Any] | None = None
    size: Measure | None = None
    consent: str | None = None
    inner: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitRequest:
    """What to wait for.

    It ends by itself at `due_at` (microseconds since 1970) or `due_after` microseconds after it was first reached; `subject` is what people
    see; `target` is another waitpoint or run whose end ends this one; `call` is what a grant may stand for people about. `excludes`: nobody
    in whose name the run works may decide.
    """

    kind: WaitKind
    subject: Mapping[str, Any] = field(default_factory=dict[str, Any])
    schema: Mapping[str, Any] | None = None
    due_after: int | None = None
    due_at: int | None = None
    target: str | None = None
    call: GrantedCall | None = None
    excludes: bool = False


@dataclass(frozen=True, slots=True)
class CallbackAddress:
    """Where a machine answers a callback: a path with a secret, the server's address if that is known, a key for signatures, if any."""

    path: str
    server: str | None
    signing_key: str | None


@dataclass(frozen=True, slots=True)
class WaitResult:
    """How a waitpoint ended; `answer` and `subject`, what was asked, are JSON text."""

    id: str
    state: WaitState
    answer: str | None
    answered_by: str | None
    subject: str = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """What holds for one start. Times are microseconds; see `Task.using`."""

    delay: int | None = None
    ttl: int | None = None
    idempotency_key: str | None = None
    idempotency_scope: str = "run"
    dedupe_key: str | None = None
    debounce: Debounce | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    priority: int = 0
    weight: int = 1
    concurrency_key: str | None = None
    on_parent_cancel: str | None = None
    thread: str | None = None
    started_by: str | None = None
    inherit_prompts: bool = True


@dataclass(frozen=True, slots=True)
class StartCall:
    """A run to start. `payload` is JSON text; `detached`: nobody waits for it; `call` is the tool call that asked for it.

    `final`: its failure is an answer, as good as a result: a later attempt of the run that waits for it does not start it anew.
    """

    task: str
    queue: str
    payload: str
    options: StartOptions = StartOptions()
    version: str | None = None
    hooked: bool = False
    detached: bool = False
    call: str | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class ReceiveCall:
    """Which input stream to take a message from, and how many microseconds to wait for one; None for ever."""

    name: str
    due_after: int | None = None


class StepScope(Protocol):
    """What code inside a step's body can reach."""

    @property
    def id(self) -> str:
        """The step's key, unique in its run; events name it as `step`."""
        ...

    @property
    def attempt(self) -> int:
        """Which try of the step this is, from 1."""
        ...

    @property
    def idempotency_key(self) -> str:
        """The same text at every try of this step: hand it to the outside system."""
        ...

    def publish(self, event: Event) -> None:
        """Send an event to the run's stream; also proof of life for the idle timeout."""
        ...

    def join(self, run_id: str, event: Event) -> None:
        """Send an event to the stream of another run, where it is kept with the step's record; it is dropped where that run has ended."""
        ...

    def touch(self) -> None:
        """Proof of life without an event."""
        ...


class TaskContext(Protocol):
    """What code inside a run can reach."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        ...

    @property
    def task(self) -> str:
        """The task's name."""
        ...

    @property
    def attempt(self) -> int:
        """Which try of the run this is, from 1. A crash does not count."""
        ...

    @property
    def tags(self) -> tuple[str, ...]:
        """The run's tags."""
        ...

    @property
    def started_by(self) -> str | None:
        """The person in whose name the run was started; None where nobody said."""
        ...

    @property
    def policy(self) -> Policy | None:
        """The rules of the app for the calls of models."""
        ...

    @property
    def thread(self) -> ThreadScope | None:
        """The conversation that the run belongs to, if any."""
        ...

    @property
    def metadata(self) -> MutableMapping[str, Any]:
        """JSON values that readers of the run follow live; the last write of a key wins."""
        ...

    @property
    def idempotency_key(self) -> str:
        """The same text however often this is carried out again: hand it to the outside system.

        In a step (a tool that is a function, for one) that of this call of it. In the code of a run, the key that the run was started with;
        of a run that another one started, as a tool call does, that of the call; else the run's id.
        """
        ...

    @property
    def replaying(self) -> bool:
        """Whether recorded steps are still being answered from the journal."""
        ...

    @property
    def cancelled(self) -> str | None:
        """The reason, once somebody asked for the run to be cancelled."""
        ...

    @property
    def deadline(self) -> datetime | None:
        """When the run's `max_duration` ends if it works on without waiting."""
        ...

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that names the run, and is silent while replaying."""
        ...

    async def now(self) -> datetime:
        """The time, recorded: a replay sees the same."""
        ...

    async def uuid4(self) -> UUID:
        """A random id, recorded: a replay sees the same."""
        ...

    async def random(self) -> float:
        """A number in [0, 1), recorded: a replay sees the same."""
        ...

    def key(self, name: str, explicit: str | None = None) -> str:
        """Take the key of the next call of `name` in this branch: when the call is written, not when it is awaited."""
        ...

    async def step(self, key: str, call: StepCall) -> Any:
        """The recorded result of a step, or run it and record it."""
        ...

    def recorded(self, key: str) -> bool:
        """Whether the run has a record of the step under `key`, or has waited, or waits, under it. Asks for nothing."""
        ...

    def unsettled(self, key: str) -> int:
        """How many tries of a step with `consent` began of which nobody knows how they ended, or which failed in an earlier attempt."""
        ...

    def over(self, call: str) -> None:
        """The code follows this model call of several steps no further: budgets wait for it no longer."""
        ...

    async def wait(self, key: str, request: WaitRequest) -> WaitResult:
        """Wait, if it must be for days, until a waitpoint ends."""
        ...

    async def open(self, key: str, request: WaitRequest) -> str:
        """The id of a waitpoint that can be answered from now on, the same at every replay; `wait` with the same key waits for it."""
        ...

    async def address(self, waitpoint_id: str, *, signed: bool) -> CallbackAddress:
        """An address at which a machine can answer that callback of the run. Never recorded: each call of this makes another one."""
        ...

    async def side_by_side(self, key: str, waits: Sequence[Awaitable[Any]], *, every: bool) -> Any:
        """The result of whichever wait ends first, or of `every` one; what is left over is given up, and a replay gives up the same."""
        ...

    async def child(self, key: str, call: StartCall) -> WaitResult:
        """Start a child run and wait until it ends; its output or failure is the answer."""
        ...

    async def start(self, key: str, call: StartCall) -> str:
        """Start a detached run; returns its id, the same at every replay."""
        ...

    async def receive(self, key: str, call: ReceiveCall) -> str | None:
        """The next message of an input stream, as JSON text: recorded, so that a replay gets the same; None when none came in time."""
        ...

    async def above(self, target: Literal["root", "parent"]) -> str | None:
        """The id of the run that started this one, or of the one at the top of its family; None when that is this very run."""
        ...

    async def stop(self, reason: str) -> NoReturn:
        """Have this run cancelled, as others can: raises the cancellation here."""
        ...

    async def caught_up(self) -> None:
        """Return once the run's readers are told what was recorded before this process took the run, and may not have been told."""
        ...

    async def prompt(self, wanted: Wanted) -> Held:
        """The version of a prompt that the run holds: chosen and recorded when it is first asked for, the same from then on."""
        ...

    async def patch(self, name: str) -> bool:
        """Whether the run takes the new way at a change of its code; decided once and recorded."""
        ...

    def publish(self, event: Event) -> None:
        """Send an event to the run's stream; nothing is sent while replaying."""
        ...


current: ContextVar[TaskContext | None] = ContextVar("agentflow_run", default=None)
scope: ContextVar[StepScope | None] = ContextVar("agentflow_step", default=None)


def recording() -> TaskContext | None:
    """The context of the run around this code, unless it is inside a step's body, which is recorded as a whole."""
    return None if scope.get() is not None else current.get()


def context() -> TaskContext:
    """The context of the run around this code.

    Raises `NotInRun` outside of a run.

        context().metadata["stage"] = "shipped"
    """
    found = current.get()
    if found is None:
        raise NotInRun("context() was called outside of a run.", hint="Call it from a task, or from a step that a task called.")
    return found


def current_step() -> StepScope:
    """What a step's body can reach: its key, its try, its stream.

    Raises `NotInRun` outside of a step.
    """
    found = scope.get()
    if found is None:
        raise NotInRun("current_step() was called outside of a step.", hint="Call it from the body of a @step function.")
    return found
