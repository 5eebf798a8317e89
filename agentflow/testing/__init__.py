"""What tests of durable code need: an engine, a clock, scripted models, faults."""

from agentflow.testing.clock import ManualClock
from agentflow.testing.engine import Engine, Waiting
from agentflow.testing.faults import CrashingDatabase
from agentflow.testing.replay import ReplayReport

__all__ = ["CrashingDatabase", "Engine", "ManualClock", "ReplayReport", "Waiting"]
