"""What a task asks for that is to run in a process of its own."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any

from agentflow.clock import Duration, microseconds
from agentflow.errors import DefinitionError

Size = int | str
"""Bytes, or a number with a unit: `"512MB" "2GB"`. A KB is 1,024 bytes, an MB 1,024 KB, a GB 1,024 MB."""

LEAST = 128 * 1024**2
"""Python, this package and a stream client take half of it."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(KB|MB|GB)")
_UNITS = {"KB": 1024, "MB": 1024**2, "GB": 1024**3}


@dataclass(frozen=True, slots=True)
class Isolation:
    """A process per run: what crashes, leaks or blocks in it takes no other run along.

    `memory`: what a run may take, at least 128 MB; above it the process is killed and the attempt fails as `OutOfMemory`, which the
    task's retry policy counts. `memory_after_oom`: what the attempt after that may take; it is granted even when no attempt is left, and
    its death for memory is final. `kill_after`: how long code that is to stop, because it was cancelled or reached `max_duration`, gets
    to do so before its process is killed. Memory is limited on Linux only: macOS does not enforce it.

    The task must stand at the top level of a module that can be imported. Raises `DefinitionError`.

        @task(isolation=Isolation(memory="512MB", memory_after_oom="2GB", kill_after="10s"), max_duration="5m")
        def convert(video: str) -> str: ...
    """

    memory: Size | None = None
    memory_after_oom: Size | None = None
    kill_after: Duration = "10s"

    def __post_init__(self) -> None:
        microseconds(self.kill_after)
        limit, larger = self.limit, self.larger
        if larger is None:
            return
        if limit is None:
            raise DefinitionError("Isolation(memory_after_oom=…) without memory: nothing is limited before.", hint="Give memory as well.")
        if larger <= limit:
            raise DefinitionError(
                f"Isolation(memory={self.memory!r}, memory_after_oom={self.memory_after_oom!r}): the second is not larger.",
                hint="Give the attempt after an OutOfMemory more than the one before.",
            )

    @property
    def limit(self) -> int | None:
        """`memory` in bytes."""
        return None if self.memory is None else _bytes("memory", self.memory)

    @property
    def larger(self) -> int | None:
        """`memory_after_oom` in bytes."""
        return None if self.memory_after_oom is None else _bytes("memory_after_oom", self.memory_after_oom)


def _bytes(name: str, size: Size) -> int:
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if isinstance(size, str) and found is None:
        raise DefinitionError(f"Isolation({name}={size!r}) is no size.", hint='Write bytes, "512MB" or "2GB".')
    total = int(size) if found is None else int(float(found[1]) * _UNITS[found[2]])
    if total < LEAST:
        raise DefinitionError(f"Isolation({name}={size!r}) is too little: Python itself takes 64 MB.", hint='Give "128MB" or more.')
    return total


def isolation_of(given: Any, function: Any) -> Isolation | None:
    """The isolation that `@task(isolation=…)` asks for. Raises `DefinitionError` where a new process could not find the function."""
    if given is None:
        return None
    if given != "process" and not isinstance(given, Isolation):
        raise DefinitionError(f"isolation={given!r} is not known.", hint='Give "process" or an Isolation(…).')
    if "<locals>" in getattr(function, "__qualname__", ""):
        raise DefinitionError(
            f"{function.__qualname__} cannot run in a process of its own: it is defined in a function, where no other process finds it.",
            hint="Define the task at the top level of a module.",
        )
    return given if isinstance(given, Isolation) else Isolation()


def check_importable(name: str, module: str) -> None:
    """See that a new process can import the module of an isolated task. Raises `DefinitionError`."""
    if sys.platform == "win32":
        raise DefinitionError(f"Task {name!r} is isolated, and this is Windows.", hint="Run its worker on Linux or macOS.")
    if module == "__main__" or module not in sys.modules:
        raise DefinitionError(
            f"Task {name!r} is isolated, but it is defined in {module}, which no other process can import.",
            hint="Move the task into a module of its own and import it, or start the file with `agentflow worker FILE`.",
        )
