"""What can be done with conversations from outside of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from agentflow.app.runs import Runs
from agentflow.database.port import Database
from agentflow.engine.starting import check_thread, thread_tag
from agentflow.engine.task import Task
from agentflow.errors import ThreadNotFound, UnknownTask
from agentflow.handle import RunHandle
from agentflow.records import MessageRecord, RunRecord, ThreadRecord, UsageRecord
from agentflow.serde import dumps
from agentflow.storage import threads, usage, workers
from agentflow.storage.threads import LAST, ThreadPage

if TYPE_CHECKING:
    from agentflow.agents.messages import ModelMessage


class Opened(Protocol):
    """What a conversation needs of the app."""

    tasks: Mapping[str, Task[..., Any]]

    @property
    def database(self) -> Database:
        """The open database."""
        ...

    @property
    def runs(self) -> Runs:
        """Runs from outside."""
        ...

    async def start_json(self, name: str, payload: str, options: Mapping[str, Any] | None = None) -> RunHandle[Any]:
        """Start a run by name."""
        ...


class Threads:
    """`app.threads`: see which conversations there are."""

    def __init__(self, app: Opened) -> None:
        self._app = app

    async def list(self, *, limit: int = 50) -> list[ThreadRecord]:
        """Conversations, the one that something happened in last first."""
        return list((await self.page(limit)).threads)

    async def page(self, limit: int, before: tuple[int, int] = (LAST, LAST)) -> ThreadPage:
        """A page of conversations; `before` is the `next` of the page before."""
        return await self._app.database.read(threads.page(limit, before))

    async def get(self, thread: str) -> ThreadRecord:
        """A conversation. Raises `ThreadNotFound`."""
        found = await self._app.database.read(threads.find(thread))
        if found is None:
            raise ThreadNotFound(f"There is no thread {thread!r}.", hint="A thread begins with its first run.", thread=thread)
        return found

    async def usage(self, thread: str) -> UsageRecord:
        """What the runs of a conversation used, with all the runs that they started. It outlives the runs."""
        return await self._app.database.read(usage.of_scope(f"thread:{thread}"))

    async def said(self, thread: str, after: int, limit: int) -> list[MessageRecord]:
        """Up to `limit` messages of a conversation behind number `after`, as they are stored."""
        return await self._app.database.read(threads.said(thread, after, after + limit))


class Thread:
    """A conversation of many runs, by its id. It begins with its first run; until then it is empty.

    >>> thread = app.thread("t-7")
    >>> run = await thread.send("Make it express.")
    >>> await run.result()
    >>> await thread.history()
    """

    def __init__(self, app: Opened, id: str) -> None:
        self._app = app
        self.id = check_thread(id)

    def __repr__(self) -> str:
        return f"Thread({self.id!r})"

    async def send(self, text: str, *, agent: str | None = None, idempotency_key: str | None = None) -> RunHandle[Any]:
        """Start the next run of the conversation; it has its turn when those before it have ended.

        `agent` is the name of who is to answer: whoever answered last, unless said otherwise, and in a new conversation the only agent
        that there is. `idempotency_key`: the same key and text give the same run. Raises `UnknownTask` and `IdempotencyConflict`.
        """
        options: dict[str, Any] = {"thread": self.id}
        if idempotency_key is not None:
            options["idempotency_key"] = idempotency_key
        return await self._app.start_json(agent or await self._agent(), dumps({"prompt": text}), options)

    async def history(self) -> list[ModelMessage]:
        """What was said, as messages of pydantic-ai, in order. A run adds what it said when it completes."""
        from agentflow.agents.messages import read

        return read(one.body for one in await self._app.database.read(threads.said(self.id)))

    async def runs(self, *, limit: int = 50) -> list[RunRecord]:
        """The last runs of the conversation, newest first, as far as they are kept."""
        return await self._app.runs.list(tag=thread_tag(self.id), limit=limit)

    async def active(self) -> RunRecord | None:
        """The run whose turn it is: at most one, whether it works or waits. Others wait for it."""
        return await self._app.database.read(threads.active(self.id))

    async def _agent(self) -> str:
        known = await self._app.database.read(threads.find(self.id))
        return await only_agent(self._app) if known is None else known.agent


async def only_agent(app: Opened) -> str:
    """The agent that is meant where none is named. Raises `UnknownTask` where there is none, or are several."""
    known = {name for name, task in app.tasks.items() if task.kind == "agent"}
    known |= {task.name for task in await app.database.read(workers.tasks()) if task.kind == "agent"}
    if len(known) == 1:
        return known.pop()
    names = ", ".join(sorted(known)) or "none"
    raise UnknownTask("Which agent is to answer?", hint=f"Name it; there are: {names}.", agents=sorted(known))
