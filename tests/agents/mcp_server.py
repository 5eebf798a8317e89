"""A real MCP server: over HTTP in the test's process, or as a script over stdio. What it is asked it notes in a file."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from mcp.server import MCPServer

NOTES = "MCP_NOTES"


def server(notes: Path) -> MCPServer:
    """A server with one tool, which writes down each call."""
    made = MCPServer("sums", instructions="Add with me.")

    @made.tool()
    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        with notes.open("a") as file:
            file.write(f"{a}+{b}\n")
        if a < 0:
            raise ValueError("Only positive numbers.")
        return a + b

    return made


@asynccontextmanager
async def serving(notes: Path, port: int = 0) -> AsyncGenerator[int]:
    """The server on a port of this machine, which is told."""
    import uvicorn

    http = uvicorn.Server(uvicorn.Config(server(notes).streamable_http_app(), port=port, log_level="error", timeout_graceful_shutdown=1))
    config = http.config
    config.load()
    http.lifespan = config.lifespan_class(config)
    await http.startup()
    try:
        yield http.servers[0].sockets[0].getsockname()[1]
    finally:
        await http.shutdown()


if __name__ == "__main__":
    server(Path(os.environ[NOTES])).run("stdio")
    sys.exit(0)
