"""Input streams: what others send into a run while it works."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, TypeVar
from weakref import WeakSet

from agentflow.clock import Duration, microseconds
from agentflow.engine.context import ReceiveCall
from agentflow.engine.named import Named, check_name, check_size
from agentflow.engine.waits import within_run
from agentflow.errors import InvalidMessage, UnserializableValue, WaitpointTimedOut
from agentflow.serde import ANY, Codec

T = TypeVar("T")

_defined: dict[str, WeakSet[InputStream[Any]]] = {}


class InputStream(Named[T]):
    """A stream of messages of one type into running tasks. Each run has its own; messages are kept until it asks for them.

    A run receives each message once, in the order in which they were sent, and at every replay the same ones. Waiting for a message is a
    wait like any other: it costs no slot and no memory, and survives crashes and deploys.

        inbox = InputStream[Message]("inbox")

        @task
        async def desk() -> int:
            answered = 0
            async for message in inbox.receive(timeout="1h"):
                await answer(message)
                answered += 1
            return answered

        await run.send(inbox, Message(text="make it express"))
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        _defined.setdefault(name, WeakSet()).add(self)

    async def next(self, *, timeout: Duration | None = None) -> T:
        """The next message, once there is one.

        `timeout` is a duration; after it, `WaitpointTimedOut` is raised, and the run has received nothing. To wait for a message or
        something else, prefer `timeout` to cancelling this: what gives up a wait is only recorded here.
        Raises `InvalidMessage` for one that is not of this stream's type, which counts as received, and `NotInRun`.

        >>> message = await inbox.next(timeout="5m")
        """
        text = await self._take("next", timeout)
        if text is None:
            hint = "Go on without it, or wait longer."
            raise WaitpointTimedOut(f"No message came in {self.name!r} in time.", hint=hint, stream=self.name)
        return self._read(text)

    async def receive(self, *, timeout: Duration | None = None) -> AsyncGenerator[T]:
        """All messages, as they come; ends once none has come for as long as `timeout`. Raises as `next` does.

        >>> async for message in inbox.receive():
        ...     await answer(message)
        """
        while (text := await self._take("receive", timeout)) is not None:
            yield self._read(text)

    def write(self, message: T) -> str:
        """The JSON text of a message. Raises `UnserializableValue`, and `ItemTooLarge` above 256 KiB."""
        return self.text(message, "a message for")

    async def _take(self, verb: str, timeout: Duration | None) -> str | None:
        run = within_run(f"{self.name}.{verb}()")
        due = None if timeout is None else microseconds(timeout)
        return await run.receive(run.key(f"{self.name}.{verb}"), ReceiveCall(self.name, due))

    def _read(self, text: str) -> T:
        return _decoded(self.codec, text, self.name)


def checked(name: str, text: str, *, known: bool) -> str:
    """The JSON text of a message for a stream that is only known by its name.

    It is checked against the type of that stream where the code is `known` and says which it is. Raises `InvalidMessage`, `ItemTooLarge`.
    """
    check_name(name)
    check_size(text, f"a message for {name!r}")
    types = {id(one.codec): one.codec for one in _defined.get(name, ()) if one.codec is not ANY}
    if known and len(types) == 1:
        [only] = types.values()
        _decoded(only, text, name)
    return text


def _decoded(codec: Codec, text: str, name: str) -> Any:
    try:
        return codec.decode(text, what=f"a message in {name!r}")
    except UnserializableValue as error:
        raise InvalidMessage(error.message, hint="Send what the type of its input stream describes.", stream=name) from error
