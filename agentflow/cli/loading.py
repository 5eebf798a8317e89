"""A user's code: from a file, a module, or an app in one of them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from agentflow.app import Agentflow
from agentflow.engine.task import Task, defined
from agentflow.errors import AgentflowError, ConfigurationError, DefinitionError

APP = "app"
# A mistake is shown where the user made it, not in the library that noticed it.
_FOREIGN = ("<frozen", str(Path(__file__).parents[1]), sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was found: the app that the code made, or one of its tasks. `made` says that the code made it."""

    app: Agentflow
    target: str
    made: bool


def load(target: str | None) -> Loaded:
    """Import `shop/app.py`, `shop.app` or `shop.app:name`, and take its `Agentflow` called `app`, else its tasks and agents.

    Raises `ConfigurationError` when there is no such code, or no task in it, and `DefinitionError` when it fails to load.
    """
    if not target:
        raise ConfigurationError(
            "No app was named.", hint='Name a file or module: `agentflow dev app.py`, or app = "app.py" in [tool.agentflow].'
        )
    place, _, name = target.partition(":")
    module = _module(place)
    found = getattr(module, name or APP, None)
    if isinstance(found, Agentflow):
        return Loaded(found, target, made=True)
    if name:
        raise ConfigurationError(f"{place} has no Agentflow called {name!r}.", hint=f"Write {name} = Agentflow(tasks=[…]) in it.")
    tasks = _tasks(module)
    if not tasks:
        hint = "Decorate a function with @task, make an Agent, or an app = Agentflow(tasks=[…])."
        raise ConfigurationError(f"There is no task or agent in {place}.", hint=hint)
    return Loaded(Agentflow(tasks), target, made=False)


def _tasks(module: ModuleType) -> list[Task[..., Any]]:
    """The module's own, then those of the modules that it brought along: a tool may be a task that stands elsewhere."""
    own: list[Task[..., Any]] = [one for one in vars(module).values() if isinstance(one, Task)]
    known = {one.name for one in own}
    return own + ([one for name, one in defined.items() if name not in known] if own else [])


def _module(place: str) -> ModuleType:
    path = Path(place)
    is_file = place.endswith(".py") or path.is_file()
    if is_file and not path.is_file():
        raise ConfigurationError(f"There is no file {place}.", hint=f"You are in {Path.cwd()}.")
    if path.is_dir() or ("/" in place.removesuffix(".py") and not is_file):
        raise ConfigurationError(f"{place} is no file.", hint="Name the file with your tasks, or its module with dots.")
    try:
        return _file(path.resolve()) if is_file else _dotted(place)
    except AgentflowError:
        raise
    except Exception as error:
        raise _failed(place, error) from error
    except SystemExit as error:
        raise DefinitionError(f"{place} ended the process when it was loaded.", hint='Guard it: if __name__ == "__main__":') from error


def _file(path: Path) -> ModuleType:
    parts = [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    name = ".".join(parts)
    _first(folder)
    if len(parts) > 1:
        return importlib.import_module(name)
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) != str(path):
        raise ConfigurationError(f"{path.name} has the name of a module that is loaded already.", hint="Give the file another name.")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path} is no Python file.", hint="Its name has to end with .py.")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _dotted(name: str) -> ModuleType:
    _first(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigurationError(f"There is no module {name}.", hint=f"You are in {Path.cwd()}; a file ends with .py.") from error
        raise


def _first(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _failed(place: str, error: Exception) -> DefinitionError:
    if isinstance(error, SyntaxError):
        where, line = error.filename or place, error.lineno
    else:
        frames = traceback.extract_tb(error.__traceback__)
        last = next((frame for frame in reversed(frames) if not frame.filename.startswith(_FOREIGN)), frames[-1])
        where, line = last.filename, last.lineno
    told = error.msg if isinstance(error, SyntaxError) else error
    return DefinitionError(f"{place} cannot be loaded: {type(error).__name__}: {told}", hint=f"See {where}, line {line}.")
