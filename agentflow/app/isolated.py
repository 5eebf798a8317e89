"""The process of one isolated run: `python -m agentflow.app.isolated LINE` is started by its worker, and is gone when the run leaves it.

It works under the lease that its worker took and renews. What it records is fenced by it, as everywhere.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import importlib.util
import logging
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from functools import reduce
from types import FrameType, ModuleType
from typing import Any, cast

from agentflow.app import Agentflow
from agentflow.control import LeaseLost
from agentflow.engine.branch import BranchingTasks
from agentflow.engine.bystander import Bystander
from agentflow.engine.context import TaskContext
from agentflow.engine.executor import Execution, Middleware
from agentflow.engine.host import Services
from agentflow.engine.session import settled
from agentflow.engine.task import Task, defined
from agentflow.errors import StorageError
from agentflow.policy import Policy, Rule
from agentflow.records import RunState
from agentflow.serde import dumps, loads
from agentflow.storage import runs

_SPARE = 256 * 1024**2
"""Bytes that may be asked for beyond the limit, for the stacks of threads that are never filled."""

_DIE_WITH_PARENT = 1
_LINUX = sys.platform.startswith("linux")
_PATIENCE = 5.0


class Line:
    """This end of the line to the worker. A thread listens, whatever the event loop does: when the worker is gone, so is this process."""

    def __init__(self, number: int) -> None:
        self._socket = socket.socket(fileno=number)
        self._socket.set_inheritable(False)
        self._file = self._socket.makefile("rb")
        self._early: list[dict[str, Any]] = []
        self._heard: Callable[[dict[str, Any]], object] = self._early.append
        self._guard = threading.Lock()

    def first(self) -> dict[str, Any]:
        """The first words: what to do. After them the thread listens."""
        spec = loads(self._file.readline().decode())
        threading.Thread(target=self._listen, name="agentflow-line", daemon=True).start()
        return spec

    def _listen(self) -> None:
        with suppress(OSError):
            for line in self._file:
                with self._guard:
                    self._heard(loads(line.decode()))
        os.killpg(0, signal.SIGKILL)

    def listen(self, heard: Callable[[dict[str, Any]], object]) -> None:
        """Call `heard` on this event loop with what the worker says, from the first word on."""
        loop = asyncio.get_running_loop()
        with self._guard:
            for words in self._early:
                loop.call_soon(heard, words)
            self._heard = lambda words: loop.call_soon_threadsafe(heard, words)

    def say(self, **words: Any) -> None:
        """Tell the worker."""
        with suppress(OSError):
            self._socket.sendall(dumps(words).encode() + b"\n")


class Cell(Bystander):
    """The host of one run: it has no slot for another, and keeps nothing that waits."""

    def __init__(self, app: Agentflow, line: Line) -> None:
        super().__init__(app.streams)
        self.policy = app.policy
        self._app = app
        self._line = line
        self._execution: Execution | None = None

    async def live(self, spec: dict[str, Any], task: Task[..., Any]) -> None:
        """Work on the run until it leaves."""
        app = self._app
        run = await app.database.read(runs.get(spec["run"]))
        if run.epoch != spec["epoch"] or run.state is not RunState.RUNNING:
            return
        if run.code_name not in task.serves:
            # Deployed under a worker that goes on: the code in this process is what is on disk now.
            self._line.say(unable=f"the code on disk is version {task.options.version}, not {run.version}; have this worker leave")
            return
        branching = BranchingTasks(asyncio.get_running_loop())
        known = (spec["public_url"], frozenset(spec["channels"]), spec["environment"], spec["max_open_questions"])
        services = Services(app.database, app.streams, app.clock, self, spec["grace"], *known)
        execution = self._execution = Execution(services, run, task, (self._know_memory, *app.middleware))
        # Code that works on beside its waits has only this process to do so.
        execution.session.stays = lambda: execution.busy
        watching = asyncio.get_running_loop().create_task(self._consider(execution), context=Context())
        self._line.listen(self._hear)
        self._line.say(up=True)
        await asyncio.wait({execution.life})
        watching.cancel()
        await settled(_PATIENCE)
        branching.close()

    async def _consider(self, execution: Execution) -> None:
        while True:
            await asyncio.sleep(0.05)
            if execution.session.waiting:
                execution.session.consider()

    async def _know_memory(self, _: TaskContext, call_next: Callable[[], Awaitable[Any]]) -> Any:
        """How a run ends that is out of memory is for its worker to say: the next attempt may be given more."""
        try:
            return await call_next()
        except BaseException as error:
            if self._execution is None or not _is_memory(error):
                raise
            told = "".join(traceback.format_exception(error))[-8_000:]
        self._line.say(memory=_taken("VmHWM"), traceback=told)
        self._execution.session.latch(LeaseLost(self._execution.run_id))
        return None

    def _hear(self, words: dict[str, Any]) -> None:
        execution = self._execution
        if execution is None:
            return
        session = execution.session
        if "woken" in words:
            session.in_background(execution.look())
        if "cancel" in words:
            execution.cancel(words["cancel"])
        if "hand_back" in words:
            session.in_background(execution.hand_back())

    def parked(self, run_id: str) -> None:
        """The run waits: it leaves, and so does this process."""
        if self._execution is not None:
            self._line.say(left=True)
            self._execution.rest()
            self._execution.evict()


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).subgroup(MemoryError) is not None
    return isinstance(error, MemoryError)


# -- the process ---------------------------------------------------------------------------------------------------------------------------


def main(line: Line) -> int:
    """Do what the worker says; returns the exit code."""
    spec = line.first()
    _depend_on(spec["parent"])
    for number in (signal.SIGINT, signal.SIGTERM):
        # The worker is asked to stop, and asks this process. Not ignored: what the task starts would inherit that.
        signal.signal(number, _take_no_notice)
    sys.path[:] = spec["path"]
    try:
        app, task = _load(spec)
    except BaseException as error:  # noqa: BLE001 - users' modules raise anything, SystemExit too
        traceback.print_exc()
        line.say(unloadable=f"{type(error).__name__}: {error}"[:2_000])
        return 1
    if spec["limit"] is not None:
        _limit_memory(spec["limit"])
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_live(app, task, spec, line))
    except StorageError as error:
        # None of the run's code has begun: while it works, its engine waits such failures out.
        line.say(unable=str(error)[:2_000])
        return 1
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is, the worker learns that the run was not recorded
        traceback.print_exc()
        return 1
    return 0


def _take_no_notice(number: int, frame: FrameType | None) -> None:
    """A signal."""


async def _live(app: Agentflow, task: Task[..., Any], spec: dict[str, Any], line: Line) -> None:
    # Its worker sends what is to be told: this process may end in the middle of it.
    app.channels = {}
    async with app:
        await Cell(app, line).live(spec, task)
        line.say(left=True)


def _depend_on(parent: int) -> None:
    """Have the kernel end this process with its worker, and end it before others when the machine runs out of memory."""
    if not _LINUX:
        return
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os.killpg(0, signal.SIGKILL)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("500")


def _limit_memory(limit: int) -> None:
    """Refuse what is far beyond the limit at once; the worker watches what is really taken.

    RLIMIT_DATA and not RLIMIT_AS: address space that is only reserved, as by arenas of malloc, libraries and GPU drivers, is no memory.
    """
    if not _LINUX:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = _taken("VmData") - _taken("RssAnon") + limit + _SPARE
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _taken(what: str) -> int:
    """Bytes, from this process's own status; 0 where there is none."""
    with suppress(OSError), open("/proc/self/status") as status:
        for line in status:
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) * 1024
    return 0


