"""`python -m tests.benchmarks`: measures, prints the tables, writes JSON and a chart to `bench-results/`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from tests.benchmarks.chart import draw
from tests.benchmarks.contenders import FIGURES_OF, NAMES, STORES, chosen
from tests.benchmarks.race import ROOT, race
from tests.benchmarks.report import document, tables, write
from tests.benchmarks.sizes import QUICK, TINY, Sizes

RESULTS = ROOT / "bench-results"
PUBLISHED = ROOT / "docs"
DISK = Path("/var/tmp")


def main() -> int:
    """Run the benchmarks; 1 when agentflow or a bare limit could not be measured."""
    given = _arguments()
    sizes = TINY if given.tiny else QUICK if given.quick else Sizes()
    contenders = chosen(given.only, given.databases)
    began = perf_counter()
    RESULTS.mkdir(exist_ok=True)
    # What is measured is a disk, and /tmp may be memory: files are here, and the server of PostgreSQL, which needs a short path, there.
    tempfile.tempdir = str(DISK) if DISK.is_dir() else None
    with tempfile.TemporaryDirectory(dir=RESULTS, prefix="run-") as directory:
        workloads = [workload for workload, figure in FIGURES_OF.items() if figure in given.workloads]
        results = race(contenders, sizes, Path(directory), workloads, lambda text: print(text, file=sys.stderr))
    told = document(results, sizes)
    print(tables(results, sizes))
    for path in _written(told, given.publish):
        print(path.relative_to(ROOT))
    print(f"{perf_counter() - began:.0f} s")
    return int(any(one.ours and set(results[one.key].missing) for one in contenders))


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="agentflow beside the bare limits and its peers")
    arguments.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), help="contenders; ours are always in")
    arguments.add_argument("--databases", nargs="+", choices=STORES, default=list(STORES), help="the tables that are measured")
    figures = list(FIGURES_OF.values())
    arguments.add_argument("--workloads", nargs="+", choices=figures, default=figures)
    arguments.add_argument("--quick", action="store_true", help="a first look: fewer rounds, figures that scatter")
    arguments.add_argument("--tiny", action="store_true", help="see that it works; the figures mean nothing")
    arguments.add_argument("--publish", action="store_true", help="also write docs/bench.json and docs/bench.png")
    return arguments.parse_args()


def _written(told: Mapping[str, Any], publish: bool) -> list[Path]:
    stems = [RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}", *([PUBLISHED / "bench"] if publish else [])]
    written: list[Path] = []
    for stem in stems:
        write(told, stem.with_suffix(".json"))
        written.append(stem.with_suffix(".json"))
        try:
            draw(told, stem.with_suffix(".png"))
            written.append(stem.with_suffix(".png"))
        except ModuleNotFoundError as error:
            print(f"no chart: {error}; `make bench` installs what it needs", file=sys.stderr)
    return written


if __name__ == "__main__":
    sys.exit(main())
