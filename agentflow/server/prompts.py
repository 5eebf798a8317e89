"""Prompts over HTTP: what there is, what differs, what is live, and what happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from starlette.responses import Response

from agentflow.app.prompts import PromptRecord
from agentflow.errors import PromptNotFound, VersionNotFound
from agentflow.prompts.body import Body
from agentflow.prompts.diff import compare
from agentflow.prompts.filled import Version
from agentflow.prompts.lint import lint
from agentflow.records import dollars
from agentflow.serde import loads
from agentflow.server.calls import Call, answer
from agentflow.server.errors import RequestError
from agentflow.server.generation_models import PromptDay
from agentflow.server.prompt_feed import PromptReading
from agentflow.server.prompt_models import (
    DiffBody,
    DiffQuery,
    EnvQuery,
    LintBody,
    LintFinding,
    LintPage,
    PinQuery,
    PromptBody,
    PromptDiff,
    PromptEventInfo,
    PromptEventPage,
    PromptEventQuery,
    PromptInfo,
    PromptPage,
    PromptPin,
    PromptPinPage,
    PromptSnapshot,
    PromptVersionPage,
    RenderedPrompt,
    RenderPrompt,
    SaveVersion,
)
from agentflow.server.prompt_views import binding_view, live_view, version_view
from agentflow.server.registry_models import FallbackReport, FallbacksRecorded, FollowQuery
from agentflow.server.requests import Nothing
from agentflow.server.stream import EventStream
from agentflow.server.waitpoints import decider
from agentflow.storage.fallbacks import Fallback
from agentflow.storage.holders import HolderRecord
from agentflow.storage.measuring import Lately
from agentflow.storage.prompts import PromptEvent
from agentflow.storage.rollouts import NUMBERS


async def list_prompts(call: Call[Nothing, EnvQuery]) -> Response:
    """All prompts, by name, with what is live in an environment, and whether the code deployed there has another version."""
    found, day = await call.app.prompts.list(call.query.env), await call.app.prompts.lately(call.query.env)
    return answer(PromptPage(prompts=[prompt_view(one, day.get(one.name, Lately())) for one in found]))


async def get_prompt(call: Call[Nothing, EnvQuery]) -> Response:
    """One prompt, with what holds in all environments."""
    return answer(prompt_view(await call.app.prompts.get(name_of(call), call.query.env)))


async def list_versions(call: Call[Nothing, Nothing]) -> Response:
    """All versions of a prompt, the newest first."""
    return answer(PromptVersionPage(versions=[version_view(one) for one in await call.app.prompts.versions(name_of(call))]))


async def save_version(call: Call[SaveVersion, Nothing]) -> Response:
    """Keep a body as a version: 201, or 200 with the version that has this content already. It is not live before it is released.

    A body is held to the variables that the code has. A prompt that is new has those of `contract`.
    """
    prompts, name, said = call.app.prompts, name_of(call), call.body
    body, actor = body_of(said.body), decider(call, said.by, "http").name
    known: set[str] = set()
    try:
        known = {one.hash for one in await prompts.versions(name)}
        kept = await prompts.save(name, body, actor=actor, note=said.note)
    except PromptNotFound:
        if said.contract is None:
            raise
        kept = await prompts.create(name, body, said.contract, actor=actor)
    return answer(version_view(kept), 200 if kept.hash in known else 201)


async def get_version(call: Call[Nothing, Nothing]) -> Response:
    """A version by its number or hash."""
    return answer(version_view(await call.app.prompts.version(name_of(call), which(call.request.path_params["version"]))))


async def diff_versions(call: Call[Nothing, DiffQuery]) -> Response:
    """Two versions side by side: messages word by word, model, parameters, tools and schema."""
    sides = [await call.app.prompts.version(name_of(call), which(one)) for one in (call.query.before, call.query.after)]
    found = compare(*(Body.from_json(one.body) for one in sides))
    return answer(PromptDiff(before=sides[0].number, after=sides[1].number, same=found.same, **asdict(found)))


async def diff_body(call: Call[DiffBody, Nothing]) -> Response:
    """A version beside a body, before that is kept. `after` is the version that has just this content, where there is one."""
    name, body = name_of(call), body_of(call.body.body)
    before = await call.app.prompts.version(name, which(call.body.before))
    found = compare(Body.from_json(before.body), body)
    try:
        kept = (await call.app.prompts.version(name, body.hash)).number
    except VersionNotFound:
        kept = None
    return answer(PromptDiff(before=before.number, after=kept, same=found.same, **asdict(found)))


async def lint_prompt(call: Call[LintBody, Nothing]) -> Response:
    """What is to be looked at in a body, before it is kept: held to the variables of the prompt."""
    record = await call.app.prompts.get(name_of(call))
    found = lint(body_of(call.body.body), record.contract, trusting=record.trusting)
    return answer(LintPage(findings=[LintFinding(wrong=one.wrong, **asdict(one)) for one in found]))


async def render_prompt(call: Call[RenderPrompt, Nothing]) -> Response:
    """Fill in variables, to see what a model would be sent. Nothing of it is kept. A token needs `prompt:write` to send a `body`."""
    name, said = name_of(call), call.body
    if said.body is not None:
        version = Version(name, body_of(said.body))
    else:
        kept = await call.app.prompts.version(name, await _asked_for(call))
        version = Version(name, Body.from_json(kept.body), kept.number)
    filled = version.fill(said.variables, said.slots)
    messages = list(filled.messages)
    return answer(
        RenderedPrompt(hash=filled.hash, version=filled.number, messages=messages, model=filled.model, params=dict(filled.params))
    )


async def _asked_for(call: Call[RenderPrompt, Nothing]) -> int | str:
    if call.body.version is not None:
        return which(call.body.version)
    live = (await call.app.prompts.get(name_of(call), call.body.env)).live
    if live is None or live.number is None:
        raise RequestError("Nothing is live there.", hint='Name a version: "version": 1.')
    return live.number


async def list_prompt_events(call: Call[Nothing, PromptEventQuery]) -> Response:
    """What happened to a prompt, oldest first: versions, deploys, and who released what, and why."""
    found = await call.app.prompts.events(name_of(call), call.query.env, call.query.after)
    return answer(PromptEventPage(events=[event_view(one) for one in found]))


async def list_prompt_pins(call: Call[Nothing, PinQuery]) -> Response:
    """The runs that hold a version and have not ended: they go on with it, whatever is released."""
    found = await call.app.prompts.pins(name_of(call), call.query.version)
    return answer(PromptPinPage(pins=[pin_view(one) for one in found]))


async def follow_prompt_snapshot(call: Call[Nothing, FollowQuery]) -> Response:
    """All that is live in an environment, then each change of it at once: what holds, what no longer does, and versions that are new.

    Each frame has the etag as its id; with `Last-Event-ID` nothing is told anew while nothing has changed.
    """
    service, known = call.service, call.request.headers.get("last-event-id")
    service.pulse.admit()
    source = PromptReading(service.prompts, call.query.env or call.app.environment, known)
    return EventStream(source, service.pulse, live=call.query.live, expiring=call.caller.expiring(call.app.clock))


async def record_fallbacks(call: Call[FallbackReport, Nothing]) -> Response:
    """Write an event of its prompt, `prompt.fallback`, for each reason why one was filled without its registry."""
    said, actor = call.body, decider(call, call.body.by, "http").name
    told = [
        Fallback(**one.model_dump(exclude={"since", "until"}), since=one.since * 1_000, until=one.until * 1_000) for one in said.fallbacks
    ]
    return answer(FallbacksRecorded(recorded=await call.app.prompts.fell_back(told, actor=actor, env=said.env)))


async def get_prompt_snapshot(call: Call[Nothing, EnvQuery]) -> Response:
    """All that is live in an environment. With `If-None-Match`, 304 while nothing has changed."""
    env = call.query.env or call.app.environment
    found = await call.app.prompts.snapshot(env)
    headers = {"etag": f'"{found.etag}"', "cache-control": "no-cache"}
    known = {one.strip().removeprefix("W/").strip('"') for one in call.request.headers.get("if-none-match", "").split(",")}
    if found.etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    bindings, versions = [live_view(one) for one in found.bindings], [version_view(one) for one in found.known]
    made = answer(PromptSnapshot(env=env, etag=found.etag, bindings=bindings, versions=versions))
    made.headers.update(headers)
    return made


def name_of(call: Call[Any, Any]) -> str:
    """The prompt in the path."""
    return str(call.request.path_params["name"])


def which(given: int | str) -> int | str:
    """A version as people say it: 5, v5, or a hash. Raises `RequestError`."""
    if isinstance(given, int) and abs(given) < NUMBERS:
        return given
    number = str(given).removeprefix("v")
    if number.isascii() and number.isdigit() and len(number) < 10:
        return int(number)
    if isinstance(given, int) or not given.startswith("sha256:"):
        raise RequestError(f"{given!r} names no version.", hint="Say 5, v5 or sha256:….")
    return given


def body_of(given: PromptBody) -> Body:
    """A body as it was sent. Raises `PromptError` for one that no version of ours can read."""
    return Body.from_json(given.model_dump_json())


def prompt_view(one: PromptRecord, day: Lately | None = None) -> PromptInfo:
    """A prompt as it is shown over HTTP, with what its calls did of late."""
    return PromptInfo(
        name=one.name,
        description=one.description,
        contract=dict(one.contract),
        versions=one.versions,
        live=None if one.live is None else binding_view(one.live),
        bindings=[binding_view(other) for other in one.bindings],
        code_hash=one.code_hash,
        code_ahead=one.code_ahead,
        created_at=one.created_at // 1_000,
        day=None if day is None else PromptDay(calls=day.calls, errors=day.errors, usd=dollars(day.cost) if day.priced else None),
    )


def event_view(one: PromptEvent) -> PromptEventInfo:
    """An event as it is shown over HTTP."""
    told: Mapping[str, Any] = {name: _said(text) for name, text in (("before", one.before), ("after", one.after))}
    plain = {name: getattr(one, name) for name in ("seq", "type", "env", "label", "actor", "reason")}
    return PromptEventInfo(**plain, **told, at=one.at // 1_000)


def _said(text: str | None) -> Any:
    """A binding or a number; the id of a run or a policy is the text itself."""
    try:
        return None if text is None else loads(text)
    except ValueError:
        return text


def pin_view(one: HolderRecord) -> PromptPin:
    """A run that holds a version, as it is shown over HTTP."""
    plain = {name: getattr(one, name) for name in ("thread", "hash", "label", "variant")}
    return PromptPin(run=one.run_id, status=one.state, version=one.number, at=one.at // 1_000, **plain)
