"""What an operation needs of its caller: the one place that decides whether a browser token may.

An API key may do everything, and so may anybody where none is set. What a token may not see is told as what does not exist, so that nobody
learns of ids by asking.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request

from agentflow.app import Agentflow
from agentflow.auth.scopes import ANSWER, GRANTS, INDEX, LINK, READ_PROMPTS, READ_RUN, RELEASE, START, WRITE_PROMPTS, WRITE_RUN, Scopes
from agentflow.engine.starting import thread_tag
from agentflow.server.callers import Caller
from agentflow.server.errors import ScopeMissing
from agentflow.storage import runs, waitpoints


class Asked(Protocol):
    """A call, as far as a need looks at it."""

    @property
    def app(self) -> Agentflow: ...

    @property
    def caller(self) -> Caller: ...

    @property
    def request(self) -> Request: ...

    @property
    def body(self) -> Any: ...

    @property
    def query(self) -> Any: ...


Check = Callable[[Asked, Scopes], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What an operation needs. `scopes`: forms of which a token needs one; without any it needs an API key, unless `every` token will do.

    `open`: it needs nothing at all. `tickets`: a ticket for the run in the path will do.
    """

    check: Check
    scopes: tuple[str, ...] = ()
    every: bool = False
    open: bool = False
    tickets: bool = False

    async def permit(self, asked: Asked) -> None:
        """Raise `ScopeMissing` for what the caller may not do, and for what it may not see the error of what is not there."""
        if asked.caller.grant is not None:
            await self.check(asked, asked.caller.grant.scopes)

    @property
    def told(self) -> str:
        """As a sentence, for the OpenAPI document; empty when it needs nothing."""
        if self.open:
            return ""
        if self.every:
            return "Needs an API key or any browser token."
        if not self.scopes:
            return "Needs an API key."
        forms = " or ".join(f"`{scope}`" for scope in self.scopes)
        return f"Needs an API key, or a browser token with {forms}{', or a ticket' if self.tickets else ''}."


async def permit_run(app: Agentflow, caller: Caller, run_id: str) -> None:
    """Raise `ScopeMissing` when the caller may read no run at all, and `RunNotFound` when it may not read this one, or there is none."""
    if caller.grant is None:
        return
    _check_reads_runs(caller.grant.scopes)
    if not await _reads(app, caller, run_id):
        raise runs.not_found(run_id)


async def may_read(app: Agentflow, caller: Caller, run_id: str | None) -> bool:
    """Whether the caller may read a run; nobody may read one that is deleted."""
    return run_id is not None and await _reads(app, caller, run_id)


def permit_start(caller: Caller, task: str) -> None:
    """Raise `ScopeMissing` when the caller may not start a task."""
    if caller.grant is not None and task not in caller.grant.scopes.tasks:
        raise missing(START.replace("<name>", task))


def permit_thread(caller: Caller, thread: str) -> None:
    """Raise `ScopeMissing` when the caller may not read a thread."""
    if caller.grant is not None and thread_tag(thread) not in caller.grant.scopes.tags:
        raise missing(READ_RUN[2].replace("<id>", thread))


def permit_words(caller: Caller, thread: str) -> None:
    """Raise `ScopeMissing` when the caller may not send messages to the runs of a thread, nor stop them."""
    if caller.grant is not None and thread_tag(thread) not in caller.grant.scopes.written_tags:
        raise missing(WRITE_RUN[1].replace("<id>", thread))


def permit_grant(caller: Caller) -> None:
    """Raise `ScopeMissing` when the caller may give no grants, nor take them back."""
    if caller.grant is not None and not caller.grant.scopes.granting:
        raise missing(GRANTS[1])


async def _reads(app: Agentflow, caller: Caller, run_id: str) -> bool:
    if caller.grant is not None and run_id not in caller.grant.scopes.runs and caller.grant.scopes.tags:
        run = await app.database.read(runs.find(run_id))
        return run is not None and caller.reads(run.id, run.tags)
    return caller.reads(run_id, ())


def missing(*scopes: str) -> ScopeMissing:
    """What a token is told that may not: the scopes of which one would do; none where only an API key does."""
    if not scopes:
        return ScopeMissing("Browser tokens cannot do this.", hint="Call it from your server, with an API key.", scopes=[])
    return ScopeMissing(
        f"This token has not the scope {' or '.join(scopes)}.", hint="Mint one that has it, on your server.", scopes=list(scopes)
    )


def _check_reads_runs(scopes: Scopes) -> None:
    if not scopes.runs and not scopes.tags:
        raise missing(*READ_RUN)


def _path_id(asked: Asked) -> str:
    return str(asked.request.path_params["id"])


async def _never(asked: Asked, scopes: Scopes) -> None:
    raise missing()


async def _always(asked: Asked, scopes: Scopes) -> None:
    return None


