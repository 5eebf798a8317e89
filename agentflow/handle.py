"""A caller's grip on a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Generic, Protocol, TypeVar, overload

from agentflow.clock import Duration
from agentflow.errors import RunCancelled, RunError, RunExpired, RunFailed
from agentflow.records import Failure, RunRecord, RunState
from agentflow.serde import Codec, decode_failure
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor

R = TypeVar("R")


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
