"""A step that is not recorded yet: tried, timed, retried, recorded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from dataclasses import replace
from typing import Any

from agentflow.clock import SECOND
from agentflow.control import LeaseLost
from agentflow.engine.context import StepCall, StepOptions, WaitRequest, scope
from agentflow.engine.generating import Tried, generated
from agentflow.engine.meter import Meter
from agentflow.engine.prices import call_usage, priced
from agentflow.engine.session import Session, Work
from agentflow.engine.speaking import spoken_by
from agentflow.errors import AgentflowError, BudgetExceeded, StepFailed, StepTimeout
from agentflow.records import EntryKind, Failure, JournalEntry, WaitKind
from agentflow.serde import decode_failure, dumps, encode_failure, failure, loads, rebuild
from agentflow.storage.generations import Ending
from agentflow.storage.journal import Words
from agentflow.storage.usage import Metered
from agentflow.streams.events import Event, ReasoningDelta, StepCompleted, StepRetrying, StepStarted, TextDelta, ToolInputDelta, Usage
from agentflow.streams.events import StepFailed as StepFailedEvent
from agentflow.streams.transcript import Transcript, written

LONG_DELAY = 5 * SECOND
"""A retry that is further away than this frees the run's slot and survives a crash as a timer."""


_WORDS = (TextDelta, ReasoningDelta, ToolInputDelta)


class Scope:
    """What the body of one try of a step can reach."""

    __slots__ = (
        "_alive",
        "_began",
        "_elsewhere",
        "_session",
        "_transcript",
        "attempt",
        "first_at",
        "id",
        "idempotency_key",
        "parts",
        "spoken",
        "used",
    )

    def __init__(self, session: Session, began: StepStarted, now: int) -> None:
        self.id = began.step
        self.attempt = began.attempt
        self.idempotency_key = f"{session.run.id}:{began.step}"
        self.parts: list[str] = []
        self.used: list[Usage] = []
        self._session = session
        self._began = began
        self.spoken = spoken_by.get()
        self.first_at: int | None = None
        self._transcript: Transcript | None = None
        self._elsewhere: dict[str, list[Event]] = {}
        self._alive = now

    @property
    def alive(self) -> int:
        """When the body last gave a sign of life, in microseconds since 1970."""
        return self._alive

    def publish(self, event: Event) -> None:
        """Send an event to the run's stream, from any thread."""
        if threading.get_ident() != self._session.thread:
            self._session.loop.call_soon_threadsafe(self.publish, event)
            return
        self._alive = self._session.services.clock.now()
        if isinstance(event, Usage):
            event = replace(priced(event), prompt=event.prompt or (self.spoken and self.spoken.ref))
            self.used.append(event)
        elif self.first_at is None and isinstance(event, _WORDS):
            self.first_at = self._alive
        if (part := getattr(event, "part", None) or getattr(event, "call", None)) and part not in self.parts:
            self.parts.append(part)
        if self._transcript is None:
            self._transcript = Transcript(self._began)
        self._transcript.add(event)
        self._session.publish(event)

    def join(self, run_id: str, event: Event) -> None:
        """Send an event to the stream of another run."""
        self.touch()
        self._elsewhere.setdefault(run_id, []).append(event)
        self._session.services.streams.join(run_id, event)

    @property
    def said(self) -> Words | None:
        """All that was published, to be recorded."""
        here = None if self._transcript is None else self._transcript.text()
        elsewhere = {run_id: written(events) for run_id, events in self._elsewhere.items()}
        return Words(here, elsewhere) if here is not None or elsewhere else None

    def touch(self) -> None:
        """Refresh the idle timeout."""
        self._alive = self._session.services.clock.now()


