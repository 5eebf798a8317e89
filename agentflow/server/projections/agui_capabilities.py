"""What an agent can do, in the words of AG-UI: what is left out is not said, false is not done."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from agentflow.records import TaskRecord


class AgentCapabilities(BaseModel):
    """AG-UI's AgentCapabilities."""

    model_config = ConfigDict(extra="allow")
    identity: dict[str, Any]
    transport: dict[str, bool]


def capabilities(agent: TaskRecord) -> dict[str, Any]:
    """The capabilities of an agent."""
    about = {"name": agent.name, "type": "agentflow", "description": agent.description, "version": agent.version}
    return {
        "identity": {name: value for name, value in about.items() if value},
        "transport": {"streaming": True, "websocket": False, "httpBinary": False, "pushNotifications": False, "resumable": True},
        "tools": {"supported": True, "parallelCalls": True, "clientProvided": False},
        "state": {"snapshots": True, "deltas": False},
        "multiAgent": {"supported": True, "delegation": True, "handoffs": False},
        "reasoning": {"supported": True, "streaming": True, "encrypted": True},
        "multimodal": {"input": {"image": False, "audio": False, "video": False, "pdf": False, "file": False}},
        "humanInTheLoop": {"supported": True, "approvals": True, "interrupts": True, "approveWithEdits": True},
    }
