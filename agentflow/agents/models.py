"""A model by its name, and which of its failures another try can cure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_ai import exceptions
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model, infer_model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.providers import Provider, infer_provider, infer_provider_class

from agentflow.adapters import curable_status
from agentflow.errors import ConfigurationError, DefinitionError, StepTimeout
from agentflow.retry import Retry

_CURABLE = (
    exceptions.ModelConnectionError,
    exceptions.ModelRateLimitError,
    exceptions.ModelUnavailableError,
    exceptions.ModelServerError,
    exceptions.ModelRequestTimeout,
    StepTimeout,
    TimeoutError,
)
_SAY_WHY = frozenset({"anthropic", "openai"})


def named(model: str | Model, base_url: str | None = None) -> Model:
    """The model called `model`, with the SDK's own retries off: agentflow is the one that tries again.

    `anthropic:…`, `openai:…` (the Responses API), `openai-chat:…` (Chat Completions, which most compatible servers speak), or any
    provider that pydantic-ai knows. `base_url` points at another server; without it `OPENAI_BASE_URL` and `ANTHROPIC_BASE_URL` count.
    A model object is returned as it is.

    Raises `ConfigurationError` for an unknown name or a missing key.

        named("openai-chat:llama3.3", base_url="http://localhost:11434/v1")
    """
    if isinstance(model, Model):
        return model
    try:
        return infer_model(model, lambda kind: _provider(kind, base_url))
    except (exceptions.UserError, ValueError) as error:
        raise ConfigurationError(
            f"The model {model!r} cannot be used: {error}",
            hint="Write provider:model, such as anthropic:claude-sonnet-4-6, and set the provider's API key.",
        ) from error


def chosen(models: str | Model | Sequence[str | Model], base_url: str | None = None) -> Model:
    """The model, or the several of which one is asked when those before it fail. Raises as `named` does."""
    if isinstance(models, (str, Model)):
        return named(models, base_url)
    first, *others = (named(one, base_url) for one in models)
    return FallbackModel(first, *others) if others else first


def _provider(kind: str, base_url: str | None) -> Provider[Any]:
    if base_url is None:
        provider = infer_provider(kind)
    else:
        build: Any = infer_provider_class(kind)
        try:
            provider = build(base_url=base_url)
        except TypeError as error:
            raise DefinitionError(f"The provider {kind!r} takes no base_url.", hint="Pass a pydantic-ai model instead.") from error
    client: Any = provider.client
    if hasattr(client, "max_retries"):
        client.max_retries = 0
    return provider


def curable(error: BaseException) -> bool:
    """Whether a failed model request may succeed at the next try. What the provider itself says (`x-should-retry`) counts most."""
    if isinstance(error, exceptions.FallbackExceptionGroup):
        return any(curable(one) for one in error.exceptions)
    if isinstance(error, exceptions.ModelHTTPError) and error.provider_retry_hint is not None:
        return error.provider_retry_hint
    if isinstance(error, (exceptions.ModelQuotaExceededError, exceptions.ModelRequestRejectedError)):
        return False
    if isinstance(error, exceptions.ModelHTTPError):
        return curable_status(error.status_code)
    return isinstance(error, _CURABLE)


def whole(response: ModelResponse) -> ModelResponse:
    """The response, if the provider ended it. A proxy that closes a stream early and politely must not pass for a short answer.

    Raises `ModelConnectionError` otherwise.
    """
    told = (response.provider_details or {}).get("finish_reason")
    if response.provider_name not in _SAY_WHY or told is not None or response.state == "suspended":
        return response
    raise exceptions.ModelConnectionError(
        response.model_name or "", "The stream ended before the provider said why it stopped.", phase="read"
    )


MODEL_RETRY = Retry(attempts=5, initial="1s", factor=2, max="1m", on=curable)
"""How a model request is tried by default. A `retry-after` of the provider is waited for."""
