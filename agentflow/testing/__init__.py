"""What tests of durable code need: an engine, a clock, scripted models, faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentflow.testing.clock import ManualClock
from agentflow.testing.engine import Engine, Waiting
from agentflow.testing.faults import CrashingDatabase
from agentflow.testing.human import FakeHuman, fake_human
from agentflow.testing.replay import ReplayReport

if TYPE_CHECKING:
    from agentflow.testing.models import ScriptedModel, call, scripted_model, text, thinking

__all__ = [
    "CrashingDatabase",
    "Engine",
    "FakeHuman",
    "ManualClock",
    "ReplayReport",
    "ScriptedModel",
    "Waiting",
    "call",
    "fake_human",
    "scripted_model",
    "text",
    "thinking",
]


def __getattr__(name: str) -> Any:
    # What needs pydantic-ai is loaded when it is asked for: most tests have no model.
    if name in __all__:
        from agentflow.testing import models

        return getattr(models, name)
    raise AttributeError(f"module 'agentflow.testing' has no attribute {name!r}")
