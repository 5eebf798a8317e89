"""What is live of prompts, for code that has no database: told by the server, asked for where that is cut, and kept for when it is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import httpx
from pydantic_core import from_json

from agentflow.client.answers import error_of
from agentflow.client.prompt_cache import Cache, Known
from agentflow.client.sse import FrameParser
from agentflow.clock import SECOND, Clock, SystemClock
from agentflow.errors import AgentflowError, PromptError, PromptNotFound, ServerUnreachable, VersionRevoked
from agentflow.serde import dumps
from agentflow.storage.bindings import CODE, ROLLOUT, Choice
from agentflow.storage.fallbacks import Tally
from agentflow.storage.pins import Held, Wanted
from agentflow.storage.prompts import VersionRecord, repinned
from agentflow.storage.rollouts import Asker

POLL = 15 * SECOND
"""Microseconds between two questions to a server that tells nothing by itself."""
STALE = 24 * 3_600 * SECOND
"""Microseconds without a word after which what is held is old: it is used, and a warning says so each hour."""
_HOUR = 3_600 * SECOND
_CHAIN = 8
_OK, _UNCHANGED = 200, 304
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_FIRST = httpx.Timeout(5.0)
_ODD = (ValueError, LookupError, TypeError, AttributeError, AgentflowError)
"""What is raised over an answer that this client does not understand: of a newer server, or of something else at its address."""
_log = logging.getLogger("agentflow.prompts")
F = TypeVar("F", covariant=True)


class Fillable(Protocol[F]):
    """A prompt that code has: `prompt(…)`."""

    def fill_by(
        self,
        live: Callable[[Wanted], Held | None],
        /,
        *args: Any,
        sticky: str | None = None,
        slots: Mapping[str, Sequence[Any]] | None = None,
        label: str = "live",
        **variables: Any,
    ) -> F:
        """Filled in by the version that `live` says, or by the code's own."""
        ...


