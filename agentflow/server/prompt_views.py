"""Versions and bindings of prompts as they are shown over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from agentflow.server.prompt_models import (
    Conditions,
    Guarding,
    PromptBinding,
    PromptBody,
    PromptRollout,
    PromptVersion,
    RampStep,
    SnapshotBinding,
)
from agentflow.storage.bindings import BindingRecord
from agentflow.storage.prompts import VersionRecord
from agentflow.storage.rollouts import Rollout


def version_view(one: VersionRecord) -> PromptVersion:
    """A version as it is shown over HTTP."""
    return PromptVersion(
        prompt=one.prompt,
        number=one.number,
        hash=one.hash,
        body=PromptBody.model_validate_json(one.body),
        source=one.source,
        note=one.note,
        actor=one.actor,
        created_at=one.created_at // 1_000,
        revoked_at=_millis(one.revoked_at),
        revoke_policy=one.revoke_policy,
    )


def binding_view(one: BindingRecord) -> PromptBinding:
    """A binding as it is shown over HTTP."""
    return PromptBinding(**_binding_fields(one))


def live_view(one: BindingRecord) -> SnapshotBinding:
    """A binding of a snapshot as it is shown over HTTP."""
    return SnapshotBinding(prompt=one.prompt, **_binding_fields(one), salt=None if one.rolled is None else one.rolled.salt)


def rollout_view(id: str, one: Rollout) -> PromptRollout:
    """A rollout as it is shown over HTTP."""
    plan = one.plan
    return PromptRollout(
        id=id,
        weights=dict(plan.weights),
        sticky=plan.sticky,
        baseline=plan.baseline,
        conditions=Conditions(**plan.conditions),
        ramp=[RampStep(after_ms=after // 1_000, share=share) for after, share in plan.ramp],
        guards=[Guarding(**asdict(guard)) for guard in plan.guards],
        begun_at=one.begun_at // 1_000,
    )


def _binding_fields(one: BindingRecord) -> dict[str, Any]:
    plain = {name: getattr(one, name) for name in ("env", "label", "mode", "code", "protected", "rev")}
    times = {"expires_at": _millis(one.expires_at), "updated_at": one.updated_at // 1_000}
    rolled = None if one.rolled is None else rollout_view(one.rollout or "", one.rolled)
    return {**plain, **times, "version": one.number, "code_ahead": one.ahead, "weights": dict(one.weights), "rollout": rolled}


def _millis(micros: int | None) -> int | None:
    return None if micros is None else micros // 1_000
