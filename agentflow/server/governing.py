"""Policies of releases over HTTP, and what was asked for under them."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from agentflow.app.governing import PolicyOptions
from agentflow.server.calls import Call, answer
from agentflow.server.prompt_models import EnvQuery
from agentflow.server.prompts import name_of
from agentflow.server.release_models import (
    FoundPolicy,
    PromptPolicy,
    PromptPolicyPage,
    PromptRequest,
    PromptRequestPage,
    SetPolicy,
)
from agentflow.server.requests import Nothing
from agentflow.server.waitpoints import decider
from agentflow.storage.policies import PolicyRecord
from agentflow.storage.requests import RequestRecord


async def list_policies(call: Call[Nothing, Nothing]) -> Response:
    """All policies: those of prompts, and those of `*`, which hold for prompts that have none of their own."""
    return answer(PromptPolicyPage(policies=[policy_view(one) for one in await call.app.prompts.policies.list()]))


async def get_policy(call: Call[Nothing, Nothing]) -> Response:
    """What has to be before a prompt is moved in an environment."""
    found = await call.app.prompts.policies.of(name_of(call), _env(call))
    return answer(FoundPolicy(policy=None if found is None else policy_view(found)))


async def set_policy(call: Call[SetPolicy, Nothing]) -> Response:
    """Say what has to be before a prompt, or each that has no policy of its own (`*`), is moved. What was asked for before lapses."""
    said = call.body
    policy = PolicyOptions(
        actor=decider(call, said.by, "http").name,
        reason=said.reason,
        env=_env(call),
        people=said.people,
        users=said.users,
        groups=said.groups,
        notify=said.notify,
        gate=said.gate,
        expires=said.expires,
    )
    return answer(policy_view(await call.app.prompts.policies.set(name_of(call), **policy)))


async def list_requests(call: Call[Nothing, EnvQuery]) -> Response:
    """What was asked for of a prompt, in one environment or all, the newest first."""
    await call.app.prompts.get(name_of(call))
    found = await call.app.prompts.requests.of(name_of(call), call.query.env)
    return answer(PromptRequestPage(requests=[request_view(one) for one in found]))


async def get_request(call: Call[Nothing, Nothing]) -> Response:
    """One request, and what became of it."""
    return answer(request_view(await call.app.prompts.requests.get(str(call.request.path_params["request"]))))


def policy_view(one: PolicyRecord) -> PromptPolicy:
    """A policy as it is shown over HTTP."""
    who: dict[str, Any] = {name: list(one.who.get(name, ())) for name in ("users", "groups", "notify")}
    lasts = None if one.lasts is None else one.lasts // 1_000
    plain = {name: getattr(one, name) for name in ("prompt", "env", "people", "gate", "actor")}
    return PromptPolicy(**plain, **who, expires_ms=lasts, changed_at=one.at // 1_000)


def request_view(one: RequestRecord) -> PromptRequest:
    """A request as it is shown over HTTP."""
    plain = {name: getattr(one, name) for name in ("id", "prompt", "env", "label", "waitpoint", "rev", "actor", "reason")}
    ended = None if one.ended_at is None else one.ended_at // 1_000
    told: dict[str, Any] = {"run": one.run_id, "target": one.target.told, "status": one.state, "outcome": dict(one.outcome)}
    return PromptRequest(**plain, **told, requested_at=one.at // 1_000, ended_at=ended)


def _env(call: Call[Nothing, Nothing] | Call[SetPolicy, Nothing]) -> str:
    return str(call.request.path_params["env"])
