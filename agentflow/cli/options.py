"""Options that many commands take, as dataclasses that are unfolded into one option per field."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, get_type_hints

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@dataclass(frozen=True, slots=True)
class Connection:
    """Which installation a command talks to."""

    database: Annotated[str | None, typer.Option(help="A path or sqlite:///….", metavar="URL")] = None
    redis: Annotated[str | None, typer.Option(help="redis://…; without one, the embedded server.", metavar="URL")] = None
    directory: Annotated[str | None, typer.Option(help="Where what is embedded lives.", metavar="PATH")] = None

    def given(self) -> dict[str, Any]:
        """What was said, by the name of the setting."""
        return {"database": self.database, "redis": self.redis, "directory": self.directory}


@dataclass(frozen=True, slots=True)
class Remote:
    """A server to ask over HTTP, in place of a database."""

    url: Annotated[str | None, typer.Option(help="Ask this server over HTTP: https://….", metavar="URL")] = None
    api_key: Annotated[str | None, typer.Option(help="The server's API key, or a token.", metavar="KEY")] = None

    def given(self) -> dict[str, Any]:
        """What was said, by the name of the setting."""
        return {"url": self.url, "api_key": self.api_key}


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a server listens."""

    host: Annotated[str | None, typer.Option(help="The address to listen on. [127.0.0.1]", metavar="ADDRESS", show_default=False)] = None
    port: Annotated[int | None, typer.Option(help="The port to listen on. [8000]", metavar="PORT", show_default=False)] = None
    api_key: Annotated[
        str | None, typer.Option(help="The keys that clients send, by commas; needed on any address but loopback.", metavar="KEY")
    ] = None
    cors_origins: Annotated[
        str | None, typer.Option(help="Web origins that may call from a browser, by commas.", metavar="A,B", show_default=False)
    ] = None

    def given(self) -> dict[str, Any]:
        """What was said, by the name of the setting."""
        return {"host": self.host, "port": self.port, "api_key": self.api_key, "cors_origins": self.cors_origins}


@dataclass(frozen=True, slots=True)
class Working:
    """How a worker works."""

    concurrency: Annotated[int | None, typer.Option(help="How many runs at once. [100]", metavar="N", show_default=False)] = None
    queues: Annotated[str | None, typer.Option(help="The queues to serve, by commas. [those of the tasks]", metavar="A,B")] = None

    retention: Annotated[
        str | None, typer.Option(help="How long finished runs are kept, like 12h, or forever. [30d]", metavar="TIME", show_default=False)
    ] = None

    def given(self) -> dict[str, Any]:
        """What was said, by the name of the setting."""
        return {"concurrency": self.concurrency, "queues": self.queues, "retention": self.retention}


def unfolded(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose dataclass parameters are options: one for each of their fields."""
    groups: dict[str, Any] = {}
    taken: list[inspect.Parameter] = []
    for one in inspect.signature(command, eval_str=True).parameters.values():
        if is_dataclass(one.annotation):
            groups[one.name] = one.annotation
            taken += _options(one.annotation)
        else:
            taken.append(one.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    def run(**given: Any) -> None:
        made = {name: kind(**{field.name: given.pop(field.name) for field in fields(kind)}) for name, kind in groups.items()}
        command(**given, **made)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {one.name: one.annotation for one in taken}
    run.__dict__["__signature__"] = inspect.Signature(taken)
    return run


def _options(kind: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name])
        for field in fields(kind)
    ]
