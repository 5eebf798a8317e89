"""Durable AI agents in plain Python."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentflow import ai, policy
    from agentflow.agents.agent import Agent
    from agentflow.agents.approval import Approval
    from agentflow.agents.compaction import Compaction
    from agentflow.agents.durability import Durability
    from agentflow.app import Agentflow
    from agentflow.auth.tokens import mint_token
    from agentflow.engine.asking import ask
    from agentflow.engine.budget import Budget
    from agentflow.engine.callbacks import Callback, callback
    from agentflow.engine.context import context, current_step
    from agentflow.engine.inputs import InputStream
    from agentflow.engine.isolation import Isolation
    from agentflow.engine.patching import patch
    from agentflow.engine.queue import Queue
    from agentflow.engine.racing import gather, race
    from agentflow.engine.step import step
    from agentflow.engine.stream import Stream, stream
    from agentflow.engine.task import task
    from agentflow.engine.waits import Decision, approve, sleep, sleep_until, wait_for
    from agentflow.engine.worker_settings import WorkerSettings
    from agentflow.errors import (
        AgentflowError,
        BudgetExceeded,
        NonRetryable,
        RetryAfter,
        RunCancelled,
        RunFailed,
        StepFailed,
        TellModel,
    )
    from agentflow.handle import Batch, RunHandle
    from agentflow.prompts.body import assistant, slot, system, user
    from agentflow.prompts.contract import Untrusted
    from agentflow.prompts.prompt import prompt
    from agentflow.retry import Retry
    from agentflow.storage.rollouts import Guard
else:
    # Loaded when it is asked for: the command line answers `--help` without an engine.
    _HOMES = {
        "agentflow.agents.agent": ("Agent",),
        "agentflow.agents.approval": ("Approval",),
        "agentflow.agents.compaction": ("Compaction",),
        "agentflow.agents.durability": ("Durability",),
        "agentflow.app": ("Agentflow",),
        "agentflow.auth.tokens": ("mint_token",),
        "agentflow.engine.asking": ("ask",),
        "agentflow.engine.callbacks": ("Callback", "callback"),
        "agentflow.engine.budget": ("Budget",),
        "agentflow.engine.context": ("context", "current_step"),
        "agentflow.engine.inputs": ("InputStream",),
        "agentflow.engine.isolation": ("Isolation",),
        "agentflow.engine.patching": ("patch",),
        "agentflow.engine.racing": ("gather", "race"),
        "agentflow.engine.step": ("step",),
        "agentflow.engine.stream": ("Stream", "stream"),
        "agentflow.engine.queue": ("Queue",),
        "agentflow.engine.task": ("task",),
        "agentflow.engine.waits": ("Decision", "approve", "sleep", "sleep_until", "wait_for"),
        "agentflow.engine.worker_settings": ("WorkerSettings",),
        "agentflow.errors": (
            "AgentflowError",
            "BudgetExceeded",
            "NonRetryable",
            "RetryAfter",
            "RunCancelled",
            "RunFailed",
            "StepFailed",
            "TellModel",
        ),
        "agentflow.handle": ("Batch", "RunHandle"),
        "agentflow.prompts.body": ("assistant", "slot", "system", "user"),
        "agentflow.prompts.contract": ("Untrusted",),
        "agentflow.prompts.prompt": ("prompt",),
        "agentflow.retry": ("Retry",),
        "agentflow.storage.rollouts": ("Guard",),
    }
    _HOME = {name: home for home, names in _HOMES.items() for name in names}

    def __getattr__(name):
        home = _HOME.get(name)
        if name in ("ai", "policy"):
            return import_module(f"agentflow.{name}")
        if home is None:
            raise AttributeError(f"module 'agentflow' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(home), name)
        return value

    def __dir__():
        return __all__


__all__ = [
    "Agent",
    "Agentflow",
    "AgentflowError",
    "Approval",
    "Batch",
    "Budget",
    "BudgetExceeded",
    "Callback",
    "Compaction",
    "Decision",
    "Durability",
    "Guard",
    "InputStream",
    "Isolation",
    "NonRetryable",
    "Queue",
    "Retry",
    "RetryAfter",
    "RunCancelled",
    "RunFailed",
    "RunHandle",
    "StepFailed",
    "Stream",
    "TellModel",
    "Untrusted",
    "WorkerSettings",
    "ai",
    "approve",
    "ask",
    "assistant",
    "callback",
    "context",
    "current_step",
    "gather",
    "mint_token",
    "patch",
    "policy",
    "prompt",
    "race",
    "sleep",
    "sleep_until",
    "slot",
    "step",
    "stream",
    "system",
    "task",
    "user",
    "wait_for",
]
