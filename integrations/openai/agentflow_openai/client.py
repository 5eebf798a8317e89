"""`durable`: a copy of a client whose requests to models are recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar, cast

import httpx2
from openai import AsyncOpenAI, AsyncStream, not_given

from agentflow import Retry
from agentflow.adapters import IDLE_TIMEOUT, MODEL_RETRY, Duration, ModelCall, ModelRefused, Narrator, model_call
from agentflow_openai.background import Background
from agentflow_openai.hearing import APIS, Api, hear, translated

Client = TypeVar("Client", bound=AsyncOpenAI)
_RAW = "X-Stainless-Raw-Response"


def durable(client: Client, *, retry: Retry = MODEL_RETRY, idle_timeout: Duration = IDLE_TIMEOUT) -> Client:
    """The client, for use in tasks: each call of `responses.create`, `.stream`, `.parse`, or of `chat.completions`, is a step.

    The model's words, thoughts and tool calls go to the run's stream while it speaks. The code gets the response once it is recorded, as
    the provider sent it: encrypted reasoning and all. A stream tells it then, part by part, live as on a replay. Outside of a run, and
    inside of a step, this is the plain client. It shares the connections of `client`: close one of them.

    With `background=True` the id of the response is recorded as soon as OpenAI names it, and the call returns the finished response: a
    worker that takes the run over goes on with it and asks nothing twice, and a cancelled run cancels it.

    `retry` is how a request is tried in place of the SDK's own retries, `idle_timeout` (a duration) how long the model may say nothing.
    A refusal comes back as the SDK's own error; no answer at all is a `ModelUnreachable`, silence a `StepTimeout`.

        client = durable(AsyncOpenAI())

        @task
        async def greet(name: str) -> str:
            return (await client.responses.create(model="gpt-5", input=f"Greet {name}.", background=True)).output_text
    """
    if AsyncOpenAI not in type(client).__mro__:
        raise TypeError(f"durable() takes an AsyncOpenAI, not {type(client).__name__}.")
    options = {"_retry": retry, "_idle_timeout": idle_timeout}
    # The SDK copies a client by its class, so `with_options` gives a durable one, too.
    kind = type(f"Durable{type(client).__name__.removeprefix('Durable')}", (Recorder, type(client)), options)
    made = kind.__new__(kind)
    vars(made).update(vars(client.copy()))
    return cast("Client", made)


class Recorder(AsyncOpenAI):
    """Answers model requests from the record of the run around them. `request` is what every call of the SDK goes through."""

    _retry: Retry
    _idle_timeout: Duration

    async def request(self, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None) -> Any:
        """See `AsyncOpenAI.request`."""
        api = APIS.get(options.url) if options.method.lower() == "post" else None
        body: dict[str, Any] = {**(options.json_data or {}), **(options.extra_json or {})} if api is not None else {}
        how: dict[str, Any] = {"retry": self._retry, "idle_timeout": self._idle_timeout, "request": body, "provider": "openai"}
        call = None if api is None else model_call(api.name, api.news(body), **how)
        if api is None or call is None:
            return await super().request(cast_to, options, stream=stream, stream_cls=stream_cls)
        try:
            record = await self._recorded(api, call, body, options)
        except ModelRefused as refused:
            answered = self._answered(options, refused.status, refused.headers, json.dumps(refused.body).encode())
            raise self._make_status_error_from_response(answered) from refused
        call.narrated(api.calls(record))
        content = api.told_again(record, body) if stream else json.dumps(record).encode()
        headers = {"content-type": "text/event-stream" if stream else "application/json"}
        return await self._process_response(
            cast_to=self._maybe_override_cast_to(cast_to, options),
            options=options,
            response=self._answered(options, HTTPStatus.OK, headers, content),
            stream=stream,
            stream_cls=stream_cls,
        )

    async def _recorded(self, api: Api, call: ModelCall, body: Mapping[str, Any], options: Any) -> Any:
        ask = partial(self._ask, api, options)
        if not body.get("background"):
            return await call.step(partial(_speak, api, ask))
        how: dict[str, Any] = body.get("background_options") or {}
        if how.get("completion_window", "soonest") == "soonest":
            return await Background(self, call, ask).record()
        return await call.step(partial(self._queue, options))

    async def _queue(self, options: Any, told: Narrator) -> Any:
        """A response that may take hours has no stream: it is recorded as it is queued."""
        with translated():
            return await super().request(object, _bare(options))

    async def _ask(self, api: Api, options: Any) -> AsyncStream[object]:
        """The same request, streamed; its events are read as JSON, so that nothing is lost that the SDK does not know."""
        copied = _bare(options)
        copied.json_data = api.streamed(options.json_data or {})
        return await super().request(object, copied, stream=True, stream_cls=AsyncStream[object])

    def _answered(self, options: Any, status: int, headers: Mapping[str, str], content: bytes) -> httpx2.Response:
        raw = {_RAW: _headers(options)[_RAW]} if _RAW in _headers(options) else {}
        request = httpx2.Request(options.method, f"{self.base_url}{options.url.removeprefix('/')}", headers=raw)
        return httpx2.Response(status, headers=headers, content=content, request=request)


def _bare(options: Any) -> Any:
    """The options of a request that is tried once and read as JSON."""
    copied = options.model_copy()
    copied.headers = {name: value for name, value in _headers(options).items() if name != _RAW}
    copied.post_parser, copied.max_retries = not_given, 0
    return copied


def _headers(options: Any) -> dict[str, Any]:
    return dict(options.headers) if options.headers else {}


async def _speak(api: Api, ask: Any, told: Narrator) -> Any:
    record = await hear(ask(), api.hearing(told))
    told.used(record, provider="openai", flavor=api.flavor)
    return record
