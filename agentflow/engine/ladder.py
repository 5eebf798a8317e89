"""Who is told that a run waits, and what happens while nobody answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from agentflow.clock import Duration, microseconds
from agentflow.engine.host import Services
from agentflow.errors import DefinitionError
from agentflow.storage import outbox


class Telling(TypedDict, total=False):
    """Who is told, and who is reminded and brought in later. See `approve`."""

    notify: Sequence[str]
    remind: Sequence[Duration]
    escalate: Sequence[tuple[Duration, str]]


def telling(given: Telling) -> dict[str, Any]:
    """Who is told and when, as a waitpoint stores it: nothing where nobody is. Raises `DefinitionError` for what cannot be."""
    notify = list(given.get("notify", ()))
    if isinstance(given.get("notify"), str) or not all(notify):
        raise DefinitionError(
            f"notify={given.get('notify')!r} is no list of addresses.", hint='Write ["slack:#ops", "email:maria@acme.test"].'
        )
    rungs: list[dict[str, Any]] = [{"after": microseconds(after)} for after in given.get("remind", ())]
    rungs += [{"after": microseconds(after), "to": _target(to)} for after, to in given.get("escalate", ())]
    rungs.sort(key=lambda rung: rung["after"])
    return {**({"notify": notify} if notify else {}), **({"ladder": rungs} if rungs else {})}


def _target(to: str) -> str:
    kind, _, name = to.partition(":")
    if kind not in ("user", "group") or not name:
        raise DefinitionError(f"Nobody is {to!r}.", hint='Write whom to bring in as "user:maria" or "group:ops".')
    return to


def check_channels(subject: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raise `DefinitionError` for a channel that this process has not: nobody would ever be told."""
    missing = {one.partition(":")[0] for one in subject.get("notify") or ()} - known
    if missing:
        there = f"It has {', '.join(sorted(known))}." if known else "It has none."
        hint = f"Agentflow(channels=[…]) makes them. {there}"
        raise DefinitionError(f"This app has no channel {', '.join(map(repr, sorted(missing)))}.", hint=hint)


def heed(services: Services, subject: Mapping[str, Any], now: int) -> None:
    """A waitpoint was created: have those told who are to be, and its reminders not forgotten."""
    for rung in subject.get("ladder") or ():
        services.host.hint(now + rung["after"])
    if subject.get("notify"):
        services.streams.signal(outbox.TOLD, "")
