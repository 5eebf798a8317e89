"""A caller's grip on a run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, overload

from agentflow.clock import Duration
from agentflow.errors import RunCancelled, RunError, RunExpired, RunFailed
from agentflow.records import Failure, RunRecord, RunState
from agentflow.serde import Codec, decode_failure
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.events import StreamItem

R = TypeVar("R")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)


class Readable(Protocol[T_co]):
    """A stream that a run appends to: `Stream`."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    def read(self, data: Any) -> T_co:
        """The item of a JSON value."""
        ...


class Writable(Protocol[T_contra]):
    """A stream that a run receives from: `InputStream`."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    def write(self, message: T_contra) -> str:
        """The JSON text of a message. Raises what says why it cannot be sent."""
        ...


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """An item that a run appended to a stream.

    `cursor` is where to go on after it; `key` names it, and stays the same when it is told again; `step` said it; `origin` is the run that
    said it, where that is another one.
    """

    data: T
    cursor: str
    key: str
    step: str | None = None
    origin: str | None = None


class RunVerbs(Protocol):
    """What can be done with a run from outside of it."""

    async def get(self, run_id: str) -> RunRecord:
        """The run as it is now."""
        ...

    async def ended(self, run_id: str, timeout: Duration | None) -> RunRecord:
        """The run once it has ended."""
        ...

    async def cancel(self, run_id: str, reason: str) -> RunRecord:
        """Ask the run to stop."""
        ...

    def events(self, run_id: str, after: Cursor | None) -> AsyncIterator[StoredEvent]:
        """The run's events, up to its `end`."""
        ...

    async def send(self, run_id: str, stream: Writable[T], message: T, *, idempotency_key: str | None = None) -> int:
        """Send a message into one of the run's input streams; returns its number there."""
        ...


class RunHandle(Generic[R]):
    """A run and the type of its result.

    >>> run = await fulfil.start("o-81")
    >>> shipment = await run.result(timeout="5m")
    """

    __slots__ = ("_codec", "_verbs", "id")

    def __init__(self, run_id: str, verbs: RunVerbs, codec: Codec) -> None:
        self.id = run_id
        self._verbs = verbs
        self._codec = codec

    def __repr__(self) -> str:
        return f"RunHandle({self.id!r})"

    async def get(self) -> RunRecord:
        """The run as it is now: state, attempt, metadata, error."""
        return await self._verbs.get(self.id)

    async def result(self, timeout: Duration | None = None) -> R:
        """The run's result, once there is one.

        `timeout` limits this call, not the run. Raises `RunFailed`, `RunCancelled`, `RunExpired`, or `RunTimeout` after `timeout`.
        """
        return outcome(await self._verbs.ended(self.id, timeout), self._codec)

    async def cancel(self, reason: str = "cancelled by the caller") -> RunRecord:
        """Ask the run and its children to stop; cancelling a run that has ended does nothing."""
        return await self._verbs.cancel(self.id, reason)

    async def events(self, after: str | None = None) -> AsyncIterator[StoredEvent]:
        """The run's events after cursor `after`, live, up to and with `end`. Raises `CursorInvalid`."""
        async for event in self._verbs.events(self.id, None if after is None else Cursor.parse(after)):
            yield event

    async def stream(self, stream: Readable[T], after: str | None = None) -> AsyncGenerator[Item[T]]:
        """The items that the run appends to a stream, live, until the run ends; after cursor `after` if that is given.

        An item is told as it is said: one of a step that is tried again comes from each try. What is told again after a crash comes once.
        Raises `CursorInvalid`, and `UnserializableValue` for an item that is not of the stream's type.

        >>> async for item in run.stream(progress):
        ...     print(item.data.done, item.cursor)
        """
        async with aclosing(items_of(self.events(after), stream)) as items:
            async for item in items:
                yield item

    async def send(self, stream: Writable[T], message: T, *, idempotency_key: str | None = None) -> int:
        """Send a message into an input stream of the run; returns its number there, from 1. It is kept until the run asks for it.

        The same `idempotency_key` again is the same message. Inside of a run this is a recorded step: a replay sends nothing twice.
        Raises `RunNotFound`, `RunError` when the run has ended, `ItemTooLarge`, `InputFull`, and `IdempotencyConflict`.

        >>> await run.send(inbox, Message(text="make it express"))
        """
        return await self._verbs.send(self.id, stream, message, idempotency_key=idempotency_key)


async def items_of(events: AsyncIterator[StoredEvent], stream: Readable[T]) -> AsyncGenerator[Item[T]]:
    """The items of one stream among a run's events, each once."""
    known: set[str] = set()
    async for entry in events:
        said = entry.event if entry.type == StreamItem.type else None
        if not isinstance(said, StreamItem) or said.stream != stream.name:
            continue
        key = said.item or str(entry.id)
        if key not in known:
            known.add(key)
            yield Item(stream.read(said.data), str(entry.id), key, said.step, said.origin)


class Batch(Sequence[RunHandle[R]]):
    """Runs that were started together, in the order of their items."""

    def __init__(self, handles: Sequence[RunHandle[R]]) -> None:
        self._handles = tuple(handles)

    @overload
    def __getitem__(self, index: int) -> RunHandle[R]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[RunHandle[R]]: ...
    def __getitem__(self, index: int | slice) -> RunHandle[R] | Sequence[RunHandle[R]]:
        return self._handles[index]

    def __len__(self) -> int:
        return len(self._handles)

    async def results(self, timeout: Duration | None = None) -> list[R]:
        """All results, in order; the first failure in that order is raised."""
        return [await handle.result(timeout) for handle in self._handles]


def outcome(run: RunRecord, codec: Codec) -> Any:
    """The result of a run that has ended, or the error that says why there is none."""
    if run.state is RunState.COMPLETED and run.output is not None:
        return codec.decode(run.output, what=f"the result of {run.id}")
    raise ending(run.id, run.task, None if run.error is None else decode_failure(run.error))


def ending(run_id: str, task: str, failed: Failure | None) -> RunError:
    """The error of a run that ended without a result."""
    if failed is None:
        return RunFailed(f"{run_id} ({task}) ended without a result.", run_id=run_id)
    details: dict[str, Any] = {"run_id": run_id, "task": task, "code": failed.code}
    if failed.code == "cancelled":
        return RunCancelled(f"{run_id} ({task}) was cancelled: {failed.message}.", reason=failed.message, **details)
    if failed.code == "expired":
        return RunExpired(f"{run_id} ({task}) expired.", hint="Start it again, or give it a longer ttl.", **details)
    message = f"{run_id} ({task}) failed: {failed.type}: {failed.message}"
    return RunFailed(message, hint=failed.hint, error={"type": failed.type, "message": failed.message, "code": failed.code}, **details)
