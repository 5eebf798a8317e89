"""Certificates of a test's own authority, and TLS in front of servers that have none."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

_SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
_CHUNK = 64 * 1024


class Authority:
    """A certificate authority in `folder`; `certificate` is what clients trust, and `server` has one for 127.0.0.1 and localhost."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = folder / "authority.pem"
        self._key = folder / "authority.key"
        self._folder = folder
        subject = ["-subj", "/CN=agentflow test authority", "-addext", "basicConstraints=critical,CA:TRUE"]
        _openssl("req", "-x509", *_new_key(self._key), "-days", "7", "-out", str(self.certificate), *subject)
        self.server = self._server()

    def _server(self) -> ssl.SSLContext:
        key, request, certificate, extra = (self._folder / f"server.{end}" for end in ("key", "csr", "pem", "ext"))
        extra.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        _openssl("req", *_new_key(key), "-subj", "/CN=localhost", "-out", str(request))
        signed = ["-CA", str(self.certificate), "-CAkey", str(self._key), "-CAcreateserial", "-extfile", str(extra)]
        _openssl("x509", "-req", "-in", str(request), *signed, "-days", "7", "-out", str(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context


@asynccontextmanager
async def terminator(target: int, authority: Authority, *, postgres: bool = False) -> AsyncGenerator[int]:
    """The port of a TLS server in front of the plain one at `target`. `postgres`: clients ask for TLS in the way of its protocol."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if postgres:
                assert await reader.readexactly(8) == _SSL_REQUEST
                writer.write(b"S")
                await writer.drain()
                await writer.start_tls(authority.server)
            await _join(reader, writer, target)
        writer.transport.abort()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=None if postgres else authority.server)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int) -> None:
    their_reader, their_writer = await asyncio.open_connection("127.0.0.1", target)
    try:
        await asyncio.gather(_pump(reader, their_writer), _pump(their_reader, writer))
    finally:
        their_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


def _new_key(path: Path) -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(path)]


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
