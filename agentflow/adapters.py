"""For who connects a model SDK: a call of a model as a step of the run around it, told to the run's stream while the model speaks.

    call = model_call("acme.chat", asked=messages[-1:])
    if call is None:                                    # outside of a run, or in a step that is recorded as a whole
        return await client.chat(messages)
    answer = await call.step(speak)                     # speak(told: Narrator) -> JSON; recorded once, answered from the record after
    call.narrated(one["id"] for one in answer["calls"])
    return answer

An integration imports from here and from `agentflow` itself, nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any, Literal, cast
from weakref import WeakKeyDictionary

from pydantic_core import from_json, to_jsonable_python

from agentflow.clock import Duration, microseconds
from agentflow.engine import prices
from agentflow.engine.context import Measure, StepCall, StepOptions, StepScope, TaskContext, current_step, recording
from agentflow.engine.requests import body_size
from agentflow.engine.speaking import speaker_of, speaking_by
from agentflow.errors import AgentflowError, StepTimeout
from agentflow.retry import Retry
from agentflow.serde import ANY, digest
from agentflow.storage.generations import Spoken
from agentflow.streams.events import (
    Event,
    MessageStarted,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    TextDelta,
    TextEnd,
    TextStart,
    ToolInput,
    ToolInputDelta,
    ToolInputStart,
    ToolOutput,
    Usage,
)

__all__ = [
    "IDLE_TIMEOUT",
    "MODEL_RETRY",
    "Duration",
    "ModelCall",
    "ModelRefused",
    "ModelUnreachable",
    "Narrator",
    "StepTimeout",
    "arguments",
    "model_call",
]

Share = Literal["whole", "first", "rest"]

_CURABLE = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS})
_SPENT = frozenset({"billing_error", "billing_hard_limit_reached", "insufficient_quota"})
_KEPT = ("content-type", "request-id", "retry-after", "retry-after-ms", "x-request-id", "x-should-retry")


class ModelRefused(AgentflowError):
    """A provider answered a model request with an error: its HTTP status, headers that count, and body survive the journal.

    `ModelRefused.of(429, response.headers, body)` makes one. Whether another try can cure it: what the provider says
    (`x-should-retry`) counts most, spent quota and wrong requests never, then the status.
    """

    code = "model_refused"

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: Any) -> ModelRefused:
        """The error of an answer. `body` is its JSON, or text."""
        kept = {name: headers[name] for name in _KEPT if name in headers}
        said = _error(body).get("message") or body or "nothing"
        return cls(f"The model's provider answered {status}: {said}", status=status, headers=kept, body=body)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.details["status"]

    @property
    def headers(self) -> dict[str, str]:
        """The headers that say how to go on; a `retry-after` is waited for."""
        return self.details["headers"]

    @property
    def body(self) -> Any:
        """What the provider wrote."""
        return self.details["body"]

    @property
    def curable(self) -> bool:
        """Whether another try may succeed."""
        told = self.headers.get("x-should-retry")
        if told is not None:
            return told == "true"
        error = _error(self.body)
        if error.get("code") in _SPENT or error.get("type") in _SPENT:
            return False
        return curable_status(self.status)


class ModelUnreachable(AgentflowError):
    """No answer came from a model's provider, or it broke off."""

    code = "model_unreachable"


def curable_status(status: int) -> bool:
    """Whether a request that was answered like that may succeed at the next try, as far as the status can tell."""
    return status in _CURABLE or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _error(body: Any) -> dict[str, Any]:
    """What a body says of the error, whichever way its provider writes it."""
    whole: dict[str, Any] = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    found = whole.get("error")
    return cast("dict[str, Any]", found) if isinstance(found, dict) else whole


def _curable(error: BaseException) -> bool:
    if isinstance(error, ModelRefused):
        return error.curable
    return isinstance(error, (ModelUnreachable, StepTimeout, TimeoutError))


