"""Odd bodies for decisions and callbacks: each is refused in words, none is a defect of ours, and the right answer is taken after all."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
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


TEXTS = st.text(max_size=12) | st.sampled_from(["", "\x00", "x" * 5_000, "maria", "user:maria", "run:x", "\u202e"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from([*NAMES, "stop", "always", "scope"]) | TEXTS
WORDS = st.dictionaries(FIELDS, VALUES, max_size=5) | st.fixed_dictionaries(
    {"approved": st.booleans() | VALUES}, optional=dict.fromkeys(("reason", "edits", "stop", "by", "seen_digest", "always"), VALUES)
)
BODIES = st.one_of(WORDS, VALUES).map(lambda one: json.dumps(one).encode()) | st.binary(max_size=200)
MANY = settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)


async def thrown(site: Site, path: str, look: Callable[[bytes, httpx.Response], None]) -> None:
    """Send whatever hypothesis can think of, from another thread, and look at each answer."""

    def throw() -> None:
        with httpx.Client(base_url=site.url, headers={"content-type": "application/json"}) as client:

            def one(body: bytes) -> None:
                look(body, client.post(path, content=body))

            MANY(given(BODIES)(one))()

    await asyncio.to_thread(throw)


def refused_in_words(body: bytes, answer: httpx.Response) -> None:
    assert answer.status_code in {400, 409, 412, 413, 422, 403, 429}, (answer.status_code, body, answer.text)
    assert set(answer.json()) == {"code", "message", "hint", "details"}


async def test_whatever_is_thrown_at_a_question_what_was_said_before_stays_and_counts(site: Site) -> None:
    run_id = await site.start("odd_question")
    path = f"/v1/waitpoints/{(await site.waiting(run_id))['id']}"
    assert (await site.client.post(f"{path}/decisions", json={"approved": True, "by": "maria", "reason": "fine"})).status_code == 200
    before = (await site.client.get(f"{path}/votes")).json()["votes"]

    def look(body: bytes, answer: httpx.Response) -> None:
        if answer.status_code != 200:
            return refused_in_words(body, answer)
        # It says yes or no in the name of nobody, or of somebody: a well-made decision, of which two are needed.
        assert answer.json()["outcome"] in ("recorded", "resolved"), body

    await thrown(site, f"{path}/decisions", look)
    said = (await site.client.get(f"{path}/votes")).json()["votes"]
    assert said[: len(before)] == before
    assert (await site.app.audit.verify()).broken is None
    now = (await site.client.get(path)).json()
    if now["state"] == "pending":
        assert (await site.client.post(f"{path}/decisions", json={"approved": True, "by": "otto"})).json()["outcome"] == "resolved"
    await site.ended(run_id)
    assert (await site.client.get(f"/v1/runs/{run_id}")).json()["status"] == "completed"


async def test_whatever_a_machine_throws_it_is_refused_in_words_or_is_the_one_answer(site: Site) -> None:
    run_id = await site.start("odd_hook")
    await site.waiting(run_id)
    taken: list[bytes] = []

    def look(body: bytes, answer: httpx.Response) -> None:
        if answer.status_code == 200:
            # Once, and again only what says the same.
            taken.append(body)
            assert len({json.loads(one) for one in taken}) == 1, taken
        else:
            refused_in_words(body, answer)

    await thrown(site, PATHS[run_id], look)
    if not taken:
        assert (await site.client.post(PATHS[run_id], content=b"7")).status_code == 200
        taken.append(b"7")
    await site.ended(run_id)
    assert (await site.client.get(f"/v1/runs/{run_id}")).json()["output"] == json.loads(taken[0])
