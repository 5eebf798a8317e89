"""Callbacks: a run gives a machine an address, and waits for what it sends there."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from agentflow.clock import Duration, microseconds
from agentflow.engine.asking import answered
from agentflow.engine.calls import finishing
from agentflow.engine.context import CallbackAddress, TaskContext, WaitRequest
from agentflow.engine.session import Session
from agentflow.engine.waits import within_run
from agentflow.errors import ConfigurationError
from agentflow.records import WaitKind, WaitState
from agentflow.serde import Codec, codec, json_schema
from agentflow.storage import callbacks

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Awaited:
    """How the run waits for what a callback brings."""

    run: TaskContext
    key: str
    request: WaitRequest
    codec: Codec


class Callback(Generic[T]):
    """An address that a machine calls once, and the wait for it. `id` is the waitpoint's.

    `path` is the address without the server's name. `signing_key` is given when signatures were asked for: the machine signs with it as
    Standard Webhooks say. Keep both out of logs: whoever has them can answer. A replay of the run may be given others; all are good.
    """

    def __init__(self, id: str, address: CallbackAddress, awaited: Awaited) -> None:
        self.id = id
        self.path = address.path
        self.signing_key = address.signing_key
        self._server = address.server
        self._awaited = awaited

    @property
    def url(self) -> str:
        """The whole address. Raises `ConfigurationError` where nobody said by what name machines reach the server."""
        if self._server is None:
            raise ConfigurationError(
                "A callback needs the address of your server, as machines outside reach it.",
                hint="Set AGENTFLOW_PUBLIC_URL=https://…, or put your own address before `path`.",
            )
        return self._server.rstrip("/") + self.path

    async def result(self) -> T:
        """What the machine sent, as the model. Raises `WaitpointTimedOut` when it sent nothing in time."""
        awaited = self._awaited
        answer = answered(await awaited.run.wait(awaited.key, awaited.request))
        return cast("T", awaited.codec.decode(answer, what=f"what was sent to {self.id}"))


async def callback(model: type[T], *, title: str = "", expires: Duration | None = "7d", signed: bool = False) -> Callback[T]:
    """Make an address for a machine to call when it is done; the run goes on, and waits where it asks for the result.

    `model` is what the machine is to send, as JSON: what does not fit its JSON schema is refused. `expires` is a duration after which the
    address is closed. With `signed`, calls must bear a signature made with `signing_key`, beside the secret in the address.

        hook = await callback(VideoDone, expires="6h")
        await farm.submit(video, webhook=hook.url)
        done = await hook.result()
    """
    run = within_run("callback()")
    key, due = run.key("callback"), None if expires is None else microseconds(expires)
    subject: dict[str, Any] = {"title": title or getattr(model, "__name__", "callback"), "signed": signed}
    request = WaitRequest(kind=WaitKind.CALLBACK, subject=subject, schema=json_schema(model), due_after=due)
    id = await run.open(key, request)
    return Callback(id, await run.address(id, signed=signed), Awaited(run, key, request, codec(model)))


class Doors:
    """Makes the addresses of the callbacks of one run in memory."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def address(self, waitpoint_id: str, *, signed: bool) -> CallbackAddress:
        """A new address, with a secret of its own; that of a callback which has ended opens nothing."""
        secret = secrets.token_urlsafe(32)
        signing = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode() if signed else None
        if any(one.id == waitpoint_id and one.state is WaitState.PENDING for one in self._session.known.values()):
            await self._session.enter()
            try:
                await finishing(self._give(waitpoint_id, secret, signing))
            finally:
                self._session.leave()
        return CallbackAddress(f"/v1/callbacks/{waitpoint_id}/{secret}", self._session.services.public_url, signing)

    async def _give(self, waitpoint_id: str, secret: str, signing: str | None) -> None:
        now = self._session.services.clock.now()
        await self._session.transact(lambda lease: callbacks.give(lease, waitpoint_id, secret, signing, now))
