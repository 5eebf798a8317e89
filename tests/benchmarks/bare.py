"""The limits of the disk: as many SQLite commits as the workload cannot do without, and nothing else."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from time import perf_counter

from tests.benchmarks.pace import Pace, bytes_per_step
from tests.benchmarks.sizes import Sizes

FIGURES = dict[str, list[float]]
GROUP = 100
ROWS_BESIDE_STEPS = 2
COMMITS_OF_AN_EMPTY_RUN = 3
SQL = Path(__file__).parent / "sql"


def versions(sizes: Sizes, directory: Path) -> dict[str, str]:
    """What is measured."""
    return {"sqlite": sqlite3.sqlite_version}


class Rows:
    """A table with one index, as a journal has."""

    def __init__(self, directory: Path) -> None:
        self._append = (SQL / "append.sql").read_text(encoding="utf-8")
        self._connection = sqlite3.connect(directory / "bare.db", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript((SQL / "journal.sql").read_text(encoding="utf-8"))

    def append(self, run: int, seq: int) -> None:
        value = json.dumps({"value": seq})
        self._connection.execute(self._append, (run, seq, f"add#{seq}", value, seq)).fetchall()

    def append_many(self, count: int) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for seq in range(count):
            self.append(0, seq)
        self._connection.execute("COMMIT")

    def commits(self, count: int) -> float:
        """Seconds for that many rows, each with its commit."""
        began = perf_counter()
        for seq in range(count):
            self.append(1, seq)
        return perf_counter() - began

    def load(self) -> list[object]:
        rows = self._connection.execute((SQL / "load.sql").read_text(encoding="utf-8"))
        return [json.loads(row[0]) for row in rows]

    def close(self) -> None:
        self._connection.close()


def one_run(sizes: Sizes, directory: Path) -> FIGURES:
    """W1: a row and a commit for every step."""
    rows = Rows(directory)
    return {"W1": [rows.commits(sizes.steps) / sizes.steps * 1e3 for _ in range(sizes.repeats)]}


def many_runs(sizes: Sizes, directory: Path) -> FIGURES:
    """W2: a row for every start, step and end, a hundred in a commit."""
    rows = Rows(directory)
    count = sizes.runs * (sizes.short_steps + ROWS_BESIDE_STEPS)
    began = perf_counter()
    for at in range(0, count, GROUP):
        rows.append_many(min(GROUP, count - at))
    return {"W2": [sizes.runs / (perf_counter() - began)]}


def empty_run(sizes: Sizes, directory: Path) -> FIGURES:
    """W3: three commits."""
    rows = Rows(directory)
    return {"W3": [rows.commits(COMMITS_OF_AN_EMPTY_RUN) * 1e3 for _ in range(sizes.samples)]}


def answer(sizes: Sizes, directory: Path) -> FIGURES:
    """W4: one commit."""
    rows = Rows(directory)
    samples = [rows.commits(1) * 1e3 for _ in range(sizes.samples)]
    return {"W4": samples, "W4 evicted": samples}


def long_run(sizes: Sizes, directory: Path) -> FIGURES:
    """W5, up to the kill."""
    rows, pace = Rows(directory), Pace()
    for seq in range(sizes.killed_at):
        pace.step(seq)
        rows.append(1, seq)
    pace.die(directory)


def long_run_again(sizes: Sizes, directory: Path) -> FIGURES:
    """W5, after the kill: what is there is read and decoded, then it goes on."""
    rows, pace = Rows(directory), Pace()
    taken = perf_counter()
    done = len(rows.load())
    for seq in range(done, sizes.long_steps):
        pace.step(seq)
        rows.append(1, seq)
    rows.close()
    figures = pace.figures(directory, sizes.killed_at, sizes.edge, taken)
    return {**figures, "W5 bytes": [bytes_per_step(directory, sizes.long_steps)]}