async def _reads_run(asked: Asked, scopes: Scopes) -> None:
    await permit_run(asked.app, asked.caller, _path_id(asked))


async def _writes_run(asked: Asked, scopes: Scopes) -> None:
    if not scopes.written and not scopes.written_tags:
        raise missing(*WRITE_RUN)
    run = await asked.app.database.read(runs.find(_path_id(asked)))
    if run is None or not asked.caller.writes(run.id, run.tags):
        raise runs.not_found(_path_id(asked))


async def _reads_run_of_body(asked: Asked, scopes: Scopes) -> None:
    await permit_run(asked.app, asked.caller, asked.body.run)


async def _reads_some_runs(asked: Asked, scopes: Scopes) -> None:
    _check_reads_runs(scopes)


async def _lists_runs(asked: Asked, scopes: Scopes) -> None:
    query = asked.query.model_dump(include={"tag", "thread"}, exclude_none=True)
    tags = {thread_tag(value) if name == "thread" else value for name, value in query.items()}
    if not scopes.index and not (tags and tags <= scopes.tags):
        raise missing(INDEX, *(f"run:read:tag:{tag}" for tag in sorted(tags)))


async def _starts_task(asked: Asked, scopes: Scopes) -> None:
    permit_start(asked.caller, asked.body.task)


async def _talks(asked: Asked, scopes: Scopes) -> None:
    permit_start(asked.caller, str(asked.request.path_params["agent"]))
    permit_thread(asked.caller, asked.body.thread_id)


async def _reads_thread(asked: Asked, scopes: Scopes) -> None:
    permit_thread(asked.caller, str(asked.request.path_params.get("thread") or _path_id(asked)))


async def _writes_thread(asked: Asked, scopes: Scopes) -> None:
    permit_words(asked.caller, _path_id(asked))


async def _chats(asked: Asked, scopes: Scopes) -> None:
    permit_thread(asked.caller, asked.body.id)


async def _lists_all(asked: Asked, scopes: Scopes) -> None:
    if not scopes.index:
        raise missing(INDEX)


async def _reads_grants(asked: Asked, scopes: Scopes) -> None:
    if not scopes.grants:
        raise missing(GRANTS[0])


async def _writes_grants(asked: Asked, scopes: Scopes) -> None:
    permit_grant(asked.caller)


async def _gives_grant(asked: Asked, scopes: Scopes) -> None:
    permit_grant(asked.caller)
    if asked.body.from_waitpoint is None:
        # A tool's name says nothing of who may see its calls, or decide about them.
        raise missing()
    await _answers_each(asked, scopes, [asked.body.from_waitpoint])


async def _lists_waitpoints(asked: Asked, scopes: Scopes) -> None:
    run_id: str | None = asked.query.run
    if run_id is None:
        raise missing()
    if run_id not in scopes.waiting:
        await permit_run(asked.app, asked.caller, run_id)


async def _sees_waitpoint(asked: Asked, scopes: Scopes) -> None:
    if not (scopes.waitpoints or scopes.waiting or scopes.runs or scopes.tags):
        raise missing(*ANSWER)
    runs = await _runs_of_waitpoint(asked)
    if not _answers(asked, runs) and not (runs and await _reads(asked.app, asked.caller, runs[0])):
        raise waitpoints.not_found(_path_id(asked))


async def _answers_waitpoint(asked: Asked, scopes: Scopes) -> None:
    if not scopes.waitpoints and not scopes.waiting:
        raise missing(*ANSWER)
    if not _answers(asked, await _runs_of_waitpoint(asked)):
        raise waitpoints.not_found(_path_id(asked))


async def _answers_many(asked: Asked, scopes: Scopes) -> None:
    await _answers_each(asked, scopes, [one.id for one in asked.body.decisions])


async def _answers_each(asked: Asked, scopes: Scopes, ids: Sequence[str]) -> None:
    if not scopes.waitpoints and not scopes.waiting:
        raise missing(*ANSWER)
    for id in dict.fromkeys(ids):
        shown = await asked.app.waitpoints.shown_in(await asked.app.waitpoints.get(id))
        if not any(asked.caller.answers(id, run_id) for run_id in (None, *(sight.run_id for sight in shown))):
            raise waitpoints.not_found(id)


async def _links_waitpoint(asked: Asked, scopes: Scopes) -> None:
    if not scopes.links and not scopes.linking:
        raise missing(*LINK)
    runs_of = await _runs_of_waitpoint(asked)
    if _path_id(asked) not in scopes.links and scopes.linking.isdisjoint(runs_of):
        raise waitpoints.not_found(_path_id(asked))


async def _reads_prompts(asked: Asked, scopes: Scopes) -> None:
    if not scopes.prompts:
        raise missing(READ_PROMPTS, WRITE_PROMPTS, RELEASE)


