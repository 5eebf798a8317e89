"""What goes around the runs of an app."""

from __future__ import annotations

from collections.abc import Sequence

from agentflow.app.outbox import Reach
from agentflow.clock import Clock
from agentflow.engine.executor import Middleware
from agentflow.errors import ConfigurationError
from agentflow.policy import Policy


class AppOptions(Reach, total=False):
    """Options of `Agentflow`, which says what they mean."""

    middleware: Sequence[Middleware]
    policy: Policy | None
    clock: Clock | None
    environment: str


def checked(options: AppOptions) -> AppOptions:
    """Options that exist. Raises `ConfigurationError` for others."""
    known = AppOptions.__optional_keys__
    if unknown := options.keys() - known:
        raise ConfigurationError(f"Agentflow() knows no {', '.join(sorted(unknown))}.", hint=f"It knows {', '.join(sorted(known))}.")
    return options
