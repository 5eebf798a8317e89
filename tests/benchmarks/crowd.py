"""W6: two workers measured in turn, one in an empty database and one beside many waiting runs."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.contender import command
from tests.benchmarks.pace import FIGURES
from tests.benchmarks.place import Place
from tests.benchmarks.sizes import Sizes

ROOT = Path(__file__).resolve().parents[2]
MODULE = "with_waiting_runs"
WORKLOADS = ("W1", "W2", "W3", "W4")
SEED_LIMIT = 120.0
LINE_LIMIT = 60.0


class CrowdFailed(AssertionError):
    """One of the two workers did not answer."""


def beside_waiting_runs(sizes: Sizes, empty: Place, crowded: Place) -> FIGURES:
    """How many times as long everything takes beside the waiting runs, and what memory the worker has."""
    seed_waiting(sizes, crowded)
    with ExitStack() as stack:
        alone, beside = (stack.enter_context(AskedWorker(sizes, place)) for place in (empty, crowded))
        figures = {f"W6 {name}": [_ratio(name, alone, beside, number) for number in range(sizes.waiting_rounds)] for name in WORKLOADS}
        memory = beside.ask("memory")
        return {**figures, "W6 memory": [memory / alone.ask("memory")], "W6 MB": [memory]}


def seed_waiting(sizes: Sizes, place: Place) -> None:
    """Make the waiting runs."""
    seeded = subprocess.run(
        command(MODULE, "seed", sizes, place), cwd=ROOT, capture_output=True, text=True, timeout=SEED_LIMIT, check=False
    )
    if seeded.returncode != 0:
        raise CrowdFailed(seeded.stderr[-300:])


def _ratio(name: str, alone: AskedWorker, beside: AskedWorker, number: int) -> float:
    """In changing order, so that neither always has the warmer machine."""
    if number % 2:
        slower = beside.ask(name)
        return slower / alone.ask(name)
    faster = alone.ask(name)
    return beside.ask(name) / faster


class AskedWorker:
    """A worker in a process of its own."""

    def __init__(self, sizes: Sizes, place: Place, name: str = "worker") -> None:
        self._errors = place.directory / f"{name}.log"
        found = command(MODULE, "work", sizes, place)
        with self._errors.open("w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(found, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)

    def __enter__(self) -> AskedWorker:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=LINE_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def ask(self, name: str) -> float:
        """Measure it once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise CrowdFailed(self._errors.read_text(encoding="utf-8")[-300:])
        return float(json.loads(line))
