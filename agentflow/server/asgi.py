"""The ASGI app."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentflow.app import Agentflow
from agentflow.auth.keys import ApiKeys
from agentflow.dashboard import bundle
from agentflow.server.assets import Dashboard
from agentflow.server.calls import Operation, Service
from agentflow.server.errors import refused
from agentflow.server.index import Index
from agentflow.server.openapi import described
from agentflow.server.projections import durable_streams
from agentflow.server.projections.durable_streams_answers import ASKED, TOLD
from agentflow.server.prompt_feed import PromptFeeds
from agentflow.server.pulse import Pace, Pulse
from agentflow.server.review import routes as review
from agentflow.server.routes import OPERATIONS

# A browser takes a star in a name for a letter, so headers are named one by one.
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
_ASKED = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID", "X-Agentflow-By")
_SHOWN = ("ETag", "X-Agentflow-Run-Id", "X-Agentflow-Audit-Head", "X-Workflow-Run-Id", "X-Workflow-Stream-Tail-Index")


def create_asgi(
    app: Agentflow,
    *,
    api_key: str | Sequence[str] | None = None,
    cors_origins: Sequence[str] = (),
    hosts: Sequence[str] = (),
    pace: Pace | None = None,
    max_body: int = 4 * 1024 * 1024,
) -> Starlette:
    """An ASGI app that serves `app` under `/v1`, and the dashboard under `/`.

    `api_key`: what callers send as `Authorization: Bearer <key>`, one key or several (a list, or a text with commas); without one everybody
    may come in. A browser sends a token instead (`mint_token`), which is gone with the key that signed it. `cors_origins`: web origins that
    may call from a browser. `hosts`: the only names it answers to, if any. `pace`: how open streams are kept. `max_body`: bytes.

    Served as it is, it opens and closes `app` by itself. Mounted, the app around it does, for nobody tells a mounted app when to begin:

        @asynccontextmanager
        async def lifespan(_: FastAPI):
            async with flow:
                yield

        api = FastAPI(lifespan=lifespan)
        api.mount("/agentflow", create_asgi(flow, api_key=key))

    A server that stops should call `asgi.state.drain()` before it waits for open streams; uvicorn is noticed without.
    """
    pulse = Pulse(app, pace or Pace())
    keys, feeds = ApiKeys.read(api_key), PromptFeeds(app)
    service = Service(app=app, pulse=pulse, index=Index(app), prompts=feeds, keys=keys, hosts=frozenset(hosts), max_body=max_body)
    operations = (*OPERATIONS, described(OPERATIONS))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with app:
            yield

    asgi = Starlette(
        routes=[
            *(_route(service, operations, path) for path in dict.fromkeys(one.path for one in operations)),
            *durable_streams.routes(service),
            *review.routes(service),
        ],
        middleware=[_cors(cors_origins)] if cors_origins else [],
        exception_handlers={HTTPException: refused},
        lifespan=lifespan,
    )
    asgi.router.redirect_slashes = False
    asgi.router.default = Dashboard(bundle(), asgi.router.default)
    asgi.state.drain = pulse.drain
    return asgi


def _route(service: Service, operations: Sequence[Operation], path: str) -> Route:
    """One route for all methods of a path, so that any other is refused with all of them."""
    methods = {one.method: one for one in operations if one.path == path}

    async def endpoint(request: Request) -> Response:
        return await methods["GET" if request.method == "HEAD" else request.method].answered(service, request)

    # Names of prompts have slashes, as paths of files do.
    return Route(path.replace("/prompts/{name}", "/prompts/{name:path}"), endpoint, methods=list(methods), name=path)


def _cors(origins: Sequence[str]) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=_METHODS,
        allow_headers=[*_ASKED, *ASKED],
        expose_headers=[*_SHOWN, *TOLD],
        max_age=600,
    )
