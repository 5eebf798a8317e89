"""What the two APIs have in common: how a request is streamed, heard to its end, and told again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol, cast

import httpx2
from openai import APIConnectionError, APIError, APIStatusError, AsyncStream

from agentflow.adapters import ModelRefused, ModelUnreachable, Narrator
from agentflow_openai import chat, responses

_STATUS: Mapping[str | None, int] = {
    None: HTTPStatus.INTERNAL_SERVER_ERROR,
    "server_error": HTTPStatus.INTERNAL_SERVER_ERROR,
    "vector_store_timeout": HTTPStatus.GATEWAY_TIMEOUT,
    "rate_limit_exceeded": HTTPStatus.TOO_MANY_REQUESTS,
    "insufficient_quota": HTTPStatus.TOO_MANY_REQUESTS,
}


class Hearing(Protocol):
    """Hears the events of one streamed answer and tells them."""

    @property
    def final(self) -> dict[str, Any] | None:
        """The answer as the provider would have sent it at once; None before the provider said how it ended."""
        ...

    def hear(self, event: dict[str, Any]) -> None:
        """Take an event in."""
        ...


@dataclass(frozen=True, slots=True)
class Api:
    """One of the APIs that ask a model.

    `flavor` is its name in genai-prices, `news` what is new for the model in a request, `calls` the ids of the calls in an answer.
    """

    name: str
    flavor: str
    hearing: Callable[[Narrator], Hearing]
    news: Callable[[Mapping[str, Any]], Any]
    streamed: Callable[[Mapping[str, Any]], dict[str, Any]]
    calls: Callable[[Mapping[str, Any]], list[str]]
    told_again: Callable[[Mapping[str, Any], Mapping[str, Any]], bytes]


APIS = {
    "/responses": Api(
        "openai.responses",
        "responses",
        responses.Hearing,
        responses.news,
        responses.streamed,
        responses.calls,
        responses.told_again,
    ),
    "/chat/completions": Api("openai.chat", "chat", chat.Hearing, chat.news, chat.streamed, chat.calls, chat.told_again),
}


@contextmanager
def translated() -> Generator[None]:
    """Raise `ModelRefused` or `ModelUnreachable` in place of the SDK's errors, which no journal can keep."""
    try:
        yield
    except APIStatusError as error:
        raise ModelRefused.of(error.status_code, error.response.headers, error.body) from None
    except (APIConnectionError, httpx2.TransportError) as error:
        said = str(error.__cause__ or error).rstrip(".")
        raise ModelUnreachable(f"OpenAI did not answer: {said}.", hint="Look at the network, or at its status page.") from None
    except APIError as error:
        raise refused(error.code, error.message) from None


async def hear(opening: Awaitable[AsyncStream[object]], heard: Hearing, *, curable: bool = True) -> dict[str, Any]:
    """Hear a stream to its end. Raises `ModelRefused` or `ModelUnreachable`. `curable`: what failed while it was made may be made again."""
    with translated():
        async with await opening as stream:
            async for event in stream:
                heard.hear(sound(event, curable=curable))
    if heard.final is None:
        raise ModelUnreachable("The stream of OpenAI ended before it said how the answer ends.")
    return heard.final


def refused(code: str | None, message: str, *, curable: bool = True) -> ModelRefused:
    """An error that came in a stream, under a status that said all is well."""
    headers = {} if curable else {"x-should-retry": "false"}
    return ModelRefused.of(_STATUS.get(code, HTTPStatus.BAD_REQUEST), headers, {"error": {"code": code, "message": message}})


def sound(event: object, *, curable: bool = True) -> dict[str, Any]:
    """The event, unless it tells of a failure."""
    told = cast("dict[str, Any]", event)
    failed: Any = told if told.get("type") == "error" else told.get("type") == "response.failed" and told["response"].get("error")
    if failed:
        raise refused(failed.get("code"), failed.get("message") or "The model failed.", curable=curable)
    return told
