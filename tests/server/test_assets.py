"""The dashboard's files: what a browser gets, and what programs still get."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.types import ASGIApp

from agentflow.dashboard import bundle
from agentflow.server.assets import Dashboard
from tests.gates.sources import ROOT
from tests.server.site import Site

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "accept-encoding": "identity"}
SCRIPT = "export const many = 'words';\n" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    page = '<!doctype html><head><base href="/" /><script type="module" src="./assets/index-a1.js"></script></head>'
    (tmp_path / "index.html").write_text(page)
    (tmp_path / "assets" / "index-a1.js").write_text(SCRIPT)
    (tmp_path / "theme.js").write_text("// small")
    return tmp_path


def client_of(asgi: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(asgi), base_url="http://127.0.0.1", headers=BROWSER)


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(Dashboard(folder, PlainTextResponse("otherwise", 404))) as opened:
        yield opened


@pytest.mark.parametrize("path", ["/", "/runs", "/runs/run_1", "/tasks/support?thread=t-1"])
async def test_whatever_address_a_person_opens_they_get_the_page(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["cache-control"] == "no-cache"


async def test_no_script_in_a_page_runs_and_nothing_comes_from_elsewhere(client: httpx.AsyncClient) -> None:
    policy = (await client.get("/")).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


async def test_a_file_with_a_hash_in_its_name_is_kept_for_ever(client: httpx.AsyncClient) -> None:
    answer = await client.get("/assets/index-a1.js")
    assert (answer.text, answer.headers["content-type"]) == (SCRIPT, "text/javascript; charset=utf-8")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (await client.get("/theme.js")).headers["cache-control"] == "no-cache"


async def test_what_a_browser_has_already_is_not_sent_again(client: httpx.AsyncClient) -> None:
    tag = (await client.get("/")).headers["etag"]
    again = await client.get("/", headers={"if-none-match": f'W/"other", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)


async def test_large_files_come_compressed_to_who_takes_that(client: httpx.AsyncClient) -> None:
    plain = await client.get("/assets/index-a1.js")
    async with client.stream("GET", "/assets/index-a1.js", headers={"accept-encoding": "br, gzip"}) as packed:
        body = b"".join([part async for part in packed.aiter_raw()])
    assert packed.headers["content-encoding"] == "gzip"
    assert (gzip.decompress(body), len(body) < len(plain.content) / 4) == (plain.content, True)
    assert "content-encoding" not in (await client.get("/theme.js", headers={"accept-encoding": "gzip"})).headers


async def test_head_tells_the_length_and_sends_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.head("/assets/index-a1.js")
    assert (answer.content, answer.headers["content-length"]) == (b"", str(len(SCRIPT)))


@pytest.mark.parametrize("path", ["/v1/typo", "/ai/typo", "/agui/typo", "/assets/gone-b2.js", "/../pyproject.toml", "/assets/../../x"])
async def test_what_is_no_page_and_no_file_is_answered_by_whoever_answers_otherwise(client: httpx.AsyncClient, path: str) -> None:
    headers = {} if path.startswith(("/v1", "/ai", "/agui")) else {"accept": "*/*"}
    assert (await client.get(path, headers=headers)).text == "otherwise"


async def test_programs_and_writes_never_get_the_page(client: httpx.AsyncClient) -> None:
    assert (await client.get("/runs", headers={"accept": "application/json"})).text == "otherwise"
    assert (await client.post("/")).text == "otherwise"


async def test_mounted_below_a_path_the_page_knows_it(folder: Path) -> None:
    below = Starlette()
    below.router.default = Dashboard(folder, below.router.default)
    async with client_of(Starlette(routes=[Mount("/agentflow", below)])) as client:
        assert '<base href="/agentflow/" />' in (await client.get("/agentflow/runs/run_1")).text
        assert (await client.get("/agentflow/assets/index-a1.js")).text == SCRIPT


async def test_a_checkout_without_a_bundle_says_how_to_build_one() -> None:
    async with client_of(Dashboard(None, PlainTextResponse("otherwise", 404))) as client:
        answer = await client.get("/")
    assert answer.status_code == 503
    assert "Run `make dashboard`" in answer.text


async def test_a_served_app_answers_a_typo_in_its_api_in_the_one_shape(site: Site) -> None:
    answer = await site.client.get("/v1/nothing", headers=BROWSER)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await site.client.get("/nothing")).json()["code"] == "not_found"


@pytest.fixture
def built() -> Path:
    """The bundle of this checkout."""
    folder = bundle()
    if folder is None:
        pytest.skip("the dashboard is not built: make dashboard")
    return Path(str(folder))


def test_the_built_page_has_no_inline_script_or_style(built: Path) -> None:
    page = (built / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page) == []
    assert '<base href="/" />' in page


async def test_every_file_that_the_built_page_names_is_served(built: Path) -> None:
    async with client_of(Dashboard(built, PlainTextResponse("otherwise", 404))) as client:
        named = re.findall(r'(?:src|href)="(?:\./)?([^/"][^"]+)"', (await client.get("/runs")).text)
        assert len(named) >= 4
        assert {(await client.get(f"/{name}", headers={"accept": "*/*"})).status_code for name in named} == {200}


def test_the_wheel_has_the_dashboard(built: Path, tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    if not uv.is_file():
        pytest.skip("uv is not in this environment")
    subprocess.run([str(uv), "build", "--wheel", "--offline", "--quiet", "--out-dir", str(tmp_path)], cwd=ROOT, check=True)
    [wheel] = tmp_path.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    files = {f"agentflow/dashboard/static/{path.relative_to(built).as_posix()}" for path in built.rglob("*") if path.is_file()}
    assert files <= inside
