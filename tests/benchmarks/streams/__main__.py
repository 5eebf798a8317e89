"""`python -m tests.benchmarks.streams`: S1–S3 as a table."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic_ns
from typing import Any

import httpx
import psutil

from tests.servers.process import free_port
from tests.servers.valkey import ValkeyServer

ROOT = Path(__file__).parents[3]
SPEAKING = str(Path(__file__).with_name("speaking.py"))
GAP = 20_000_000
"""Nanoseconds between two tokens: 50 a second."""
LEAD = 1_500_000_000
"""Nanoseconds from the start of a run to its first token: viewers come meanwhile."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What some viewers saw: latencies in milliseconds, CPU in cores while tokens were said, and viewers that missed or doubled one."""

    viewers: int
    first: Callable[[float], float]
    later: Callable[[float], float]
    cores: dict[str, float]
    wrong: int

    def __str__(self) -> str:
        cores = "  ".join(f"{name} {used:.2f}" for name, used in self.cores.items())
        first = "  ".join(f"{self.first(share):7.2f}" for share in (0.5, 0.99))
        later = "  ".join(f"{self.later(share):7.2f}" for share in (0.5, 0.95, 0.99, 1.0))
        return f"{self.viewers:>7}  {first}   {later}   {cores}   {'none' if not self.wrong else f'{self.wrong} WRONG'}"


HEAD = f"{'viewers':>7}  {'first p50, p99 ms':<16}   {'later p50, p95, p99, max ms':<34}   {'cores':<46}   lost or doubled"


class Stage:
    """A worker, a server, a stream server, and their CPU."""

    def __init__(self, port: int, processes: dict[str, psutil.Process]) -> None:
        self.port = port
        self._processes = processes
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def close(self) -> None:
        """Let go of the server."""
        self._client.close()

    def follow(self, runs: int, viewers_each: int, seconds: float, apart: int = 0) -> Figures:
        """So many runs at 50 tokens a second, each with so many viewers; they begin `apart` nanoseconds, or evenly between two tokens."""
        tokens = round(seconds * 1e9 / GAP)
        begin = monotonic_ns() + LEAD + runs * viewers_each * 2_000_000
        apart = apart or GAP // runs
        ids = [self._start(begin + number * apart, tokens) for number in range(runs)]
        with self._viewing([run_id for run_id in ids for _ in range(viewers_each)], tokens) as viewing:
            if monotonic_ns() > begin:
                print("  (viewers were late: the first tokens are told from the log)", file=sys.stderr)
            _until(begin)
            used = {**self._processes, "viewers": psutil.Process(viewing.pid)}
            before, began = _cpu(used), monotonic_ns()
            _until(begin + runs * apart + round(seconds * 0.9e9))
            spent, took = _cpu(used), (monotonic_ns() - began) / 1e9
            seen: dict[str, Any] = json.loads(_line(viewing))
        cores = {name: (spent[name] - before[name]) / took for name in used}
        return Figures(runs * viewers_each, _share(seen["first"]), _share(seen["later"]), cores, seen["wrong"])

    def memory(self, count: int) -> float:
        """KiB of the server per viewer of a silent run."""
        run_id = self._start(monotonic_ns() + 3_600 * 10**9, 1)
        before = self._processes["server"].memory_info().rss
        with self._viewing([run_id] * count, 1) as viewing:
            after = self._processes["server"].memory_info().rss
            viewing.kill()
        return (after - before) / count / 1_024

    def _start(self, begin: int, tokens: int) -> str:
        body = {"task": "speak", "payload": {"begin": begin, "tokens": tokens, "gap": GAP}}
        answer = self._client.post("/v1/runs", json=body)
        answer.raise_for_status()
        return answer.json()["id"]

    @contextmanager
    def _viewing(self, runs: list[str], tokens: int) -> Generator[subprocess.Popen[str]]:
        """Viewers, one of each of `runs`, once all of them are connected."""
        command = [sys.executable, "-m", "tests.benchmarks.streams.viewing", str(self.port)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as viewing:
            assert viewing.stdin is not None
            viewing.stdin.write(json.dumps({"runs": runs, "tokens": tokens}) + "\n")
            viewing.stdin.flush()
            if _line(viewing).strip() != "open":
                raise SystemExit("the viewers could not connect")
            yield viewing


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _until(moment: int) -> None:
    """Return at a moment of the clock that all processes share."""
    Event().wait(max(0, moment - monotonic_ns()) / 1e9)


def _cpu(processes: dict[str, psutil.Process]) -> dict[str, float]:
    return {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}


def _share(times: Sequence[int]) -> Callable[[float], float]:
    return lambda share: times[min(len(times) - 1, int(share * len(times)))] / 1e6 if times else float("nan")


@contextmanager
def stage() -> Generator[Stage]:
    """Everything started, then ended."""
    with tempfile.TemporaryDirectory(dir="/var/tmp" if Path("/var/tmp").is_dir() else None) as folder, ValkeyServer.running() as valkey:
        database, port = f"{folder}/bench.db", free_port()
        where = ["--database", database, "--redis", valkey.url, "--port", str(port)]
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.streams.speaking", database, valkey.url], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert worker.stdout is not None
        worker.stdout.readline()
        command = [sys.executable, "-m", "agentflow.cli.main", "server", SPEAKING, *where]
        server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            _answers(port)
            processes = {"worker": worker.pid, "server": server.pid, "redis": valkey.pid}
            with closing(Stage(port, {name: psutil.Process(pid) for name, pid in processes.items()})) as made:
                yield made
        finally:
            for process in (worker, server):
                process.terminate()
                process.wait()
            worker.stdout.close()


def _answers(port: int) -> None:
    for _ in range(200):
        try:
            httpx.get(f"http://127.0.0.1:{port}/v1/health").raise_for_status()
            return
        except httpx.HTTPError:
            Event().wait(0.1)
    raise SystemExit("the server does not answer")


def main() -> None:
    """Measure and print."""
    given = argparse.ArgumentParser(prog="python -m tests.benchmarks.streams", description="S1–S3")
    given.add_argument("--seconds", type=float, default=10.0, help="how long tokens are said")
    given.add_argument("--viewers", type=int, nargs="*", default=[1, 10, 100, 500, 1_000], help="S2: of one run")
    given.add_argument("--runs", type=int, nargs="*", default=[1, 50, 100, 200, 300], help="S3: with a viewer each")
    given.add_argument("--firsts", type=int, default=200, help="S1: runs of one token after the other")
    chosen = given.parse_args()
    with stage() as measured:
        # First, for a server that has been at work takes memory that it has already.
        print(f"an idle viewer takes {measured.memory(1_000):.1f} KiB of the server", flush=True)
        print(f"S1  runs of one token, one after the other, a viewer each\n{HEAD}")
        print(measured.follow(chosen.firsts, 1, GAP / 1e9, apart=50_000_000), flush=True)
        print(f"S2  viewers of one run of 50 tokens a second\n{HEAD}")
        for count in chosen.viewers:
            print(measured.follow(1, count, chosen.seconds), flush=True)
        print(f"S3  runs of 50 tokens a second, a viewer each\n{HEAD}")
        for count in chosen.runs:
            print(measured.follow(count, 1, chosen.seconds), flush=True)


if __name__ == "__main__":
    main()
