"""What is asked and answered about the model calls of prompts. Times are milliseconds since 1970, `usd` is decimal text."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from agentflow.server.models import Time
from agentflow.server.requests import Strict

Interval = tuple[float, float]


class Generation(BaseModel):
    """A try of a model call that a version of a prompt spoke. What is not known is null.

    `version` is null where the registry did not know it, `run` where that is deleted. `at` is when it ended; `first_token_ms` is null where
    nothing was streamed. A cancelled try is no error; `error` is the name of what failed.
    """

    id: str
    version: int | None
    hash: str
    env: str
    label: str | None
    variant: str | None
    rollout: str | None
    run: str | None
    step: str
    at: Time
    duration_ms: float
    first_token_ms: float | None
    provider: str | None
    model: str | None
    input: int | None
    output: int | None
    cached: int | None
    reasoning: int | None
    usd: str | None
    ended: Literal["answered", "failed", "cancelled"]
    error: str | None
    rendered: str


class RunGeneration(Generation):
    """A model call of a run, with the prompt whose version spoke it."""

    prompt: str


class RunGenerationPage(BaseModel):
    """The model calls of a run that prompts spoke, in their order; 1,000 at most."""

    generations: list[RunGeneration]


class GenerationDetail(Generation):
    """One call. `variables` are what the prompt was filled with: null where the run is deleted, or the caller may not read it."""

    variables: dict[str, Any] | None


class GenerationPage(BaseModel):
    """Model calls, newest first; `next` is the `cursor` of the next page."""

    generations: list[Generation]
    next: str | None


class VersionMetrics(BaseModel):
    """What was measured of a version, or of a variant of a rollout. Intervals are of 95 %.

    A try is a call. `error_rate` is of those that were not cancelled, with Wilson's interval; `usd_per_call` is of the `priced`, whose
    price is known, with Student's. Percentiles are of `timed` calls, the last answered ones, 2,000 at most.
    """

    version: int | None
    variant: str | None
    rollout: str | None
    calls: int
    errors: int
    cancelled: int
    error_rate: float | None
    error_interval: Interval | None
    input: int
    output: int
    cached: int
    reasoning: int
    usd: str | None
    priced: int
    usd_per_call: float | None
    usd_interval: Interval | None
    timed: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    first_token_p50_ms: float | None
    first_token_p95_ms: float | None


class PromptDay(BaseModel):
    """What the model calls of a prompt did in the last 24 hours; `usd` is null where no call's price is known."""

    calls: int
    errors: int
    usd: str | None


class MetricsPage(BaseModel):
    """What was measured after `since`: the newest version first."""

    since: Time
    metrics: list[VersionMetrics]


class GenerationQuery(Strict):
    """Which calls: of a `version` by its number, of a `variant` of a rollout, since a time. `cursor` is the `next` of the page before."""

    version: int | None = Field(None, ge=1, lt=2**31)
    variant: str | None = None
    since: int | None = Field(None, ge=0, lt=2**50)
    cursor: str | None = None
    limit: int = Field(50, ge=1, le=500)


class MetricsQuery(Strict):
    """Told apart by version, or by variant of each rollout; since a time (default: a week ago), of one environment and rollout, or all."""

    group: Literal["version", "variant"] = "version"
    since: int | None = Field(None, ge=0, lt=2**50)
    env: str | None = None
    rollout: str | None = None
