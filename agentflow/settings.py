"""Where an installation is: what was given, then the environment, then `[tool.agentflow]` of the nearest pyproject.toml."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

from agentflow.clock import Duration, microseconds
from agentflow.errors import ConfigurationError, DefinitionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line and an app are set to.

    `api_key` may be several, by commas; `public_url` is the server's address as machines outside reach it; `environment` says which
    prompts hold here; `cors_origins` are web origins
    that may call from a browser; `queues` None means those of the tasks; `concurrency` is runs at once per process.
    """

    app: str | None = None
    database: str | None = None
    redis: str | None = None
    directory: str = ".agentflow"
    api_key: str | None = None
    url: str | None = None
    public_url: str | None = None
    environment: str | None = None
    cors_origins: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8000
    concurrency: int = 100
    processes: int = 1
    queues: tuple[str, ...] | None = None
    retention: str | float = "30d"

    @property
    def keeps(self) -> int | None:
        """`retention` in microseconds; None keeps finished runs for ever. Raises `ConfigurationError`."""
        return kept(self.retention)

    @property
    def database_url(self) -> str:
        """The database, by default a file in `directory`."""
        return self.database or str(Path(self.directory) / "agentflow.db")


_PASSWORD = re.compile(r"(?P<user>(?<=://)[^:@/?]*):[^/]*@")
_SECRET = re.compile(r"(?P<name>[?&]\w*password)=[^&]*")
NAMES = tuple(field.name for field in fields(Settings))
_NUMBERS = {"port": (0, 65_535), "concurrency": (1, 100_000), "processes": (1, 1_000)}
_LISTS: dict[str, tuple[str, ...] | None] = {"queues": None, "cors_origins": ()}
"""What holds several texts, and what it is without any."""
_PATHS = ("app", "directory", "database")


def find_settings(
    given: Mapping[str, Any] | None = None, *, environment: Mapping[str, str] = os.environ, start: Path | None = None
) -> Settings:
    """The settings that hold: `given` where it is not None, then `AGENTFLOW_…` variables, then the pyproject.toml of `start` or above it.

    Raises `ConfigurationError` for a value or a name that cannot be.
    """
    found = _of_project(start or Path.cwd())
    found |= {name: text for name in NAMES if (text := environment.get(variable(name)))}
    found |= {name: value for name, value in (given or {}).items() if value is not None}
    return Settings(**{name: _checked(name, value) for name, value in found.items()})


def shown(url: str) -> str:
    """A URL without its password, for people and logs.

    >>> shown("postgresql://app:secret@db/agents")
    'postgresql://app:***@db/agents'
    """
    hidden = _PASSWORD.sub(r"\g<user>:***@", url)
    return _SECRET.sub(r"\g<name>=***", hidden)


def kept(retention: Duration) -> int | None:
    """For how long finished runs are kept, in microseconds; None for `"forever"`. Raises `ConfigurationError` for what is no time.

    >>> kept("1h"), kept("forever")
    (3600000000, None)
    """
    if retention == "forever":
        return None
    try:
        return microseconds(retention)
    except DefinitionError as error:
        hint = 'Write how long finished runs are kept, like "30d" or "12h", or "forever".'
        raise ConfigurationError(f"retention = {retention!r} is no time.", hint=hint) from error


def variable(name: str) -> str:
    """The environment variable of a setting.

    >>> variable("api_key")
    'AGENTFLOW_API_KEY'
    """
    return f"AGENTFLOW_{name.upper()}"


def _of_project(start: Path) -> dict[str, Any]:
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            table = _read(file).get("tool", {}).get("agentflow")
            if table is not None:
                return _beside(folder, start, _known(file, table))
    return {}


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}.", hint="Mend it, or run from another folder.") from error


def _known(file: Path, table: Any) -> dict[str, Any]:
    given = {str(name).replace("-", "_"): value for name, value in table.items()}
    if unknown := given.keys() - set(NAMES):
        raise ConfigurationError(
            f"[tool.agentflow] in {file} knows no {', '.join(sorted(unknown))}.", hint=f"It knows {', '.join(sorted(NAMES))}."
        )
    return given


def _beside(folder: Path, start: Path, table: dict[str, Any]) -> dict[str, Any]:
    """Relative paths are meant from the file that says them."""
    if folder == start:
        return table
    moved = dict(table)
    for name in _PATHS:
        if isinstance(text := moved.get(name), str):
            moved[name] = _moved(folder, text, module=name == "app")
    return moved


def _moved(folder: Path, text: str, *, module: bool) -> str:
    if module and not text.endswith(".py"):
        return text
    scheme, path = ("sqlite:///", text.removeprefix("sqlite:///")) if text.startswith("sqlite:///") else ("", text)
    return text if "://" in path else f"{scheme}{folder / path}"


def _checked(name: str, value: Any) -> Any:
    if name in _NUMBERS:
        return _number(name, value)
    if name in _LISTS:
        return _names(name, value) or _LISTS[name]
    if name == "retention":
        kept(value)
        return value
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} = {value!r} is not text.", hint=f"Give {name} in quotes.")
    return value


def _number(name: str, value: Any) -> int:
    least, most = _NUMBERS[name]
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise ConfigurationError(f"{name} = {value!r} is no number from {least} to {most}.", hint=f"Set {variable(name)}, or the option.")
    return int(text)


def _names(name: str, value: Any) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in cast("list[Any]", given)):
        raise ConfigurationError(f"{name} = {value!r} is no list of names.", hint='Write ["one", "two"], or one,two.')
    return tuple(one.strip() for one in cast("list[str]", given) if one.strip())
