"""Prompts as one file: what is exported and imported has the same hashes, and nothing in an archive leads out of it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agentflow, Guard, prompt, task
from agentflow.app.archiving import bind, bring
from agentflow.client import Client
from agentflow.clock import SECOND
from agentflow.errors import AgentflowError, PromptNotFound
from agentflow.prompts.archive import pack, unpack
from agentflow.prompts.body import Body, Message
from agentflow.prompts.files import PromptFile
from agentflow.prompts.prompt import Prompt
from agentflow.storage.rollouts import Plan
from tests.prompts.saving import Topic
from tests.server.bearers import KEY, bearer, guarded, holding, refusal
from tests.server.site import Site

HOUR = 3_600 * SECOND
MOST = 4_000_000
GUARD = Guard("error_rate", max_increase=0.1)
coded: Any = None
"""Held here: of a prompt that nobody holds any more, nothing is registered."""


@task(name="archived_nothing")
async def nothing() -> None: ...


@pytest.fixture
async def site(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    global coded
    coded = prompt("archived/title", vars=Topic, text="A title about {{topic}}.\n--- user\nodd", description="Titles.")
    async with Agentflow([nothing], directory=tmp_path / "here", redis=stream_server) as app, guarded(app) as made:
        yield made


@pytest.fixture
async def empty(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    """A server whose registry has no prompt."""
    async with Agentflow(directory=tmp_path / "there", redis=stream_server, worker=False) as app, guarded(app, max_body=MOST) as made:
        yield made


async def hashes(app: Agentflow) -> list[tuple[int, str]]:
    return [(one.number, one.hash) for one in await app.prompts.versions("archived/title")]


async def test_what_is_exported_comes_back_with_the_same_hashes_and_without_its_labels(site: Site, empty: Site) -> None:
    prompts = site.app.prompts
    maria: Any = {"actor": "maria"}
    two = await prompts.save("archived/title", Body((Message("user", "Two {{topic}}"),)), actor="maria", note="kinder")
    await prompts.keep(Prompt("archived/title", Topic, [Message("user", "x {{topic}}")], {}).own, actor="maria")
    await prompts.release("archived/title", to=2, reason="kinder", actor="maria")
    ramp: Any = [("0h", 0.5), ("1h", 1)]
    await prompts.rollout("archived/title", weights={1: 0.5}, baseline=3, ramp=ramp, guard=GUARD, sticky="key", env="dev", **maria)
    async with Client(site.url, KEY) as here, Client(empty.url, KEY) as there:
        packed = await here.prompts.export()
        assert packed == await here.prompts.export(), "the same prompts are the same bytes"
        told = await there.prompts.bring(packed, by="tom")
        mine = [one for one in told["versions"] if one["prompt"] == "archived/title"]
        assert [(one["there"], one["number"], one["new"], one["refused"]) for one in mine] == [(n, n, True, None) for n in (1, 2, 3)]
        assert await hashes(empty.app) == await hashes(site.app)
        again = await there.prompts.bring(packed, by="tom")
        assert not any(one["new"] for one in again["versions"])
        record = await empty.app.prompts.get("archived/title")
        assert (record.bindings, record.description, told["moved"]) == ((), "Titles.", 0)
        assert record.contract == coded.contract
        kept = await empty.app.prompts.version("archived/title", two.number)
        assert (kept.note, kept.source, kept.actor) == ("kinder", "import", "tom")
        await there.prompts.bring(packed, by="tom", labels=True)
        bindings = {one.env: (one.mode, one.number, dict(one.weights)) for one in (await empty.app.prompts.get("archived/title")).bindings}
        assert bindings == {"prod": ("pinned", 2, {}), "dev": ("rollout", 1, {1: 0.5, 3: 0.5})}
        [live] = [one for one in (await empty.app.prompts.snapshot("dev")).bindings if one.prompt == "archived/title"]
        assert live.rolled is not None
        assert live.rolled.plan == Plan(weights={1: 0.5}, sticky="key", baseline=3, ramp=((0, 0.5), (HOUR, 1)), guards=(GUARD,))
        archive = unpack(await here.prompts.export(live=True, env="prod"))
        assert [one.body.hash for place, one in archive.found if place == "archived/title"] == [two.hash]


async def test_releases_end_here_as_there_and_what_holds_already_is_not_moved_again(site: Site, empty: Site) -> None:
    prompts = site.app.prompts
    maria: Any = {"actor": "maria"}
    terms: Any = {"weights": {1: 1}, "baseline": 2, "ramp": [("0h", 0.5), ("1h", 1)], "guard": GUARD}
    await prompts.save("archived/title", Body((Message("user", "Two {{topic}}"),)), **maria)
    await prompts.release("archived/title", to=1, expires="2h", env="soon", **maria)
    await prompts.release("archived/title", to=2, env="kept", **maria)
    await prompts.rollout("archived/title", env="dev", **terms, **maria)
    async with Client(site.url, KEY) as here, Client(empty.url, KEY) as there:
        packed = await here.prompts.export()
        assert (await there.prompts.bring(packed, by="tom", labels=True))["moved"] == 3
        found = (await empty.app.prompts.get("archived/title")).bindings
        ends = {one.env: one.expires_at - one.updated_at for one in found if one.expires_at is not None}
        assert (list(ends), HOUR < ends["soon"] < 2 * HOUR) == (["soon"], True)
        assert (await there.prompts.bring(packed, by="tom", labels=True))["moved"] == 0
        assert (await empty.app.prompts.get("archived/title")).bindings == found
        archive = unpack(packed)
        moved = await bind(site.app.prompts, archive, await bring(empty.app.prompts, archive, actor="tom"), maria, 2**60)
        assert moved == 0, "what has ended there is not released"


async def test_only_what_is_a_prompt_is_taken_and_only_by_whom_it_may(empty: Site) -> None:
    body = Body((Message("user", "Hi {{topic}}"),))
    odd = [("../../etc/passwd", PromptFile("../../up", body)), ("fine/v1", PromptFile("fine", body)), ("fine/v2", PromptFile("fine", body))]
    told = '{"prompts": [{"name": "fine", "versions": [{"number": 2, "hash": "sha256:other"}, 3]}, 4]}'

    async def sent(content: bytes, caller: Site = empty, media: str = "application/x-tar", **query: Any) -> Any:
        return await caller.client.post("/v1/prompt-import", content=content, headers={"content-type": media}, params=query)

    answer = (await sent(pack(odd, told))).json()["versions"]
    assert {(one["prompt"], one["there"]): one["refused"] and one["refused"][:26] for one in answer} == {
        ("../../up", None): "'../../up' is no path in a",
        ("fine", 1): None,
        ("fine", 2): "It is not what was exporte",
    }
    assert refusal(await sent(b"no tar")) == (400, "prompt")
    assert refusal(await sent(pack([], "{no"))) == (400, "prompt")
    assert refusal(await sent(b"x" * (MOST + 1))) == (413, "body_too_large")
    assert refusal(await sent(pack(odd, told), media="text/plain")) == (415, "unsupported_media_type")
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w") as tar:
        member = tarfile.TarInfo("link.prompt.md")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    assert (await sent(link.getvalue())).json() == {"versions": [], "moved": 0}
    async with holding(empty, "prompt:write") as drafts, holding(empty, "prompt:read") as reader:
        assert (await sent(pack(odd[1:2], "{}"), drafts)).status_code == 200
        assert refusal(await sent(pack(odd[1:2], "{}"), drafts, labels="true")) == (403, "scope_missing")
        assert refusal(await sent(pack(odd[1:2], "{}"), reader)) == (403, "scope_missing")
        assert (await reader.client.get("/v1/prompt-export")).headers["content-type"] == "application/x-tar"
        assert refusal(await reader.client.delete("/v1/prompts/fine/versions/1")) == (403, "scope_missing")
    deleted = await empty.client.delete("/v1/prompts/fine/versions/1", params={"reason": "odd", "by": "maria"}, headers=bearer(KEY))
    assert (deleted.status_code, deleted.json()["number"]) == (200, 1)
    events = (await empty.client.get("/v1/prompts/fine/events")).json()["events"]
    assert [(one["type"], one["before"], one["actor"]) for one in events][-1] == ("version.deleted", 1, "maria")
    with pytest.raises(PromptNotFound):
        await empty.app.prompts.get("etc/passwd")
    with pytest.raises(AgentflowError):
        unpack(b"")