class PromptFollower:
    """`client.prompts.follow()`: which version holds, known here at once. While the server is away, what held last; else what code has.

    What is filled in meanwhile is counted, logged, and told to the server when that is back: an event `prompt.fallback` of the prompt.
    """

    def __init__(self, http: httpx.AsyncClient, env: str | None, folder: Path | None, clock: Clock | None = None) -> None:
        self._http = http
        self._query = {} if env is None else {"env": env}
        self._clock = clock or SystemClock()
        self._cache = Cache(folder, env)
        self._tally = Tally()
        self._trouble: str | None = "server_unreachable: It has not answered yet."
        self._misread = False
        self._warned = 0
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._cache.load()
        await self._poll(_FIRST)
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="agentflow-prompt-follower")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def etag(self) -> str | None:
        """Of what is held; None before the first answer."""
        return None if self._cache.known is None else self._cache.known.etag

    @property
    def reachable(self) -> bool:
        """Whether the server answered when it was last asked, and was understood."""
        return self._trouble is None

    async def changed(self) -> None:
        """Return once something else is held, or the server is away or back."""
        self._changed.clear()
        await self._changed.wait()

    async def get(
        self,
        prompt: Fillable[F],
        /,
        *args: Any,
        sticky: str | None = None,
        slots: Mapping[str, Sequence[Any]] | None = None,
        label: str = "live",
        **variables: Any,
    ) -> F:
        """Fill in the version that holds; the same for the same `sticky` as everywhere else, for as long as the rollout has these weights.

        Raises `PromptError` for variables that do not fit, and `VersionRevoked`.

            p = await live.get(support, name="Ada", issue="…", sticky=tenant)
        """
        return prompt.fill_by(self.live, *args, sticky=sticky, slots=slots, label=label, **variables)

    def version(self, name: str, *, label: str = "live", sticky: str | None = None) -> Held:
        """The version that holds, for code that has not the prompt itself; its `body` is JSON text.

        Raises `PromptNotFound` where nothing holds, also where something did, `VersionRevoked`, and `ServerUnreachable` where nobody knows.
        """
        held = self.live(Wanted(prompt=name, label=label, sticky=sticky, fits=lambda text: ""))
        if held is None:
            raise PromptNotFound(f"Nothing holds for {name} under {label}.", hint="Release a version of it.", prompt=name)
        return held

    def live(self, wanted: Wanted) -> Held | None:
        """The version that holds; None for the code's own. Raises as `version`, and `PromptError` for a version that does not fit."""
        known, own = self._cache.known, wanted.own
        if known is None:
            if own is None:
                hint = "Wait for it, or define the prompt in code, too."
                raise ServerUnreachable(f"Nobody knows what holds for {wanted.prompt}: {self._trouble}", hint=hint)
            self._fell_back(wanted, own.hash, self._trouble or "unknown")
            return None
        try:
            held = _held(known, wanted, self._clock.now())
        except _Damaged as damage:
            if own is None:
                raise PromptNotFound(damage.message, hint="Release another version.", prompt=wanted.prompt) from None
            self._fell_back(wanted, own.hash, f"{damage.code}: {damage.message}")
            return None
        if self._trouble is not None:
            self._fell_back(wanted, held.hash if held is not None else own.hash if own is not None else "", self._trouble)
            self._warn_of_age()
        return held

    def _fell_back(self, wanted: Wanted, hash: str, reason: str) -> None:
        if self._tally.count(wanted.prompt, reason, hash, self._clock.now()):
            _log.warning("%s goes by %s: %s", wanted.prompt, hash, reason)

    def _warn_of_age(self) -> None:
        now = self._clock.now()
        age = now - self._cache.heard
        if age > STALE and now - self._warned > _HOUR:
            self._warned = now
            _log.warning("What holds was last heard of %d hours ago, and is used all the same: %s", age // _HOUR, self._trouble)

    # -- hearing of it -------------------------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            wait = await self._listen()
            await self._poll(_TIMEOUT)
            await self._clock.sleep_until(self._clock.now() + wait)

    async def _listen(self) -> int:
        """Hear what the server tells, until it says no more. Returns for how many microseconds to leave it alone."""
        headers = {"accept": "text/event-stream", **({} if self.etag is None else {"last-event-id": self.etag})}
        wait = POLL
        try:
            async with self._http.stream(
                "GET", "/v1/prompt-snapshot/stream", params=self._query, headers=headers, timeout=_TIMEOUT
            ) as answer:
                parser = FrameParser()
                if answer.status_code != _OK:
                    return POLL
                async for part in answer.aiter_bytes():
                    await self._reached()
                    wait = SECOND
                    for frame in parser.feed(part):
                        told = from_json(frame.data)
                        wait = told["after_ms"] * 1_000 if told["type"] == "sync.reconnect" else wait
                        if not told["type"].startswith("sync.") or told["type"] == "sync.snapshot":
                            self._take(told)
                        if self._misread:
                            # What comes next says only what is different from this.
                            return POLL
        except httpx.HTTPError:
            return wait
        except _ODD as error:
            self._lost(f"not_understood: {error!r}")
            return POLL
        return wait

    async def _poll(self, timeout: httpx.Timeout) -> None:
        headers = {} if self.etag is None else {"if-none-match": f'"{self.etag}"'}
        try:
            answer = await self._http.get("/v1/prompt-snapshot", params=self._query, headers=headers, timeout=timeout)
            if answer.status_code not in (_OK, _UNCHANGED):
                raise error_of(answer.status_code, _read(answer.content))
            told = from_json(answer.content) if answer.status_code == _OK else None
        except (httpx.HTTPError, ValueError) as error:
            self._lost(f"server_unreachable: {str(error) or type(error).__name__}")
        except AgentflowError as refused:
            self._lost(f"{refused.code}: {refused.message}")
        else:
            self._misread = False
            if told is not None:
                self._take(told)
            await self._reached()

    def _take(self, told: Mapping[str, Any]) -> None:
        try:
            self._cache.take(told, self._clock.now())
        except _ODD as error:
            self._misread = True
            self._lost(f"not_understood: {error!r}")
        else:
            self._misread = False
            self._changed.set()

    def _lost(self, trouble: str) -> None:
        if self._trouble is None:
            _log.warning("Which prompts hold cannot be asked, and what held last is used: %s", trouble)
            self._changed.set()
        self._trouble = trouble

    async def _reached(self) -> None:
        if not self._misread:
            self._cache.hear(self._clock.now())
            if self._trouble is not None:
                self._trouble = None
                self._changed.set()
        if self._tally:
            await self._tell()

    async def _tell(self) -> None:
        """Tell the server what was gone by. What it refuses is told to nobody: the log has it."""
        taken = self._tally.take()
        told = [
            {"prompt": one.prompt, "hash": one.hash, "reason": one.reason, "count": one.count, "since": one.since // 1_000}
            | {"until": one.until // 1_000}
            for one in taken
        ]
        try:
            answer = await self._http.post(
                "/v1/prompt-fallbacks", content=dumps({"fallbacks": told, **self._query}), headers={"content-type": "application/json"}
            )
        except httpx.HTTPError:
            self._tally.give_back(taken)
            return
        if answer.is_error:
            _log.warning("The server takes no word of %d fallbacks: %s", len(taken), error_of(answer.status_code, _read(answer.content)))


class _Damaged(PromptError):
    """The server's registry lacks what it names."""


def _held(known: Known, wanted: Wanted, now: int) -> Held | None:
    """What the server would choose, of what is known of it. None is the code's own."""
    own, found = wanted.own, known.bindings.get((wanted.prompt, wanted.label))
    binding = None if found is None else found.at(now)
    variant = rollout = None
    if binding is None or binding.mode == CODE:
        if own is not None:
            mine = known.hashes.get((wanted.prompt, own.hash))
            return None if mine is None else _fitting(known, wanted, Choice(mine))
        if binding is None or binding.number is None:
            raise PromptNotFound(f"Nothing holds for {wanted.prompt}.", hint="Release a version of it.", prompt=wanted.prompt)
        number = binding.number
    elif binding.rolled is not None:
        # Of tasks, tags and threads nothing is known outside of a run.
        asker = Asker(key=wanted.sticky, thread=None, root=wanted.sticky or "", variables=wanted.variables)
        number, taking_part = binding.rolled.choose(binding.weights, asker)
        variant, rollout = (f"v{number}", binding.rollout) if taking_part else (None, None)
    elif binding.mode == ROLLOUT:
        raise _Damaged(f"The rollout of {wanted.prompt} cannot be read.", hint="Release a version, or roll out anew.")
    else:
        number = binding.number or 0
    version = known.versions.get((wanted.prompt, number))
    if version is None:
        raise _Damaged(f"{wanted.prompt} has no version v{number}.", hint="Release another one.")
    return _fitting(known, wanted, Choice(version, variant, rollout))


def _fitting(known: Known, wanted: Wanted, choice: Choice) -> Held | None:
    """The version that was chosen, or the one that stands for it; the code's own where that does not fit."""
    stands = _standing(known, choice.version)
    try:
        wanted.fits(stands.body)
    except PromptError:
        if wanted.own is None or wanted.own.hash == stands.hash:
            raise
        return None
    kept = choice if stands is choice.version else Choice(stands)
    return Held(number=stands.number, hash=stands.hash, body=stands.body, label=wanted.label, variant=kept.variant, rollout=kept.rollout)


def _standing(known: Known, version: VersionRecord) -> VersionRecord:
    stands = version
    for _ in range(_CHAIN):
        policy = stands.revoke_policy
        if stands.revoked_at is None or policy is None:
            return stands
        if not policy.startswith("repin:"):
            break
        following = known.versions.get((stands.prompt, repinned(policy)))
        if following is None:
            raise _Damaged(f"{stands.prompt} has not the version that stands for v{stands.number}.", hint="Release another one.")
        stands = following
    raise VersionRevoked(f"v{version.number} of {version.prompt} is revoked.", hint="Release another version.", prompt=version.prompt)


def _read(text: bytes) -> Any:
    try:
        return from_json(text)
    except ValueError:
        return None