# -- the task's code -----------------------------------------------------------------------------------------------------------------------


def _load(spec: dict[str, Any]) -> tuple[Agentflow, Task[..., Any]]:
    """The app, with the task in it: the one that the code made, else one like the worker's."""
    found: Any = None if spec["app"] is None else _find(spec["app"])
    where = {"database": spec["database"], "redis": spec["redis"], "directory": spec["directory"]}
    if isinstance(found, Agentflow) and spec["task"] in found.tasks:
        app = found.configure(**where, worker=False)
    else:
        _module(spec["module"])
        policy = None if spec["policy"] is None else Policy(map(Rule.of, spec["policy"]))
        layers = [_layer(one) for one in spec["middleware"]]
        app = Agentflow([defined[spec["task"]]], **where, worker=False, middleware=layers, policy=policy)
    if spec["log_level"] is not None and not logging.root.handlers:
        logging.basicConfig(level=spec["log_level"], format="%(asctime)s  %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    return app, app.tasks[spec["task"]]


def _layer(place: dict[str, Any]) -> Middleware:
    return _find(place)


def _find(place: dict[str, Any]) -> Any:
    return reduce(getattr, place["attribute"].split("."), cast("Any", _module(place)))


def _module(place: dict[str, Any]) -> ModuleType:
    """A module by its name, or from its file when that is what the name stood for in the worker."""
    name, file = place["name"], place["file"]
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if name in sys.modules or file is None or (spec is not None and spec.origin == file):
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        return importlib.import_module(name)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    exit_code = main(Line(int(sys.argv[1])))
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # Code that cannot be stopped, in a thread or on the loop, keeps no process.
    os._exit(exit_code)
