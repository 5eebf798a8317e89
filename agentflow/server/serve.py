"""Serving with uvicorn, in one process with the app's worker."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Generator, Sequence
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette

from agentflow.app import Agentflow
from agentflow.errors import ConfigurationError
from agentflow.server.asgi import create_asgi
from agentflow.server.pulse import Pace

_LOCAL = ("localhost", "127.0.0.1", "::1")
_GRACE = 5


async def serve(
    app: Agentflow,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    api_key: str | Sequence[str] | None = None,
    cors_origins: Sequence[str] = (),
    pace: Pace | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Open `app` and serve it until SIGTERM or SIGINT; then tell open streams to reconnect, and let `app` drain.

    A second signal ends the process at once.

    `port` 0 takes a free one; `ready` is called with the URL once requests are answered. Other arguments: see `create_asgi`.
    Raises `ConfigurationError` when `host` is not loopback and there is no `api_key`, and when the port is taken.
    """
    check_guarded(host, api_key)
    if app.public_url is None and _is_loopback(host) and port:
        # Callbacks work on a laptop without a word; others have to say by what name machines reach them.
        app.public_url = _url(host, port)
    hosts = _LOCAL if api_key is None else ()
    asgi = create_asgi(app, api_key=api_key, cors_origins=cors_origins, hosts=hosts, pace=pace)
    await serve_asgi(asgi, host, port, around=app, ready=ready)


def check_guarded(host: str, api_key: str | Sequence[str] | None) -> None:
    """Raise `ConfigurationError` when others than this machine can reach `host`, and no API key keeps them out."""
    if not _is_loopback(host) and api_key is None:
        raise ConfigurationError(
            f"Refusing to serve on {host} without an API key: anybody who reaches it could start runs.",
            hint="Set AGENTFLOW_API_KEY or pass --api-key, or bind to 127.0.0.1.",
            host=host,
        )


async def serve_asgi(
    asgi: Starlette,
    host: str,
    port: int,
    *,
    around: contextlib.AbstractAsyncContextManager[Any],
    ready: Callable[[str], None] | None,
) -> None:
    """Serve an ASGI app inside of `around` until a signal says stop; its `state.drain()` is called before open streams are waited for."""
    with contextlib.closing(bind(host, port)) as listening:
        url = _url(host, listening.getsockname()[1])
        server = _Server(asgi, lambda: ready(url) if ready else None)
        with _signals(server):
            async with around:
                await server.serve(sockets=[listening])


class _Server(uvicorn.Server):
    """uvicorn, which tells open streams before it waits for them."""

    def __init__(self, asgi: Starlette, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                asgi,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE,
            )
        )
        self._asgi = asgi
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._asgi.state.drain()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        # Ours hold until the app has drained, and a server that was asked to stop did not fail.
        yield


@contextlib.contextmanager
def _signals(server: uvicorn.Server) -> Generator[None]:
    """The first signal asks the server to stop, the second ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def heard(number: int, _: FrameType | None) -> None:
        if server.should_exit:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        server.should_exit = True

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises `ConfigurationError` where that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=2_048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"Port {port} on {host} is taken by another process.",
                hint=f"Stop that one (`lsof -i :{port}` names it), or choose another port: --port {port + 1}.",
                host=host,
                port=port,
            ) from None
        raise ConfigurationError(
            f"Cannot serve on {host}:{port}: {error}.", hint="Check --host and --port.", host=host, port=port
        ) from error
    # Connections inherit it. asyncio sets it only on sockets it made itself, and without it a token waits 40 ms for an acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
