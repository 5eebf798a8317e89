"""What tests of prompts save."""

from __future__ import annotations

from pydantic import BaseModel

from agentflow.prompts.body import Body, Message
from agentflow.testing import Engine


class Topic(BaseModel):
    topic: str


async def save(name: str, engine: Engine, text: str) -> int:
    """Save a version of one user message; returns its number."""
    return (await engine.app.prompts.save(name, Body((Message("user", text),)), actor="maria", note="try")).number
