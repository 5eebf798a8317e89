"""Durable AI agents in plain Python."""

from agentflow.app import Agentflow
from agentflow.engine.context import context, current_step
from agentflow.engine.starting import Queue
from agentflow.engine.step import step
from agentflow.engine.task import task
from agentflow.engine.waits import Decision, approve, sleep, sleep_until, wait_for
from agentflow.engine.worker import WorkerSettings
from agentflow.errors import AgentflowError, NonRetryable, RetryAfter, RunCancelled, RunFailed, StepFailed
from agentflow.handle import Batch, RunHandle
from agentflow.retry import Retry

__all__ = [
    "Agentflow",
    "AgentflowError",
    "Batch",
    "Decision",
    "NonRetryable",
    "Queue",
    "Retry",
    "RetryAfter",
    "RunCancelled",
    "RunFailed",
    "RunHandle",
    "StepFailed",
    "WorkerSettings",
    "approve",
    "context",
    "current_step",
    "sleep",
    "sleep_until",
    "step",
    "task",
    "wait_for",
]
