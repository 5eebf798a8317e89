"""An MCP server over stdio, and over streamable HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence

from mcp.server.stdio import stdio_server
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from agentflow.app import Agentflow
from agentflow.auth.keys import ApiKeys
from agentflow.clock import Duration
from agentflow.errors import TokenInvalid
from agentflow.server.errors import failed
from agentflow.server.mcp.calls import WAIT, Calls
from agentflow.server.serve import check_guarded, serve_asgi

PATH = "/mcp"


async def serve_stdio(app: Agentflow, *, wait: Duration = WAIT) -> None:
    """Open `app` and serve the client at the other end of stdin and stdout, until it closes them.

    `wait` is how long a call waits for the end of its run. What else writes to stdout meanwhile goes to stderr.
    Raises `DefinitionError` when two tasks would be tools of one name.
    """
    calls = Calls(app, wait)
    server = calls.server
    async with app, stdio_server() as (heard, said):
        await server.run(heard, said, server.create_initialization_options())


async def serve_http(
    app: Agentflow,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    api_key: str | Sequence[str] | None = None,
    wait: Duration = WAIT,
    ready: Callable[[str], None] | None = None,
) -> None:
    """As `serve_stdio`, for any number of clients at `/mcp` over streamable HTTP, until SIGTERM or SIGINT.

    `ready` is called with the URL once requests are answered. Raises `ConfigurationError` when `host` is not loopback and there is no
    `api_key`, and when the port is taken.
    """
    check_guarded(host, api_key)
    asgi = create_mcp_asgi(app, api_key=api_key, wait=wait, host=host)
    await serve_asgi(asgi, host, port, around=_opened(app, asgi), ready=lambda url: ready(f"{url}{PATH}") if ready else None)


@contextlib.asynccontextmanager
async def _opened(app: Agentflow, asgi: Starlette) -> AsyncGenerator[None]:
    async with app, asgi.router.lifespan_context(asgi):
        yield


def create_mcp_asgi(
    app: Agentflow, *, api_key: str | Sequence[str] | None = None, wait: Duration = WAIT, host: str = "127.0.0.1"
) -> Starlette:
    """An ASGI app that serves an open `app` to MCP clients at `/mcp`; its lifespan has to run.

    `api_key` is what clients send as `Authorization: Bearer <key>`. On a loopback `host` it answers to names of this machine only.
    """
    calls = Calls(app, wait)
    asgi = calls.server.streamable_http_app(streamable_http_path=PATH, host=host)
    asgi.add_middleware(_Keyed, keys=ApiKeys.read(api_key))
    asgi.state.drain = calls.close
    return asgi


class _Keyed:
    """Lets in who has a key."""

    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._keys and not self._lets_in(scope):
            error = TokenInvalid("The API key is missing, or is none.", hint="Send it as `Authorization: Bearer <key>`.")
            await failed(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _lets_in(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, key = given.partition(b" ")
        return scheme.lower() == b"bearer" and self._keys.find(key.strip()) is not None