async def _writes_prompts(asked: Asked, scopes: Scopes) -> None:
    if not scopes.drafts:
        raise missing(WRITE_PROMPTS)


async def _renders_prompts(asked: Asked, scopes: Scopes) -> None:
    await (_reads_prompts if asked.body.body is None else _writes_prompts)(asked, scopes)


async def _moves_prompts(asked: Asked, scopes: Scopes) -> None:
    env = str(asked.request.path_params["env"])
    if not scopes.drafts and env not in scopes.releases:
        raise missing(WRITE_PROMPTS, RELEASE.replace("<environment>", env))


def _answers(asked: Asked, runs: Sequence[str]) -> bool:
    return any(asked.caller.answers(_path_id(asked), run_id) for run_id in (None, *runs))


async def _runs_of_waitpoint(asked: Asked) -> Sequence[str]:
    """The run that asks, then those that the question holds up. Raises `WaitpointNotFound`."""
    one = await asked.app.waitpoints.get(_path_id(asked))
    return [sight.run_id for sight in await asked.app.waitpoints.shown_in(one)]


OPEN = Need(check=_always, open=True)
"""Everybody, with or without a key."""
KEY = Need(check=_never)
"""An API key: what no browser may do."""
ANY_CALLER = Need(check=_always, every=True)
"""An API key or any token."""
READ_ONE = Need(check=_reads_run, scopes=READ_RUN)
"""To read the run in the path."""
FOLLOW_ONE = Need(check=_reads_run, scopes=READ_RUN, tickets=True)
"""To read the run in the path; a ticket will do."""
WRITE_ONE = Need(check=_writes_run, scopes=WRITE_RUN)
"""To cancel the run in the path, and to send it messages."""
READ_NAMED = Need(check=_reads_run_of_body, scopes=READ_RUN)
"""To read the run that the body names as `run`."""
READ_SOME = Need(check=_reads_some_runs, scopes=READ_RUN)
"""To read some runs: the handler asks `permit_run` for each."""
LIST_RUNS = Need(check=_lists_runs, scopes=(INDEX, *READ_RUN[1:]))
"""To see the index, or the part of it that has the `tag` or `thread` in the query."""
START_TASK = Need(check=_starts_task, scopes=(START,))
"""To start the `task` in the body."""
TALK = Need(check=_talks, scopes=(START,))
"""To start the agent in the path, and to read the thread in the body: both."""
CHAT = Need(check=_chats, scopes=(READ_RUN[2],))
"""To read the thread that the body names; the handler asks `permit_start` for who is to answer."""
LIST_ALL = Need(check=_lists_all, scopes=(INDEX,))
"""To see all that there is of a kind."""
READ_THREAD = Need(check=_reads_thread, scopes=(READ_RUN[2],))
"""To read the thread in the path."""
WRITE_THREAD = Need(check=_writes_thread, scopes=(WRITE_RUN[1],))
"""To stop what is under way in the thread in the path."""
LIST_WAITPOINTS = Need(check=_lists_waitpoints, scopes=(*READ_RUN, ANSWER[1]))
"""To see what the `run` in the query waits for."""
SEE_WAITPOINT = Need(check=_sees_waitpoint, scopes=(*ANSWER, *READ_RUN))
"""To see the waitpoint in the path: it, or the run that waits for it."""
ANSWER_WAITPOINT = Need(check=_answers_waitpoint, scopes=ANSWER)
"""To answer the waitpoint in the path."""
LINK_WAITPOINT = Need(check=_links_waitpoint, scopes=LINK)
"""To make links for the waitpoint in the path."""
ANSWER_MANY = Need(check=_answers_many, scopes=ANSWER)
"""To answer each of the waitpoints in the body."""
READ_GRANTS = Need(check=_reads_grants, scopes=GRANTS[:1])
"""To see grants."""
WRITE_GRANTS = Need(check=_writes_grants, scopes=GRANTS[1:])
"""To take grants back."""
GIVE_GRANT = Need(check=_gives_grant, scopes=GRANTS[1:])
"""To give a grant: with a token only with a question that it may answer, too."""
PROMPTS = Need(check=_reads_prompts, scopes=(READ_PROMPTS, WRITE_PROMPTS, RELEASE))
"""To see prompts and their versions."""
RENDERS = Need(check=_renders_prompts, scopes=(READ_PROMPTS, WRITE_PROMPTS, RELEASE))
"""To see what versions of prompts would say; for a `body` of one's own, only the second scope will do."""
DRAFTS = Need(check=_writes_prompts, scopes=(WRITE_PROMPTS,))
"""To keep versions of prompts."""
MOVES = Need(check=_moves_prompts, scopes=(WRITE_PROMPTS, RELEASE))
"""To move what is live of a prompt in the environment in the path; where that is protected, only the second scope will do."""