MODEL_RETRY = Retry(attempts=5, initial="1s", factor=2, max="1m", on=_curable)
"""How a model request is tried by default, for failures that another try can cure. A `retry-after` of the provider is waited for."""

IDLE_TIMEOUT: Duration = "5m"
"""How long a model may say nothing before its request is tried again."""


class Narrator:
    """Tells one try of a model call to the run's stream. Ids carry the try, so what a failed one said is never continued by the next.

    A `place` names a part of the message: any text that is unique in it. A part begins with its first word.
    """

    def __init__(self, step: StepScope) -> None:
        self._step = step
        self._message = f"{step.id}.{step.attempt}"
        self._begun = False
        self._open: dict[str, type[TextEnd | ReasoningEnd]] = {}
        self._calls: set[str] = set()

    def text(self, place: str, delta: str = "") -> None:
        """Tell more of a text."""
        part = self._part(place)
        if place not in self._open:
            self._open[place] = TextEnd
            self._say(TextStart(part, self._message, self._step.id))
        if delta:
            self._say(TextDelta(part, delta))

    def thought(self, place: str, delta: str = "", *, redacted: bool = False) -> None:
        """Tell more of a thought; `redacted`: nobody but the provider can read it."""
        part = self._part(place)
        if place not in self._open:
            self._open[place] = ReasoningEnd
            self._say(ReasoningStart(part, self._message, self._step.id, redacted=redacted or None))
        if delta:
            self._say(ReasoningDelta(part, delta))

    def end(self, place: str, signature: str | None = None) -> None:
        """A text or a thought is complete; a part that never began has nothing to end."""
        kind = self._open.pop(place, None)
        if kind is TextEnd:
            self._say(TextEnd(self._part(place)))
        elif kind is not None:
            self._say(ReasoningEnd(self._part(place), signature))

    def call(self, id: str, tool: str, delta: str = "") -> None:
        """Tell of a tool call, and of more of its arguments as JSON text."""
        if id not in self._calls:
            self._calls.add(id)
            self._say(ToolInputStart(id, tool, self._message, self._step.id))
        if delta:
            self._say(ToolInputDelta(id, delta))

    def called(self, id: str, tool: str, given: Any, *, provider: bool = False) -> None:
        """A tool call is complete; `provider`: the provider runs the tool itself."""
        self.call(id, tool)
        self._say(ToolInput(id, tool, _plain(given), "provider" if provider else "server", self._message, self._step.id))

    def returned(self, id: str, output: Any) -> None:
        """A tool that the provider runs has its result."""
        self._say(ToolOutput(id, _plain(output)))

    def alive(self) -> None:
        """Something came that says nothing: the idle timeout begins anew."""
        self._step.touch()

    def used(self, response: Mapping[str, Any], *, provider: str, flavor: str = "default") -> None:
        """Tell what the finished call used and cost, by the provider's own JSON; an unknown price is told as none.

        `provider` and `flavor` are names of genai-prices: `openai` with `responses` or `chat`, `anthropic` with `default`.
        """
        model = response.get("model")
        self._step.publish(Usage(step=self._step.id, provider=provider, model=model, **_used(response, provider, flavor)))

    def _part(self, place: str) -> str:
        return f"{self._message}.{place}"

    def _say(self, event: Event) -> None:
        if not self._begun:
            self._begun = True
            self._step.publish(MessageStarted(self._message, step=self._step.id))
        self._step.publish(event)


