"""Who works, on what, and in which order."""

from __future__ import annotations

from dataclasses import dataclass

OURS = "agentflow."
"""Begins the names of tasks that every worker has, and no listing of the tasks of users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    """A worker process, as it last told of itself."""

    id: str
    host: str
    pid: int
    slots: int
    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    state: str
    started_at: int
    expires_at: int
    claimed_at: int

    def takes(self, served: str, now: int, queue: str | None = None) -> bool:
        """Whether it lives, and takes runs of `task` or `task@version`, of that queue."""
        return self.state == "live" and self.expires_at > now and served in self.tasks and (queue is None or queue in self.queues)

    @property
    def served(self) -> dict[str, list[str]]:
        """Its users' tasks by name, each with the versions whose runs it takes, its own first."""
        found: dict[str, list[str]] = {}
        for one in self.tasks:
            name, _, version = one.partition("@")
            if name.startswith(OURS):
                continue
            found.setdefault(name, [])
            if version:
                found[name].append(version)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """A task that some worker has served. `schema` is the JSON schema of its payload, `kind` is task or agent.

    `hooked`: whether it has hooks that hear of the end of its runs.
    """

    name: str
    queue: str
    description: str
    schema: str
    kind: str
    hooked: bool = False
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRecord:
    """A queue that is limited or paused; None is no limit.

    `concurrency`, `key_concurrency`: runs at once, over all and of one key. `rate`, `key_rate`: starts, by weight, in any window of
    `rate_period`, `key_rate_period` microseconds.
    """

    name: str
    concurrency: int | None = None
    key_concurrency: int | None = None
    rate: int | None = None
    rate_period: int | None = None
    key_rate: int | None = None
    key_rate_period: int | None = None
    paused_at: int | None = None
    paused_by: str | None = None

    @property
    def limited(self) -> bool:
        """Whether it has any limit."""
        return any(limit is not None for limit in (self.concurrency, self.key_concurrency, self.rate, self.key_rate))
