"""Streams of the user's own: what a run tells its readers beside its result."""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Generator
from typing import Any, Literal, TypeVar

from agentflow.engine.context import StepCall, StepOptions, TaskContext, current, current_step, scope
from agentflow.engine.named import Named
from agentflow.errors import StorageError
from agentflow.retry import Retry
from agentflow.serde import ANY, dumps, loads
from agentflow.streams.events import StreamItem

T = TypeVar("T")
Target = Literal["root", "parent"]

_PATIENT = StepOptions(retry=Retry(attempts=20, initial=0.05, max="5s", on=StorageError))


class Stream(Named[T]):
    """A stream that runs append items of one type to, for their readers: `run.stream(progress)`, `stream.item` events over HTTP.

    In a task's body an append is a recorded step: a replay appends nothing twice. In the body of a step it is a part of the step: void when
    the step is tried again, recorded with its result. Outside of a run nothing is appended, so plain calls of tasks and steps just work.

        progress = Stream[Progress]("progress")

        @task
        async def crawl(urls: list[str]) -> None:
            for number, url in enumerate(urls, start=1):
                await fetch(url)
                await progress.append(Progress(done=number, of=len(urls)))
    """

    def append(self, item: T, *, target: Target | None = None) -> Awaitable[None]:
        """Append an item.

        `target`: it appears in the stream of the run's parent, or of the root of its family, instead of in its own, and says which run
        it is from. It is kept there, too, also where this run is deleted; after that run's end nothing is added.
        In a step that is a plain function, append without `await` and without a target.
        Raises `UnserializableValue`, and `ItemTooLarge` above 256 KiB of JSON.

        >>> await progress.append(Progress(done=3, of=10))
        """
        data = loads(self.text(item, "an item of stream"))
        run, here = current.get(), scope.get()
        if run is None:
            return _DONE
        if here is None:
            # The key is taken here, where the call is written.
            return self._record(run, run.key(self._step), data, target)
        name = os.urandom(8).hex()
        if target is not None:
            return self._tell(run, data, target, name)
        here.publish(StreamItem(self.name, data, here.id, name))
        return _DONE

    def read(self, data: Any) -> T:
        """The item of a JSON value, as events have it. Raises `UnserializableValue` when it is not of this stream's type."""
        return self.codec.decode(dumps(data), what=f"an item of stream {self.name!r}")

    @property
    def _step(self) -> str:
        return f"stream.{self.name}"

    async def _record(self, run: TaskContext, key: str, data: Any, target: Target | None) -> None:
        body = functools.partial(self._say, run, data, target)
        # An item has no consequences: changed code may append another one without asking an operator.
        await run.step(key, StepCall(self._step, body, ANY, "", StepOptions() if target is None else _PATIENT))

    async def _say(self, run: TaskContext, data: Any, target: Target | None) -> None:
        here = current_step()
        if target is None:
            # Items are told in their order, also those that a worker which died had recorded and not told.
            await run.caught_up()
            here.publish(StreamItem(self.name, data, here.id, here.id))
        else:
            await self._tell(run, data, target, here.idempotency_key)

    async def _tell(self, run: TaskContext, data: Any, target: Target, name: str) -> None:
        here = current_step()
        above = await run.above(target)
        if above is None:
            here.publish(StreamItem(self.name, data, here.id, name))
        else:
            here.join(above, StreamItem(self.name, data, item=name, origin=run.run_id))


def stream(name: str) -> Stream[Any]:
    """A stream of any JSON values.

    >>> await stream("progress").append({"done": 3, "of": 10})
    """
    return Stream[Any](name)


class _Done:
    """Awaited, it is done: what it stands for was done when it was called."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


_DONE = _Done()
