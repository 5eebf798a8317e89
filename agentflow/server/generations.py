"""The model calls of prompts over HTTP, and what was measured of them."""

from __future__ import annotations

from starlette.responses import Response

from agentflow.app.measuring import WEEK
from agentflow.records import dollars
from agentflow.serde import loads
from agentflow.server import needs
from agentflow.server.calls import Call, Operation, answer
from agentflow.server.generation_models import (
    Generation,
    GenerationDetail,
    GenerationPage,
    GenerationQuery,
    MetricsPage,
    MetricsQuery,
    RunGeneration,
    RunGenerationPage,
    VersionMetrics,
)
from agentflow.server.prompts import name_of
from agentflow.server.requests import Nothing
from agentflow.storage.generations import GenerationRecord
from agentflow.storage.measuring import Metrics
from agentflow.storage.terms import NANO

_MILLI = 1_000


async def list_generations(call: Call[Nothing, GenerationQuery]) -> Response:
    """The model calls that versions of a prompt spoke, newest first. They are kept for 90 days, also when their runs are deleted."""
    asked = call.query
    since = None if asked.since is None else asked.since * _MILLI
    found = await call.app.prompts.generations(
        name_of(call), asked.version, asked.variant, since=since, cursor=asked.cursor, limit=asked.limit
    )
    return answer(GenerationPage(generations=[generation_view(one) for one in found.generations], next=found.next))


async def get_generation(call: Call[Nothing, Nothing]) -> Response:
    """One model call, with the variables that the prompt was filled with, for who may read its run."""
    found = await call.app.prompts.generation(name_of(call), call.id)
    told = found.variables if await needs.may_read(call.app, call.caller, found.run_id) else None
    return answer(GenerationDetail(variables=None if told is None else loads(told), **generation_view(found).model_dump()))


async def list_run_generations(call: Call[Nothing, Nothing]) -> Response:
    """The model calls of a run that versions of prompts spoke, in their order: which version, which variant."""
    found = await call.app.prompts.spoken(call.id)
    return answer(RunGenerationPage(generations=[RunGeneration(prompt=one.prompt, **generation_view(one).model_dump()) for one in found]))


async def get_prompt_metrics(call: Call[Nothing, MetricsQuery]) -> Response:
    """Calls, errors, cost and times of each version of a prompt, with how far these may be off."""
    asked = call.query
    since = call.app.clock.now() - WEEK if asked.since is None else asked.since * _MILLI
    found = await call.app.prompts.metrics(name_of(call), asked.env, since=since, group=asked.group, rollout=asked.rollout)
    return answer(MetricsPage(since=since // _MILLI, metrics=[metrics_view(one) for one in found]))


def generation_view(one: GenerationRecord) -> Generation:
    """A model call as it is shown over HTTP."""
    return Generation(
        **{name: getattr(one, name) for name in _SAME},
        run=one.run_id,
        at=one.at // _MILLI,
        duration_ms=one.duration / _MILLI,
        first_token_ms=_millis(one.first_token),
        usd=None if one.cost is None else dollars(one.cost),
    )


def metrics_view(one: Metrics) -> VersionMetrics:
    """What was measured, as it is shown over HTTP."""
    low_high = one.cost_interval
    return VersionMetrics(
        **{name: getattr(one, name) for name in _COUNTED},
        usd=dollars(one.cost) if one.priced else None,
        usd_per_call=None if one.cost_per_call is None else one.cost_per_call / NANO,
        usd_interval=None if low_high is None else (low_high[0] / NANO, low_high[1] / NANO),
        latency_p50_ms=_millis(one.latency_p50),
        latency_p95_ms=_millis(one.latency_p95),
        first_token_p50_ms=_millis(one.first_token_p50),
        first_token_p95_ms=_millis(one.first_token_p95),
    )


_SAME = (
    *("id", "version", "hash", "env", "label", "variant", "rollout", "step", "provider", "model"),
    *("input", "output", "cached", "reasoning", "ended", "error", "rendered"),
)
_COUNTED = (
    *("version", "variant", "rollout", "calls", "errors", "cancelled", "error_rate", "error_interval"),
    *("input", "output", "cached", "reasoning", "priced", "timed"),
)


def _millis(micros: int | None) -> float | None:
    return None if micros is None else micros / _MILLI


_PROMPT = "/v1/prompts/{name}"
OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/runs/{id}/generations",
        handler=list_run_generations,
        needs=needs.READ_ONE,
        summary="See which prompts spoke in a run",
        answer=RunGenerationPage,
        problems=(404,),
    ),
    Operation(
        method="GET",
        path=f"{_PROMPT}/generations",
        handler=list_generations,
        needs=needs.PROMPTS,
        summary="List the model calls of a prompt",
        query=GenerationQuery,
        answer=GenerationPage,
        problems=(404,),
    ),
    Operation(
        method="GET",
        path=f"{_PROMPT}/generations/{{id}}",
        handler=get_generation,
        needs=needs.PROMPTS,
        summary="Look at a model call of a prompt",
        answer=GenerationDetail,
        problems=(404,),
    ),
    Operation(
        method="GET",
        path=f"{_PROMPT}/metrics",
        handler=get_prompt_metrics,
        needs=needs.PROMPTS,
        summary="Measure the versions of a prompt",
        query=MetricsQuery,
        answer=MetricsPage,
        problems=(404,),
    ),
)
