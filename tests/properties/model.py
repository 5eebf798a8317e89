"""What the storage layer promises, as simply as it can be said: the model that the state machine compares it with."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentflow.storage.runs import Lease

TERMINAL = {"completed", "failed", "cancelled", "expired"}


@dataclass
class ModelRun:
    """A run. `wakes` counts ended waits; `open` are the waits that have not ended; `order` is its place in its `lane`."""

    expires_at: int | None
    order: int = 0
    lane: str | None = None
    version: str | None = None
    unserved: bool = False
    state: str = "queued"
    epoch: int = 0
    worker: str | None = None
    recoveries: int = 0
    cancelling: bool = False
    wakes: int = 0
    open: set[str] = field(default_factory=set[str])
    journal: list[tuple[int, str, int]] = field(default_factory=list[tuple[int, str, int]])

    def holds(self, lease: Lease) -> bool:
        """One live epoch: a lease counts while its epoch is the run's and the run is running."""
        return self.state == "running" and self.epoch == lease.epoch

    @property
    def code(self) -> str:
        return "t" if self.version is None else f"t@{self.version}"

    def claimable(self, now: int) -> bool:
        return self.state == "queued" and not self.unserved and (self.epoch > 0 or self.expires_at is None or self.expires_at > now)

    def claim(self, worker: str) -> None:
        self.state, self.worker, self.epoch = "running", worker, self.epoch + 1

    def leave(self, state: str) -> None:
        self.state, self.worker = state, None
        if state in TERMINAL:
            self.open.clear()

    def suspend(self, seen: int) -> bool:
        """No lost wake-up: a run waits only when it has seen every wake-up."""
        if seen != self.wakes or self.cancelling:
            return False
        self.leave("waiting")
        self.recoveries = 0
        return True

    def wake(self, waitpoint: str) -> None:
        self.open.discard(waitpoint)
        self.wakes += 1
        if self.state == "waiting":
            self.state = "queued"

    def cancel(self) -> None:
        if self.state in TERMINAL or self.cancelling:
            return
        self.cancelling = True
        if self.epoch == 0:
            self.leave("cancelled")
        elif self.state == "waiting":
            self.state = "queued"
