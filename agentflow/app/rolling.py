"""How a move, and a rollout, is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Required, TypedDict

from agentflow.clock import Duration, microseconds
from agentflow.storage.rollouts import Guard, Plan, Sticky


class MoveOptions(TypedDict, total=False):
    """Which binding is moved, by whom and why; only `actor` is required.

    `env` (default: this app's) and `label` (default: live) name it. `expect_rev`: only if it was not moved since; `allowed`: whether a
    protected one may be moved (default: yes).
    """

    actor: Required[str]
    reason: str
    env: str | None
    label: str
    expect_rev: int | None
    allowed: bool


class Terms(TypedDict, total=False):
    """How versions hold beside their weights; see `Prompts.rollout`."""

    sticky: Sticky
    baseline: int | None
    conditions: Mapping[str, Any]
    ramp: Sequence[tuple[Duration, float]]
    guard: Guard | Sequence[Guard]


class RolloutOptions(MoveOptions, Terms, total=False):
    """A rollout: who moves which binding, and how versions hold."""


def planned(weights: Mapping[int, float], options: RolloutOptions) -> Plan:
    """The plan of a rollout. Raises `PromptError` for what cannot be."""
    guards = options.get("guard", ())
    return Plan(
        weights=dict(weights),
        sticky=options.get("sticky", "run"),
        baseline=options.get("baseline"),
        conditions=dict(options.get("conditions", {})),
        ramp=tuple((microseconds(after), share) for after, share in options.get("ramp", ())),
        guards=(guards,) if isinstance(guards, Guard) else tuple(guards),
    )
