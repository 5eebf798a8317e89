"""Suites that hold what is plugged into agentflow to what users rely on. Subclass one in a test module of yours."""

from __future__ import annotations

from agentflow.testing.contracts.conversation import REFUSED, TOOLS, Conversation, Pace, Turn
from agentflow.testing.contracts.integration import IntegrationContract

__all__ = ["REFUSED", "TOOLS", "Conversation", "IntegrationContract", "Pace", "Turn"]
