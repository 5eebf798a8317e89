"""Odd bodies for decisions and callbacks: each is refused in words, none is a defect of ours, and the right answer is taken after all."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import to_json

from agentflow import Agentflow, WorkerSettings, approve, callback, context, task
from tests.server.site import Site

ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1e308,
    2**70,
    "",
    "\x00",
    "x" * 5_000,
    [],
    [[]],
    {},
    {"approved": True},
    {"value": {"value": 1}},
    "’\u202e",
]
NAMES = ["approved", "reason", "edits", "value", "by", "seen_digest", "", "\x00", "__proto__", "url"]
CUT = [b"", b"{", b"[", b'"', b"nul", b"\xff\xfe", b"NaN", b"-", b'{"approved":', b"[" * 5_000, b'{"a":' * 5_000, b'"\\ud800"', b"1 2"]


PATHS: dict[str, str] = {}


@task
async def odd_question() -> str:
    return f"by {(await approve('Well?', need=2)).by}"


@task
async def odd_hook() -> int:
    hook = await callback(int)
    PATHS[context().run_id] = hook.path
    return await hook.result()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("migrated_url") if request.param == "postgres" else None


@pytest.fixture
async def app(database: str | None, tmp_path: Path, stream_server: str) -> AsyncIterator[Agentflow]:
    settings = WorkerSettings(public_url="https://example.test")
    async with Agentflow([odd_question, odd_hook], database=database, directory=tmp_path, redis=stream_server, worker=settings) as opened:
        yield opened


def bodies(seed: int, count: int) -> list[bytes]:
    chance = random.Random(seed)
    made = [to_json({name: chance.choice(ODD) for name in chance.sample(NAMES, chance.randint(0, 4))}) for _ in range(count)]
    return [*CUT, *(to_json(one) for one in ODD), *made, *(one[: chance.randint(0, len(one))] for one in made)]


async def sent(site: Site, path: str, seed: int) -> dict[int, int]:
    """How often each status was the answer."""
    found: dict[int, int] = {}
    for body in bodies(seed, 60):
        answer = await site.client.post(path, content=body, headers={"content-type": "application/json"})
        assert set(answer.json()) >= {"code", "message", "hint", "details"} or answer.status_code == 200, answer.text
        found[answer.status_code] = found.get(answer.status_code, 0) + 1
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_no_odd_decision_is_a_defect_or_decides(site: Site, seed: int) -> None:
    run_id = await site.start("odd_question")
    path = f"/v1/waitpoints/{(await site.waiting(run_id))['id']}/decisions"
    assert set(await sent(site, path, seed)) <= {200, 400, 412, 422}
    # Whatever said yes above was one and the same nobody: two people are needed.
    for name in ("maria", "otto"):
        await site.client.post(path, json={"approved": True, "by": name})
    await site.ended(run_id)
    assert (await site.client.get(f"/v1/runs/{run_id}")).json()["status"] == "completed"


@pytest.mark.parametrize("seed", range(3))
async def test_no_odd_message_of_a_machine_is_a_defect_or_is_taken_for_another(site: Site, seed: int) -> None:
    run_id = await site.start("odd_hook")
    await site.waiting(run_id)
    path = PATHS[run_id]
    assert (await site.client.post(path, content=b"7")).status_code == 200
    # From here on every whole number is another message, and all else fits nothing.
    assert set(await sent(site, path, seed)) <= {400, 409}
    await site.ended(run_id)
    assert (await site.client.get(f"/v1/runs/{run_id}")).json()["output"] == 7
