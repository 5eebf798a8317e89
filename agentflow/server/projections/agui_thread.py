"""Which runs serve an AG-UI conversation, how one is started, and what was said in those before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentflow.app import Agentflow
from agentflow.app.rebuild import load
from agentflow.errors import UnknownTask
from agentflow.records import RunRecord, TaskRecord
from agentflow.serde import dumps, loads
from agentflow.server.projections.agui_input import RunAgentInput, last_word
from agentflow.server.projections.agui_messages import Message
from agentflow.server.projections.agui_projection import Names, Projection
from agentflow.storage import workers

REMEMBERED = 50
"""The runs of a conversation whose messages are told to a client that comes without any."""
_MESSAGE = "message:"
_KEY = '["agui",'


async def find_agent(app: Agentflow, name: str) -> TaskRecord:
    """What is known of an agent. Raises `UnknownTask`."""
    known = app.tasks.get(name)
    if known is not None and known.kind == "agent":
        return TaskRecord(name=name, queue=known.options.queue.name, description=known.description, schema="{}", kind=known.kind)
    record = None if known is not None else await app.database.read(workers.task(name))
    if record is None or record.kind != "agent":
        raise UnknownTask(f"There is no agent {name!r}.", hint="GET /v1/tasks lists them, with kind agent.", task=name)
    return record


def key_of(thread: str, run: str) -> str:
    """The idempotency key of a client's run: the same ids again find the run that serves it."""
    return dumps(["agui", thread, run])


async def begin(app: Agentflow, agent: str, asked: RunAgentInput, started_by: str | None) -> str:
    """Start the run that answers the user's last message, the next of its thread; returns its id."""
    message, prompt = last_word(asked.messages)
    options = {
        **({} if started_by is None else {"started_by": started_by}),
        "idempotency_key": key_of(asked.thread_id, asked.run_id),
        "tags": [f"{_MESSAGE}{message}"],
        "thread": asked.thread_id,
    }
    started = await app.start_json(agent, dumps({"prompt": prompt}), options)
    return started.id


def is_answered_by(run: RunRecord, asked: RunAgentInput) -> bool:
    """Whether the user has said nothing since this run began."""
    last = asked.messages[-1] if asked.messages else None
    return last is None or last.role != "user" or f"{_MESSAGE}{last.id}" in run.tags


async def runs_of(app: Agentflow, agent: str, thread: str) -> list[RunRecord]:
    """The last runs of a conversation, newest first."""
    return await app.runs.list(task=agent, tag=f"thread:{thread}", limit=REMEMBERED)


async def said_in(app: Agentflow, thread: str, runs: Sequence[RunRecord]) -> list[Message]:
    """What came before the newest of these runs had its first word: the messages of the others, and what the user said to it."""
    messages: list[Message] = []
    for run in reversed(runs):
        rebuilt = await app.database.read(load(run.id))
        messages.append(_asked(rebuilt.run))
        if run is not runs[0]:
            projection = Projection(Names(thread, run.id, run.id))
            projection.absorb(rebuilt.events, rebuilt.start)
            messages += projection.speech.messages.snapshot()
    return messages


def named(run: RunRecord) -> str:
    """What the client calls the run of its own that began a run of ours."""
    key = run.idempotency_key or ""
    return str(loads(key)[2]) if key.startswith(_KEY) else run.id


def _asked(run: RunRecord) -> Message:
    ids = [tag.removeprefix(_MESSAGE) for tag in run.tags if tag.startswith(_MESSAGE)]
    payload: dict[str, Any] = loads(run.input)
    return {"id": ids[0] if ids else f"prompt:{run.id}", "role": "user", "content": str(payload["prompt"])}
