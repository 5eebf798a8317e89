"""`durable`: a copy of a client with a middleware that records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar, cast

import httpx2
from anthropic import (
    APIConnectionError,
    APIRequest,
    APIStatusError,
    AsyncAnthropic,
    AsyncAPIResponse,
    AsyncStream,
    Middleware,
    not_given,
)

from agentflow import Retry
from agentflow.adapters import IDLE_TIMEOUT, MODEL_RETRY, Duration, ModelRefused, ModelUnreachable, Narrator, model_call
from agentflow_anthropic.message import Hearing, calls, told_again

Client = TypeVar("Client", bound=AsyncAnthropic)
Next = Any

NAME = "anthropic.messages"
_PATHS = frozenset({"/v1/messages", "/v1/messages?beta=true"})
_STATUS = {
    "invalid_request_error": HTTPStatus.BAD_REQUEST,
    "authentication_error": HTTPStatus.UNAUTHORIZED,
    "billing_error": HTTPStatus.PAYMENT_REQUIRED,
    "permission_error": HTTPStatus.FORBIDDEN,
    "not_found_error": HTTPStatus.NOT_FOUND,
    "request_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "rate_limit_error": HTTPStatus.TOO_MANY_REQUESTS,
    "timeout_error": HTTPStatus.GATEWAY_TIMEOUT,
    "overloaded_error": 529,
}


def durable(client: Client, *, retry: Retry = MODEL_RETRY, idle_timeout: Duration = IDLE_TIMEOUT) -> Client:
    """The client, for use in tasks: each call of `messages.create`, `.stream` or `.parse` (and of `beta.messages`) is a step.

    The model's words, thoughts and tool calls go to the run's stream while it speaks. The code gets the message once it is recorded, as
    the provider sent it: signatures and all. A stream tells it then, part by part, live as on a replay. Outside of a run, and inside of a
    step, this is the plain client. It shares the connections of `client`: close one of them.

    `retry` is how a request is tried in place of the SDK's own retries, `idle_timeout` (a duration) how long the model may say nothing.
    A refusal comes back as the SDK's own error; no answer at all is a `ModelUnreachable`, silence a `StepTimeout`.

        client = durable(AsyncAnthropic())

        @task
        async def greet(name: str) -> str:
            message = await client.messages.create(model="claude-sonnet-4-6", max_tokens=99, messages=[{"role": "user", "content": name}])
            return message.content[0].text
    """
    if AsyncAnthropic not in type(client).__mro__:
        raise TypeError(f"durable() takes an AsyncAnthropic, not {type(client).__name__}.")
    return client.with_middleware(Recorder(client, retry, idle_timeout))


class Recorder(Middleware):
    """Answers model requests from the record of the run around them."""

    def __init__(self, client: AsyncAnthropic, retry: Retry, idle_timeout: Duration) -> None:
        self._client = client
        self._retry = retry
        self._idle_timeout = idle_timeout

    async def handle_async(self, request: APIRequest, call_next: Next) -> AsyncAPIResponse[Any]:
        asked = _asked(request)
        body: Any = request.json
        how: dict[str, Any] = {"retry": self._retry, "idle_timeout": self._idle_timeout, "request": body, "provider": "anthropic"}
        call = None if asked is None else model_call(NAME, asked, **how)
        if call is None:
            return await call_next(request)
        try:
            message = await call.step(partial(_speak, request, call_next))
        except ModelRefused as refused:
            # The step has tried as often as it may: the SDK shall not.
            return self._answer(request, refused.status, {**refused.headers, "x-should-retry": "false"}, refused.body)
        call.narrated(calls(message))
        return self._answer(request, HTTPStatus.OK, {}, message)

    def _answer(self, request: APIRequest, status: int, headers: Mapping[str, str], body: Any) -> AsyncAPIResponse[Any]:
        streamed = request.stream and status == HTTPStatus.OK
        content = told_again(body) if streamed else json.dumps(body).encode()
        kind = "text/event-stream" if streamed else "application/json"
        answered = httpx2.Response(
            status,
            headers={**headers, "content-type": kind},
            content=content,
            request=httpx2.Request(request.method, self._client.base_url.join(request.url)),
        )
        return AsyncAPIResponse(
            raw=answered,
            cast_to=request.cast_to,
            client=self._client,
            stream=request.stream,
            stream_cls=request.stream_cls,
            options=request.options,
        )


def _asked(request: APIRequest) -> Any:
    """What is new for the model, if it is a model that is asked."""
    body: Any = request.json
    if request.method.lower() != "post" or request.url not in _PATHS or not isinstance(body, dict):
        return None
    said: list[Any] = list(cast("dict[str, Any]", body)["messages"])
    last = max((at for at, one in enumerate(said) if one["role"] == "assistant"), default=-1)
    return said[last + 1 :]


async def _speak(request: APIRequest, call_next: Next, told: Narrator) -> Any:
    heard = Hearing(told)
    try:
        response = await call_next(_streaming(request))
        if not response.http_response.is_success:
            raise ModelRefused.of(response.status_code, response.headers, await _body(response))
        async with await response.parse() as stream:
            async for event in stream:
                heard.hear(event)
    except APIStatusError as error:
        # The provider gave up while it spoke, under a status that said all is well.
        raise ModelRefused.of(_STATUS.get(error.type or "", 500), error.response.headers, error.body) from None
    except (APIConnectionError, httpx2.TransportError) as error:
        said = str(error.__cause__ or error).rstrip(".")
        raise ModelUnreachable(f"Anthropic did not answer: {said}.", hint="Look at the network, or at its status page.") from None
    if not heard.whole:
        raise ModelUnreachable("The stream of Anthropic ended before it said why it stopped.")
    told.used(heard.message, provider="anthropic")
    return heard.message


def _streaming(request: APIRequest) -> APIRequest:
    """The same request, streamed; the SDK's events are read as JSON, so that nothing is lost that it does not know."""
    body: Any = request.json
    copied = request.copy(body={**body, "stream": True})
    copied.options.post_parser = not_given
    return APIRequest(options=copied.options, cast_to=object, stream=True, stream_cls=AsyncStream[object])


async def _body(response: AsyncAPIResponse[Any]) -> Any:
    try:
        return await response.json()
    except ValueError:
        return await response.text()
