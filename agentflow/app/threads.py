"""What can be done with conversations from outside of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

from agentflow.app.runs import Runs
from agentflow.clock import Clock
from agentflow.database.port import Database, Transaction
from agentflow.engine.starting import check_thread, thread_tag
from agentflow.engine.task import Task
from agentflow.errors import DefinitionError, RunError, UnknownTask
from agentflow.handle import RunHandle
from agentflow.records import MessageRecord, RunRecord, RunState, ThreadRecord, UsageRecord, new_id
from agentflow.serde import dumps, loads
from agentflow.storage import runs, steering, threads, usage, workers
from agentflow.storage.runs import NewRun, Started
from agentflow.storage.threads import LAST, Outrun, ThreadPage

if TYPE_CHECKING:
    from agentflow.agents.messages import ModelMessage


Mode = Literal["queue", "steer"]
"""What becomes of a message while a run of the thread is at work: its next run, or a word in the run's ear."""

_UNDONE = frozenset({RunState.FAILED, RunState.CANCELLED, RunState.EXPIRED})
LOOK = 200
"""Messages at the end of a log among which the last question is looked for first."""


class Opened(Protocol):
    """What a conversation needs of the app."""

    tasks: Mapping[str, Task[..., Any]]
    clock: Clock

    @property
    def database(self) -> Database:
        """The open database."""
        ...

    @property
    def runs(self) -> Runs:
        """Runs from outside."""
        ...

    async def start_json(
        self,
        name: str,
        payload: str,
        options: Mapping[str, Any] | None = None,
        begin: Callable[[NewRun, int], Transaction[Started]] | None = None,
    ) -> RunHandle[Any]:
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
            raise threads.not_found(thread)
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

    async def send(
        self,
        text: str,
        *,
        mode: Mode = "queue",
        agent: str | None = None,
        idempotency_key: str | None = None,
        started_by: str | None = None,
    ) -> RunHandle[Any]:
        """Start the next run of the conversation; it has its turn when those before it have ended.

        With `mode="steer"` the agent that is at work hears it instead, before it next asks its model, and returned is the run that hears
        it. What comes while it says its last word makes it go on; what it does not hear, since it ends, becomes the next run. Where
        nobody is at work, or another agent, it is the next run at once.

        `agent` is the name of who is to answer: whoever answered last, unless said otherwise, and in a new conversation the only agent
        that there is. `idempotency_key`: the same key and text give the same run. `started_by` is the person in whose name the run is.
        Raises `UnknownTask`, `IdempotencyConflict`, and `DefinitionError` for another mode.

        >>> await thread.send("Only the cheap ones!", mode="steer")
        """
        if mode not in ("queue", "steer"):
            raise DefinitionError(f"mode={mode!r} is not known.", hint="Give 'queue' or 'steer'.")
        begin = steering.steer if mode == "steer" else None
        options = _options(idempotency_key, started_by)
        return await self._start(agent or await self.answerer(), text, options, begin)

    async def stop(self, *, run: str | None = None, reason: str = "stopped") -> RunRecord | None:
        """End the turn, not the conversation: the run whose turn it is ends as cancelled, and the next one has its turn.

        What it said until then is kept, as far as a model can be asked with it: the text of an answer that was cut short, and calls of
        tools with their results. `run` names the run that is meant; one that has ended by now is left as it is, and so are those behind it.
        Returns the run as it is now: it may clean up for a moment; None where nobody was at work. Raises `RunNotFound`, also for a run of
        another thread.

        >>> await thread.stop(reason="enough")
        """
        if run is None:
            active = await self.active()
            return None if active is None else await self._app.runs.cancel(active.id, reason)
        known = await self._app.runs.get(run)
        if known.thread != self.id:
            raise runs.not_found(run)
        return known if known.state.terminal else await self._app.runs.cancel(run, reason)

    async def regenerate(
        self, text: str | None = None, *, agent: str | None = None, idempotency_key: str | None = None, started_by: str | None = None
    ) -> RunHandle[Any]:
        """Have the last question answered anew, or `text` in its place.

        What was answered before is no part of the conversation any more once the new run has added its answer; it stays in the log. A run
        that fails changes nothing. The question of a run that failed is answered, too. `agent`, `idempotency_key` and `started_by` as in
        `send`. Raises `ThreadBusy` while a run is under way or waits for its turn, `ThreadNotFound`, and `RunError` where nobody has asked
        anything.

        >>> run = await thread.regenerate()
        """
        known = await Threads(self._app).get(self.id)
        while True:
            said, follows, asked_by = await self._last_question(known)
            begin = partial(_anew, follows, known.messages, asked_by)
            try:
                return await self._start(agent or known.agent, said if text is None else text, _options(idempotency_key, started_by), begin)
            except Outrun:
                known = await Threads(self._app).get(self.id)

    async def fork(self, at: int | None = None, id: str | None = None) -> Thread:
        """A new conversation that begins with this one up to message number `at`, by default the last. Nothing is copied.

        `id` is its id, by default a new one; the same fork again is the same thread. What is said in one is not said in the other. Raises
        `ThreadNotFound`, `ThreadExists`, and `DefinitionError` when there is no such message.

        >>> other = await thread.fork(at=4)
        """
        now = self._app.clock.now()
        new = Thread(self._app, id or new_id("thread", now))
        await self._app.database.transact(threads.fork(self.id, at, new.id, now))
        return new

    async def history(self) -> list[ModelMessage]:
        """What was said, as messages of pydantic-ai, in order. A run adds what it said when it ends, and nothing when it fails."""
        from agentflow.agents.messages import read

        return read(one.body for one in await self._app.database.read(threads.said(self.id)))

    async def runs(self, *, limit: int = 50) -> list[RunRecord]:
        """The last runs of the conversation, newest first, as far as they are kept."""
        return await self._app.runs.list(tag=thread_tag(self.id), limit=limit)

    async def active(self) -> RunRecord | None:
        """The run whose turn it is: at most one, whether it works or waits. Others wait for it."""
        return await self._app.database.read(threads.active(self.id))

    async def _start(
        self, agent: str, prompt: Any, options: Mapping[str, Any], begin: Callable[[NewRun, int], Transaction[Started]] | None
    ) -> RunHandle[Any]:
        return await self._app.start_json(agent, dumps({"prompt": prompt}), {**options, "thread": self.id}, begin)

    async def _last_question(self, known: ThreadRecord) -> tuple[Any, int | None, str | None]:
        """What was asked last, the message that its answer is to follow, None for the last one, and who asked where no log tells."""
        from agentflow.agents.messages import last_question

        for after in (max(0, known.messages - LOOK), 0):
            said = await self._app.database.read(threads.said(self.id, after, known.messages))
            unheard = await self._unheard({one.run_id for one in said})
            if unheard is not None:
                return unheard
            found = last_question(said)
            # Where it is the first that was looked at, what comes before it is not known.
            if found is not None and (found.place > 0 or after == 0):
                return found.prompt, said[found.place - 1].seq if found.place else 0, None
        active = await self.active()
        if active is not None:
            raise threads.busy(self.id, active.id)
        raise RunError(f"Nobody has asked anything in thread {self.id!r}.", hint="Send the first message.", thread=self.id)

    async def _unheard(self, speakers: Set[str]) -> tuple[Any, int | None, str | None] | None:
        """What the last run was asked, by whom, if it failed or was stopped before it said anything: then the log knows nothing of it."""
        for run in await self.runs(limit=1):
            if run.state in _UNDONE and run.id not in speakers:
                asked = loads((await self._app.runs.get(run.id)).input).get("prompt")
                return None if asked is None else (asked, run.follows, run.started_by)
        return None

    async def answerer(self) -> str:
        """The name of the agent that answers unless another is named. Raises `UnknownTask` in a new conversation if there are several."""
        known = await self._app.database.read(threads.find(self.id))
        return await only_agent(self._app) if known is None else known.agent


def _options(key: str | None, started_by: str | None) -> dict[str, Any]:
    return {name: value for name, value in (("idempotency_key", key), ("started_by", started_by)) if value is not None}


def _anew(follows: int | None, seen: int, asked_by: str | None, new: NewRun, now: int) -> Transaction[Started]:
    return threads.start_anew(replace(new, follows=follows), seen, now, asked_by)


async def only_agent(app: Opened) -> str:
    """The agent that is meant where none is named. Raises `UnknownTask` where there is none, or are several."""
    known = {name for name, task in app.tasks.items() if task.kind == "agent"}
    known |= {task.name for task in await app.database.read(workers.tasks()) if task.kind == "agent"}
    if len(known) == 1:
        return known.pop()
    names = ", ".join(sorted(known)) or "none"
    raise UnknownTask("Which agent is to answer?", hint=f"Name it; there are: {names}.", agents=sorted(known))
