from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from agentflow.errors import StreamUnavailable
from agentflow.streams import Streams
from agentflow.streams.embedded import EmbeddedServer
from agentflow.streams.events import RunStarted

_WRITER = """
import asyncio, os, sys
from pathlib import Path
from agentflow.streams import Streams
from agentflow.streams.events import RunStarted

async def main():
    streams = Streams.connect(None, Path(sys.argv[1]))
    streams.publish(sys.argv[2], 1, RunStarted("tell"))
    await streams.flush()
    print("published", flush=True)
    if sys.argv[3] == "crash":
        os._exit(9)
    await streams.close()

asyncio.run(main())
"""


def _server_process(directory: Path) -> psutil.Process:
    return psutil.Process(int((directory / "valkey.pid").read_text()))


def _ended(process: psutil.Process) -> bool:
    # It is nobody's child here: where process 1 does not clean up after others, an ended one stays as a zombie.
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def _another_process(directory: Path, run_id: str, end: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _WRITER, str(directory), run_id, end, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert said == b"published\n"


async def test_two_processes_of_a_directory_share_one_server(tmp_path: Path) -> None:
    async with Streams.connect(None, tmp_path) as streams:
        streams.publish("run_1", 1, RunStarted("tell"))
        await streams.flush()
        server = _server_process(tmp_path)
        await _another_process(tmp_path, "run_2", "close")
        assert len(await streams.read("run_2")) == 1
        assert _server_process(tmp_path) == server
        assert not _ended(server)


async def test_the_server_outlives_a_crash_of_the_process_that_started_it(tmp_path: Path) -> None:
    await _another_process(tmp_path, "run_1", "crash")
    server = _server_process(tmp_path)
    async with Streams.connect(None, tmp_path) as streams:
        assert len(await streams.read("run_1")) == 1
        assert _server_process(tmp_path) == server
    assert _ended(server)


async def test_the_last_to_close_stops_the_server_and_leaves_no_process_behind(tmp_path: Path) -> None:
    first, second = EmbeddedServer(tmp_path), EmbeddedServer(tmp_path)
    await first.url()
    await second.url()
    server = _server_process(tmp_path)
    await first.close()
    assert not _ended(server)
    await second.close()
    assert _ended(server)
    assert not second.socket.exists()
    assert not [child for child in psutil.Process().children() if "valkey" in child.name() and str(tmp_path) in " ".join(child.cmdline())]


async def test_many_that_start_at_once_start_one_server(tmp_path: Path) -> None:
    servers = [EmbeddedServer(tmp_path) for _ in range(8)]
    assert len({await url for url in asyncio.as_completed([server.url() for server in servers])}) == 1
    running = [
        process
        for process in psutil.process_iter(["cmdline"])
        if f"unixsocket:{servers[0].socket}" in " ".join(process.info["cmdline"] or ())
    ]
    assert len(running) == 1
    for server in servers:
        await server.close()


async def test_a_directory_with_a_long_name_gets_a_private_socket_elsewhere(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / ("deep" * 30))
    await server.url()
    home = server.socket.parent
    assert len(os.fsencode(server.socket)) <= 107
    assert home.stat().st_mode & 0o077 == 0
    await server.close()
    assert not home.exists()


async def test_a_socket_directory_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / ("open" * 30))
    server.socket.parent.mkdir(mode=0o755)
    try:
        with pytest.raises(StreamUnavailable, match="belongs to somebody else"):
            await server.url()
    finally:
        server.socket.parent.rmdir()
        await server.close()


async def test_a_closed_share_is_not_taken_again(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    await server.url()
    await server.close()
    with pytest.raises(StreamUnavailable, match="closed"):
        await server.url()
