"""An app at the top level of its module, with an isolated task that uses it."""

from __future__ import annotations

from agentflow import Agentflow, task
from tests.engine.isolated_tasks import around


@task(isolation="process")
async def counts() -> int:
    """How many runs the app lists."""
    return len(await app.runs.list())


app = Agentflow(tasks=[counts], middleware=[around])
