"""What every route does alike: who may come in, one shape of errors, the OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from openapi_spec_validator import validate
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentflow import Agentflow
from agentflow.server.calls import Call, Operation, Service
from agentflow.server.index import Index
from agentflow.server.needs import OPEN
from agentflow.server.prompt_feed import PromptFeeds
from agentflow.server.pulse import Pace, Pulse
from agentflow.server.requests import Nothing
from agentflow.server.routes import OPERATIONS
from tests.server.site import Site, served, site_of


def is_problem(answer: httpx.Response, status: int, code: str) -> bool:
    shape = answer.json()
    assert set(shape) == {"code", "message", "hint", "details"}, shape
    assert shape["message"]
    assert shape["hint"]
    return (answer.status_code, shape["code"], answer.headers["content-type"]) == (status, code, "application/json")


async def test_unknown_paths_and_methods_are_told_in_the_one_shape(site: Site) -> None:
    assert is_problem(await site.client.get("/v1/nothing"), 404, "not_found")
    assert is_problem(await site.client.get("/v1/runs/"), 404, "not_found")
    refused = await site.client.put("/v1/runs")
    assert is_problem(refused, 405, "method_not_allowed")
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad_request"),
        (b"\xff", 400, "bad_request"),
        (b"[]", 422, "invalid_request"),
        (b"{}", 422, "invalid_request"),
        (b"", 422, "invalid_request"),
        (b'{"task": 1}', 422, "invalid_request"),
        (b'{"task": "greet", "paylod": {}}', 422, "invalid_request"),
        (b'{"task": "greet", "options": {"retries": 3}}', 422, "invalid_request"),
        (b'{"task": "' + b"x" * 100_000 + b'"}', 413, "body_too_large"),
    ],
)
async def test_a_bad_body_says_what_is_wrong_with_it(site: Site, body: bytes, status: int, code: str) -> None:
    answer = await site.client.post("/v1/runs", content=body, headers={"content-type": "application/json"})
    assert is_problem(answer, status, code)


async def test_a_body_without_an_announced_length_is_limited_too(site: Site) -> None:
    async def parts() -> AsyncGenerator[bytes]:
        for _ in range(20):
            yield b" " * 10_000

    answer = await site.client.post("/v1/runs", content=parts(), headers={"content-type": "application/json"})
    assert is_problem(answer, 413, "body_too_large")


async def test_a_body_that_a_foreign_web_page_could_send_unasked_is_refused(site: Site) -> None:
    answer = await site.client.post("/v1/runs", content=b'{"task": "greet"}', headers={"content-type": "text/plain"})
    assert is_problem(answer, 415, "unsupported_media_type")


async def test_a_wrong_query_is_told_by_name(site: Site) -> None:
    answer = await site.client.get("/v1/runs", params={"limit": 0, "stat": "queued"})
    assert is_problem(answer, 422, "invalid_request")
    assert {problem["at"] for problem in answer.json()["details"]["problems"]} == {"limit", "stat"}


async def test_an_api_key_guards_every_route_but_health(app: Agentflow) -> None:
    async with site_of(app, api_key="s3cret-ü") as site:
        for operation in OPERATIONS:
            answer = await site.client.request(operation.method, operation.path.replace("{id}", "x"))
            assert operation.needs.open or is_problem(answer, 401, "unauthorized"), operation.path
            assert operation.needs.open or answer.headers["www-authenticate"] == "Bearer"
        assert (await site.client.get("/v1/health")).status_code == 200
        for wrong in ("Bearer nope", "Basic s3cret", "s3cret", "Bearer", ""):
            assert is_problem(await site.client.get("/v1/runs", headers={"authorization": wrong}), 401, "unauthorized")
        right = [(b"authorization", "bearer s3cret-ü".encode())]
        assert (await site.client.get("/v1/runs", headers=right)).status_code == 200


async def test_without_a_key_only_the_names_that_were_given_are_answered(app: Agentflow) -> None:
    async with site_of(app, hosts=("127.0.0.1",)) as site:
        assert (await site.client.get("/v1/runs")).status_code == 200
        assert is_problem(await site.client.get("/v1/runs", headers={"host": "evil.example"}), 403, "forbidden")


async def test_browsers_of_other_origins_may_come_in_only_when_told_so(app: Agentflow, site: Site) -> None:
    headers = {
        "origin": "https://shop.example",
        "access-control-request-method": "GET",
        "access-control-request-headers": "authorization, last-event-id",
    }
    closed = await site.client.options("/v1/runs", headers=headers)
    assert "access-control-allow-origin" not in closed.headers
    async with site_of(app, cors_origins=["https://shop.example"], api_key="k") as open_site:
        asked = await open_site.client.options("/v1/runs", headers=headers)
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == "https://shop.example"
        refused = await open_site.client.get("/v1/runs", headers={"origin": "https://shop.example"})
        assert is_problem(refused, 401, "unauthorized")
        assert refused.headers["access-control-allow-origin"] == "https://shop.example"


ASKED = (
    "authorization, content-type, idempotency-key, if-none-match, last-event-id, x-agentflow-by, stream-closed, stream-expires-at, "
    "stream-seq, stream-ttl, stream-forked-from, stream-fork-offset, stream-fork-sub-offset, producer-id, producer-epoch, producer-seq"
)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
async def test_a_browser_of_an_allowed_origin_may_send_and_see_what_the_protocols_need(app: Agentflow, method: str) -> None:
    origin = {"origin": "https://shop.example"}
    asking = {"access-control-request-method": method, "access-control-request-headers": ASKED}
    async with site_of(app, cors_origins=["https://shop.example"], api_key="k") as site:
        asked = await site.client.options("/v1/runs", headers={**origin, **asking})
        assert (asked.status_code, asked.headers["access-control-max-age"]) == (200, "600")
        assert "access-control-allow-credentials" not in asked.headers
        assert "Origin" in asked.headers["vary"]
        for other in ({"origin": "https://evil.example"}, {"access-control-request-method": "PATCH"}):
            assert (await site.client.options("/v1/runs", headers={**origin, **asking, **other})).status_code == 400


async def test_answers_to_a_browser_show_their_headers_and_vary_by_origin(app: Agentflow) -> None:
    async with site_of(app, cors_origins=["https://shop.example"]) as site:
        run_id = await site.start("greet", name="ada")
        for path in ("/v1/runs", f"/v1/runs/{run_id}/stream", "/v1/nothing"):
            seen = await site.client.get(path, headers={"origin": "https://shop.example"})
            assert seen.headers["access-control-allow-origin"] == "https://shop.example"
            shown = set(seen.headers["access-control-expose-headers"].lower().split(", "))
            assert {"etag", "location", "x-agentflow-run-id", "x-workflow-run-id", "x-workflow-stream-tail-index"} <= shown
            assert {"stream-next-offset", "stream-cursor", "stream-up-to-date", "stream-closed", "producer-expected-seq"} <= shown
            assert "access-control-allow-credentials" not in seen.headers
            # A cache that kept the answer to one origin for another would keep that one out.
            for headers in ({}, {"origin": "https://shop.example"}, {"origin": "https://evil.example"}):
                answer = await site.client.get(path, headers=headers)
                assert "origin" in answer.headers["vary"].lower()
                assert ("access-control-allow-origin" in answer.headers) == (headers.get("origin") == "https://shop.example")


async def test_a_defect_is_told_in_the_one_shape_and_logged(app: Agentflow, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_: Call[Nothing, Nothing]) -> Response:
        raise ZeroDivisionError("a secret of ours")

    operation = Operation(method="GET", path="/broken", handler=broken, needs=OPEN, summary="Break", answer=None)
    service = Service(app=app, pulse=Pulse(app, Pace()), index=Index(app), prompts=PromptFeeds(app))

    async def endpoint(request: Request) -> Response:
        return await operation.answered(service, request)

    async with served(Starlette(routes=[Route("/broken", endpoint)])) as url, httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/broken")
    assert is_problem(answer, 500, "internal")
    assert "secret" not in answer.text
    assert "a secret of ours" in caplog.text


async def test_a_database_that_is_gone_is_a_503(tmp_path: Path, stream_server: str) -> None:
    async with Agentflow(directory=tmp_path, redis=stream_server, worker=False) as app, site_of(app) as site:
        await app.database.close()
        assert is_problem(await site.client.get("/v1/runs"), 503, "storage")


async def test_the_openapi_document_is_valid_and_lists_every_route(site: Site) -> None:
    document = (await site.client.get("/v1/openapi.json")).json()
    validate(document)
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert told == {(one.method, one.path) for one in OPERATIONS} | {("GET", "/v1/openapi.json")}
    names = [method["operationId"] for methods in document["paths"].values() for method in methods.values()]
    assert len(names) == len(set(names))


async def test_the_openapi_document_tells_of_the_key_when_there_is_one(app: Agentflow) -> None:
    async with site_of(app, api_key="k") as site:
        document = (await site.client.get("/v1/openapi.json", headers={"authorization": "Bearer k"})).json()
    validate(document)
    runs, health = document["paths"]["/v1/runs"]["get"], document["paths"]["/v1/health"]["get"]
    assert runs["security"] == [{"key": []}]
    assert "browser token with `index:read` or `run:read:tag:<tag>`" in runs["description"]
    assert {"401", "403"} <= runs["responses"].keys()
    assert "security" not in health
    assert not {"401", "403"} & health["responses"].keys()
