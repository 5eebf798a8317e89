"""What the dashboard's tests start: the cookbook's support desk, and an agent that stops in mid-sentence until it is told to go on."""

from __future__ import annotations

import asyncio
from typing import Any

from agentflow import Agent
from agentflow.engine.task import Task
from agentflow.testing import scripted_model
from agentflow.testing.models import text
from cookbook.support import follow_up, refund, support


class Prompter:
    """Lets an agent say its first three words, and the rest when it is told to."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self._pieces = 0

    async def pace(self, _: str) -> None:
        """Before each piece."""
        self._pieces += 1
        if self._pieces > 2:
            await self.told.wait()


def speaker_of(prompter: Prompter) -> Agent[str]:
    """An agent that counts to six, and stops at three."""
    # Pieces of seven characters: "One two", " three ", and the rest.
    model = scripted_model([text("One two three four five six.")], pace=prompter.pace, size=7)
    return Agent("speaker", model=model, instructions="You count.", description="Counts to six.")


TASKS: tuple[Task[..., Any], ...] = (follow_up, refund, support)
