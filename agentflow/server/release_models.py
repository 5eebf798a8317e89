"""What is asked and answered about releases that others agree to, as pydantic models. Times are milliseconds since 1970."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from agentflow.server.models import Time
from agentflow.server.prompt_models import Moving


class PromptPolicy(BaseModel):
    """What has to be before a prompt is moved in an environment; `prompt` is `*` where it holds for all that have none of their own.

    `people` who say yes, of `users` and `groups`, never whoever asks; they have `expires_ms`. `gate` is the task that evaluates versions.
    """

    prompt: str
    env: str
    people: int
    users: list[str]
    groups: list[str]
    notify: list[str]
    gate: str | None
    expires_ms: int | None
    actor: str
    changed_at: Time


class PromptPolicyPage(BaseModel):
    """All policies, by prompt and environment."""

    policies: list[PromptPolicy]


class FoundPolicy(BaseModel):
    """What holds for a prompt, if anything does: its own policy, else that of `*`."""

    policy: PromptPolicy | None


class SetPolicy(Moving):
    """What has to be from now on: `people` who say yes until `expires` (a duration), a `gate`, both, or nothing. See `PromptPolicy`."""

    people: int = Field(0, ge=0, le=100)
    users: list[str] = Field(default_factory=list[str])
    groups: list[str] = Field(default_factory=list[str])
    notify: list[str] = Field(default_factory=list[str])
    gate: str | None = None
    expires: int | float | str | None = None


class PromptRequest(BaseModel):
    """A move that was asked for under a policy.

    `status` is asked, released, denied, or conflict: agreed to, but not possible any more. `run` asks; people decide at `waitpoint`, which
    is there once evaluations have passed, and null where no people are needed. `target` is what shall hold, `outcome` who agreed, or
    why not.
    """

    id: str
    prompt: str
    env: str
    label: str
    run: str
    waitpoint: str | None
    target: dict[str, Any]
    rev: int
    actor: str
    reason: str
    status: Literal["asked", "released", "denied", "conflict"]
    outcome: dict[str, Any]
    requested_at: Time
    ended_at: Time | None


class PromptRequestPage(BaseModel):
    """What was asked for of a prompt, the newest first."""

    requests: list[PromptRequest]
