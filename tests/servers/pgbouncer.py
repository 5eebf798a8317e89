"""A real pgbouncer in transaction mode, where it is installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.servers.postgres import USER, PostgresServer, answers
from tests.servers.process import dying_with_parent, free_port, new_folder, ordinary_user

_SETTINGS = """\
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 8
min_pool_size = 0
max_client_conn = 500
server_idle_timeout = 1
"""


class PgBouncer:
    """A pooler in front of `server`: every transaction may get another of its eight connections."""

    def __init__(self, server: PostgresServer, program: str) -> None:
        self.server = server
        self.port = free_port()
        self._owner = ordinary_user()
        self._folder = new_folder(self._owner)
        settings = self._folder / "settings.ini"
        settings.write_text(_SETTINGS.format(server=server.port, port=self.port, folder=self._folder))
        (self._folder / "users").write_text(f'"{USER}" ""\n')
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, str(settings)],
                stdout=log,
                stderr=log,
                user=self._owner,
                group=self._owner,
                extra_groups=None if self._owner is None else [],
                preexec_fn=dying_with_parent(signal.SIGKILL),
            )

    @classmethod
    def find(cls) -> str | None:
        """The program, if it is installed."""
        return shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))

    @classmethod
    @contextmanager
    def running(cls, server: PostgresServer, program: str) -> Generator[PgBouncer]:
        """A pooler that is stopped afterwards."""
        pooler = cls(server, program)
        try:
            answers("127.0.0.1", pooler.port, pooler._process, lambda: (pooler._folder / "log").read_text())
            yield pooler
        finally:
            pooler.close()

    def url(self, url: str) -> str:
        """The address through the pooler of a database of the server."""
        parts = urlsplit(url)
        return f"postgresql://{USER}@127.0.0.1:{self.port}{parts.path}?pgbouncer=true"

    def close(self) -> None:
        """Stop it, and remove its folder."""
        self._process.kill()
        self._process.wait(60)
        shutil.rmtree(self._folder, ignore_errors=True)
