"""All contenders, workload by workload and round by round, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from tests.benchmarks.sizes import Sizes

ROOT = Path(__file__).resolve().parents[2]
CONTENDERS = ("bare", "agentflow", "dbos", "langgraph")
OURS = ("bare", "agentflow")
LONG = "long_run"
SHORT = ("one_run", "many_runs", "empty_run", "answer")
LIMIT = 240.0


@dataclass(slots=True)
class Result:
    """What one contender did. `samples` by figure; `missing` says why there are none."""

    versions: dict[str, str] = field(default_factory=dict[str, str])
    samples: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    missing: str | None = None

    def figure(self, name: str) -> float | None:
        """The median."""
        found = self.samples.get(name)
        return median(found) if found else None

    def add(self, figures: dict[str, list[float]]) -> None:
        """Add what one process measured: its median, so that every round counts the same."""
        for name, values in figures.items():
            self.samples.setdefault(name, []).append(median(values))


class ContenderFailed(Exception):
    """A contender's process ended as it should not."""


def race(names: Sequence[str], sizes: Sizes, directory: Path, say: Callable[[str], None] = lambda text: None) -> dict[str, Result]:
    """Measure contenders below `directory`, on the disk that counts. A peer that is absent or fails is told, not raised."""
    results = {name: _enter(name, sizes, directory) for name in names}
    began = perf_counter()
    for number in range(sizes.rounds):
        if number and perf_counter() - began > sizes.patience:
            break
        for workload in (*SHORT, LONG):
            for name in names:
                if workload != LONG or name in OURS:
                    _measure(name, workload, sizes, directory, results[name])
        say(f"round {number + 1} of {sizes.rounds} done after {perf_counter() - began:.0f} s")
    # The long run of a peer takes a minute, and its figures are not close to any limit: once is enough.
    for name in names:
        if name not in OURS:
            _measure(name, LONG, sizes, directory, results[name])
    return results


def _enter(name: str, sizes: Sizes, directory: Path) -> Result:
    asked = _process(name, "versions", sizes, directory)
    if asked.returncode == 0:
        return Result(versions=_last_line(asked))
    if name not in OURS and "PackageNotFoundError" in asked.stderr:
        return Result(missing="not installed")
    raise ContenderFailed(f"{name} cannot be measured:\n{asked.stderr}")


def _measure(name: str, workload: str, sizes: Sizes, directory: Path, result: Result) -> None:
    if result.missing is not None:
        return
    with tempfile.TemporaryDirectory(dir=directory, prefix=f"{name}-") as own:
        try:
            if workload == LONG:
                _kill(name, sizes, Path(own))
                workload = "long_run_again"
            done = _process(name, workload, sizes, Path(own))
            if done.returncode != 0:
                raise ContenderFailed(f"{name}, {workload}:\n{done.stderr}")
            result.add(_last_line(done))
        except (ContenderFailed, subprocess.TimeoutExpired) as error:
            if name in OURS:
                raise
            result.missing = f"failed: {' '.join(str(error).split())[-300:]}"


def _kill(name: str, sizes: Sizes, directory: Path) -> None:
    killed = _process(name, LONG, sizes, directory)
    if killed.returncode != -signal.SIGKILL:
        raise ContenderFailed(f"{name} was to die at step {sizes.killed_at}, but ended with {killed.returncode}:\n{killed.stderr}")


def _process(name: str, workload: str, sizes: Sizes, directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.benchmarks.contender", name, workload, json.dumps(asdict(sizes)), str(directory)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False)


def _last_line(process: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(process.stdout.strip().splitlines()[-1])
