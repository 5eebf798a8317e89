"""What an MCP client is told of a run: its result, why there is none, or that it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from mcp_types import CallToolResult, TextContent

from agentflow.agents.answers import LIMIT, LONGEST_PAGE, cut, page, told
from agentflow.app import Agentflow
from agentflow.errors import RunError
from agentflow.handle import outcome
from agentflow.records import RunRecord, WaitKind, WaitpointRecord
from agentflow.serde import ANY, dumps, loads
from agentflow.server.mcp.offers import GET


async def answered(app: Agentflow, run_id: str, offset: int | None = None) -> CallToolResult:
    """How a run is now. Raises `RunNotFound`."""
    run = await app.runs.get(run_id)
    if not run.state.terminal:
        return _going(run, await questions(app, run_id))
    try:
        result = outcome(run, ANY)
    except RunError as error:
        return refused(f"{told(error, 'hide')} It was {run_id}.", run=run_id, status=run.state.value)
    text = result if isinstance(result, str) else dumps(result)
    shown = cut(text, LIMIT, _reads_on(run_id)) if offset is None else page(text, offset, LONGEST_PAGE, _reads_on(run_id))
    return _said(shown, {"run": run_id, "status": run.state.value, "result": result if shown == text else shown})


def refused(text: str, **structured: Any) -> CallToolResult:
    """An error that the model can read."""
    return CallToolResult(content=[TextContent(text=text)], structured_content=structured or None, is_error=True)


async def questions(app: Agentflow, run_id: str) -> list[str]:
    """What people are asked by a run or by the runs that it waits for."""
    asked: list[str] = []
    looked_at = [run_id]
    for one in looked_at:
        for wait in await app.runs.waiting_for(one):
            if wait.kind is WaitKind.APPROVAL:
                asked.append(_title(wait))
            elif wait.kind is WaitKind.CHILD and wait.target is not None:
                looked_at.append(wait.target)
    return asked


def _going(run: RunRecord, asked: list[str]) -> CallToolResult:
    structured = {"run": run.id, "status": run.state.value}
    if asked:
        text = f"{run.id} waits for a person, who is asked: {'; '.join(asked)} You cannot answer it. Call {GET} later for the result."
        return _said(text, {**structured, "waits_for": asked})
    return _said(f'{run.id} goes on: it is {run.state.value}. {GET}(run="{run.id}") has its result later.', structured)


def _title(wait: WaitpointRecord) -> str:
    subject: Any = loads(wait.subject)
    return str(subject.get("title") or "a question")


def _reads_on(run_id: str) -> Callable[[int], str]:
    return lambda offset: f'{GET}(run="{run_id}", offset={offset})'


def _said(text: str, structured: dict[str, Any]) -> CallToolResult:
    # What a client of an older protocol can read is an object; a NaN is none for any.
    return CallToolResult(content=[TextContent(text=text)], structured_content=json.loads(dumps(structured)))
