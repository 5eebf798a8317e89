"""Which version of a prompt code gets: in a run the one that the run holds, elsewhere the one that is live now."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from agentflow.engine.context import recording, scope
from agentflow.engine.starting import around
from agentflow.errors import DefinitionError, NotInRun
from agentflow.prompts.body import Body
from agentflow.prompts.filled import Version
from agentflow.storage.pins import Wanted
from agentflow.storage.prompts import Own

Pin = Literal["run", "thread", "step"]
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What a label may be called."""
_overrides: dict[str, int | str | Own] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choosing:
    """What a caller says of the version. `version`: a number or a hash; `sticky`: what a rollout goes by; `pin`: what holds it.

    Raises `DefinitionError` for what cannot be.
    """

    label: str = "live"
    version: int | str | None = None
    sticky: str | None = None
    pin: Pin = "run"

    def __post_init__(self) -> None:
        if self.pin not in ("run", "thread", "step"):
            raise DefinitionError(f"pin={self.pin!r} is not understood.", hint="Say run, thread or step.")
        if not NAME.fullmatch(self.label):
            raise DefinitionError(f"{self.label!r} is no label.", hint="Use letters, digits, - _ and ., at most 64.")
        if isinstance(self.version, str) and not self.version.startswith("sha256:"):
            raise DefinitionError(f"version={self.version!r} is no version.", hint="Give a number, or a hash: sha256:….")


async def version_for(wanted: Wanted) -> Version:
    """The version of a prompt for the code around this call. Raises `NotInRun` inside a step, and what `TaskContext.prompt` raises."""
    wanted = _overridden(wanted)
    run = recording()
    if run is not None:
        held = await run.prompt(wanted)
    elif scope.get() is not None:
        raise NotInRun(f"{wanted.prompt} was asked for inside a step.", hint="Get it in the task, and hand it to the step.")
    else:
        app = around()
        tried = wanted.own is not None and wanted.override == wanted.own.hash
        held = None if app is None or tried else await app.prompt(wanted)
    if held is not None:
        return Version(wanted.prompt, body_of(held.body), held.number, held.variant, held.label, held.rollout)
    if wanted.own is None:
        raise NotInRun(f"There is no open app to ask for {wanted.prompt}.", hint="Use `async with app:` around it.")
    return Version(wanted.prompt, body_of(wanted.own.body))


@lru_cache(maxsize=4096)
def body_of(text: str) -> Body:
    """The body of canonical JSON, parsed once."""
    return Body.from_json(text)


@contextmanager
def overridden(versions: Mapping[str, int | str | Own]) -> Generator[None]:
    """Have this process choose these versions, whatever is live: numbers, hashes, or bodies that code has."""
    before = dict(_overrides)
    _overrides.update({name: _named(name, which) for name, which in versions.items()})
    try:
        yield
    finally:
        _overrides.clear()
        _overrides.update(before)


def _named(name: str, which: int | str | Own) -> int | str | Own:
    """`v5` is what people say for 5."""
    if not isinstance(which, str) or which.startswith("sha256:"):
        return which
    number = which.removeprefix("v")
    if not (number.isascii() and number.isdigit()):
        raise DefinitionError(f"{which!r} is no version of {name}.", hint='Say 5, "v5" or "sha256:…".')
    return int(number)


def _overridden(wanted: Wanted) -> Wanted:
    which = _overrides.get(wanted.prompt)
    if which is None or wanted.version is not None:
        return wanted
    if isinstance(which, Own):
        return replace(wanted, own=replace(which, name=wanted.prompt), override=which.hash)
    return replace(wanted, override=which)
