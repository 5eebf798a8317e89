"""Whatever is sent to a review page: it is told in words, decides nothing that was not said, and the right form is taken after all."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from agentflow import Agentflow, ask, task
from tests.server.site import Site

_TEXT = st.text(max_size=30)
_NAMES = st.sampled_from(["choice", "reason", "nonce", "seen", "check", "f0", "f1", "f2", "f3", ""])
BODIES = st.one_of(
    st.binary(max_size=60),
    st.lists(st.tuples(_NAMES, st.one_of(_TEXT, st.sampled_from(["answer", "approve", "1", "99", "-1", "1e999", "{"]))), max_size=8).map(
        lambda pairs: urlencode(pairs, errors="surrogatepass").encode()
    ),
)


class OddParcel(BaseModel):
    pieces: int
    note: str = ""
    tags: list[Any] = []
    big: float | None = None


@task
async def odd_parcel() -> int:
    return (await ask(OddParcel)).pieces


@pytest.fixture
async def app(tmp_path: Path, stream_server: str, migrated_file: Path) -> AsyncIterator[Agentflow]:
    shutil.copy(migrated_file, tmp_path)
    async with Agentflow([odd_parcel], directory=tmp_path, redis=stream_server) as opened:
        yield opened


async def test_no_odd_form_is_a_defect_or_an_answer(site: Site) -> None:
    run_id = await site.start("odd_parcel")
    id = (await site.waiting(run_id))["id"]
    path = (await site.client.post(f"/v1/waitpoints/{id}/links", json={"actor": "maria"})).json()["path"]
    seen = (await site.client.get(path)).text
    checks = {name: seen.partition(f'name="{name}" value="')[2].partition('"')[0] for name in ("nonce", "seen", "check")}
    loop, codes = asyncio.get_running_loop(), set[int]()

    async def send(body: bytes) -> None:
        for whole in (body, urlencode(checks | {"choice": "answer"}).encode() + b"&f0=x&" + body):
            answer = await site.client.post(path, content=whole, headers={"content-type": "application/x-www-form-urlencoded"})
            codes.add(answer.status_code)
            assert answer.headers["content-type"].startswith("text/html")

    @settings(max_examples=60, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
    @given(BODIES)
    def fuzz(body: bytes) -> None:
        asyncio.run_coroutine_threadsafe(send(body), loop).result()

    await asyncio.to_thread(fuzz)
    assert codes <= {400, 403, 422}
    assert (await site.client.get(f"/v1/waitpoints/{id}")).json()["state"] == "pending"
    done = await site.client.post(path, data=checks | {"choice": "answer", "f0": "7"})
    assert done.status_code == 200, done.text
    await site.ended(run_id)
    assert (await site.client.get(f"/v1/runs/{run_id}")).json()["output"] == 7
