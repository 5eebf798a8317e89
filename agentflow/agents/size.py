"""What a model request uses at most, as far as the request itself says so: a budget lets such ones begin side by side."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from pydantic_ai.durable_exec import ModelRequestParams
from pydantic_ai.messages import ModelMessagesTypeAdapter
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_core import to_json

from agentflow.engine.prices import at_most

_TEXT = frozenset({b"request", b"response", b"cache-point", b"text-content"})
_KINDS = re.compile(rb'"kind":"([^"]*)"')
_ELSEWHERE = ("previous_response_id", "conversation_id", "extra_body")


def request_size(params: ModelRequestParams, limits: Collection[str]) -> Mapping[str, int | None]:
    """Nothing is known without `max_tokens`, of files and images, of tools that the provider runs, of what the provider remembers."""
    settings, asked = params.model_settings or {}, params.model_request_parameters
    output, model = settings.get("max_tokens"), params.run_context.model
    if output is None or asked.native_tools or asked.allow_image_output or any(name.endswith(_ELSEWHERE) for name in settings):
        return {}
    messages = ModelMessagesTypeAdapter.dump_json(params.messages)
    if set(_KINDS.findall(messages)) - _TEXT:
        return {}
    tools = to_json(asked, fallback=str, serialize_unknown=True)
    return at_most(messages + tools, output, *_named(model), limits)


def _named(model: object) -> tuple[str | None, str | None]:
    """The model and its provider, for its price; none where several may be asked."""
    if not isinstance(model, Model) or isinstance(model, FallbackModel):
        return None, None
    return model.model_name, model.system
