"""All prompts as one file, over HTTP: to take them elsewhere, to keep them, or to bring them here."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import asdict
from typing import Any

from starlette.responses import Response

from agentflow.app import Agentflow
from agentflow.app.archiving import bind, bring
from agentflow.prompts.archive import pack, unpack
from agentflow.prompts.body import Body
from agentflow.prompts.files import PromptFile
from agentflow.serde import dumps
from agentflow.server.calls import Call, answer, read_body
from agentflow.server.needs import missing
from agentflow.server.prompt_views import version_view
from agentflow.server.prompts import event_view, prompt_view
from agentflow.server.registry_models import ExportQuery, ImportedPrompts, ImportedVersion, ImportQuery
from agentflow.server.requests import Nothing
from agentflow.server.waitpoints import decider
from agentflow.storage.prompts import PromptEvent

MEDIA = "application/x-tar"


async def export_prompts(call: Call[Nothing, ExportQuery]) -> Response:
    """A tar of all versions as `.prompt.md` files, or of those that are live, and `registry.json`: what is live where, and why."""
    found, registry = await (living(call.app, call.query.env) if call.query.live else everything(call.app))
    return Response(pack(found, registry), media_type=MEDIA, headers={"content-disposition": 'attachment; filename="prompts.tar"'})


async def import_prompts(call: Call[Nothing, ImportQuery]) -> Response:
    """Keep the versions of such a tar: what is there already, by its hash, is not kept again, and nothing is released.

    With `labels=true`, for which it needs an API key, what was released there is released here.
    """
    if call.query.labels and call.caller.grant is not None:
        raise missing()
    archive = unpack(await read_body(call.request, call.service.max_body))
    actor = decider(call, call.query.by, "http").name
    brought = await bring(call.app.prompts, archive, actor=actor)
    said, now = {"actor": actor, "reason": "imported"}, call.app.clock.now()
    moved = await bind(call.app.prompts, archive, brought, said, now) if call.query.labels else 0
    return answer(ImportedPrompts(versions=[ImportedVersion(**asdict(one)) for one in brought], moved=moved))


async def everything(app: Agentflow) -> tuple[list[tuple[str, PromptFile]], str]:
    """Each version with its path, and what is live where and how it came about as JSON."""
    versions: list[tuple[str, PromptFile]] = []
    told: list[dict[str, Any]] = []
    for one in await app.prompts.list():
        kept = await app.prompts.versions(one.name)
        for each in kept:
            versions.append((f"{one.name}/v{each.number}", PromptFile(one.name, Body.from_json(each.body), one.description, one.contract)))
        view = prompt_view(one).model_dump(mode="json")
        events = [event_view(each).model_dump(mode="json") async for each in _events(app, one.name)]
        numbered = [version_view(each).model_dump(mode="json", exclude={"body"}) for each in kept]
        told.append({**view, "versions": numbered, "events": events})
    return versions, dumps({"prompts": told})


async def living(app: Agentflow, env: str | None) -> tuple[list[tuple[str, PromptFile]], str]:
    """What is live in an environment, each prompt once, and by which bindings as JSON."""
    found: list[tuple[str, PromptFile]] = []
    told: list[dict[str, Any]] = []
    for one in await app.prompts.list(env):
        if one.live is not None and one.live.number is not None:
            version = await app.prompts.version(one.name, one.live.number)
            found.append((one.name, PromptFile(one.name, Body.from_json(version.body), one.description, one.contract)))
            told.append(prompt_view(one).model_dump(mode="json"))
    return found, dumps({"prompts": told})


async def _events(app: Agentflow, name: str) -> AsyncGenerator[PromptEvent]:
    after = 0
    while page := await app.prompts.events(name, after=after):
        for one in page:
            yield one
        after = page[-1].seq
