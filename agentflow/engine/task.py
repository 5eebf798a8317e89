"""Tasks: durable functions, what they are called with, and how they are started."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeVar, cast, overload
from weakref import ReferenceType, ref

from agentflow.clock import Duration, microseconds
from agentflow.engine.budget import Budget, Budgets, budgets_of
from agentflow.engine.calls import count, in_thread
from agentflow.engine.context import StartCall, StartOptions, WaitResult, recording
from agentflow.engine.isolation import Isolation, isolation_of
from agentflow.engine.queue import DEFAULT_QUEUE, NAME, Queue, check_weight, queue_of
from agentflow.engine.starting import Inside, TaskName, around, start_call, start_options
from agentflow.errors import DefinitionError, NotInRun
from agentflow.handle import Batch, RunHandle, ending
from agentflow.records import RunRecord, TaskRecord, WaitState
from agentflow.retry import NO_RETRY, Retry
from agentflow.serde import Payload, decode_failure, result_codec

P = ParamSpec("P")
R = TypeVar("R")
Hook = Callable[[RunRecord], Awaitable[None] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """What holds for every run of a task. `max_duration` is microseconds of work; waiting does not count.

    Raises `DefinitionError` for versions that cannot be.
    """

    queue: Queue = DEFAULT_QUEUE
    retry: Retry = NO_RETRY
    max_duration: int | None = None
    version: str | None = None
    accepts: tuple[str, ...] = ()
    isolation: Isolation | None = None
    budgets: tuple[Budget, ...] = ()

    def __post_init__(self) -> None:
        # From outside of typed code `accepts="1"` is easily written, and would be a tuple of letters.
        accepts: Any = self.accepts
        named = [*([] if self.version is None else [self.version]), *accepts]
        if isinstance(accepts, str) or not all(isinstance(one, str) and one.strip() == one != "" for one in named):
            hint = 'Versions are texts: @task(version="2", accepts=["1"]).'
            raise DefinitionError(f"version={self.version!r}, accepts={accepts!r} is not understood.", hint=hint)
        if accepts and self.version is None:
            raise DefinitionError(
                f"accepts={accepts!r} without a version: a task that declares none takes only runs without one.",
                hint="Give the code a version of its own as well.",
            )
        object.__setattr__(self, "accepts", tuple(accepts))


class Defined:
    """The tasks of this process that are still alive, by name; of several with one name, the latest."""

    def __init__(self) -> None:
        self._tasks: dict[str, list[ReferenceType[Task[..., Any]]]] = {}

    def __setitem__(self, name: str, task: Task[..., Any]) -> None:
        living = [one for one in self._tasks.get(name, ()) if one() not in (None, task)]
        self._tasks[name] = [*living, ref(task)]

    def __getitem__(self, name: str) -> Task[..., Any]:
        for one in reversed(self._tasks.get(name, ())):
            task = one()
            if task is not None:
                return task
        raise KeyError(name)

    def items(self) -> list[tuple[str, Task[..., Any]]]:
        """All of them, by name."""
        latest = {name: task for name, known in self._tasks.items() for one in known if (task := one()) is not None}
        return sorted(latest.items())


defined = Defined()
"""The latest task of each name in this process, for tools that look at code: a registry is what an app is given."""


class Task(Generic[P, R]):
    """A durable function. Called inside a run it is a child run; called elsewhere it is the plain function.

    Made by `@task`. `start` makes a run and returns at once, `map` starts one per item, `using` returns a copy with start options.
    `kind` is what listings show.
    """

    kind = "task"

    def __init__(self, function: Callable[P, Any], name: str, options: TaskOptions) -> None:
        if not NAME.fullmatch(name):
            raise DefinitionError(f"{name!r} is no name for a task.", hint="Use letters, digits, '_', '-' and '.'.")
        self.function = function
        self.name = name
        self.options = options
        self.payload = Payload(function)
        self.codec = result_codec(function)
        self.code = source_hash(function)
        self._is_async = inspect.iscoroutinefunction(inspect.unwrap(function))
        self.hooks: dict[str, list[Hook]] = {}
        self._start = StartOptions()
        defined[name] = self
        functools.update_wrapper(cast("Any", self), function)

    def __repr__(self) -> str:
        return f"Task({self.name!r})"

    @property
    def serves(self) -> list[str]:
        """The runs that this code takes: those without a version, those of its own, and those of versions that it accepts."""
        known = [] if self.options.version is None else [self.options.version, *self.options.accepts]
        return [self.name, *(f"{self.name}@{version}" for version in known)]

    @property
    def description(self) -> str:
        """The docstring: what the task does, for people and for models."""
        return inspect.getdoc(self.function) or ""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        run = recording()
        if run is None:
            return self.plain(*args, **kwargs)
        return self.child(run.key(f"{self.name}()"), self.payload.encode(args, kwargs))

    def warm(self) -> None:
        """Load what the first run would otherwise wait for; called in a thread when a worker starts."""

    async def close(self) -> None:
        """Let go of connections; called when the app closes."""

    async def plain(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function itself, recording nothing."""
        result = self.function(*args, **kwargs)
        return await result if inspect.isawaitable(result) else cast("R", result)

    async def perform(self, payload: str) -> Any:
        """Run the function on a stored payload; a plain `def` runs in a thread."""
        positional, named = self.payload.arguments(payload)
        function: Callable[..., Any] = self.function
        count(self)
        if self._is_async:
            return await function(*positional, **named)
        result: Any = await in_thread(function, *positional, **named)
        return await result if inspect.isawaitable(result) else result

    async def child(self, key: str, payload: str, *, tool_call: str | None = None, final: bool = False) -> R:
        """Run as a child of the run around this code under a key; `payload` is JSON text, `tool_call` the call that asks for it.

        `final`: its failure is an answer, which later attempts of the run around it get, too.
        """
        run = recording()
        if run is None:
            raise NotInRun(f"{self.name}.child() was called outside of a run.", hint="Use start().")
        result = await run.child(key, replace(self.call(payload), call=tool_call, final=final))
        return self.answer(result, key)

    def answer(self, result: WaitResult, key: str) -> R:
        """The result of a child run, or the error that says why there is none."""
        if result.state is WaitState.ANSWERED:
            return self.codec.decode(result.answer or "null", what=f"the result of {self.name} ({key})")
        raise ending(result.answered_by or "", self.name, None if result.answer is None else decode_failure(result.answer))

    async def start(self, *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]:
        """Start a run and return at once. Inside a run this makes a detached child: its id is recorded, and it outlives its parent.

        Raises `InvalidPayload`, `IdempotencyConflict`, and `NotInRun` when neither a run nor an open app is around.
        """
        return await self.launch(self.payload.encode(args, kwargs))

    async def launch(self, payload: str) -> RunHandle[R]:
        """As `start`, from a payload of JSON text."""
        run = recording()
        if run is not None:
            call = self.call(payload, detached=True)
            run_id = await run.start(run.key(f"{self.name}.start"), call)
            return RunHandle(run_id, Inside(self.name), self.codec)
        app = around()
        if app is None:
            raise NotInRun(f"{self.name}.start() found no open app.", hint="Use it inside `async with Agentflow(tasks=[...]):`.")
        return RunHandle(await app.launch(self.call(payload)), app.verbs, self.codec)

    async def map(self, items: Sequence[Any]) -> Batch[R]:
        """Start one run per item; an item is the only argument, or a mapping of arguments."""
        encoded = [self._item(item) for item in items]
        if recording() is None:
            return Batch(await asyncio.gather(*(self.launch(payload) for payload in encoded)))
        return Batch([await self.launch(payload) for payload in encoded])

    def _item(self, item: Any) -> str:
        only: Any = item
        if isinstance(item, Mapping) and len(self.payload.signature.parameters) != 1:
            return self.payload.encode((), cast("Mapping[str, Any]", item))
        return self.payload.encode((only,), {})

    def call(self, payload: str, *, detached: bool = False) -> StartCall:
        """The start call for a payload of JSON text."""
        return start_call(
            TaskName(self.name, self.options.queue.name, self.options.version, self._hooked),
            payload,
            self._start,
            detached=detached,
        )

    def record(self) -> TaskRecord:
        """What others may know of this task without its code."""
        return TaskRecord(
            name=self.name,
            queue=self.options.queue.name,
            description=self.description,
            schema=self.payload.schema_text,
            kind=self.kind,
            hooked=self._hooked,
            version=self.options.version,
        )

    @property
    def _hooked(self) -> bool:
        return bool(self.hooks.keys() - {"start"})

    def using(self, **options: Any) -> Task[P, R]:
        """A copy with start options.

        `delay`, `ttl` (durations; the ttl counts from when the run could start), `idempotency_key` with `idempotency_scope` (`"run"`:
        within the parent run, or `"global"`), `dedupe_key` (no second run of this key while one is active), `debounce` (`{"key": …,
        "delay": "5s"}`, with `"max_delay"` and `"mode"`: starts of one key become one run, which starts after so much quiet and has the
        payload of the last, or with `"leading"` of the first), `tags`, `metadata`, `priority` (seconds that the run may overtake),
        `concurrency_key` and `weight` (what the limits of its `Queue` count by), `thread` (a conversation, by an id of yours: its runs
        have their turns one after the other, in the order of their starts, and carry the tag `thread:<id>`), `on_parent_cancel`
        (`"cancel"` or `"leave"`), `inherit_prompts` (False: this run and those below it hold prompts of their own, and not those of the
        run that starts it), `started_by` (the person in whose name it is, who cannot decide what is asked with `exclude_requester`;
        a run that another one starts has that of the other).
        Raises `DefinitionError` for others, and for what does not go together.

        >>> await fulfil.using(delay="1h", tags=["vip"]).start("o-81")
        """
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy._start = start_options(self._start, options)
        check_weight(self.options.queue.record(), copy._start.weight)
        return copy

    # -- lifecycle hooks -----------------------------------------------------------------------------------------------------------------

    def on_start(self, hook: Hook) -> Hook:
        """Call `hook(run)` before the first line of a run's first attempt."""
        return self._add("start", hook)

    def on_success(self, hook: Hook) -> Hook:
        """Call `hook(run)` after a run completed."""
        return self._add("success", hook)

    def on_failure(self, hook: Hook) -> Hook:
        """Call `hook(run)` after a run failed for good: by its code, by a timeout, or by crashing its workers."""
        return self._add("failure", hook)

    def on_cancel(self, hook: Hook) -> Hook:
        """Call `hook(run)` after a run was cancelled."""
        return self._add("cancel", hook)

    def on_complete(self, hook: Hook) -> Hook:
        """Call `hook(run)` after a run ended, however it ended."""
        return self._add("complete", hook)

    def _add(self, moment: str, hook: Hook) -> Hook:
        self.hooks.setdefault(moment, []).append(hook)
        return hook


