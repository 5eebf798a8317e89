"""How a worker works."""

from __future__ import annotations

from dataclasses import dataclass

from agentflow.clock import SECOND, Duration
from agentflow.engine.host import ENVIRONMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How a worker works. Times are microseconds, except `poll`: seconds between looks for what no wake-up told of.

    `retention`: for how long finished runs are kept, as `"12h"`, or `"forever"`; None is what AGENTFLOW_RETENTION says, or 30 days.
    `public_url`: your server's address as machines outside reach it, for callbacks; None is what AGENTFLOW_PUBLIC_URL says.
    `environment` is set by the app: whose prompts hold here.
    `channels`: names of those that the app has; it says so itself.
    `max_open_questions`: so many questions people are asked at once by a family: a run, or the runs of a thread, and all that these start.
    They see and are told of more as these end; None is no limit.
    `isolate=False` runs isolated tasks in the worker's own process, for tests and debuggers.
    """

    slots: int = 100
    queues: tuple[str, ...] | None = None
    lease: int = 30 * SECOND
    renew_every: int = 10 * SECOND
    hot_window: int = 60 * SECOND
    hot_limit: int = 1_000
    max_recoveries: int = 5
    cancel_grace: int = 30 * SECOND
    drain: int = 25 * SECOND
    poll: float = 5.0
    retention: Duration | None = None
    isolate: bool = True
    public_url: str | None = None
    environment: str = ENVIRONMENT
    max_open_questions: int | None = 20
    channels: frozenset[str] = frozenset()