class Tries:
    """All tries of one step call."""

    def __init__(self, session: Session, key: str, call: StepCall, meter: Meter) -> None:
        self._session = session
        self._key = key
        self._name = call.options.call or key
        self._call = call
        self._meter = meter
        self._last = False

    async def run(self, tried: JournalEntry | None) -> Any:
        """The step's result, recorded. Raises what its last try raised, recorded too."""
        session = self._session
        tries = 0
        if tried is not None:
            tries = tried.tries
            await self._until(tries, loads(tried.value or "{}").get("until", 0))
        while True:
            tries += 1
            refused = await self._enter()
            try:
                if refused is not None:
                    raise await self._refused(refused, tries)
                return await self._try(tries)
            except _Again as again:
                until = again.until
            finally:
                self._meter.leave(self._name)
                session.leave()
            await self._until(tries, until)

    async def _enter(self) -> BudgetExceeded | None:
        return await (self._meter.enter(self._key, self._call) if self._call.options.begins else self._session.enter())

    async def _refused(self, refused: BudgetExceeded, tries: int) -> BudgetExceeded:
        """Record that the step may not begin, so that a replay is told the same."""
        session, call = self._session, self._call
        failed = encode_failure(failure(refused, "budget"))
        await session.append(EntryKind.ERROR, self._key, failed, Work(session.services.clock.now(), call.digest, tries))
        told = {"type": "BudgetExceeded", "message": refused.message}
        session.publish(StepFailedEvent(self._key, told, call.name, call.options.kind, tries))
        return refused

    async def _try(self, tries: int) -> Any:
        session, call = self._session, self._call
        started = session.services.clock.now()
        if call.consent is not None:
            # Consumed by the step's record; without one, whoever finds this knows that the body may have done its work.
            await session.append(EntryKind.TRY, self._key, dumps({"consent": call.consent}), Work(started, call.digest, tries))
        began = StepStarted(self._key, call.name, call.options.kind, tries)
        session.publish(began)
        here = Scope(session, began, started)
        try:
            text, live = await self._result(here, tries)
        except Exception as error:
            raise await self._failed(error, here, tries, started) from error
        except asyncio.CancelledError:
            await _to_its_end(asyncio.get_running_loop().create_task(self._cut_off(here, tries, started), context=Context()))
            raise
        metered = await self._metered(here, started, "answered")
        ended = await session.append(EntryKind.RESULT, self._key, text, Work(started, call.digest, tries, here.said, metered))
        self._meter.recorded(self._name)
        took = (ended - started) // 1_000
        session.publish(StepCompleted(self._key, call.name, call.options.kind, tries, duration_ms=took))
        return live

    async def _metered(self, here: Scope, began: int, ended: Ending, error: str | None = None, *, again: bool = False) -> Metered | None:
        """What is to be recorded of the model calls in a try."""
        options, env = self._call.options, self._session.services.environment
        used = [call_usage(one) for one in here.used]
        tried = Tried(spoken=here.spoken, env=env, began=began, first_at=here.first_at, ended=ended, error=error, again=again)
        made = generated(tried, used, options)
        return await self._meter.metered(self._key, used, options, made, answered=ended == "answered")

    async def _result(self, here: Scope, tries: int) -> tuple[str, Any]:
        call = self._call
        try:
            return self._stored(await self._body(here))
        except Exception as error:
            if call.rescue is None or call.options.retry.delay(tries, error, self._session.services.clock.now()) is not None:
                raise
            token = scope.set(here)
            try:
                return self._stored(call.rescue(error))
            except Exception as broken:
                if broken is error:
                    raise
                # The body has run for the last time, whatever the policy says of errors like this one.
                self._last = True
                raise self._unmapped(call.rescue, error, broken) from broken
            finally:
                scope.reset(token)

    def _unmapped(self, rescue: Callable[[Exception], Any], error: Exception, broken: Exception) -> StepFailed:
        mapper, kind = getattr(rescue, "__qualname__", repr(rescue)), type(broken).__name__
        text = f"Step {self._call.name!r} failed with {type(error).__name__}, and {mapper}, which tells of it, failed: {kind}: {broken}"
        hint = "Mend what tells of the error: the step has run and is not tried again for that."
        return StepFailed(text, hint=hint, step=self._key, error={"type": kind, "message": str(broken)})

    def _stored(self, value: Any) -> tuple[str, Any]:
        codec, what = self._call.codec, f"the result of step {self._call.name!r}"
        text = codec.encode(value, what=what)
        return text, codec.decode(text, what=what)

    async def _failed(self, error: Exception, here: Scope, tries: int, started: int) -> BaseException:
        """Record a failed try. Returns what to raise: `_Again`, or the error as a replay will raise it."""
        session, call = self._session, self._call
        failed = decode_failure(encode_failure(failure(error, "timeout" if isinstance(error, StepTimeout) else "error")))
        delay = None if self._last else call.options.retry.delay(tries, error, session.services.clock.now())
        metered = await self._metered(here, started, "failed", failed.type, again=delay is not None)
        told = {"type": failed.type, "message": failed.message}
        if delay is None:
            await session.append(EntryKind.ERROR, self._key, encode_failure(failed), Work(started, call.digest, tries, metered=metered))
            self._meter.recorded(self._name)
            session.publish(StepFailedEvent(self._key, told, call.name, call.options.kind, tries))
            return raised(failed, call.name, self._key)
        until = session.services.clock.now() + delay
        note = dumps({"until": until, "error": told})
        await session.append(EntryKind.TRY, self._key, note, Work(started, tries=tries, metered=metered))
        self._meter.recorded(self._name)
        session.publish(StepRetrying(self._key, tries + 1, told, delay // 1_000, tuple(here.parts)))
        return _Again(until)

    async def _cut_off(self, here: Scope, tries: int, started: int) -> None:
        """Record what a try that was cancelled had told of its use by then, as a try that never counts. Without the lease nobody may."""
        session = self._session
        if not here.used or session.lease is None or session.closed or session.latched is not None:
            return
        metered = await self._metered(here, started, "cancelled")
        note = dumps({"until": started, "error": {"type": "CancelledError", "message": "It was cancelled."}})
        with suppress(LeaseLost):
            await session.append(EntryKind.TRY, self._key, note, Work(started, tries=tries - 1, metered=metered))
            self._meter.recorded(self._name)

    async def _until(self, tries: int, until: int) -> None:
        clock = self._session.services.clock
        if until - clock.now() > LONG_DELAY:
            # Each attempt of the run waits anew.
            await self._meter.wait(f"{self._key}~{self._session.run.attempt}.{tries}", WaitRequest(kind=WaitKind.TIMER, due_at=until))
            return
        await self._session.enter()
        try:
            await clock.sleep_until(until)
        finally:
            self._session.leave()

    async def _body(self, here: Scope) -> Any:
        options = self._call.options
        token = scope.set(here)
        try:
            if options.timeout is None and options.idle_timeout is None:
                return await self._call.body()
            return await self._timed(here, options)
        finally:
            scope.reset(token)

    async def _timed(self, here: Scope, options: StepOptions) -> Any:
        clock = self._session.services.clock
        began = clock.now()
        body = asyncio.ensure_future(self._call.body())
        try:
            while True:
                await _either(body, clock.sleep_until(_ends(here, options, began)))
                if body.done():
                    return body.result()
                if clock.now() >= _ends(here, options, began):
                    raise await self._stop(body, options, idle=options.timeout is None or clock.now() < began + options.timeout)
        except asyncio.CancelledError:
            body.cancel()
            await _to_its_end(body)
            raise

    async def _stop(self, body: asyncio.Future[Any], options: StepOptions, *, idle: bool) -> StepTimeout:
        """Stop a body that is out of time; one that will not stop is left behind after a second."""
        body.cancel("timeout")
        clock = self._session.services.clock
        await _either(body, clock.sleep_until(clock.now() + SECOND))
        limit = (options.idle_timeout if idle else options.timeout) or 0
        what = "was silent for" if idle else "ran longer than"
        return StepTimeout(
            f"Step {self._call.name!r} {what} {limit / SECOND:g} s.",
            hint="Give it a longer timeout, or a retry.",
            step=self._key,
            idle=idle,
        )


async def _to_its_end(work: asyncio.Future[Any]) -> None:
    """Wait for it while this is being cancelled: cancel scopes do so again at every turn of the loop."""
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({work})
    if not work.cancelled():
        work.exception()  # Whoever cancelled it does not ask.


async def _either(body: asyncio.Future[Any], time: Coroutine[Any, Any, None]) -> None:
    """Return once the body is done or the time has come."""
    timer = asyncio.get_running_loop().create_task(time, context=Context())
    try:
        await asyncio.wait({body, timer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()


def _ends(here: Scope, options: StepOptions, began: int) -> int:
    ends = [] if options.timeout is None else [began + options.timeout]
    if options.idle_timeout is not None:
        ends.append(here.alive + options.idle_timeout)
    return min(ends)


class _Again(Exception):
    """The try failed and is to be repeated."""

    def __init__(self, until: int) -> None:
        super().__init__()
        self.until = until


def raised(failed: Failure, name: str, key: str) -> Exception:
    """What a recorded failure raises, live as on replay: the exception itself where it can be rebuilt, else `StepFailed`."""
    found = rebuild(failed)
    if found is not None:
        return found
    error: AgentflowError = StepFailed(
        f"Step {name!r} failed: {failed.type}: {failed.message}",
        hint=failed.hint,
        step=key,
        error={"type": failed.type, "message": failed.message},
    )
    return error


def recorded(entry: JournalEntry, call: StepCall) -> Any:
    """What a journal entry answers to the call that asks for it again."""
    if entry.kind is EntryKind.ERROR:
        raise raised(decode_failure(entry.value or "{}"), call.name, entry.key)
    return call.codec.decode(entry.value or "null", what=f"the recorded result of step {call.name!r}")