def source_hash(function: Callable[..., Any]) -> str:
    """A hash of the function's source, so that a changed body is noticed."""
    try:
        text = inspect.getsource(inspect.unwrap(function))
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        text = repr(function) if code is None else f"{code.co_code!r}{code.co_consts!r}{code.co_names!r}"
    return blake2b(text.encode(), digest_size=8).hexdigest()


@overload
def task(function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    name: str | None = None,
    queue: str | Queue = DEFAULT_QUEUE,
    retry: Retry = NO_RETRY,
    max_duration: Duration | None = None,
    version: str | None = None,
    accepts: Sequence[str] = (),
    isolation: Literal["process"] | Isolation | None = None,
    budget: Budgets | None = None,
) -> _TaskDecorator: ...
def task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a durable task.

    `name` (default: the function's), `queue`, `retry` (of whole runs), `max_duration` (a duration; only work counts, waiting does not),
    `isolation` (`"process"` or an `Isolation`: each run in a process of its own), `budget` (what its model calls may use: a `Budget`, or
    several). The docstring is the description, the signature the
    payload: one JSON object with an entry per argument.

    `version` pins runs to the code that started them: only code of the same version takes such a run, or code that `accepts` that
    version, until an operator moves it (`agentflow runs move`). A run keeps its version when other code accepts it, so older code may take
    it again. Without a version, runs go on with whatever code is there, and one whose code has changed is paused where its record differs.
    Raises `DefinitionError` when the signature cannot be stored, or another process could not find an isolated task.

        @task(queue="orders", retry=Retry(attempts=3), max_duration="2h", version="2", accepts=["1"])
        async def fulfil(order_id: str, *, express: bool = False) -> Shipment: ...
    """
    if function is not None:
        return make_task(function, {})
    return functools.partial(make_task, given=options)


class _TaskDecorator(Protocol):
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


def make_task(function: Callable[..., Any], given: Mapping[str, Any]) -> Task[..., Any]:
    """A task of `function` with the keyword arguments of `@task`."""
    options = dict(given)
    name = options.pop("name", None) or getattr(function, "__name__", "")
    queue = options.pop("queue", DEFAULT_QUEUE)
    longest = options.pop("max_duration", None)
    budgets = budgets_of(options.pop("budget", None))
    isolation = isolation_of(options.pop("isolation", None), function)
    settled = TaskOptions(
        queue=queue_of(queue),
        max_duration=None if longest is None else microseconds(longest),
        isolation=isolation,
        budgets=budgets,
        **options,
    )
    return Task(function, name, settled)