class ModelCall:
    """One call of a model in a run, made by `model_call`."""

    def __init__(
        self, run: TaskContext, name: str, asked: str, options: StepOptions, size: Measure | None = None, spoken: Spoken | None = None
    ) -> None:
        self._run = run
        self._spoken = spoken
        self._name = name
        self._asked = asked
        self._options = options
        self._size = size
        self._key = run.key(name)

    async def step(self, speak: Callable[[Narrator], Awaitable[Any]], part: str | None = None, *, share: Share = "whole") -> Any:
        """The recorded JSON of the call, or run `speak` and record what it returns.

        Of a call that has several steps `part` names one, and `share` says which is the `first` (what a budget lets begin) and which are
        the `rest` (what tells what was used). From the first on it is under way until a rest is recorded: say `over` when none will be.

        Raises what the last try of `speak` raised, live as on a replay.
        """

        async def body() -> Any:
            return await speak(Narrator(current_step()))

        key, name = (self._key, self._name) if part is None else (f"{self._key}/{part}", f"{self._name}.{part}")
        options = self._options if share == "whole" else replace(self._options, share=share, call=self._key)
        with speaking_by(self._spoken):
            return await self._run.step(key, StepCall(name, body, ANY, self._asked, options, size=self._size))

    def over(self) -> None:
        """Say that the code follows a call of several steps no further, however that came: budgets wait for it no longer.

        Where only this process ends, the call stays under way: another one follows it.
        """
        self._run.over(self._key)

    def narrated(self, calls: Iterable[str]) -> None:
        """Say which tool calls the answer asks for, by their ids: a `Narrator` told them, and whoever carries them out need not.

        Say it of the recorded answer: a replay hears no narrator, and what it carries out is told as well.
        """
        _narrated.setdefault(self._run, set()).update(calls)

    async def aside(self, part: str, body: Callable[[], Awaitable[Any]]) -> Any:
        """The recorded JSON of something that belongs to the call and asks no model."""
        return await self._run.step(f"{self._key}/{part}", StepCall(f"{self._name}.{part}", body, ANY, ""))

    def ends(self, stopped: asyncio.CancelledError) -> bool:
        """Whether what stopped the call is the end of the run: somebody cancelled it, or its time is over. Else only this process ends."""
        return self._run.cancelled is not None or stopped.args[:1] == ("max_duration",)


_narrated: WeakKeyDictionary[TaskContext, set[str]] = WeakKeyDictionary()


def is_narrated(run: TaskContext, call: str) -> bool:
    """Whether a model call of this run told that the model makes this tool call."""
    return call in _narrated.get(run, ())


def model_call(
    name: str,
    asked: Any,
    *,
    retry: Retry = MODEL_RETRY,
    idle_timeout: Duration = IDLE_TIMEOUT,
    request: Mapping[str, Any] | None = None,
    provider: str = "",
) -> ModelCall | None:
    """A call of a model as a step of the run around this code; None outside of a run and inside of a step.

    `name` is what viewers see, and its count in the branch is the key: take it where the call is written. `asked` is what is new in the
    request, as JSON: it is compared when the code has changed. `retry` says how a request is tried; `idle_timeout` is a duration.
    `request` is all of it, as JSON for the `provider` (a name of genai-prices): what it limits itself to lets it run beside others under
    a budget, and the prompt of the run whose words it says is the one that the call is counted for.
    """
    run = recording()
    if run is None:
        return None
    prices.warm()
    options = StepOptions(kind="llm", retry=retry, idle_timeout=microseconds(idle_timeout))
    size = None if request is None else partial(body_size, request, provider)
    return ModelCall(run, name, digest(_plain(asked)), options, size, speaker_of(run, request))


def arguments(text: str) -> Any:
    """The arguments of a call as a model wrote them: JSON, or the text where it is none, for people to see."""
    try:
        return from_json(text or "{}")
    except ValueError:
        return text


def _plain(value: Any) -> Any:
    """A value as JSON; what JSON cannot say is told by its `str`."""
    return to_jsonable_python(value, fallback=str, serialize_unknown=True)


def _used(response: Mapping[str, Any], provider: str, flavor: str) -> dict[str, Any]:
    from genai_prices import extract_usage

    try:
        found = extract_usage(response, provider_id=provider, api_flavor=flavor)
    except (LookupError, ValueError):
        return {}
    usage = found.usage
    told = {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cached": usage.cache_read_tokens,
        "reasoning": usage.output_reasoning_tokens,
    }
    try:
        return {**told, "cost": float(found.calc_price().total_price)}
    except (LookupError, ValueError):
        return told
