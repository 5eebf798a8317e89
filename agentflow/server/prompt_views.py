"""Versions and bindings of prompts as they are shown over HTTP."""

from __future__ import annotations

from typing import Any

from agentflow.server.prompt_models import PromptBinding, PromptBody, PromptVersion, SnapshotBinding
from agentflow.storage.bindings import BindingRecord
from agentflow.storage.prompts import VersionRecord
from agentflow.storage.snapshots import Live


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


def live_view(one: Live) -> SnapshotBinding:
    """A binding of a snapshot as it is shown over HTTP."""
    rollout = one.rollout
    told = (None, None, None) if rollout is None else (rollout.id, rollout.sticky, rollout.salt)
    named = dict(zip(("rollout", "sticky", "salt"), told, strict=True))
    return SnapshotBinding(prompt=one.binding.prompt, **_binding_fields(one.binding), **named)


def _binding_fields(one: BindingRecord) -> dict[str, Any]:
    plain = {name: getattr(one, name) for name in ("env", "label", "mode", "code", "protected", "rev")}
    times = {"expires_at": _millis(one.expires_at), "updated_at": one.updated_at // 1_000}
    return {**plain, **times, "version": one.number, "code_ahead": one.ahead, "weights": dict(one.weights)}


def _millis(micros: int | None) -> int | None:
    return None if micros is None else micros // 1_000
