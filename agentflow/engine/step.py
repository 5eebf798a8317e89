"""Steps: functions whose result is recorded once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from agentflow.clock import Duration, microseconds
from agentflow.engine.calls import count, in_thread
from agentflow.engine.context import StepCall, StepOptions, TaskContext, recording
from agentflow.errors import DefinitionError
from agentflow.retry import NO_RETRY, Retry
from agentflow.serde import digest, result_codec
from agentflow.storage.terms import Size, units

P = ParamSpec("P")
R = TypeVar("R")


class Step(Generic[P, R]):
    """A function that is recorded once per call in a run, and runs plainly elsewhere. Made by `@step`."""

    def __init__(
        self, function: Callable[P, Any], name: str, options: StepOptions, key: Callable[..., Any] | None, size: Size | None = None
    ) -> None:
        self.function = function
        self.name = name
        self.options = options
        self._key = key
        self._size: Size = size or {}
        self._is_async = inspect.iscoroutinefunction(inspect.unwrap(function)) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004
        )
        self._codec = result_codec(function)
        functools.update_wrapper(cast("Any", self), function)

    def __repr__(self) -> str:
        return f"Step({self.name!r})"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        run = recording()
        if run is None:
            return self._perform(args, kwargs)
        # The key is taken here, where the call is written: the children of a gather get theirs in the order of the code.
        explicit = None if self._key is None else str(self._key(*args, **kwargs))
        return self._record(run, run.key(self.name, explicit), args, kwargs)

    async def _record(self, run: TaskContext, key: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> R:
        body = functools.partial(self._perform, args, kwargs)
        return await run.step(key, StepCall(self.name, body, self._codec, digest((args, kwargs)), self.options, size=lambda _: self._size))

    async def plain(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function itself, recording nothing."""
        return await self._perform(args, kwargs)

    async def _perform(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> R:
        count(self)
        if self._is_async:
            return await cast("Any", self.function)(*args, **kwargs)
        result: Any = await in_thread(self.function, *args, **kwargs)
        return await result if inspect.isawaitable(result) else result


class _StepDecorator(Protocol):
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Step[P, R]: ...


@overload
def step(function: Callable[P, Coroutine[Any, Any, R]], /, *, name: str = ...) -> Step[P, R]: ...
@overload
def step(function: Callable[P, R], /, *, name: str = ...) -> Step[P, R]: ...
@overload
def step(
    *,
    name: str | None = None,
    retry: Retry = NO_RETRY,
    timeout: Duration | None = None,
    idle_timeout: Duration | None = None,
    key: Callable[..., Any] | None = None,
    kind: str = "code",
    most: Mapping[str, Any] | None = None,
) -> _StepDecorator: ...
def step(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a step: inside a run its result is recorded before the next line, and a crash later never runs it again.

    `name` (default: the function's), `retry`, `timeout` (a duration for one try), `idle_timeout` (a duration without a sign of life: an
    event, or `current_step().touch()`), `key` (a function of the arguments; default: a count per name and branch), `kind`. A plain `def`
    runs in a thread. `kind="llm"` is a model call, which budgets let begin; `most={"tokens": 8_000, "usd": 0.05}` is what it uses at most:
    only calls that say so run at the same time under a budget that limits these. The result is stored as JSON by the return annotation.
    Raises `DefinitionError` for unusable options.

        @step(retry=Retry(attempts=5), timeout="30s")
        async def fetch(url: str) -> str: ...

        label = await step(client.labels.create, name="label")(order_id)     # any callable, on the spot
    """
    if function is not None:
        return make_step(function, options)
    return functools.partial(make_step, given=options)


def make_step(function: Callable[..., Any], given: Mapping[str, Any]) -> Step[..., Any]:
    """A step of `function` with the keyword arguments of `@step`."""
    options = dict(given)
    name = options.pop("name", None) or getattr(function, "__name__", None)
    if not name or name == "<lambda>":
        raise DefinitionError("This step has no name of its own.", hint='Give it one: step(function, name="label").')
    key = options.pop("key", None)
    for limit in ("timeout", "idle_timeout"):
        if options.get(limit) is not None:
            options[limit] = microseconds(options[limit])
    most: Mapping[str, Any] = options.pop("most", None) or {}
    if unknown := most.keys() - {"tokens", "usd"}:
        raise DefinitionError(f"Step {name!r}: most does not know {sorted(unknown)}.", hint="Give tokens and usd.")
    return Step(function, name, StepOptions(**options), key, {limit: units(limit, value) for limit, value in most.items()})
