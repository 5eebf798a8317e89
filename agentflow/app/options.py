"""What goes around the runs of an app."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from agentflow.clock import Clock
from agentflow.engine.executor import Middleware
from agentflow.policy import Policy


class AppOptions(TypedDict, total=False):
    """Options of `Agentflow`, which says what they mean."""

    middleware: Sequence[Middleware]
    policy: Policy | None
    clock: Clock | None
