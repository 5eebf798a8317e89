"""What archives of prompts bring: their versions as versions here, and what is live only where that is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol, cast

from agentflow.app.rolling import planned
from agentflow.errors import AgentflowError, PromptError, PromptNotFound, ReleaseRequested
from agentflow.prompts import contract
from agentflow.prompts.archive import Archive
from agentflow.prompts.body import canonical
from agentflow.prompts.files import PromptFile, path_of
from agentflow.prompts.prompt import check_name
from agentflow.storage.bindings import PINNED, ROLLOUT, BindingRecord
from agentflow.storage.prompts import Own, VersionRecord
from agentflow.storage.rollouts import Guard

_NEAR = timedelta(minutes=1)
"""Ends of releases that are no further apart are the same: a move takes its time."""
_NUMBERED = re.compile(r".*/v(\d{1,9})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A version of an archive: its number there and here, whether it is new here, or why it is not kept."""

    prompt: str
    hash: str
    there: int | None
    number: int | None = None
    new: bool = False
    refused: str | None = None


class Bound(Protocol):
    """What an import looks at of a prompt."""

    @property
    def bindings(self) -> Sequence[BindingRecord]: ...


class Keeping(Protocol):
    """What an import needs of `app.prompts`."""

    async def versions(self, name: str) -> list[VersionRecord]: ...

    async def get(self, name: str) -> Bound: ...

    async def keep(self, own: Own, *, actor: str, note: str) -> VersionRecord: ...

    async def release(self, name: str, *, to: int | str, **move: Any) -> BindingRecord: ...

    async def rollout(self, name: str, *, weights: Mapping[int, float], **options: Any) -> BindingRecord: ...


async def bring(prompts: Keeping, archive: Archive, *, actor: str) -> list[Brought]:
    """Keep the versions of an archive. What is there already, by its hash, is not kept again; one that is damaged is refused and told."""
    brought: list[Brought] = []
    known: dict[str, set[str]] = {}
    for place, one in sorted(archive.found, key=lambda found: (found[1].name, _number(found[0]) or 0)):
        if one.name not in known:
            known[one.name] = await _hashes(prompts, one.name)
        told = _told(archive, one.name, _number(place))
        made = await _brought(prompts, one, told, _number(place), actor)
        brought.append(replace(made, new=made.refused is None and made.hash not in known[one.name]))
        known[one.name].add(made.hash)
    return brought


async def bind(prompts: Keeping, archive: Archive, brought: Iterable[Brought], move: Mapping[str, Any], now: int) -> int:
    """Release here what an archive says was released there, and roll out what was; returns how many. What followed the code does so.

    A release that ends there ends here at the same time; one that has ended, and what holds here already, is left as it is.
    Where a policy has others agree first it is asked for, and counts not as moved.
    """
    here = {(one.prompt, one.there): one.number for one in brought if one.number is not None}
    moved = 0
    for name, told in archive.registry.items():
        held = await _held(prompts, name)
        for one in _rows(told.get("bindings")):
            where = {**move, "env": str(one.get("env")), "label": str(one.get("label"))}
            how = _how(name, one, here, now)
            if how is None or _holds(held.get((where["env"], where["label"])), how, now):
                continue
            asked: dict[str, Any] = {**how, **where}
            with suppress(ReleaseRequested):
                if "weights" in how:
                    await prompts.rollout(name, **asked)
                else:
                    await prompts.release(name, **asked)
                moved += 1
    return moved


def _how(name: str, one: Mapping[str, Any], here: Mapping[tuple[str, int | None], int], now: int) -> dict[str, Any] | None:
    """What a binding there asks for here; None for nothing."""
    if one.get("mode") == ROLLOUT:
        return _terms(name, one.get("rollout"), here)
    to, ends = here.get((name, one.get("version"))), one.get("expires_at")
    if one.get("mode") != PINNED or to is None:
        return None
    if not isinstance(ends, int):
        return {"to": to}
    lasts = timedelta(milliseconds=ends) - timedelta(microseconds=now)
    return {"to": to, "expires": lasts} if lasts > timedelta() else None


def _holds(held: BindingRecord | None, how: dict[str, Any], now: int) -> bool:
    """Whether that holds already."""
    if held is None:
        return False
    if "weights" in how:
        return held.rolled is not None and held.rolled.plan == planned(how["weights"], cast("Any", how))
    if (held.mode, held.number, held.expires_at is None) != (PINNED, how["to"], "expires" not in how):
        return False
    return held.expires_at is None or abs(timedelta(microseconds=held.expires_at - now) - how["expires"]) < _NEAR


async def _held(prompts: Keeping, name: str) -> dict[tuple[str, str], BindingRecord]:
    try:
        return {(one.env, one.label): one for one in (await prompts.get(name)).bindings}
    except PromptNotFound:
        return {}


def _terms(name: str, told: Any, here: Mapping[tuple[str, int | None], int]) -> dict[str, Any] | None:
    """How a rollout was begun there, with the numbers that its versions have here; None where one of them is not here, or it is damaged."""
    try:
        weights = {here[name, int(number)]: float(weight) for number, weight in told["weights"].items()}
        terms = {"sticky": told["sticky"], "baseline": None if told["baseline"] is None else here[name, told["baseline"]]}
        terms |= {"conditions": {one: wanted for one, wanted in told["conditions"].items() if wanted is not None}}
        terms |= {"ramp": [(timedelta(milliseconds=one["after_ms"]), one["share"]) for one in told["ramp"]]}
        return {"weights": weights, **terms, "guard": [Guard(**one) for one in told["guards"]]}
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


async def _hashes(prompts: Keeping, name: str) -> set[str]:
    try:
        return {one.hash for one in await prompts.versions(name)}
    except PromptNotFound:
        return set()


async def _brought(prompts: Keeping, one: PromptFile, told: Mapping[str, Any], there: int | None, actor: str) -> Brought:
    made = Brought(prompt=one.name, hash=one.body.hash, there=there)
    try:
        check_name(one.name)
        # Whoever exports it again writes it there.
        path_of(".", one.name)
        if told.get("hash", one.body.hash) != one.body.hash:
            raise PromptError("It is not what was exported: its hash is another.", hint="Export it again.")
        # This reads all templates, too: what is none is refused.
        implied = contract.implied(one.body)
        variables = implied if one.variables is None else one.variables
        own = Own(one.name, one.body.hash, one.body.json, canonical(dict(variables)), one.description)
        kept = await prompts.keep(own, actor=actor, note=str(told.get("note") or ""))
    except AgentflowError as error:
        return replace(made, refused=error.message)
    return replace(made, number=kept.number)


def _number(path: str) -> int | None:
    match = _NUMBERED.fullmatch(path)
    return None if match is None else int(match[1])


def _told(archive: Archive, name: str, number: int | None) -> Mapping[str, Any]:
    for one in _rows(archive.registry.get(name, {}).get("versions")):
        if number is not None and one.get("number") == number:
            return one
    return {}


def _rows(told: Any) -> Sequence[Mapping[str, Any]]:
    rows = cast("list[Any]", told) if isinstance(told, list) else []
    return [cast("dict[str, Any]", one) for one in rows if isinstance(one, dict)]
