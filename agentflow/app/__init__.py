"""`Agentflow`, the one composition root: everything is made and connected here."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextvars import Token
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from agentflow.app.auditing import Audit
from agentflow.app.bridge import Bridge
from agentflow.app.deploying import Deploying
from agentflow.app.grants import Grants
from agentflow.app.launching import Beginning, Launching
from agentflow.app.options import AppOptions, checked
from agentflow.app.outbox import Outbox, Told, by_name
from agentflow.app.outside import Outside
from agentflow.app.pages import page_of
from agentflow.app.prompts import Prompts
from agentflow.app.queues import Queues
from agentflow.app.refill import Refill
from agentflow.app.registry import Served, registry, warm
from agentflow.app.releasing import Releases
from agentflow.app.runs import Runs
from agentflow.app.spawning import spawning
from agentflow.app.threads import Thread, Threads
from agentflow.app.waitpoints import GroupsOf, Waitpoints
from agentflow.app.waking import Waking
from agentflow.app.workers import Workers
from agentflow.channels.people import People
from agentflow.clock import Clock, Duration, SystemClock
from agentflow.database import open_database
from agentflow.database.migrate import migrate
from agentflow.database.port import Database
from agentflow.engine.bystander import Bystander
from agentflow.engine.calls import in_thread
from agentflow.engine.context import StartCall, StartOptions
from agentflow.engine.executor import Middleware
from agentflow.engine.host import ENVIRONMENT, Host, Services
from agentflow.engine.maintenance import Maintenance
from agentflow.engine.queue import check_weight, declared
from agentflow.engine.starting import Launcher, TaskName, launcher, opened, start_call, start_options
from agentflow.engine.task import Task
from agentflow.engine.worker import Worker, WorkerSettings
from agentflow.errors import ConfigurationError, UnknownTask
from agentflow.handle import RunHandle
from agentflow.records import OURS
from agentflow.serde import ANY, check_keys, dumps
from agentflow.settings import find_settings, kept
from agentflow.storage import queues, workers
from agentflow.storage.pins import Held, Wanted
from agentflow.storage.statements import MIGRATIONS
from agentflow.streams.log import Streams

T = TypeVar("T")


class Agentflow:
    """Your tasks, a database and a stream server, opened together.

    `tasks`: the tasks and agents this process knows. `database`: a path or `sqlite:///…`; `redis`: a URL; without them both are embedded
    in `directory`. `worker`: whether this process works (`WorkerSettings` to say how), or only starts and follows runs. `middleware`:
    functions `async (run, call_next)` around every run's code. `policy`: rules for the calls that models ask for. `channels` are where
    people are told that a run waits for them (`agentflow.channels`), `people` who is where on them; `environment`: whose prompts hold here
    ("prod"). What is not given is taken from the environment (`AGENTFLOW_DATABASE`, `_REDIS`, `_DIRECTORY`, `_RETENTION`, `_ENVIRONMENT`),
    then from `[tool.agentflow]` in pyproject.toml.

    Raises `DuplicateName` when two tasks share a name, `ConfigurationError` for an option that it does not know.

        async with Agentflow(tasks=[fulfil]):
            run = await fulfil.start("o-81")
            print(await run.result())
    """

    def __init__(
        self,
        tasks: Iterable[Task[..., Any]] | Mapping[str, Task[..., Any]] = (),
        *,
        database: str | Database | None = None,
        redis: str | None = None,
        directory: str | Path | None = None,
        worker: bool | WorkerSettings = True,
        **around: Unpack[AppOptions],
    ) -> None:
        checked(around)
        self.tasks = registry(tasks)
        found = find_settings({"redis": redis, "directory": None if directory is None else str(directory)})
        self.environment = around.get("environment") or found.environment or ENVIRONMENT
        self.directory = Path(found.directory)
        self.clock: Clock = around.get("clock") or SystemClock()
        self._database = database or found.database
        self._redis_url = found.redis
        self._settings = worker if isinstance(worker, WorkerSettings) else WorkerSettings() if worker else None
        said = None if self._settings is None else self._settings.retention
        self._keeps = found.keeps if said is None else kept(said)
        self.public_url = found.public_url if self._settings is None else self._settings.public_url or found.public_url
        self._middleware = around.get("middleware", ())
        self.policy = around.get("policy")
        self.groups: GroupsOf | None = None
        self.channels = by_name(around.get("channels", ()))
        self.people = around.get("people") or People()
        self._open: _Open | None = None
        self._token: Token[Launcher | None] | None = None
        self._bridge: Bridge | None = None

    def configure(
        self,
        *,
        database: str | None = None,
        redis: str | None = None,
        directory: str | Path | None = None,
        worker: bool | WorkerSettings | None = None,
        retention: Duration | None = None,
        groups: GroupsOf | None = None,
        environment: str | None = None,
    ) -> Self:
        """Change what the app was made with, before it is opened; None leaves it as it is. Raises `ConfigurationError` when it is open.

        `groups` tells, maybe awaited, which groups somebody who decides is in: where it raises, they are in none. `environment` says which
        prompts hold here, by default "prod".
        """
        if self._open is not None:
            raise ConfigurationError("An open app cannot be configured.", hint="Do it before `async with app:`.")
        self.groups = groups or self.groups
        self.environment = environment or self.environment
        self._database = database or self._database
        self._redis_url = redis or self._redis_url
        self.directory = self.directory if directory is None else Path(directory)
        if worker is not None:
            self._settings = worker if isinstance(worker, WorkerSettings) else WorkerSettings() if worker else None
            retention = retention or (self._settings.retention if self._settings else None)
        self._keeps = self._keeps if retention is None else kept(retention)
        return self

    @property
    def keeps(self) -> int | None:
        """For how long finished runs are kept here, in microseconds; None for ever."""
        return self._keeps

    @property
    def database_url(self) -> str:
        """Where the database is: by default a file in `directory`."""
        given = self._database
        return given if isinstance(given, str) else str(self.directory / "agentflow.db") if given is None else given.dialect

    @property
    def redis_url(self) -> str | None:
        """Where Redis is; None for the embedded one."""
        return self._redis_url

    # -- opening -------------------------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.open()
        self._token = launcher.set(self)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._token is not None:
            launcher.reset(self._token)
            self._token = None
        await self.close()

    async def open(self) -> None:
        """Open the database, bring its tables up to date, and begin to work."""
        if self._open is not None:
            raise ConfigurationError("This app is open already.", hint="Open it once, around everything that uses it.")
        declared(task.options.queue for task in self.tasks.values())
        given = self._database or self.database_url
        streams = Streams.connect(self._redis_url, self.directory, clock=self.clock)
        database = open_database(given) if isinstance(given, str) else given
        try:
            await migrate(database, MIGRATIONS, self.clock)
            self._open = _Open(self, database, streams)
            if self._open.worker is not None:
                self._open.worker.spawning = spawning(self, by_url=isinstance(given, str))
                await self._open.deploying.begin(partial(self.prompts.deploy, "worker"))
            await self._open.begin()
            opened.add(self)
        except BaseException:
            await streams.close()
            await database.close()
            self._open = None
            raise

    async def close(self) -> None:
        """Let running steps finish or hand them back, then close."""
        closing, self._open = self._open, None
        if closing is not None:
            opened.discard(self)
            await closing.end()

    async def warm(self) -> None:
        """Return once what its worker's tasks need is loaded; the SDK of a model takes seconds, and no app waits for it to open."""
        if self._opened.warming is not None:
            await asyncio.wait({self._opened.warming})

    @property
    def _opened(self) -> _Open:
        if self._open is None:
            raise ConfigurationError("This app is not open.", hint="Use `async with app:` around it.")
        return self._open

    @property
    def database(self) -> Database:
        """The open database."""
        return self._opened.database

    @property
    def streams(self) -> Streams:
        """The open streams."""
        return self._opened.streams

    @property
    def worker(self) -> Worker | None:
        """The worker in this process, if it has one."""
        return self._opened.worker

    @property
    def settings(self) -> WorkerSettings | None:
        """How this process works, if it does."""
        return self._settings

    @property
    def middleware(self) -> Sequence[Middleware]:
        """What goes around every run's code."""
        return self._middleware

    # -- verbs ---------------------------------------------------------------------------------------------------------------------------

    @property
    def runs(self) -> Runs:
        """Look at runs, follow and stop them."""
        return self._opened.runs

    @property
    def verbs(self) -> Runs:
        """What handles use."""
        return self._opened.runs

    @property
    def queues(self) -> Queues:
        """See what waits where, pause and resume queues."""
        return self._opened.queues

    @property
    def threads(self) -> Threads:
        """See which conversations there are."""
        return Threads(self)

    def thread(self, id: str) -> Thread:
        """A conversation, by the id that it was given or is to be given. Raises `DefinitionError` for an id that cannot be.

        >>> run = await app.thread("t-7").send("Make it express.")
        """
        return Thread(self, id)

    @property
    def prompts(self) -> Prompts:
        """See which prompt is live where, release, go back, roll out."""
        return Prompts(self.database, self.clock, self.environment, self.start_json, self.runs.ended, self._opened.releases)

    async def prompt(self, wanted: Wanted) -> Held | None:
        """The version of a prompt for code that is in no run."""
        return await self._opened.outside.live(wanted)

    @property
    def waitpoints(self) -> Waitpoints:
        """Create tokens, see what is waited for, answer."""
        return self._opened.waitpoints

    @property
    def audit(self) -> Audit:
        """Who decided what, in a chain that shows what was changed since."""
        return self._opened.waitpoints.audit

    @property
    def outbox(self) -> Outbox:
        """What sends messages about waitpoints."""
        return self._opened.outbox

    @property
    def grants(self) -> Grants:
        """Standing yeses of people to calls of tools: give, see and take them back."""
        return self._opened.waitpoints.grants

    @property
    def workers(self) -> Workers:
        """See who works, and have a worker leave."""
        return self._opened.workers

    async def start(self, name: str, /, **payload: Any) -> RunHandle[Any]:
        """Start a run by the name of its task, which this process need not know.

        Raises `UnknownTask` when neither this process nor a live worker knows it, and `InvalidPayload` when this process does.
        """
        return await self.start_json(name, dumps(payload))

    async def start_json(
        self, name: str, payload: str, options: Mapping[str, Any] | None = None, begin: Beginning | None = None
    ) -> RunHandle[Any]:
        """As `start`, from JSON text, with the options of `Task.using`; `begin` is the transaction that does it, where it is another."""
        known = self.tasks.get(name)
        call = await self.call(name, payload, options)
        return RunHandle(await self._opened.launching.launch(call, begin), self.runs, ANY if known is None else known.codec)

    async def call(self, name: str, payload: str, options: Mapping[str, Any] | None = None) -> StartCall:
        """What starts a task by its name. Raises as `start` does."""
        known = self.tasks.get(name)
        if known is not None:
            return known.using(**(options or {})).call(known.payload.check(payload))
        record = await self.database.read(workers.task(name))
        if record is None:
            served = {one.name for one in await self.database.read(workers.tasks()) if not one.name.startswith(OURS)} | set(self.tasks)
            raise UnknownTask(
                f"There is no task {name!r}.",
                hint=f"Known here: {', '.join(sorted(served)) or 'none'}. Is a worker with its code running?",
                task=name,
            )
        chosen = start_options(StartOptions(), options or {})
        check_keys(name, record.schema, payload)
        if chosen.weight > 1:
            for limits in await self.database.read(queues.find(record.queue)):
                check_weight(limits, chosen.weight)
        return start_call(TaskName(name, record.queue, record.version, record.hooked), payload, chosen)

    async def launch(self, call: StartCall) -> str:
        """Store a run; returns its id. With a free slot here it starts without a trip through the queue."""
        return await self._opened.launching.launch(call)

    def run_sync(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine from blocking code (scripts, Django, Flask); the app stays open in a thread until the process ends.

        >>> run = app.run_sync(fulfil.start("o-81"))
        """
        if self._bridge is None:
            self._bridge = Bridge(self)
        return self._bridge.run(work)


class _Open:
    """What exists only while an app is open."""

    def __init__(self, app: Agentflow, database: Database, streams: Streams) -> None:
        self.database = database
        self.streams = streams
        self._clock = app.clock
        self.releases = Releases(database, streams, app.clock, lambda: self.launching, app.call)
        self._tasks = app.tasks if app.settings is None else Served(app.tasks, [self.releases.task])
        self.warming: asyncio.Task[Any] | None = None
        known = frozenset(app.channels)
        settings = app.settings and replace(app.settings, public_url=app.public_url, channels=known, environment=app.environment)
        self.worker = None if settings is None else Worker(database, streams, app.clock, self._tasks, settings)
        self.host: Host = self.worker or Bystander(streams)
        if self.worker is not None:
            self.worker.middleware, self.worker.policy = app.middleware, app.policy
            self.maintenance = self.worker.maintenance
            self.maintenance.upkeep.retention = app.keeps
        else:
            grace = WorkerSettings()
            services = Services(database, streams, app.clock, self.host, grace.cancel_grace, channels=known)
            self.maintenance = Maintenance(services, self._tasks, grace.max_recoveries)
        self.launching = Launching(database, self.host, app.clock)
        self.runs = Runs(database, streams, app.clock, self.worker, self.maintenance, self._tasks)
        self.queues = Queues(database, streams, app.clock)
        self.waitpoints = Waitpoints(database, app.clock, Waking(database, self.worker), self.maintenance)
        self.waitpoints.groups = app.groups
        self.waitpoints.links.server = app.public_url
        self.outbox = Outbox(database, streams, app.clock, Told(app.channels, app.people, page_of(app)))
        self.workers = Workers(database, streams)
        self.refill = Refill(database, streams, app.clock)
        self.deploying = Deploying(app.clock)
        self.outside = Outside(database, app.clock, app.environment)
        self.maintenance.on_death(self.refill.look)

    async def begin(self) -> None:
        if self.worker is not None:
            await self.worker.start()
            self.refill.look(self._clock.now())
            self.warming = self.worker.errand(in_thread(warm, list(self._tasks.values())))
        self.outbox.start()

    async def end(self) -> None:
        try:
            await self.launching.end()
            await self.deploying.close()
            await self.outbox.close()
            if self.worker is not None:
                await self.worker.drain()
                await asyncio.gather(*(task.close() for task in self._tasks.values()))
            await self.waitpoints.audit.close()
        finally:
            await asyncio.gather(self.runs.close(), self.refill.close())
            await self.streams.close()
            await self.database.close()
